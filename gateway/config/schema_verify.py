# `verify` of a rule: how an outcome that is unknown is found out.

from gateway.config.table import Duration, Table

DEFAULT_HOLD = Duration(3600)
"""The default of `unknown_hold` where a rule has `verify`, unless `keep` is shorter."""


class VerifyConfig(Table, frozen=True, kw_only=True):
    """`verify`: a GET by which the API is asked whether a create of unknown outcome happened."""

    path: str
    """What is asked for: "/users?email={body.email}", with fields of the create."""
    found: str | None = None
    """The value of a JSON answer that is there if it happened: "body.items[0].id"; without it, the status says it."""
    resource: str | None = None
    """Where the created thing lives, as the rule's `resource`, but over the answer to this question."""
    absent_after: Duration = Duration(60)
    """How long after the create an answer that it did not happen is believed: the API may be at work on it still."""
    headers: dict[str, str] | None = None
    """Header fields to ask with, in place of those of the sender; with them the gateway also asks by itself."""
