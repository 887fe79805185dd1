# What the admin API says about the gateway itself, as structs. Pure.

import msgspec

from gateway.config.versions import Lost
from gateway.process.admin.shapes import Prefix, Seconds, StateName, Time


class ConfigStatus(msgspec.Struct, frozen=True):
    """The rules file in force."""

    path: str
    hash: Prefix | None
    """Of the bytes of the file that is in force (SHA-256); None for one that cannot be read again."""
    rules: int
    loaded_at: Time
    problems: list[str]
    """Why the file as it was read last is not in force; empty when it is."""
    lost: tuple[Lost, ...]
    """Entries that had another identity when the process started: what was created then stops no create any more."""


class RuleStateCount(msgspec.Struct, frozen=True):
    """How many claims of a rule are in a state."""

    rule: str
    state: StateName
    count: int


class StoreStatus(msgspec.Struct, frozen=True):
    """The store."""

    kind: str
    healthy: bool
    reason: str | None
    """Why it could not be asked."""
    bytes: int | None
    """What it takes, where it knows."""
    claims: list[RuleStateCount]
    """Those that have expired count until they are removed."""


class OldestUnknown(msgspec.Struct, frozen=True):
    """The oldest claim of unknown outcome of a rule."""

    rule: str
    first_seen: Time
    age: Seconds


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One URL of an API."""

    name: str
    """Empty for [upstream]."""
    url: str
    up: bool
    """Whether it could be reached when that was last tried."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway is."""

    version: str
    started_at: Time
    uptime: Seconds
    config: ConfigStatus
    ready: bool
    reason: str | None
    """Why it takes no creates."""
    store: StoreStatus
    in_flight: int | None
    """Claims in flight; None when the store does not say."""
    oldest_unknown: list[OldestUnknown]
    upstreams: list[UpstreamStatus]
    loop_lag: Seconds
    """By how much the event loop was late lately."""
    certificate_not_after: Time | None
    """When the first of the certificates in use expires; None without any."""
