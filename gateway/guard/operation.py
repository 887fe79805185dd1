# One forwarded create. Pure.

from collections.abc import Sequence

import msgspec

from gateway.guard.rule import Rule
from gateway.model import Claim


class Operation(msgspec.Struct, frozen=True):
    """A create that holds its claims, from their reservation to their settlement."""

    rule: Rule
    claims: Sequence[Claim]
    """All that it holds, taken together."""
    owner: bytes
    """A token that no other operation has: only its holder can settle the claims."""
    reserved_at: int
    """Milliseconds since the epoch."""
    wanted: Sequence[Claim] = ()
    """All claims of its create, where it holds only those of them that were free, because it passes all the same."""
