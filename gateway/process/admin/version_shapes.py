# What the admin API says of the identities that claims were made by, as structs. Pure.

import msgspec

from gateway.config.versions import IdentityConfig
from gateway.process.admin.shapes import Time


class VersionCount(msgspec.Struct, frozen=True):
    """How many held claims one identity of an entry has made."""

    rule: str
    entry: str
    """The name of the `unique` entry, or of the key's header."""
    version: int | None
    """A number for the identity; None for a key, and where an earlier release made the claims."""
    count: int
    until: Time | None
    """When the last of them expires; None where one never does, or all are in flight."""
    forever: bool
    """Whether one of them never expires."""


class EntryInForce(msgspec.Struct, frozen=True):
    """An entry of the rules in force."""

    rule: str
    entry: str
    version: int
    identity: IdentityConfig


class VersionPage(msgspec.Struct, frozen=True):
    """The claims of one part of the store. The same identity may be on several pages, which are to be added up."""

    claims: list[VersionCount]
    total: int | None
    """How many claims there are in all, about; on the first page only."""
    in_force: list[EntryInForce]
    """On the first page only."""
    next: str | None
    """The `cursor` of the next page; None after the last one."""


class VersionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part is counted."""

    cursor: str | None = None
