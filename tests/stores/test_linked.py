# Claims of one resource, found by its link, and changed together with an operation's end: asked of each store.

import msgspec
import pytest

from gateway.model import FREE, Change, Claim, Held, Record, Reserved, Settlement, State
from gateway.stores.base import MAX_LINKED, Store
from tests.support.stores import CREATED, HOUR, NOW, UNKNOWN, claim, claims, owner, state_of, take

HERE, LINK, OTHER = b"h" * 16, b"1" * 16, b"2" * 16
LATER = NOW + 24 * HOUR


def with_link(name: str | int, link: bytes | None = HERE, version: int | None = 7) -> Claim:
    """The claim on a name, under a rule that follows resources."""
    return msgspec.structs.replace(claim(name), link=link, version=version)


def at(link: bytes | None, ended: Settlement = CREATED) -> Settlement:
    """How an operation ended, whose resource has a link."""
    return msgspec.structs.replace(ended, link=link)


async def make(store: Store, name: str | int, number: int, ended: Settlement) -> Record:
    """Reserve a claim and settle it; the record that is left."""
    wanted = [with_link(name)]
    assert isinstance(await store.reserve(wanted, owner(number), NOW), Reserved)
    assert await store.settle(owner(number), wanted, ended, NOW)
    record = await store.get(wanted[0].fingerprint, NOW)
    assert record is not None
    return record


def moves(record: Record, to: Settlement = FREE) -> Change:
    """How a claim that is there changes."""
    return Change(record.fingerprint, record.owner, record.state, to)


async def found(store: Store, link: bytes = LINK) -> list[bytes]:
    """The fingerprints that have a link."""
    return [record.fingerprint for record in await store.find_linked(link, NOW)]


class TestLinks:
    async def test_a_claim_is_found_by_the_link_that_it_was_settled_with(self, store: Store) -> None:
        record = await make(store, "a", 1, at(LINK))
        assert (record.link, record.version) == (LINK, 7)
        assert list(await store.find_linked(LINK, NOW)) == [record]
        assert await found(store, HERE) == await found(store, OTHER) == []

    @pytest.mark.parametrize("ended", [CREATED, UNKNOWN])
    async def test_without_another_one_it_keeps_that_of_its_reservation(self, store: Store, ended: Settlement) -> None:
        record = await make(store, "a", 1, ended)
        assert record.link == HERE
        assert list(await store.find_linked(HERE, NOW)) == [record]

    async def test_claims_in_flight_have_theirs(self, store: Store) -> None:
        await store.reserve([with_link("a", LINK)], owner(1), NOW)
        (record,) = await store.find_linked(LINK, NOW)
        assert (record.state, record.owner, record.version) == (State.IN_FLIGHT, owner(1), 7)

    async def test_claims_without_one_are_those_of_no_resource(self, store: Store) -> None:
        await store.reserve([with_link("a", None, None)], owner(1), NOW)
        assert await store.settle(owner(1), [with_link("a", None, None)], CREATED, NOW)
        record = await store.get(claim("a").fingerprint, NOW)
        assert record is not None
        assert (record.link, record.version) == (None, None)

    async def test_one_resource_may_have_many_in_order_of_fingerprint(self, store: Store) -> None:
        made = [with_link(name) for name in range(MAX_LINKED + 5)]
        await store.reserve(made, owner(1), NOW)
        assert await store.settle(owner(1), made, at(LINK), NOW)
        assert await found(store) == sorted(each.fingerprint for each in made)[:MAX_LINKED]

    async def test_items_of_a_batch_have_links_of_their_own(self, store: Store) -> None:
        made = [with_link("a"), with_link("b")]
        await store.reserve(made, owner(1), NOW)
        apart = {made[0].fingerprint: at(LINK), made[1].fingerprint: at(OTHER)}
        assert await store.settle(owner(1), made, msgspec.structs.replace(CREATED, apart=apart), NOW)
        assert await found(store) == [made[0].fingerprint]
        assert await found(store, OTHER) == [made[1].fingerprint]

    async def test_what_is_free_or_has_expired_is_not_found(self, store: Store) -> None:
        await make(store, "a", 1, at(LINK, Settlement(State.CREATED, NOW + 1)))
        record = await make(store, "b", 2, at(LINK))
        assert [one.fingerprint for one in await store.find_linked(LINK, NOW + 1)] == [record.fingerprint]
        await store.purge(NOW + 1, 10)
        assert await store.forget(record.fingerprint)
        assert await found(store) == []

    async def test_who_reserves_a_free_claim_again_has_a_link_of_his_own(self, store: Store) -> None:
        record = await make(store, "a", 1, at(LINK))
        assert await store.resettle(owner(1), [with_link("a")], State.CREATED, FREE, NOW)
        await make(store, "a", 2, at(OTHER))
        assert await found(store) == []
        assert await found(store, OTHER) == [record.fingerprint]

    async def test_an_outcome_that_is_found_out_may_bring_the_link(self, store: Store) -> None:
        record = await make(store, "a", 1, UNKNOWN)
        assert await store.resettle(owner(1), [with_link("a")], State.UNKNOWN, at(LINK), NOW)
        (changed,) = await store.find_linked(LINK, NOW)
        assert changed == msgspec.structs.replace(
            record, state=State.CREATED, expires_at=LATER, resource="/users/1", link=LINK
        )
        assert await found(store, HERE) == []

    async def test_without_one_it_leaves_what_there_is(self, store: Store) -> None:
        record = await make(store, "a", 1, at(LINK, UNKNOWN))
        assert await store.resettle(owner(1), [with_link("a")], State.UNKNOWN, CREATED, NOW)
        assert await found(store) == [record.fingerprint]


class TestOthers:
    async def test_what_an_operation_frees_is_free_when_its_own_are_created(self, store: Store) -> None:
        old = await make(store, "a", 1, at(LINK))
        await store.reserve([with_link("b", LINK)], owner(2), NOW)
        ended = msgspec.structs.replace(at(LINK), others=(moves(old),))
        assert await store.settle(owner(2), [with_link("b", LINK)], ended, NOW)
        assert await state_of(store, "a") is None
        assert await found(store) == [claim("b").fingerprint]
        await take(store, ("a",), 3)

    async def test_they_may_become_created_too(self, store: Store) -> None:
        old = await make(store, "a", 1, at(LINK, UNKNOWN))
        await store.reserve([with_link("b")], owner(2), NOW)
        ended = msgspec.structs.replace(FREE, others=(moves(old, CREATED),))
        assert await store.settle(owner(2), [with_link("b")], ended, NOW)
        changed = await store.get(old.fingerprint, NOW)
        assert changed == msgspec.structs.replace(
            old, state=State.CREATED, expires_at=LATER, resource="/users/1", link=LINK
        )
        assert await state_of(store, "b") is None

    async def test_a_reservation_that_comes_with_it_meets_what_they_became(self, store: Store) -> None:
        old = await make(store, "a", 1, at(LINK))
        await store.reserve([with_link("b")], owner(2), NOW)
        assert isinstance(await store.reserve(claims("a"), owner(9), NOW), Held)  # known to all caches
        ended = msgspec.structs.replace(at(LINK), others=(moves(old),))
        settled = store.settle(owner(2), [with_link("b")], ended, NOW)
        reserved = store.reserve(claims("a"), owner(3), NOW)
        assert await settled
        assert isinstance(await reserved, Reserved)
        assert await state_of(store, "a") is State.IN_FLIGHT

    @pytest.mark.parametrize("why", ["owner", "state", "gone", "in flight"])
    async def test_one_that_is_held_otherwise_by_now_stays_as_it_is(self, store: Store, why: str) -> None:
        old = await make(store, "a", 1, at(LINK, UNKNOWN))
        change = moves(old)
        if why == "owner":
            change = msgspec.structs.replace(change, owner=owner(8))
        elif why == "state":
            change = msgspec.structs.replace(change, was=State.CREATED)
        else:
            await store.forget(old.fingerprint)
        if why == "in flight":
            await take(store, ("a",), 5)
        before = await store.get(old.fingerprint, NOW)
        await store.reserve([with_link("b")], owner(2), NOW)
        ended = msgspec.structs.replace(CREATED, others=(change,))
        assert await store.settle(owner(2), [with_link("b")], ended, NOW)
        assert await store.get(old.fingerprint, NOW) == before
        assert await state_of(store, "b") is State.CREATED

    async def test_an_operation_that_holds_nothing_any_more_changes_nothing(self, store: Store) -> None:
        old = await make(store, "a", 1, at(LINK))
        ended = msgspec.structs.replace(CREATED, others=(moves(old),))
        assert not await store.settle(owner(2), [with_link("b")], ended, NOW)
        assert await store.get(old.fingerprint, NOW) == old

    async def test_they_may_change_without_an_operation_of_their_own(self, store: Store) -> None:
        old, unknown = await make(store, "a", 1, at(LINK)), await make(store, "b", 2, at(LINK, UNKNOWN))
        await store.settle(
            owner(3), (), msgspec.structs.replace(FREE, others=(moves(old), moves(unknown, CREATED))), NOW
        )
        assert await state_of(store, "a") is None
        assert await state_of(store, "b") is State.CREATED

    async def test_a_change_of_an_outcome_looks_at_none(self, store: Store) -> None:
        old = await make(store, "a", 1, at(LINK))
        await make(store, "b", 2, UNKNOWN)
        ended = msgspec.structs.replace(CREATED, others=(moves(old),))
        assert await store.resettle(owner(2), [with_link("b")], State.UNKNOWN, ended, NOW)
        assert await store.get(old.fingerprint, NOW) == old

    async def test_their_answers_go_with_them(self, store: Store) -> None:
        old = await make(store, "a", 1, msgspec.structs.replace(at(LINK), answer=b"secret"))
        assert await store.read_answer([with_link("a")], owner(1)) == b"secret"
        await store.reserve([with_link("b")], owner(2), NOW)
        assert await store.settle(owner(2), [with_link("b")], msgspec.structs.replace(FREE, others=(moves(old),)), NOW)
        assert await store.read_answer([with_link("a")], owner(1)) is None

    async def test_they_are_counted(self, store: Store) -> None:
        old = [await make(store, name, number, at(LINK, UNKNOWN)) for number, name in enumerate("abc")]
        await store.reserve([with_link("d")], owner(9), NOW)
        others = (moves(old[0]), moves(old[1], at(LINK)))
        assert await store.settle(owner(9), [with_link("d")], msgspec.structs.replace(at(LINK), others=others), NOW)
        counted = {key: count for key, count in (await store.overview(NOW)).claims.items() if count}
        assert counted == {("create-user", State.CREATED): 2, ("create-user", State.UNKNOWN): 1}
