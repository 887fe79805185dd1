# The whole decision core as a state machine: what may happen next, drawn by Hypothesis (see campaign.py).

import math
from collections import Counter, deque
from typing import get_args

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.agreement import FINGERPRINTS, Agreement
from tests.model.creates import (
    CREATES,
    DAY,
    FAULT,
    HOUR,
    JOBS,
    KEYED,
    KEYS,
    NO_ANSWER,
    OTHERS,
    OUTCOMES,
    PERSONS,
    PROFILES,
    SECOND,
    SIGNUPS,
    Create,
    Outcome,
)
from tests.model.lives import Kind
from tests.model.parts import CUTS, Cut
from tests.model.profiles import CHANGES, PROFILE
from tests.model.reference import Changes, Says
from tests.model.signups import SIGNUP

creates = st.sampled_from(CREATES)
prompt = st.sampled_from([create for create in CREATES if not create.is_held_back])
outcomes = st.sampled_from(OUTCOMES)
behind = st.lists(creates, max_size=3)
"""Creates that come in the same moment."""
SAYS: tuple[Says, ...] = get_args(Says)
ASKED: tuple[Says, ...] = (*SAYS, "absent")
"""What frees an identity is drawn more often: it is rare otherwise."""
numbers = st.integers(0, 7)
jumps = st.sampled_from(
    [SECOND, 60 * SECOND, HOUR, 12 * HOUR, DAY, -SECOND, -60 * SECOND, -HOUR, -12 * HOUR, -DAY]
) | st.integers(-DAY, DAY)


def is_up(machine: Agreement) -> bool:
    """Whether the store works."""
    return not machine.world.is_down


def is_waited_for(machine: Agreement) -> bool:
    """Whether a create waits for the API."""
    return bool(machine.world.waiting)


def outlives_a_kill(machine: Agreement) -> bool:
    """Whether the store works, and has what it confirmed after a kill."""
    return machine.survives and not machine.world.is_down


class DecisionCore(Agreement):
    """See Agreement; mutable state besides: what was sent last, and the time before the clock was set last."""

    def __init__(self, kind: Kind, seen: Counter[str], most: int) -> None:
        super().__init__(kind, seen, most)
        self.sent: deque[Create] = deque(maxlen=2)
        self.before = self.world.now

    # Creates

    @rule(create=st.sampled_from(PERSONS), outcome=outcomes)
    def person_is_created(self, create: Create, outcome: Outcome) -> None:
        self._send(create, outcome)

    @rule(create=st.sampled_from(OTHERS), outcome=outcomes)
    def other_is_created(self, create: Create, outcome: Outcome) -> None:
        self._send(create, outcome)

    @rule(create=st.sampled_from(KEYED), outcome=outcomes)
    def keyed_is_created(self, create: Create, outcome: Outcome) -> None:
        self._send(create, outcome)

    @rule(create=st.sampled_from(SIGNUPS), outcome=st.just(NO_ANSWER) | outcomes, says=st.sampled_from(SAYS))
    def signup_is_created(self, create: Create, outcome: Outcome, says: Says) -> None:
        """Of a kind whose unknown outcomes are found out."""
        self.world.says = self.reference.says = says
        self._send(create, outcome)

    @rule(create=st.sampled_from(PROFILES), outcome=outcomes, changes=st.sampled_from(CHANGES))
    def profile_is_created(self, create: Create, outcome: Outcome, changes: Changes) -> None:
        """Of a kind whose duplicates are sent to what exists."""
        self.world.changes = self.reference.changes = changes
        self._send(create, outcome)

    @precondition(lambda self: is_up(self) and self.reference.keys_of(PROFILE, "created"))
    @rule(which=numbers, outcome=outcomes, changes=st.sampled_from(CHANGES))
    def existing_profile_is_created(self, which: int, outcome: Outcome, changes: Changes) -> None:
        """Most likely a duplicate, by any of its callers: what comes of a change is rare otherwise."""
        key = self.reference.keys_of(PROFILE, "created")[0]
        creates = [create for create in PROFILES if create.keys == (key,)]
        self.world.changes = self.reference.changes = changes
        self._send(creates[which % len(creates)], outcome)

    @precondition(lambda self: is_up(self) and self.reference.keys_of(SIGNUP, "unknown"))
    @rule(create=st.sampled_from(SIGNUPS), outcome=outcomes, says=st.sampled_from(ASKED), off=st.integers(-1, 1))
    def unknown_signup_is_asked_about(self, create: Create, outcome: Outcome, says: Says, off: int) -> None:
        """When the answer that nothing happened just begins to be believed."""
        claim = self.reference.claims[self.reference.keys_of(SIGNUP, "unknown")[0]]
        self._set_clock(int(claim.since + SIGNUP.absent_after) + off)
        self.world.says = self.reference.says = says
        self._send(create, outcome)

    @precondition(lambda self: self.sent)
    @rule(which=numbers, outcome=outcomes)
    def create_is_tried_again(self, which: int, outcome: Outcome) -> None:
        self._send(self.sent[which % len(self.sent)], outcome)

    def _send(self, create: Create, outcome: Outcome) -> None:
        self.sent.append(create)
        if self.world.is_down:
            operation = self.world.send([create], outcome)[0]
            self.check_told(operation, 503, "store-unavailable")
            assert b"\r\nRetry-After: " in operation.client.got
            assert not operation.arrived.is_set()
            return
        met = self.meet(create)
        operations = self.world.send([create], outcome if met == [None] else None)
        self.check_met(operations, met)
        if met == [None]:
            self.settle(operations[0], outcome)
            self.check_ended(operations[0], outcome)

    @precondition(is_up)
    @rule(several=st.lists(creates, min_size=1, max_size=5))
    def creates_overlap(self, several: list[Create]) -> None:
        """They come in one moment, and the API answers none of those that it gets."""
        several = in_order_of_claims(several)
        met = self.meet(*several)
        self.check_met(self.world.send(several), met)

    @precondition(is_up)
    @rule(several=st.lists(st.sampled_from(JOBS), min_size=2, max_size=4))
    def jobs_overlap(self, several: list[Create]) -> None:
        """Of one caller or two, so that most wait for the first of theirs."""
        met = self.meet(*several)
        self.check_met(self.world.send(several), met)

    # What becomes of those that wait for the API

    @precondition(is_waited_for)
    @rule(which=numbers, outcome=outcomes, behind=behind)
    def api_answers(self, which: int, outcome: Outcome, behind: list[Create]) -> None:
        behind = [] if self.world.is_down else in_order_of_claims(behind)
        operation = self.waiting(which)
        ended = self.settle(operation, outcome)
        met = self.meet(*behind)
        woken = self.wake(ended)
        self.check_met(self.world.answer(operation, outcome, behind), met)
        self.check_ended(operation, outcome)
        self.check_woken(woken)

    @precondition(is_waited_for)
    @rule(which=numbers)
    def client_leaves(self, which: int) -> None:
        self.seen["client left"] += 1
        self.waiting(which).client.has_left = True

    @precondition(is_waited_for)
    @rule(which=numbers, behind=behind)
    def create_is_cut_off(self, which: int, behind: list[Create]) -> None:
        self.seen["cut off"] += 1
        behind = [] if self.world.is_down else in_order_of_claims(behind)
        operation = self.waiting(which)
        ended = self.settle(operation, None)
        met = self.meet(*behind)
        woken = self.wake(ended)
        self.check_met(self.world.cut_off(operation, behind), met)
        assert operation.task.cancelled()
        assert not operation.client.got
        self.check_woken(woken)

    @precondition(lambda self: self.waiters)
    @rule(which=numbers)
    def create_is_cut_off_while_it_waits(self, which: int) -> None:
        self.seen["cut off while it waited"] += 1
        operation, _ = self.waiters.pop(which % len(self.waiters))
        self.world.cut_off(operation, [])
        assert operation.task.cancelled()
        assert not operation.client.got

    @precondition(outlives_a_kill)
    @rule(ahead=st.lists(prompt, max_size=2), create=prompt, behind=behind)
    def create_is_cut_off_while_it_claims(self, ahead: list[Create], create: Create, behind: list[Create]) -> None:
        """Its claims may be taken by then: they are freed, because nothing was sent."""
        self.seen["cut off while it claimed"] += 1
        behind = in_order_of_claims(behind)
        met_before = self.meet(*ahead)
        lapsed = self.reference.lapsed
        if self.meet(create) == [None]:
            self.reference.settle(self.reference.operations, create.keys, "not sent", self.world.now)
        self.lapses_untold += self.reference.lapsed - lapsed
        met_after = self.meet(*behind)
        before, operation, after = self.world.cut_off_while_it_claims(ahead, create, behind)
        assert not operation.arrived.is_set()
        self.check_met([*before, *after], [*met_before, *met_after])

    # Time, and the operator

    @rule(length=jumps)
    def clock_jumps(self, length: int) -> None:
        self.seen["clock set back" if length < 0 else "clock set forward"] += 1
        self._set_clock(self.world.now + length)

    @rule()
    def clock_is_put_right(self) -> None:
        self.seen["clock put right"] += 1
        self._set_clock(self.before)

    @precondition(is_up)
    @rule(which=numbers, off=st.integers(-1, 1))
    def clock_reaches_an_end(self, which: int, off: int) -> None:
        """Where mistakes by one millisecond show."""
        claims = self.reference.claims.values()
        believed = {claim.since + claim.kind.absent_after for claim in claims if claim.state == "unknown"}
        ends = sorted((believed | {claim.until for claim in claims}) - {math.inf})
        if ends:
            self.seen["clock at the end of a claim"] += 1
            self._set_clock(int(ends[which % len(ends)]) + off)

    def _set_clock(self, now: int) -> None:
        self.before, self.world.now = self.world.now, now

    @precondition(is_up)
    @rule(limit=st.sampled_from([1, 3, 100]), ahead=st.sampled_from([0, HOUR, DAY]))
    def expired_are_purged(self, limit: int, ahead: int) -> None:
        """Perhaps while the clock is ahead for a moment."""
        self.seen["purge, the clock ahead" if ahead else "purge"] += 1
        self.world.now += ahead
        before = self.reference.lapsed
        self.reference.purge(self.world.now)
        lapsed = self.reference.lapsed - before
        assert self.world.purge(limit) == lapsed
        self.lapses_untold += lapsed
        self.world.now -= ahead

    @precondition(is_up)
    @rule(which=numbers)
    def operator_forgets(self, which: int) -> None:
        """A claim that is not free, or perhaps one that is."""
        keys = [*sorted(self.reference.claims), KEYS[0]]
        key = keys[which % len(keys)]
        forgotten = self.world.forget(FINGERPRINTS[key])
        self.seen["forgotten" if forgotten else "nothing to forget"] += 1
        assert forgotten == self.reference.forget(key)

    # Faults

    @precondition(lambda self: not self.world.is_down and self.world.waiting)
    @rule()
    def store_breaks(self) -> None:
        self.seen["store broken"] += 1
        self.world.break_store()

    @precondition(lambda self: self.world.is_down)
    @rule()
    def store_works_again(self) -> None:
        self.seen["settled late"] += len(self.late)
        assert self.world.mend_store() == [self.reference.settle(*late) for late in self.late]
        self.late.clear()

    @precondition(lambda self: self.survives)
    @rule(downtime=jumps)
    def gateway_is_killed(self, downtime: int) -> None:
        self.seen["killed"] += 1
        self.world.die(downtime)
        self.check_start()

    @precondition(outlives_a_kill)
    @rule(
        create=creates | st.sampled_from(SIGNUPS),
        outcome=outcomes.filter(lambda outcome: outcome is not FAULT),
        cut=st.sampled_from(CUTS),
        downtime=jumps,
    )
    def gateway_is_killed_amid(self, create: Create, outcome: Outcome, cut: Cut, downtime: int) -> None:
        if create in SIGNUPS and create.keys[0] in self.reference.claims:
            return  # which of its claims it is killed at is not known: it may claim once more behind its question
        self.seen[f"killed {cut}"] += 1
        before = self.reference.lapsed
        met = [None] if cut == "before the claim" else self.meet(create)
        operation = self.world.send_into(create, outcome, cut)
        self.count(operation)
        assert operation.arrived.is_set() == (cut.endswith("end") and met == [None])
        if not operation.arrived.is_set():
            self.lapses_untold += self.reference.lapsed - before
        elif cut == "behind the end":
            self.settle(operation, outcome)
        self.world.die(downtime)
        self.check_start()

    @precondition(lambda self: self.is_shared and is_up(self) and self.world.waiting)
    @rule()
    def gateway_is_taken_for_stopped(self) -> None:
        """By another one. What it has in flight is unknown then; it carries on, and may settle it all the same."""
        self.seen["taken for stopped"] += 1
        self.reference.suspect(self.world.now)
        self.world.suspect()

    @precondition(outlives_a_kill)
    @rule(downtime=jumps)
    def gateway_is_stopped(self, downtime: int) -> None:
        """Its drain is over at once: what waits for the API is cut off."""
        self.seen["stopped"] += 1
        for operation in self.world.waiting:
            self.settle(operation, None)
        self.world.stop(downtime)
        self.check_start()
        assert self.world.recovered == 0


def in_order_of_claims(several: list[Create]) -> list[Create]:
    """Who asks for 100 Continue is looked up first, and claims behind those that do not."""
    return sorted(several, key=lambda create: create.is_held_back)
