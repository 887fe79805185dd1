# SQLite against the memory store, step by step: whatever is asked of both, in whatever order, both answer alike.

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import FOREVER, FREE, Change, Claim, Filter, Kept, Record, Settlement, State
from gateway.stores.base import Store
from tests.support.counts import overview_of
from tests.support.stores import claim, owner, store_of

times = st.integers(0, 12)
"""A clock that jumps back and forth, around expiries that it often meets to the millisecond."""
LINKS = (b"1" * 16, b"2" * 16)
links = st.sampled_from([None, *LINKS])
settled = st.sampled_from([State.CREATED, State.UNKNOWN])
simple = st.just(FREE) | st.builds(
    Settlement, settled, times | st.just(FOREVER), st.sampled_from([None, "/users/1"]), link=links
)
settlements = simple | st.builds(
    lambda most, one, name: msgspec.structs.replace(most, apart={claim(name).fingerprint: one}),
    simple,
    simple,
    st.integers(0, 4),
)
others = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), settled, simple), max_size=3)
"""Of each change the claim, the operation that has it, in which state, and how it ends."""
filters = st.builds(
    Filter,
    entry=st.sampled_from([None, "entry-1"]),
    state=st.sampled_from([None, *State]),
    before=st.none() | times,
)
names = st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True).map(tuple)
calls = st.one_of(
    st.tuples(st.just("reserve"), names, times),
    st.tuples(st.just("settle"), st.integers(0, 8), settlements, others, times),
    st.tuples(st.just("change"), others, times),
)
"""Made one after the other, and awaited only when all of a batch were made."""
questions = st.one_of(
    st.tuples(st.just("get"), st.integers(0, 4), times),
    st.tuples(st.just("forget"), st.integers(0, 4)),
    st.tuples(st.just("purge"), times),
    st.tuples(st.just("scan"), times),
    st.tuples(st.just("list"), filters, times),
    st.tuples(st.just("create"), names, settlements, others),
    st.tuples(st.just("resettle"), st.integers(0, 2), settled, simple),
    st.tuples(st.just("linked"), st.sampled_from(LINKS), times),
    st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 4), settled, times, links), max_size=3), times),
    st.tuples(st.just("kept"), times),
)
steps = st.lists(st.lists(calls, min_size=1, max_size=8) | questions, min_size=1, max_size=12)


def linked(name: int) -> Claim:
    """The claim on a name, with a link or without, of an identity with a version or without."""
    return msgspec.structs.replace(claim(name), version=name or None, link=(None, *LINKS)[name % 3])


def claims(*wanted: int) -> list[Claim]:
    """The claims on names."""
    return [linked(name) for name in wanted]


class Driver:
    """Asks one store. Operations are numbered from the youngest, so that most settlements meet one that is open."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._operations: list[tuple[int, ...]] = []

    async def do(self, step: Any) -> Any:
        if isinstance(step, list):
            return [await answer for answer in [self._call(call) for call in step]]
        match step:
            case "get", name, now:
                return await self._store.get(claim(name).fingerprint, now)
            case "forget", name:
                return await self._store.forget(claim(name).fingerprint)
            case "purge", now:
                return await self._store.purge(now, 1000)
            case "create", wanted, settlement, changes:
                reserved = self._call(("reserve", wanted, 0))
                return await reserved, await self._call(("settle", 0, settlement, changes, 0))
            case "linked", link, now:
                return list(await self._store.find_linked(link, now))
            case "add", wanted, now:
                return list(await self._store.add([self._kept(*one) for one in wanted], now))
            case "kept", now:
                return list(await self._store.read_kept(await self._store.scan(b"", 1000, now)))
            case "resettle", back, was, settlement:
                number, wanted = self._operation(back)
                return await self._store.resettle(owner(number), claims(*wanted), was, settlement, 0)
            case "list", only, now:
                return await self._pages(only, now)
            case _, now:
                return list(await self._store.scan(b"", 1000, now))

    async def problems(self) -> list[str]:
        """What of its counts is not so by a look at all records."""
        everything = await self._store.scan(b"", 1000, -1)
        seen, expected = await self._store.overview(-1), overview_of(everything)
        counted = {key: count for key, count in seen.claims.items() if count}
        return [] if (counted, seen.oldest_unknown) == (expected.claims, expected.oldest_unknown) else [f"{seen}"]

    async def _pages(self, only: Filter, now: int) -> list[Record]:
        """Whatever a page of two begins with, it is where the one before it ended."""
        found: list[Record] = []
        after: bytes | None = b""
        while after is not None:
            page = await self._store.list_claims(only, after, 2, now)
            found += page.records
            after = page.next
        return found

    def _operation(self, back: int) -> tuple[int, tuple[int, ...]]:
        number = max(len(self._operations) - 1 - back, 0)
        return number, self._operations[number] if self._operations else (0,)

    def _call(self, call: Any) -> Awaitable[Any]:
        if call[0] == "reserve":
            _, wanted, now = call
            self._operations.append(wanted)
            return self._store.reserve(claims(*wanted), owner(len(self._operations) - 1), now)
        if call[0] == "change":
            _, changes, now = call
            return self._store.settle(owner(1000), (), self._with(FREE, changes), now)
        _, back, settlement, changes, now = call
        number, wanted = self._operation(back)
        return self._store.settle(owner(number), claims(*wanted), self._with(settlement, changes), now)

    def _with(self, settlement: Settlement, changes: list[Any]) -> Settlement:
        found = (
            Change(claim(name).fingerprint, owner(self._operation(back)[0]), was, end)
            for name, back, was, end in changes
        )
        return msgspec.structs.replace(settlement, answer=b"answer", others=tuple(found))

    def _kept(self, name: int, state: State, expires_at: int, link: bytes | None) -> Kept:
        """A claim as that of the youngest operation, with an answer."""
        made, number = claim(name), self._operation(0)[0]
        record = Record(made.fingerprint, owner(number), state, made.rule, made.entry, 0, expires_at, 9, link=link)
        return Kept(record, b"kept" if state is State.CREATED else None)


@pytest.mark.slow
@settings(max_examples=150)
@given(steps)
def test_sqlite_answers_as_the_reference_does(story: list[Any]) -> None:
    async def compare() -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "gateway.db"
            async with store_of("memory", path) as reference, store_of("process", path) as sqlite:
                expected, found = Driver(reference), Driver(sqlite)
                for step in [*story, ("scan", 0)]:
                    assert await found.do(step) == await expected.do(step), step
                    assert await found.problems() == await expected.problems() == [], step

    asyncio.run(compare())
