# What a Valkey store is asked beside creates: lists of claims, those of a link, and how many there are. Each is a short
# question of its own: creates come in between.

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.model import Filter, Overview, Page, Record, State
from gateway.stores.base import MAX_LINKED
from gateway.stores.listing import page_of, position, position_by_age
from gateway.stores.valkey_link import Call
from gateway.stores.valkey_records import Keys, escape, moment, read_record

LOOKED_AT = 1000
"""Claims that are looked at for one page, or with one question."""
_FEWEST = 10
"""Names that the server is asked for at once."""
_CREATED, _UNKNOWN = b"2", b"3"

Ask = Callable[..., Awaitable[Any]]
"""Runs one command that changes nothing between two batches."""
Run = Callable[[Call], Awaitable[list[Any]]]
"""Runs a script between two batches."""


class ValkeyLists:
    """All methods raise StoreError."""

    def __init__(self, ask: Ask, run: Run, keys: Keys, node: bytes, run_id: Callable[[], bytes]) -> None:
        self._ask = ask
        self._run = run
        self._keys = keys
        self._node = node
        self._run_id = run_id

    async def page(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """See Store.list_claims."""
        if only.state is State.UNKNOWN:
            return await self._unknown(only, after, limit, now)
        if only.state is State.IN_FLIGHT:  # as few as creates are at work
            return page_of(await self._in_flight(), only, after, limit, now)
        return await self._any(only, after, limit, now)

    async def overview(self) -> Overview:
        """See Store.overview."""
        counts: Counter[tuple[str, State]] = Counter()
        oldest: dict[str, int] = {}
        for field, value in (await self._counts()).items():
            if field[:1] not in {_CREATED, _UNKNOWN}:
                continue
            rule, state = field[1:].decode(), State(int(field[:1]))
            if int(value) > 0:  # while an older gateway runs beside, it may be anything
                counts[rule, state] = int(value)
            if state is State.UNKNOWN and (members := await self._oldest(field[1:], b"-", b"+", 1)):
                oldest[rule] = int(members[0][:19])
        counts.update((record.rule, record.state) for record in await self._in_flight())
        return Overview(counts, oldest, int((await self._ask("INFO", "memory"))["used_memory"]))

    async def scan(self, after: bytes, limit: int, now: int) -> list[Record]:
        """See Store.scan. Goes through all names: a server has no order of them, and few ask for it."""
        names: set[bytes] = set()
        cursor, pattern, skip = 0, escape(self._keys.claim) + b"*", len(self._keys.claim)
        while True:
            cursor, page = await self._ask("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            names.update(name[skip:] for name in page if name[skip:] > after)
            if not int(cursor):
                break
        found: list[Record] = []
        ordered = sorted(names)
        for at in range(0, len(ordered), limit):
            found += [record for record in await self._read(ordered[at : at + limit]) if record.is_held(now)]
            if len(found) >= limit:
                break
        return found[:limit]

    async def linked(self, link: bytes, now: int) -> list[Record]:
        """See Store.find_linked."""
        found: list[Record] = []
        since = b"-"
        while since and len(found) < MAX_LINKED:
            wanted = MAX_LINKED - len(found)
            arguments: list[bytes | int] = [
                self._run_id(),
                moment(now),
                self._keys.claim,
                link,
                since,
                wanted,
                LOOKED_AT,
            ]
            _, _, since, *some = await self._run(Call("linked", self._keys.of(self._node), arguments))
            found += [read_record(data[:32], data[32:]) for data in some]
        return found

    async def _counts(self) -> dict[bytes, bytes]:
        found = await self._ask("HGETALL", self._keys.counts)
        return dict(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else found

    async def _unknown(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """The oldest of each rule's own order, merged."""
        if only.rule is None:
            rules = [field[1:] for field in await self._counts() if field[:1] == _UNKNOWN]
        else:
            rules = [only.rule.encode("utf-8", "surrogatepass")]
        since = b"(" + moment(int.from_bytes(after[:8], "big")) + after[8:] if after else b"-"
        until = b"+" if only.before is None else b"(" + moment(only.before)
        most = LOOKED_AT if only.entry else limit + 1
        members = [member for rule in rules for member in await self._oldest(rule, since, until, most)]
        looked_at = heapq.nsmallest(most, members)
        found: list[Record] = []
        for record in await self._read([member[19:] for member in looked_at]):
            if len(found) == limit:
                return Page(tuple(found), position(found[-1], by_age=True))
            if record.state is State.UNKNOWN and record.is_held(now) and only.takes(record):
                found.append(record)
        if len(looked_at) < most:
            return Page(tuple(found), None)
        return Page(tuple(found), position_by_age(int(looked_at[-1][:19]), looked_at[-1][19:]))

    async def _oldest(self, rule: bytes, since: bytes, until: bytes, most: int) -> list[bytes]:
        """The first of a rule's order, as they are in it."""
        keys, members, may_be_more = self._keys.of(self._node), list[bytes](), 1
        while may_be_more and len(members) < most:
            wanted = most - len(members)
            call = Call("unknown", keys, [self._run_id(), self._keys.claim, rule, since, until, wanted, LOOKED_AT])
            _, _, may_be_more, *found = await self._run(call)
            members += found
            since = b"(" + found[-1] if found else since
        return members

    async def _in_flight(self) -> list[Record]:
        names: set[bytes] = set()
        for node in await self._ask("HKEYS", self._keys.nodes):
            names.update(await self._ask("SMEMBERS", self._keys.flights + node))
        return [record for record in await self._read([*names]) if record.state is State.IN_FLIGHT]

    async def _any(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        """As the server goes through its keys: it has no order of them that lasts.

        A page goes on where the server was, with what had been found by then and did not fit in. On a server that has
        another order, because it is another one, it begins anew.
        """
        server = self._run_id()[:8]
        cursor, names, is_over = 0, list[bytes](), False
        if after[:8] == server:
            cursor, rest = int.from_bytes(after[8:16], "big"), after[16:]
            names = [rest[at : at + 32] for at in range(0, len(rest), 32)]
            is_over = not cursor
        pattern = escape(self._keys.claim) + b"*"
        found: list[Record] = []
        looked_at, count = 0, max(_FEWEST, limit)
        while True:
            matching = [one for one in await self._read(names) if one.is_held(now) and only.takes(one)]
            found += matching
            if is_over or len(found) >= limit or looked_at >= LOOKED_AT:
                break
            if looked_at and not matching:
                count = min(4 * count, LOOKED_AT)
            answer = await self._ask("SCAN", cursor, "MATCH", pattern, "COUNT", count)
            cursor, names = int(answer[0]), [name[len(self._keys.claim) :] for name in answer[1]]
            looked_at += count
            is_over = not cursor
        left = b"".join([record.fingerprint for record in found[limit:]])
        ends = is_over and not left
        return Page(tuple(found[:limit]), None if ends else server + cursor.to_bytes(8, "big") + left)

    async def _read(self, fingerprints: Sequence[bytes]) -> list[Record]:
        """Those that are there."""
        found: list[Record] = []
        for at in range(0, len(fingerprints), LOOKED_AT):
            some = fingerprints[at : at + LOOKED_AT]
            stored = await self._ask("MGET", *[self._keys.claim + name for name in some])
            found += [read_record(name, data) for name, data in zip(some, stored, strict=True) if data is not None]
        return found
