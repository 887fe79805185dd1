# `release` and `update` of a rule: requests that delete or change what was created.

from gateway.config.table import Table


class ReleaseConfig(Table, frozen=True, kw_only=True):
    """One entry of `release`: requests that delete what was created, and by that free its identities."""

    path: str
    """A path template, that of the link to the created thing: "/users/{id}"."""
    methods: tuple[str, ...] = ("DELETE",)
    """Request methods."""
    statuses: tuple[str, ...] = ("200", "204")
    """Statuses by which the API says that the thing is gone. 404 may hide a missing permission, 202 is not done yet."""


class UpdateConfig(Table, frozen=True, kw_only=True):
    """One entry of `update`: requests that change what was created, and perhaps its identities."""

    path: str
    """A path template, that of the link to the created thing: "/users/{id}"."""
    methods: tuple[str, ...] = ("PUT", "PATCH")
    """Request methods."""
    statuses: tuple[str, ...] = ("200", "201", "204")
    """Statuses by which the API says that it has changed the thing. 202 is not done yet."""
