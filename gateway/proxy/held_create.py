# A create that was not let through: what its steps from there on pass on to each other.

from collections.abc import Sequence

import msgspec

from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule
from gateway.model import Claim, Held, State
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

    @property
    def is_all_created(self) -> bool:
        """Whether nothing of it is left to be done; of a batch, that each of its items exists."""
        if self.rule.batch is None:
            return True
        created = {claim.item for claim, record in self.held.conflicts if record.state is State.CREATED}
        return created.issuperset(range(len(self.view.items)))
