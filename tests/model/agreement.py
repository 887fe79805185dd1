# The gateway held against the reference: what the machine's rules share, and what must be true after each of them.

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis.stateful import RuleBasedStateMachine, invariant

from gateway import model
from tests.model.creates import FAULT, KEYS, Create, Outcome, answer, fingerprint, link
from tests.model.lives import Kind
from tests.model.parts import Operation
from tests.model.reference import LOST, REPLAYED, UPSERTED, WAITS, Answer, Conflict, Ending, Key, Reference
from tests.model.world import World
from tests.support.handler import NOW
from tests.support.shared import BACKENDS

FINGERPRINTS = {key: fingerprint(key) for key in KEYS}
KEY_OF = {fingerprint: key for key, fingerprint in FINGERPRINTS.items()}


class Late(NamedTuple):
    """How an operation ended, while the store could not write it."""

    operation: int
    keys: tuple[Key, ...]
    ending: Ending
    at: int
    link: str | None
    answer: Answer | None
    says: str = ""


class Waiter(NamedTuple):
    """A create that waits for another one, which has this number in the reference."""

    operation: Operation
    waits_for: int


class Agreement(RuleBasedStateMachine):
    """Mutable state: the gateway and its world, the reference, and what was met, counted by its name."""

    def __init__(self, kind: Kind, seen: Counter[str], most: int) -> None:
        """`most` is how many steps there will be at most."""
        super().__init__()
        self.seen = seen
        self._steps_left = most + 1  # the invariants hold before the first step too
        self.is_shared = kind in BACKENDS
        self.survives = kind != "memory"
        self.world = World(kind, NOW)
        self.reference = Reference()
        self.late: list[Late] = []
        self.waiters: list[Waiter] = []
        """In the order in which they came."""
        self._found_out: Counter[str] = Counter()
        self.fenced_out = 0
        """Operations that held nothing any more when they ended, and were told so."""
        self.lapses_untold = 0
        """Holds that ran out and are no event of the handler's: purged, or nobody was left to tell."""

    def teardown(self) -> None:
        self.world.end()
        self.seen["runs"] += 1
        self.seen["whole runs"] += self._steps_left == 0

    # What holds after each step

    @invariant()
    def it_agrees(self) -> None:
        self._steps_left -= 1
        self.seen["steps"] += 1
        self.check_claims()
        self.check_forwards()
        self.check_found_out()
        self.check_gone()
        self.check_lapses()

    def check_claims(self) -> None:
        """The store holds what the reference holds, to the millisecond.

        What is in flight is carried by an operation under way, or by a settlement that is tried again.
        """
        stored = {
            KEY_OF[record.fingerprint]: (
                record.state.name.lower(),
                record.expires_at,
                record.first_seen,
                record.resource,
            )
            for record in self.world.stored()
        }
        wanted = {}
        for key, claim in self.reference.claims.items():
            until = model.FOREVER if claim.until == math.inf else int(claim.until)
            wanted[key] = (claim.state, None if claim.state == "in_flight" else until, claim.taken, claim.link)
        assert stored == wanted
        carried = {(key, operation.holder) for operation in self.world.waiting for key in operation.create.keys}
        carried |= {(key, late.operation) for late in self.late for key in late.keys}
        claims = self.reference.claims.items()
        assert carried >= {(key, claim.operation) for key, claim in claims if claim.state == "in_flight"}

    def check_forwards(self) -> None:
        """The promise: forwarded again only when it is certain that the first one did not happen."""
        for key, forwards in self.reference.forwards.items():
            assert forwards <= 1 + self.reference.releases[key], key

    def check_found_out(self) -> None:
        """What came of each question is counted, and its verdict told."""
        verdicts = Counter[str]()
        for came, count in self.reference.found_out.items():
            verdicts[came if came in {"exists", "absent"} else "unclear"] += count
            self.seen[f"found out: {came}"] += count - self._found_out[came]
        self._found_out = self.reference.found_out.copy()
        assert {verdict: count for (_, verdict), count in self.world.telemetry.verdicts.items()} == verdicts

    def check_gone(self) -> None:
        """What frees an identity whose thing is gone is told of."""
        assert self.world.telemetry.events["resource-gone"] == self.reference.gone
        if self.reference.gone:
            self.seen["found gone"] = max(self.seen["found gone"], self.reference.gone)

    def check_lapses(self) -> None:
        """An identity that becomes free because its hold ran out is told of, once."""
        events = self.world.telemetry.events
        assert events["fenced-out"] == self.fenced_out
        assert events["unknown-lapsed"] == self.reference.lapsed - self.lapses_untold

    # What the rules share

    def waiting(self, which: int) -> Operation:
        """One of the creates that wait for the API."""
        return self.world.waiting[which % len(self.world.waiting)]

    def meet(self, *several: Create) -> list[Conflict | None]:
        """Say what creates must meet, one after the other."""
        return [self.reference.meet(create.kind, create.keys, create.sent, self.world.now) for create in several]

    def check_met(self, operations: Sequence[Operation], met: Sequence[Conflict | None]) -> None:
        """Hold creates that were sent to what they must meet: some are forwarded, the others are told why not."""
        for operation, conflict in zip(operations, met, strict=True):
            self.count(operation)
            assert operation.arrived.is_set() == (conflict is None)
            if conflict is None:
                continue
            if conflict.slug == WAITS:
                self.seen["waited"] += 1
                assert not operation.task.done()
                self.waiters.append(Waiter(operation, conflict.first.operation))
            elif conflict.slug == REPLAYED:
                self.seen["replayed"] += 1
                self.check_replayed(operation, conflict.first.answer)
            elif conflict.slug == UPSERTED:
                self.seen["upserted"] += 1
                self.check_told(operation, 200, None)
                assert b"\r\nIdempotency-Status: upserted\r\n" in operation.client.got
            elif conflict.slug == LOST:
                self.seen["upsert lost"] += 1
                self.check_told(operation, 502, "outcome-unknown")
            else:
                told = self.check_told(operation, 422 if conflict.slug == "key-reused" else 409, conflict.slug)
                assert told["conflictField"] in conflict.entries
                assert told.get("existingResourceLink") in (conflict.links if conflict.slug == "duplicate" else {None})
                comes_later = conflict.slug in {"in-progress", "outcome-unknown"}
                assert (b"\r\nRetry-After: " in operation.client.got) == comes_later

    def check_replayed(self, operation: Operation, answer: Answer | None) -> None:
        """Hold what a client got to the answer of the operation that it asked for again."""
        assert answer is not None
        status, body = answer
        operation.task.result()
        head, _, got = operation.client.got.partition(b"\r\n\r\n")
        assert (int(head.split(b" ", 2)[1]), got) == (status, body)
        assert b"\r\nIdempotent-Replayed: true" in head

    # Creates that wait

    def wake(self, ended: int) -> "list[tuple[Operation, Conflict | None]]":
        """Say what those meet that waited for an operation, which has ended; with the store down, nothing."""
        woken = [waiter.operation for waiter in self.waiters if waiter.waits_for == ended]
        self.waiters = [waiter for waiter in self.waiters if waiter.waits_for != ended]
        if self.world.is_down:
            return [(operation, None) for operation in woken]
        return list(zip(woken, self.meet(*[operation.create for operation in woken]), strict=True))

    def check_woken(self, woken: "list[tuple[Operation, Conflict | None]]") -> None:
        """Hold them to it."""
        self.seen["woken"] += len(woken)
        if not self.world.is_down:
            self.check_met([operation for operation, _ in woken], [conflict for _, conflict in woken])
            return
        for operation, _ in woken:
            self.check_told(operation, 503, "store-unavailable")
            assert not operation.arrived.is_set()

    def check_ended(self, operation: Operation, outcome: Outcome) -> None:
        """Hold a create to how the API has answered it."""
        self.seen[f"API: {outcome.name}"] += 1
        if outcome.ending in operation.create.kind.exists:
            self.seen["exists already"] += 1
        if outcome is FAULT:
            assert isinstance(operation.task.exception(), ZeroDivisionError)
            assert not operation.client.got
        elif operation.client.got or not operation.client.has_left:
            self.check_told(operation, *outcome.told)

    def check_told(self, operation: Operation, status: int, slug: str | None) -> dict[str, str | int]:
        """Hold the client's answer to its status and slug; gives the problem that it tells."""
        operation.task.result()
        head, _, body = operation.client.got.partition(b"\r\n\r\n")
        assert int(head.split(b" ", 2)[1]) == status
        if slug is None:
            return {}
        self.seen[f"told: {status} {slug}"] += 1
        told: dict[str, str | int] = json.loads(body)
        assert told["type"] == f"urn:problem-type:gateway:{slug}"
        return told

    def settle(self, operation: Operation, outcome: Outcome | None) -> int:
        """Tell the reference how an operation ended, None for one that was cut off; gives its number there."""
        keys, at, number, holder = operation.create.keys, self.world.now, operation.number, operation.holder
        late = Late(holder, keys, "no answer", at, None, None)
        if outcome is not None:
            told = link(operation.create, outcome, number), answer(outcome, number)
            late = Late(holder, keys, outcome.ending, at, *told, outcome.says)
        if self.world.is_down:
            self.late.append(late)
        elif not self.reference.settle(*late) and outcome not in {None, FAULT}:
            self.seen["fenced out"] += 1
            self.fenced_out += 1
        return holder

    def count(self, operation: Operation) -> None:
        """Take note of a create that the API has got."""
        if operation.arrived.is_set():
            self.seen["forwarded"] += 1
            self.reference.forwards.update(operation.create.keys)
            operation.holder = self.reference.claims[operation.create.keys[0]].operation

    def check_start(self) -> None:
        """Hold the gateway, which has died and started again, to what it must have found."""
        self.late.clear()
        self.waiters.clear()
        orphans = self.reference.start(self.world.now)
        self.seen["claims found in flight"] += orphans
        assert self.world.recovered == orphans
