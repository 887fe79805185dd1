# Claims that are moved into a store, and out of it: asked of each store.

import msgspec

from gateway.model import FOREVER, Held, Kept, Record, State
from gateway.stores.base import Store
from tests.support.stores import HOUR, NOW, claim, claims, create, owner, take

LATER = NOW + HOUR


def settled(name: str | int, number: int = 1, state: State = State.CREATED, expires_at: int = LATER) -> Record:
    """The record of a claim that another store had."""
    made = claim(name)
    return Record(
        *(made.fingerprint, owner(number), state, made.rule, made.entry, NOW - HOUR, expires_at, HOUR),
        *("/users/ä", b"c" * 32, b"p" * 32, 12345, b"l" * 16),
    )


async def test_claims_are_there_as_they_were(store: Store) -> None:
    made = [settled("a"), settled("b", 2, State.UNKNOWN), settled("c", 3, expires_at=FOREVER)]
    assert list(await store.add([Kept(record) for record in made], NOW)) == [None, None, None]
    for record in made:
        assert await store.get(record.fingerprint, NOW) == record
    assert len(await store.find_linked(b"l" * 16, NOW)) == 3
    assert isinstance(await store.reserve(claims("a", "x"), owner(9), NOW), Held)


async def test_a_claim_with_only_what_every_claim_has(store: Store) -> None:
    made = claim("a")
    record = Record(
        *(made.fingerprint, owner(1), State.CREATED, made.rule, made.entry, NOW - HOUR, LATER, FOREVER),
    )
    assert list(await store.add([Kept(record)], NOW)) == [None]
    assert await store.get(record.fingerprint, NOW) == record


async def test_what_is_held_stays_and_is_told(store: Store) -> None:
    await create(store, "a", 1)
    await take(store, ("b",), 2)
    before = [await store.get(claim(name).fingerprint, NOW) for name in "ab"]
    answers = await store.add([Kept(settled("a", 7)), Kept(settled("c", 7)), Kept(settled("b", 7))], NOW)
    assert list(answers) == [before[0], None, before[1]]
    assert [await store.get(claim(name).fingerprint, NOW) for name in "ab"] == before


async def test_what_was_added_before_is_told_as_it_is(store: Store) -> None:
    await store.add([Kept(settled("a"))], NOW)
    assert list(await store.add([Kept(settled("a")), Kept(settled("b"))], NOW)) == [settled("a"), None]


async def test_of_equal_ones_the_first_is_added(store: Store) -> None:
    answers = await store.add([Kept(settled("a", 1)), Kept(settled("b", 2)), Kept(settled("a", 3))], NOW)
    assert list(answers) == [None, None, settled("a", 1)]
    assert await store.get(claim("a").fingerprint, NOW) == settled("a", 1)


async def test_one_that_has_expired_is_replaced(store: Store) -> None:
    await store.add([Kept(settled("a", 1, State.UNKNOWN, NOW + 1), b"old")], NOW)
    assert list(await store.add([Kept(settled("a", 2))], NOW + 1)) == [None]
    assert await store.get(claim("a").fingerprint, NOW + 1) == settled("a", 2)
    assert list(await store.read_kept([settled("a", 2)])) == [Kept(settled("a", 2))]


async def test_many_are_added_in_one_call(store: Store) -> None:
    made = [Kept(settled(number, number)) for number in range(2000)]
    assert list(await store.add(made, NOW)) == [None] * 2000
    assert list(await store.add(made, NOW)) == [one.record for one in made]
    assert list(await store.add([], NOW)) == []


async def test_answers_are_moved_along(store: Store) -> None:
    made = [Kept(settled("a", 1), b"secret \x00"), Kept(settled("b", 2))]
    await store.add(made, NOW)
    assert await store.read_answer(claims("a"), owner(1)) == b"secret \x00"
    assert list(await store.read_kept([one.record for one in made])) == made
    other = msgspec.structs.replace(settled("a"), owner=owner(8))
    assert list(await store.read_kept([other])) == [Kept(other)]
    assert list(await store.read_kept([])) == []


async def test_they_are_counted_listed_and_purged(store: Store) -> None:
    await store.add([Kept(settled("a", 1)), Kept(settled("b", 2, State.UNKNOWN, NOW + 5))], NOW)
    overview = await store.overview(NOW)
    assert {key: count for key, count in overview.claims.items() if count} == {
        ("create-user", State.CREATED): 1,
        ("create-user", State.UNKNOWN): 1,
    }
    assert overview.oldest_unknown == {"create-user": NOW - HOUR}
    assert len(await store.scan(b"", 10, NOW)) == 2
    purged = await store.purge(NOW + 5, 10)
    assert (purged.removed, purged.lapsed) == (1, 1)
