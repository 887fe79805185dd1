# What the admin API says about what creates met, as structs. Pure.

import msgspec

from gateway.process.admin.shapes import Seconds, Time


class ConflictCount(msgspec.Struct, frozen=True):
    """How many creates were not let through because of one entry, or would not have been."""

    entry: str
    """Empty where it is about no entry."""
    kind: str
    count: int
    callers: int
    """Of how many callers those of this entry were, of whatever kind; anonymous ones count as one. 0 for an enforced
    rule that does not need to know."""
    more_callers: bool
    """Whether there were more than that."""


class RuleReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the creates of one rule met."""

    rule: str
    mode: str
    """"enforce", "shadow" or "off"."""
    since: Time | None = None
    """When counting began: with the process, or when the rule was last changed; None for one that is off."""
    seconds: Seconds = 0.0
    """For how long that is."""
    creates: int = 0
    stopped: int = 0
    """How many of them were not let through, or would not have been."""
    callers: int = 0
    """Of how many callers these were; see ConflictCount."""
    more_callers: bool = False
    outcomes: dict[str, int] = {}
    conflicts: list[ConflictCount] = []
    """Of a rule in shadow, all that it would have done otherwise."""
    retries: dict[str, int] = {}
    """What creates got that were told to be retries."""
    overridden: dict[str, int] = {}
    """By entry, how many duplicates were forwarded because their callers wanted it so."""
    next_step: str
    """What that means, and what to do, in words."""


class Report(msgspec.Struct, frozen=True):
    """What creates met."""

    since: Time
    """When the process started."""
    rules: list[RuleReport]
