# Checks the responses to the clients of the soak test, by the requested faults and the held identities.

import itertools
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from random import Random

from campaigns.soak import api
from campaigns.soak.clients import Clients
from campaigns.soak.requests import OVER_TLS, PLAIN, REFUSING, RESETTING, SLOW, Identity

CREATED, DUPLICATE, UNKNOWN, IN_PROGRESS = "201", "409 duplicate", "409 outcome-unknown", "409 in-progress"
NOT_SENT, LOST, TOO_LATE = "502 upstream-unreachable", "502 outcome-unknown", "504 outcome-unknown"
BROKEN = "201, broken off"
FAULTS: dict[tuple[str, str], dict[str, str]] = {
    **{
        (PLAIN, fault): {LOST: UNKNOWN}
        for fault in (api.RESET_AMID, api.RESET_AFTER, api.CLOSE, api.HALF_HEAD, *api.GARBLED)
    },
    (OVER_TLS, api.RESET_AFTER): {LOST: UNKNOWN},
    (PLAIN, api.BROKEN_BODY): {BROKEN: DUPLICATE},
    (SLOW, api.NEVER): {TOO_LATE: UNKNOWN},
    (REFUSING, ""): {NOT_SENT: CREATED},
    (RESETTING, ""): {NOT_SENT: CREATED, LOST: UNKNOWN},
    **{(PLAIN, status): {status: UNKNOWN} for status in ("500", "502", "503", "504")},
    **{(PLAIN, status): {status: CREATED} for status in sorted(api.REFUSED)},
}
"""By API and fault: the valid responses to a create, and the required response to an immediate retry."""
PASSED_FAULTS: dict[tuple[str, str], set[str]] = {
    **{(name, fault): set(told) for (name, fault), told in FAULTS.items() if fault != api.BROKEN_BODY},
    (PLAIN, api.BROKEN_BODY): {BROKEN},
    (RESETTING, ""): {NOT_SENT, LOST},
}
"""The same for requests that no rule guards."""


class Asking:
    """Asks, and holds each answer against what it must be.

    Mutable state: the counts of responses, the wrong responses, the durations, and the created identities.
    """

    def __init__(self, clients: Clients, seed: int, keep: float, unknown_hold: float) -> None:
        """`keep` and `unknown_hold` in seconds, as in the gateway's rule."""
        self.told: Counter[str] = Counter()
        self.surprises: list[str] = []
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        """Seconds by kind; the sampler empties the lists."""
        self._clients = clients
        self._random = Random(f"soak {seed}, by whoever comes first")
        self._keep, self._unknown_hold = keep, unknown_hold
        self._numbers = itertools.count()
        self._created: deque[Identity] = deque()

    async def _ask(self, sent: bytes, kind: str | None = None, *, clients: Clients | None = None) -> str:
        started = time.perf_counter()
        leaves = self._random.random() < 0.01
        (told,) = await (clients or self._clients).ask(sent, leaves=leaves)
        if kind is not None:
            self.latencies[kind].append(time.perf_counter() - started)
        self.told[told] += 1
        return told

    def _expect(self, kind: str, told: str, allowed: Iterable[str]) -> None:
        if told not in allowed:
            self._surprise(kind, f"{told}, where {' or '.join(allowed)} was right")

    def _surprise(self, kind: str, what: str) -> None:
        self.surprises.append(f"{kind}: {what}")

    def _expect_held(self, kind: str, identity: Identity, told: str, held: str) -> None:
        """An identity that was held when the request was sent and when it was answered must get the held response."""
        hold = self._unknown_hold if held == UNKNOWN else self._keep
        may_be_free = time.monotonic() >= identity.sent_at + hold - api.CLOCKS
        self._expect(kind, told, {held, CREATED, IN_PROGRESS, DUPLICATE} if may_be_free else {held})

    def _fresh(self) -> Identity:
        return Identity(next(self._numbers), time.monotonic())

    def _remember(self, identity: Identity) -> None:
        identity.told_at = time.monotonic()
        self._created.append(identity)
