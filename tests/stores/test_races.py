# Many at once: exactly one holder for each claim, whatever the order in which they come.

import asyncio
import random
from collections import Counter

from gateway.model import FREE, Claim, Held, Reserved, State
from gateway.stores.base import Store
from tests.support.stores import CREATED, NOW, claims, owner

RACERS = 200


async def test_of_racers_for_overlapping_claims_each_claim_has_one_holder(store: Store) -> None:
    chosen = random.Random(7)
    wanted = [claims(*chosen.sample(range(60), chosen.randint(1, 4))) for _ in range(RACERS)]

    async def race(number: int) -> Reserved | Held:
        return await store.reserve(wanted[number], owner(number), NOW)

    answers = await asyncio.gather(*[race(number) for number in range(RACERS)])
    winners = {number for number, answer in enumerate(answers) if isinstance(answer, Reserved)}
    assert 0 < len(winners) < RACERS
    held = Counter(claim for number in winners for claim in wanted[number])
    assert set(held.values()) == {1}, "two hold one claim"
    holders = {claim.fingerprint: owner(number) for number in winners for claim in wanted[number]}
    assert {record.fingerprint: record.owner for record in await store.scan(b"", 1000, NOW)} == holders
    for answer in answers:
        if isinstance(answer, Held):
            conflicts = {met.fingerprint: record.owner for met, record in answer.conflicts}
            assert conflicts, "refused without a reason"
            assert conflicts == {print_: holders[print_] for print_ in conflicts}


async def test_of_identical_creates_one_goes_through(store: Store) -> None:
    answers = await asyncio.gather(
        *[store.reserve(claims("email", "username"), owner(number), NOW) for number in range(RACERS)]
    )
    assert [isinstance(answer, Reserved) for answer in answers] == [True] + [False] * (RACERS - 1)
    assert await store.settle(owner(0), claims("email", "username"), CREATED, NOW)


async def test_racers_that_let_go_and_try_again_never_hold_a_claim_together(store: Store) -> None:
    """Each one holds its claims for a while, frees them, and goes on until it has had them three times."""
    holding: set[bytes] = set()
    collisions: list[Claim] = []
    batches = Counter[int]()

    async def race(number: int) -> None:
        chosen = random.Random(number)
        while batches[number] < 3:
            wanted = claims(*chosen.sample(range(30), chosen.randint(1, 3)))
            token = owner(number * 1_000_000 + chosen.randrange(1_000_000))
            if isinstance(await store.reserve(wanted, token, NOW), Held):
                continue
            collisions.extend(claim for claim in wanted if claim.fingerprint in holding)
            holding.update(claim.fingerprint for claim in wanted)
            await store.ping(0)
            holding.difference_update(claim.fingerprint for claim in wanted)
            assert await store.settle(token, wanted, FREE, NOW)
            batches[number] += 1

    await asyncio.gather(*[race(number) for number in range(20)])
    assert not collisions
    assert set(batches.values()) == {3}
    assert list(await store.scan(b"", 10, NOW)) == []


async def test_racers_that_are_cancelled_leave_whole_operations_only(store: Store) -> None:
    """Whether or not anybody waits, both claims of an operation are taken, or neither."""
    chosen = random.Random(3)
    pairs = [claims(f"a{chosen.randrange(20)}", f"b{chosen.randrange(20)}") for _ in range(RACERS)]

    async def race(number: int) -> None:
        await store.reserve(pairs[number], owner(number), NOW)

    tasks = [asyncio.create_task(race(number)) for number in range(RACERS)]
    await asyncio.sleep(0)  # all have made their calls
    for task in chosen.sample(tasks, RACERS // 2):
        task.cancel()
    await asyncio.wait(tasks)
    records = await store.scan(b"", 1000, NOW)
    by_owner = Counter(record.owner for record in records)
    assert set(by_owner.values()) == {2}
    assert {record.state for record in records} == {State.IN_FLIGHT}
    for token in by_owner:
        taken = {record.fingerprint for record in records if record.owner == token}
        assert taken == {claim.fingerprint for claim in pairs[int.from_bytes(token, "big")]}
