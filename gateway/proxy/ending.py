# How what was sent ends, whatever it was.

from typing import Protocol

from gateway.guard.decision import Outcome
from gateway.model import Settlement
from gateway.upstream.results import UpstreamResponse


class Ending(Protocol):
    """How what was sent ends. At every moment it is what must be settled if nothing more becomes known."""

    outcome: Outcome

    async def judge(self, result: UpstreamResponse, /) -> UpstreamResponse:
        """Find out what an answer means, which may take its body; returns it as far as it was read then."""

    def settlement(self, now: int, /) -> Settlement:
        """What becomes of the claims that are held. `now` in milliseconds."""
