# What every store promises, asked of each of them.

import asyncio

import msgspec
import pytest

from gateway.model import FOREVER, FREE, Claim, Filter, Held, Purged, Record, Reserved, Settlement, State
from gateway.stores.base import Store
from tests.support.stores import (
    CREATED,
    FAR,
    HOUR,
    NOW,
    UNKNOWN,
    claim,
    claims,
    create,
    names_of,
    owner,
    state_of,
    take,
)


def in_flight(name: str | int, number: int, now: int = NOW) -> Record:
    """The record of a claim that was just reserved."""
    made = claim(name)
    return Record(made.fingerprint, owner(number), State.IN_FLIGHT, made.rule, made.entry, now, None, HOUR)


class TestReserve:
    async def test_free_claims_are_taken_together(self, store: Store) -> None:
        assert await store.reserve(claims("a", "b"), owner(1), NOW) == Reserved()
        for name in ("a", "b"):
            assert await store.get(claim(name).fingerprint, NOW) == in_flight(name, 1)

    async def test_one_that_is_held_keeps_all_from_being_taken(self, store: Store) -> None:
        await take(store, ("b",), 1)
        for order in (("a", "b", "c"), ("b", "a", "c"), ("a", "c", "b")):
            assert names_of(await store.reserve(claims(*order), owner(2), NOW)) == ["entry-b"]
        assert await state_of(store, "a") is await state_of(store, "c") is None
        await take(store, ("a", "c"), 3)

    async def test_every_conflict_is_named_with_what_is_held_and_none_else(self, store: Store) -> None:
        await take(store, ("a",), 1)
        await create(store, "b", 2)
        await create(store, "d", 3, UNKNOWN)
        wanted = claims("d", "c", "b", "a")
        found = await store.reserve(wanted, owner(4), NOW)
        assert isinstance(found, Held)
        assert [met for met, _ in found.conflicts] == [wanted[0], wanted[2], wanted[3]]
        assert [record.state for _, record in found.conflicts] == [State.UNKNOWN, State.CREATED, State.IN_FLIGHT]
        for met, record in found.conflicts:
            assert record == await store.get(met.fingerprint, NOW)

    async def test_a_conflict_shows_the_rule_that_holds_it_and_the_claim_that_asked(self, store: Store) -> None:
        await create(store, "a", 1)
        other = Claim(claim("a").fingerprint, "other-rule", "other-entry", 1)
        found = await store.reserve([other], owner(2), NOW)
        assert isinstance(found, Held)
        ((met, record),) = found.conflicts
        assert met == other
        assert (record.rule, record.entry, record.unknown_hold) == ("create-user", "entry-a", HOUR)
        assert (record.owner, record.resource, record.first_seen) == (owner(1), "/users/1", NOW)

    async def test_an_owner_meets_its_own_claims_too(self, store: Store) -> None:
        await take(store, ("a",), 1)
        assert names_of(await store.reserve(claims("a", "b"), owner(1), NOW)) == ["entry-a"]


class TestOrder:
    """A call takes its place when it is made, not when it is awaited."""

    @pytest.mark.parametrize(
        ("settlement", "conflicts"), [(FREE, None), (CREATED, ["entry-a"]), (UNKNOWN, ["entry-a"])]
    )
    async def test_a_reserve_sees_the_settle_before_it(
        self, store: Store, settlement: Settlement, conflicts: list[str] | None
    ) -> None:
        await take(store, ("a",), 1)
        settled = store.settle(owner(1), claims("a"), settlement, NOW)
        found = await store.reserve(claims("a"), owner(2), NOW)
        assert (None if isinstance(found, Reserved) else names_of(found)) == conflicts
        assert await settled

    async def test_a_whole_story_that_nobody_waited_for_is_told_in_its_order(self, store: Store) -> None:
        answers = [
            store.reserve(claims("a", "b"), owner(1), NOW),
            store.reserve(claims("a"), owner(2), NOW),
            store.settle(owner(2), claims("a"), CREATED, NOW),
            store.settle(owner(1), claims("a", "b"), FREE, NOW),
            store.settle(owner(1), claims("a", "b"), CREATED, NOW),
            store.reserve(claims("b", "c"), owner(3), NOW),
            store.settle(owner(3), claims("b", "c"), CREATED, NOW),
            store.reserve(claims("b"), owner(4), NOW),
            store.reserve(claims("a"), owner(5), NOW),
        ]
        found = [await answer for answer in reversed(answers)][::-1]
        first, second, not_held, freed, too_late, third, created, fourth, fifth = found
        assert first == third == fifth == Reserved()
        assert isinstance(second, Held)
        assert isinstance(fourth, Held)
        assert second.conflicts == ((claim("a"), in_flight("a", 1)),)
        assert fourth.conflicts[0][1].state is State.CREATED
        assert [not_held, freed, too_late, created] == [False, True, False, True]

    async def test_a_reserve_that_was_cancelled_is_carried_out_all_the_same(self, store: Store) -> None:
        async def wait() -> None:
            await store.reserve(claims("a"), owner(1), NOW)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)  # it has made its call
        task.cancel()
        await asyncio.wait([task])
        assert await store.get(claim("a").fingerprint, NOW) == in_flight("a", 1)

    async def test_a_cancelled_reserve_can_be_settled(self, store: Store) -> None:
        """What the handler does when a client leaves while its create waits."""
        asyncio.ensure_future(store.reserve(claims("a"), owner(1), NOW)).cancel()
        settled = store.settle(owner(1), claims("a"), FREE, NOW)
        await take(store, ("a",), 2)
        assert await settled
        assert not await store.settle(owner(1), claims("a"), FREE, NOW)
        assert await state_of(store, "a") is State.IN_FLIGHT

    async def test_a_settle_that_was_cancelled_is_carried_out_all_the_same(self, store: Store) -> None:
        await take(store, ("a",), 1)
        asyncio.ensure_future(store.settle(owner(1), claims("a"), CREATED, NOW)).cancel()
        assert await state_of(store, "a") is State.CREATED


class TestSettle:
    async def test_created(self, store: Store) -> None:
        await take(store, ("a", "b"), 1)
        assert await store.settle(owner(1), claims("a", "b"), CREATED, NOW + 5) is True
        for name in ("a", "b"):
            made = claim(name)
            assert await store.get(made.fingerprint, NOW) == Record(
                *(made.fingerprint, owner(1), State.CREATED, made.rule, made.entry, NOW),
                *(CREATED.expires_at, HOUR, "/users/1"),
            )

    async def test_unknown(self, store: Store) -> None:
        await take(store, ("a",), 1)
        assert await store.settle(owner(1), claims("a"), UNKNOWN, NOW) is True
        record = await store.get(claim("a").fingerprint, NOW)
        assert record is not None
        assert (record.state, record.expires_at, record.resource) == (State.UNKNOWN, NOW + HOUR, None)

    async def test_free(self, store: Store) -> None:
        await take(store, ("a", "b"), 1)
        assert await store.settle(owner(1), claims("a", "b"), FREE, NOW) is True
        assert await state_of(store, "a") is await state_of(store, "b") is None
        assert await store.reserve(claims("b", "a"), owner(2), NOW) == Reserved()

    @pytest.mark.parametrize("settlement", [CREATED, UNKNOWN])
    async def test_claims_that_it_names_are_free_and_the_others_are_not(
        self, store: Store, settlement: Settlement
    ) -> None:
        await take(store, ("a", "b", "c"), 1)
        freed = {claim(name).fingerprint: FREE for name in ("a", "c", "nobody's")}
        parted = msgspec.structs.replace(settlement, apart=freed)
        assert await store.settle(owner(1), claims("a", "b", "c"), parted, NOW) is True
        assert await state_of(store, "a") is await state_of(store, "c") is None
        assert await state_of(store, "b") is settlement.state
        assert await store.settle(owner(1), claims("b"), FREE, NOW) is False, "the operation has ended"
        await take(store, ("c", "a"), 2)

    async def test_claims_may_end_each_in_its_own_way(self, store: Store) -> None:
        await take(store, ("a", "b", "c", "d"), 1)
        ends = (FREE, UNKNOWN, Settlement(State.CREATED, NOW + 7, "/users/c"))
        apart = {claim(name).fingerprint: end for name, end in zip("abc", ends, strict=True)}
        whole = Settlement(State.CREATED, NOW + 9, "/users/d", b"\0sealed", apart)
        assert await store.settle(owner(1), claims("a", "b", "c", "d"), whole, NOW) is True
        found = [await store.get(claim(name).fingerprint, NOW) for name in "abcd"]
        assert [record and (record.state, record.expires_at, record.resource) for record in found] == [
            None,
            (State.UNKNOWN, UNKNOWN.expires_at, None),
            (State.CREATED, NOW + 7, "/users/c"),
            (State.CREATED, NOW + 9, "/users/d"),
        ]
        assert await store.read_answer(claims("a", "b", "c"), owner(1)) == b"\0sealed", "it goes with one that is there"

    @pytest.mark.parametrize("resource", ["/users/é ?#'\"\\", "https://api.example/" + "x" * 2000, "", "null", None])
    async def test_a_resource_is_kept_as_it_is(self, store: Store, resource: str | None) -> None:
        await create(store, "a", 1, Settlement(State.CREATED, FOREVER, resource))
        record = await store.get(claim("a").fingerprint, NOW)
        assert record is not None
        assert record.resource == resource

    async def test_a_resource_goes_with_its_record(self, store: Store) -> None:
        await create(store, "a", 1)
        await take(store, ("a",), 2, CREATED.expires_at)
        assert await store.get(claim("a").fingerprint, NOW) == in_flight("a", 2, CREATED.expires_at)


@pytest.mark.parametrize("settlement", [CREATED, UNKNOWN, FREE])
class TestFencing:
    """Only the holder of the owner token settles, and only once."""

    async def test_another_owner_cannot(self, store: Store, settlement: Settlement) -> None:
        await take(store, ("a",), 1)
        assert await store.settle(owner(2), claims("a"), settlement, NOW) is False
        assert await store.get(claim("a").fingerprint, NOW) == in_flight("a", 1)

    async def test_not_even_one_that_asked_for_it(self, store: Store, settlement: Settlement) -> None:
        await take(store, ("a",), 1)
        assert isinstance(await store.reserve(claims("a", "b"), owner(2), NOW), Held)
        assert await store.settle(owner(2), claims("a", "b"), settlement, NOW) is False
        assert await store.get(claim("a").fingerprint, NOW) == in_flight("a", 1)
        assert await state_of(store, "b") is None, "a settlement never makes a claim"

    async def test_the_owner_cannot_do_it_twice(self, store: Store, settlement: Settlement) -> None:
        await create(store, "a", 1)
        assert await store.settle(owner(1), claims("a"), settlement, NOW) is False
        assert await state_of(store, "a") is State.CREATED

    async def test_it_cannot_do_it_twice_in_one_breath(self, store: Store, settlement: Settlement) -> None:
        await take(store, ("a",), 1)
        first = store.settle(owner(1), claims("a"), CREATED, NOW)
        second = store.settle(owner(1), claims("a"), settlement, NOW)
        assert (await first, await second) == (True, False)
        assert await state_of(store, "a") is State.CREATED

    async def test_what_was_purged_is_nobodys(self, store: Store, settlement: Settlement) -> None:
        await create(store, "a", 1)
        await store.purge(CREATED.expires_at, 10)
        assert await store.settle(owner(1), claims("a"), settlement, NOW) is False
        assert await state_of(store, "a") is None

    async def test_what_another_took_over_is_the_others(self, store: Store, settlement: Settlement) -> None:
        await create(store, "a", 1)
        await take(store, ("a",), 2, CREATED.expires_at)
        assert await store.settle(owner(1), claims("a"), settlement, NOW) is False
        assert await store.get(claim("a").fingerprint, NOW) == in_flight("a", 2, CREATED.expires_at)

    async def test_nobody_settles_what_was_never_reserved(self, store: Store, settlement: Settlement) -> None:
        assert await store.settle(owner(1), claims("a"), settlement, NOW) is False
        assert await state_of(store, "a") is None


class TestExpiry:
    @pytest.mark.parametrize("settlement", [CREATED, UNKNOWN])
    async def test_a_claim_is_held_up_to_its_expiry_and_free_from_then_on(
        self, store: Store, settlement: Settlement
    ) -> None:
        await create(store, "a", 1, settlement)
        end = settlement.expires_at
        assert await state_of(store, "a", end - 1) is settlement.state
        assert await state_of(store, "a", end) is None
        assert isinstance(await store.reserve(claims("a"), owner(2), end - 1), Held)
        assert isinstance(await store.reserve(claims("a"), owner(3), end), Reserved)
        assert await store.get(claim("a").fingerprint, end) == in_flight("a", 3, end)

    @pytest.mark.parametrize("before", [CREATED, UNKNOWN, FREE])
    async def test_whoever_takes_over_leaves_nothing_of_what_was(self, store: Store, before: Settlement) -> None:
        await create(store, "a", 1, before)
        other = Claim(claim("a").fingerprint, "other-rule", "other-entry", 7)
        later = CREATED.expires_at
        assert isinstance(await store.reserve([other], owner(2), later), Reserved)
        assert await store.get(other.fingerprint, later) == Record(
            *(other.fingerprint, owner(2), State.IN_FLIGHT, "other-rule", "other-entry", later, None, 7)
        )

    async def test_whoever_takes_over_an_unknown_one_is_told(self, store: Store) -> None:
        await create(store, "a", 1, UNKNOWN)
        await create(store, "b", 2, Settlement(State.CREATED, NOW + HOUR))
        await create(store, "c", 3, UNKNOWN)
        found = await store.reserve(claims("c", "new", "b", "a"), owner(4), NOW + HOUR)
        assert isinstance(found, Reserved)
        assert [(record.entry, record.state, record.owner) for record in found.lapsed] == [
            ("entry-c", State.UNKNOWN, owner(3)),
            ("entry-a", State.UNKNOWN, owner(1)),
        ]

    async def test_nobody_is_told_of_what_could_not_be_taken_over(self, store: Store) -> None:
        await create(store, "a", 1, UNKNOWN)
        await take(store, ("b",), 2)
        assert names_of(await store.reserve(claims("a", "b"), owner(3), NOW + HOUR)) == ["entry-b"]
        found = await store.reserve(claims("a"), owner(4), NOW + HOUR)
        assert isinstance(found, Reserved)
        assert len(found.lapsed) == 1, "it is still there to be taken over"

    async def test_in_flight_never_ends_by_the_clock(self, store: Store) -> None:
        await take(store, ("a",), 1)
        assert isinstance(await store.reserve(claims("a"), owner(2), FAR), Held)
        assert await store.purge(FAR, 10) == Purged(0, 0)
        assert await state_of(store, "a", FAR) is State.IN_FLIGHT

    @pytest.mark.parametrize("state", [State.CREATED, State.UNKNOWN])
    async def test_for_ever_is_for_ever(self, store: Store, state: State) -> None:
        await create(store, "a", 1, Settlement(state, FOREVER))
        assert isinstance(await store.reserve(claims("a"), owner(2), FAR), Held)
        assert await store.purge(FAR, 10) == Purged(0, 0)
        assert await state_of(store, "a", FAR) is state

    async def test_a_clock_that_is_set_back_holds_a_claim_again(self, store: Store) -> None:
        await create(store, "a", 1)
        assert await state_of(store, "a", FAR) is None
        assert await state_of(store, "a", 0) is State.CREATED
        assert isinstance(await store.reserve(claims("a"), owner(2), 0), Held)

    async def test_a_claim_taken_when_the_clock_stood_at_zero_is_free_afterwards(self, store: Store) -> None:
        await take(store, ("a",), 1, 0)
        assert await store.settle(owner(1), claims("a"), FREE, 0)
        await take(store, ("a",), 2, 0)


class TestScan:
    async def test_pages_follow_one_another_in_order_of_fingerprints(self, store: Store) -> None:
        names = range(50)
        for name in names:
            await create(store, name, name)
        expected = sorted(claim(name).fingerprint for name in names)
        found: list[bytes] = []
        sizes = []
        while len(found) <= len(names) and (page := await store.scan(found[-1] if found else b"", 7, NOW)):
            sizes.append(len(page))
            found += [record.fingerprint for record in page]
        assert found == expected
        assert sizes == [7] * 7 + [1]

    async def test_only_what_is_held_is_seen_and_whole(self, store: Store) -> None:
        await create(store, "created", 1)
        await create(store, "unknown", 2, UNKNOWN)
        await create(store, "freed", 3, FREE)
        await create(store, "expired", 4, Settlement(State.CREATED, NOW))
        await create(store, "forgotten", 5)
        await store.forget(claim("forgotten").fingerprint)
        await take(store, ("in flight",), 6)
        page = await store.scan(b"", 100, NOW)
        assert {record.entry for record in page} == {"entry-created", "entry-unknown", "entry-in flight"}
        for record in page:
            assert record == await store.get(record.fingerprint, NOW)

    async def test_an_empty_store_has_an_empty_page(self, store: Store) -> None:
        assert list(await store.scan(b"", 10, NOW)) == []
        assert await store.get(claim("a").fingerprint, NOW) is None


class TestList:
    @pytest.fixture
    async def kept(self, store: Store) -> Store:
        """Claims of two rules in all states, the youngest first by name."""
        for at in range(20):
            await create(store, f"created-{at}", at, now=NOW - at)
        for at in range(20, 40):
            await create(store, f"unknown-{at}", at, UNKNOWN, now=NOW - at)
        for at in range(40, 50):
            await take(store, (f"in-flight-{at}",), at, NOW - at)
        await create(store, "expired", 50, Settlement(State.UNKNOWN, NOW))
        return store

    async def test_pages_of_a_state_have_each_claim_once(self, kept: Store) -> None:
        for state, count in ((State.CREATED, 20), (State.UNKNOWN, 20), (State.IN_FLIGHT, 10), (None, 50)):
            found = await listed(kept, Filter(state=state))
            assert len(found) == len({record.fingerprint for record in found}) == count
            assert {record.state for record in found} == ({state} if state else set(State))

    async def test_those_that_need_somebody_are_listed_with_the_oldest_first(self, kept: Store) -> None:
        for state in (State.UNKNOWN, State.IN_FLIGHT):
            ages = [record.first_seen for record in await listed(kept, Filter(state=state))]
            assert ages == sorted(ages)

    async def test_only_what_the_filter_takes_is_listed(self, kept: Store) -> None:
        assert [one.entry for one in await listed(kept, Filter(entry="entry-unknown-25"))] == ["entry-unknown-25"]
        assert await listed(kept, Filter(rule="another")) == []
        assert len(await listed(kept, Filter(rule="create-user", before=NOW - 24))) == 25
        assert len(await listed(kept, Filter(state=State.UNKNOWN, before=NOW - 24))) == 15

    async def test_the_overview_counts_by_rule_and_state_and_knows_the_oldest_unknown(self, kept: Store) -> None:
        await kept.purge(NOW, 100)
        seen = await kept.overview(NOW)
        counts = {state: seen.claims.get(("create-user", state), 0) for state in State}
        assert counts == {State.CREATED: 20, State.UNKNOWN: 20, State.IN_FLIGHT: 10}
        assert seen.oldest_unknown == {"create-user": NOW - 39}

    async def test_every_way_in_which_a_claim_changes_is_counted(self, store: Store) -> None:
        async def counts() -> tuple[int, ...]:
            seen = (await store.overview(NOW)).claims
            assert {rule for (rule, _), count in seen.items() if count} <= {"create-user"}
            return tuple(seen.get(("create-user", state), 0) for state in State)

        await take(store, ("a", "b", "c"), 1)
        assert await counts() == (3, 0, 0)
        apart = {claim("b").fingerprint: FREE, claim("c").fingerprint: UNKNOWN}
        await store.settle(owner(1), claims("a", "b", "c"), msgspec.structs.replace(CREATED, apart=apart), NOW)
        assert await counts() == (0, 1, 1)
        await store.settle(owner(1), claims("a", "b", "c"), CREATED, NOW)
        assert await counts() == (0, 1, 1), "it is fenced out"
        assert await store.resettle(owner(1), claims("c"), State.UNKNOWN, CREATED, NOW)
        assert await counts() == (0, 2, 0)
        assert await store.resettle(owner(1), claims("a"), State.CREATED, UNKNOWN, NOW)
        assert await counts() == (0, 1, 1)
        assert await store.resettle(owner(1), claims("a"), State.UNKNOWN, msgspec.structs.replace(UNKNOWN), NOW)
        assert await counts() == (0, 1, 1)
        assert await store.resettle(owner(1), claims("a"), State.UNKNOWN, FREE, NOW)
        assert await counts() == (0, 1, 0)
        assert await store.forget(claim("c").fingerprint)
        assert await counts() == (0, 0, 0)
        await create(store, "a", 2, Settlement(State.UNKNOWN, NOW))
        await take(store, ("a",), 3)
        assert await counts() == (1, 0, 0), "an expired one was reserved again"
        await store.settle(owner(3), claims("a"), Settlement(State.UNKNOWN, NOW), NOW)
        await create(store, "b", 4, Settlement(State.CREATED, NOW))
        while (await store.purge(NOW, 10)).more:
            pass
        assert await counts() == (0, 0, 0)


async def listed(store: Store, only: Filter) -> list[Record]:
    """All claims that a filter takes, by pages of seven."""
    found: list[Record] = []
    after: bytes | None = b""
    while after is not None:
        page = await store.list_claims(only, after, 7, NOW)
        assert len(page.records) <= 7
        found += page.records
        after = page.next
    return found


class TestForget:
    @pytest.mark.parametrize("settlement", [CREATED, UNKNOWN, Settlement(State.CREATED, FOREVER)])
    async def test_what_is_settled_is_free_again(self, store: Store, settlement: Settlement) -> None:
        await create(store, "a", 1, settlement)
        assert await store.forget(claim("a").fingerprint) is True
        assert await state_of(store, "a") is None
        assert await store.forget(claim("a").fingerprint) is False
        assert await store.reserve(claims("a"), owner(2), NOW) == Reserved(), "no lapse is reported"

    async def test_what_is_in_flight_stays_with_its_owner(self, store: Store) -> None:
        await take(store, ("a",), 1)
        assert await store.forget(claim("a").fingerprint) is False
        assert await store.settle(owner(1), claims("a"), CREATED, NOW)

    async def test_what_is_free_is_not_there_to_be_forgotten(self, store: Store) -> None:
        await create(store, "a", 1, FREE)
        assert await store.forget(claim("a").fingerprint) is False
        assert await store.forget(claim("b").fingerprint) is False

    async def test_other_claims_of_the_operation_stay(self, store: Store) -> None:
        await take(store, ("a", "b"), 1)
        await store.settle(owner(1), claims("a", "b"), CREATED, NOW)
        await store.forget(claim("a").fingerprint)
        assert await state_of(store, "b") is State.CREATED


class TestPurge:
    async def test_it_goes_in_steps_until_all_that_expired_is_gone(self, store: Store) -> None:
        for name in range(10):
            await create(store, name, name, Settlement(State.CREATED, NOW + 10 - name))
        for now, expired in ((NOW, 0), (NOW + 4, 4), (NOW + 9, 5), (NOW + 9, 0)):
            steps = [await store.purge(now, 3)]
            while steps[-1].more:
                steps.append(await store.purge(now, 3))
            assert sum(step.removed for step in steps) == expired
            assert all(step.removed <= 3 for step in steps)
        assert [name for name in range(10) if await state_of(store, name)] == [0]

    async def test_what_lapsed_is_counted(self, store: Store) -> None:
        for name in range(5):
            await create(store, name, name, UNKNOWN if name < 3 else Settlement(State.CREATED, NOW + HOUR))
        assert await store.purge(NOW + HOUR - 1, 10) == Purged(0, 0)
        assert await store.purge(NOW + HOUR, 10) == Purged(5, 3)
        assert await store.reserve(claims(0), owner(9), NOW + HOUR) == Reserved(), "told once, by the purge"

    async def test_what_was_taken_over_is_not_purged_for_its_past(self, store: Store) -> None:
        await create(store, "a", 1)
        await take(store, ("a",), 2, CREATED.expires_at)
        assert await store.purge(FAR, 10) == Purged(0, 0)
        assert await state_of(store, "a") is State.IN_FLIGHT

    async def test_what_was_settled_anew_goes_by_its_new_expiry(self, store: Store) -> None:
        await create(store, "a", 1, Settlement(State.CREATED, NOW + 1))
        await take(store, ("a",), 2, NOW + 1)
        await store.settle(owner(2), claims("a"), Settlement(State.CREATED, NOW + 100), NOW + 1)
        assert await store.purge(NOW + 99, 10) == Purged(0, 0)
        assert await store.purge(NOW + 100, 10) == Purged(1, 0)


async def test_a_store_answers_a_ping(store: Store) -> None:
    await store.ping(0)


class TestWhoSentWhat:
    """What tells a retry from a duplicate, and the answer for it."""

    SENT = msgspec.structs.replace(claim("a"), caller=b"c" * 32, payload=b"p" * 32)

    async def test_the_caller_and_the_payload_stay_with_the_record(self, store: Store) -> None:
        wanted = [self.SENT, claim("b")]
        await store.reserve(wanted, owner(1), NOW)
        for settlement in (None, CREATED):
            if settlement is not None:
                await store.settle(owner(1), wanted, settlement, NOW)
            found = await store.reserve(wanted, owner(2), NOW)
            assert isinstance(found, Held)
            assert [(record.caller, record.payload) for _, record in found.conflicts] == [
                (b"c" * 32, b"p" * 32),
                (None, None),
            ]

    async def test_an_answer_is_found_by_its_claims_and_its_owner_alone(self, store: Store) -> None:
        wanted = claims("a", "b")
        await store.reserve(wanted, owner(1), NOW)
        await store.settle(owner(1), wanted, msgspec.structs.replace(CREATED, answer=b"\0sealed"), NOW)
        assert await store.read_answer(wanted, owner(1)) == b"\0sealed"
        assert await store.read_answer(wanted, owner(2)) is None
        assert await store.read_answer(claims("c"), owner(2)) is None
        await create(store, "c", 3)
        assert await store.read_answer(claims("c"), owner(3)) is None

    async def test_nothing_of_it_is_left_once_the_claim_is_free(self, store: Store) -> None:
        await store.reserve([self.SENT], owner(1), NOW)
        await store.settle(owner(1), [self.SENT], msgspec.structs.replace(CREATED, answer=b"sealed"), NOW)
        await store.forget(self.SENT.fingerprint)
        await take(store, ("a",), 2)
        record = await store.get(self.SENT.fingerprint, NOW)
        assert record is not None
        assert (record.owner, record.caller, record.payload) == (owner(2), None, None)
        assert await store.read_answer(claims("a"), owner(2)) is None

    async def test_an_answer_of_an_operation_that_expired_is_not_that_of_the_next_one(self, store: Store) -> None:
        await store.reserve([self.SENT], owner(1), NOW)
        await store.settle(owner(1), [self.SENT], msgspec.structs.replace(CREATED, answer=b"sealed"), NOW)
        await take(store, ("a",), 2, CREATED.expires_at)
        await store.settle(owner(2), claims("a"), CREATED, CREATED.expires_at)
        assert await store.read_answer(claims("a"), owner(2)) is None


class TestResettle:
    """How an operation ended is found out later."""

    async def settled(self, store: Store, settlement: Settlement, *names: str) -> None:
        await take(store, names, 1)
        assert await store.settle(owner(1), claims(*names), settlement, NOW)

    async def test_what_was_unknown_is_created_with_its_link(self, store: Store) -> None:
        await self.settled(store, UNKNOWN, "a", "b")
        assert names_of(await store.reserve(claims("a", "b"), owner(2), NOW)) == ["entry-a", "entry-b"]
        assert await store.resettle(owner(1), claims("a", "b"), State.UNKNOWN, CREATED, NOW)
        for name in ("a", "b"):
            record = await store.get(claim(name).fingerprint, NOW)
            assert record is not None
            assert (record.state, record.expires_at, record.resource, record.owner) == (
                State.CREATED, CREATED.expires_at, CREATED.resource, owner(1),
            )  # fmt: skip
        found = await store.reserve(claims("a"), owner(2), NOW)
        assert isinstance(found, Held)
        assert found.conflicts[0][1].state is State.CREATED

    @pytest.mark.parametrize(("was", "settlement"), [(State.UNKNOWN, UNKNOWN), (State.CREATED, CREATED)])
    async def test_what_did_not_happen_or_is_gone_is_free(
        self, store: Store, was: State, settlement: Settlement
    ) -> None:
        await self.settled(store, msgspec.structs.replace(settlement, answer=b"sealed"), "a", "b")
        assert names_of(await store.reserve(claims("a"), owner(2), NOW)) == ["entry-a"]
        assert await store.resettle(owner(1), claims("a", "b"), was, FREE, NOW)
        await take(store, ("a", "b"), 2)
        assert await store.read_answer(claims("a"), owner(1)) is None

    @pytest.mark.parametrize("settlement", [FREE, CREATED])
    async def test_only_what_its_owner_still_holds_in_that_state_is_changed(
        self, store: Store, settlement: Settlement
    ) -> None:
        await self.settled(store, UNKNOWN, "a")
        await take(store, ("b",), 1)
        await create(store, "c", 1)
        before = [await store.get(claim(name).fingerprint, NOW) for name in "abc"]
        assert not await store.resettle(owner(2), claims("a", "b", "c"), State.UNKNOWN, settlement, NOW)
        assert not await store.resettle(owner(1), claims("b", "c", "d"), State.UNKNOWN, settlement, NOW)
        assert not await store.resettle(owner(1), claims("a", "b"), State.CREATED, settlement, NOW)
        assert [await store.get(claim(name).fingerprint, NOW) for name in "abc"] == before

    async def test_it_is_carried_out_although_nobody_waits_for_it(self, store: Store) -> None:
        await self.settled(store, CREATED, "a")
        met = asyncio.ensure_future(store.reserve(claims("a"), owner(2), NOW))
        change = asyncio.create_task(store.resettle(owner(1), claims("a"), State.CREATED, FREE, NOW))
        await asyncio.sleep(0)  # it has made its call
        change.cancel()
        assert names_of(await met) == ["entry-a"]
        assert await state_of(store, "a") is None
        await take(store, ("a",), 3)

    async def test_what_a_settlement_names_as_free_is_no_part_of_it(self, store: Store) -> None:
        await self.settled(store, UNKNOWN, "a")
        change = msgspec.structs.replace(CREATED, apart={claim("a").fingerprint: FREE})
        assert await store.resettle(owner(1), claims("a"), State.UNKNOWN, change, NOW)
        assert await state_of(store, "a") is State.CREATED

    async def test_it_goes_by_its_new_expiry(self, store: Store) -> None:
        await self.settled(store, Settlement(State.UNKNOWN, NOW + 1), "a")
        await store.resettle(owner(1), claims("a"), State.UNKNOWN, Settlement(State.CREATED, NOW + 100), NOW)
        assert await store.purge(NOW + 99, 10) == Purged(0, 0)
        assert await store.purge(NOW + 100, 10) == Purged(1, 0)
