# A create that was not let through: what its steps from there on pass on to each other.

from collections.abc import Sequence

import msgspec

from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule
from gateway.model import Claim, Held
from gateway.proxy.context import RequestContext


class HeldCreate(msgspec.Struct, frozen=True):
    """A create that was not let through, because claims of it are held."""

    request: RequestContext
    rule: Rule
    view: RequestView
    """What of it is read; without its body while the client still keeps that back."""
    wanted: Sequence[Claim]
    """The claims that it must hold."""
    held: Held
    """Those of them that are."""
    now: int
    """When they were found held, in milliseconds."""
    retry_after: int | None = None
    """Seconds after which more may be known; None for what the conflict says by itself."""
