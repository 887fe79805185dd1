# The store that several gateways share: Valkey, or Redis.
#
# Calls are queued as those of the SQLite store. A batch of them is one pipeline of scripts. Each decides on the server,
# so that no other gateway comes in between.

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis.exceptions import OutOfMemoryError
from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Claim, Filter, Held, Kept, Overview, Page, Purged, Record, Reserved, Settlement, State
from gateway.stores.endings import Endings, Flight
from gateway.stores.recovery import Recovery
from gateway.stores.shared import (
    COUNTED_AT_ONCE,
    MOVED,
    TOO_FEW,
    Answer,
    Refused,
    Settled,
    SharedStore,
    Unsure,
    readable,
)
from gateway.stores.valkey_link import Call, Link, reason
from gateway.stores.valkey_listing import ValkeyLists
from gateway.stores.valkey_moving import ValkeyMoves
from gateway.stores.valkey_records import (
    Keys,
    changing,
    ending,
    in_flight,
    moment,
    read_record,
    states_of,
)
from gateway.stores.valkey_sentinels import FAILURES
from gateway.stores.valkey_server import ValkeyServer
from gateway.stores.write_queue import Call as Queued

T = TypeVar("T")
_SETTLED_BY_OWNER = b"14"
_COUNTS_AGAIN_AFTER = 60_000
"""Milliseconds without a commit of a gateway that does not count, after which all claims are counted again."""


class ValkeyStore(SharedStore):
    """Claims on a server that other gateways use, too."""

    def __init__(
        self,
        link: Link,
        keys: Keys,
        server: ValkeyServer,
        recovery: Recovery,
        *,
        polls: Callable[[str], None],
        commit_timeout: float,
        max_waiting: int,
        node_timeout: float,
        replicas: int = 0,
    ) -> None:
        """Times in seconds: see SharedStore. `replicas` must have a reservation, and what is added.

        `polls` hears why the ends of other gateways' operations are only looked for.
        """
        self._link = link
        self._keys = keys
        self._server = server
        self._replicas = replicas
        self._wait_ms = max(1, round(commit_timeout * 500))
        self._lists = ValkeyLists(self._ask, self._run_alone, keys, server.node, lambda: link.run_id)
        self._moves = ValkeyMoves(self._ask, self._run_alone, keys, server.node, replicas)
        super().__init__(
            recovery,
            Endings(lambda: link.hear(keys.ended), self._look, FAILURES, polls),
            failures=FAILURES,
            reason=reason,
            commit_timeout=commit_timeout,
            max_waiting=max_waiting,
            node_timeout=node_timeout,
        )

    @override
    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        alone = Settlement(settlement.state, settlement.expires_at, settlement.resource, link=settlement.link)
        call = self._settling(claims, owner, alone, states_of(was), now)

        async def work() -> bool:
            changed = await self._run(call, lambda answer: int(answer[2]))
            if changed:
                self._recovery.kept.note_resettled(owner, claims, was, alone)
            return bool(changed)

        return await self._free([claim.fingerprint for claim in claims], work)

    @override
    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        wanted = [self._keys.answer + claim.fingerprint for claim in claims]
        for answer in await self._ask("MGET", *wanted):
            if answer is not None and answer[:16] == owner:
                return bytes(answer[16:])
        return None

    @override
    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        data = await self._ask("GET", self._keys.claim + fingerprint)
        record = None if data is None else read_record(fingerprint, data)
        return record if record is not None and record.is_held(now) else None

    @override
    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        return await self._lists.linked(link, now)

    @override
    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        return await self._moves.add(kept, now)

    @override
    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        return await self._moves.read(records)

    @override
    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        return await self._lists.scan(after, limit, now)

    @override
    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        return await self._lists.page(only, after, limit, now)

    @override
    async def overview(self, now: int) -> Overview:
        await self._count(now)
        return await self._lists.overview()

    @override
    async def forget(self, fingerprint: bytes) -> bool:
        call = Call("forget", self._keys.of(self._server.node, [fingerprint]), [self._link.run_id])

        async def work() -> bool:
            is_free = await self._run(call, lambda answer: bool(answer[2]))
            if is_free:
                self._recovery.kept.note_forgotten(fingerprint)
            return is_free

        return await self._free([fingerprint], work)

    @override
    async def purge(self, now: int, limit: int) -> Purged:
        self._confirmed.advance_clock(now)
        if await self._count(now):
            return Purged(0, 0, more=True)
        arguments: list[bytes | int] = [self._link.run_id, moment(now), limit, self._keys.claim, self._keys.answer]
        call = Call("purge", self._keys.of(self._server.node), arguments)
        _, _, removed, lapsed = await self._run_alone(call)
        return Purged(removed, lapsed, removed == limit)

    @override
    async def ping(self, now: int) -> None:
        call = Call("settle", self._keys.of(self._server.node), [self._link.run_id, b"", b"", b""])
        await self._run_alone(call)

    # What a shared store needs

    @override
    async def _write(self, batch: Sequence[Queued[Any]]) -> tuple[list[Answer], bool]:
        try:
            calls = [self._script_of(call) for call in batch]
            answers, reached = await self._link.run(calls, replicas=self._replicas, wait_ms=self._wait_ms)
        except FAILURES as error:
            raise Unsure(reason(error)) from error
        found = [
            readable(lambda call=call, answer=answer: self._read(call, answer))  # type: ignore[misc]
            for call, answer in zip(batch, answers, strict=True)
        ]
        return found, reached >= self._replicas

    @override
    async def _beat_once(self) -> None:
        try:
            is_whole = await self._server.beat()
        except OutOfMemoryError as error:  # it is the same server, and has its data
            raise StoreError(reason(error)) from error
        if not is_whole:
            self._recovery.doubt()  # the next call looks closer

    @override
    async def _watch(self) -> None:
        if await self._link.has_moved():
            self._recovery.doubt()

    @override
    async def _leave(self) -> None:
        await self._server.leave()

    def _script_of(self, call: Queued[Any]) -> Call:
        if call.settlement is not None:
            return self._settling(call.claims, call.owner, call.settlement, _SETTLED_BY_OWNER, call.now)
        keys = self._keys.of(self._server.node, [claim.fingerprint for claim in call.claims])
        new = [in_flight(claim, call.owner, call.now) for claim in call.claims]
        return Call("reserve", keys, [self._link.run_id, moment(call.now), *new])

    def _settling(self, claims: Sequence[Claim], owner: bytes, settlement: Settlement, states: bytes, now: int) -> Call:
        fingerprints = [claim.fingerprint for claim in claims]
        ends = [part for claim in claims for part in ending(settlement.of(claim), now)]
        if settlement.others:
            fingerprints += [change.fingerprint for change in settlement.others]
            ends += [part for change in settlement.others for part in ending(change.settlement, now)]
            ends += [changing(change) for change in settlement.others]
        keys = self._keys.of(self._server.node, fingerprints)
        return Call("settle", keys, [self._link.run_id, owner, states, settlement.answer or b"", *ends])

    def _read(self, call: Queued[Any], answer: Any) -> Answer:
        if isinstance(answer, Exception):
            if not isinstance(answer, OutOfMemoryError):  # with those it is the same server, and has its data
                self._recovery.doubt()
            return Refused(reason(answer))
        if answer[0] == b"moved":
            self._recovery.doubt()
            return Refused(MOVED)
        if answer[0] == b"held":
            numbers, found = answer[1::2], answer[2::2]
            met = [(call.claims[at - 1], data) for at, data in zip(numbers, found, strict=True)]
            return Held(tuple([(claim, read_record(claim.fingerprint, data)) for claim, data in met]))
        self._recovery.note_commit(int(answer[1]))
        if call.settlement is not None:
            if others := call.settlement.others:
                return Settled(int(answer[2]), tuple([others[at - 1] for at in answer[3:]]))
            return int(answer[2])
        return Reserved(tuple([read_record(data[:32], data[32:]) for data in answer[2:]]))

    # Jobs

    async def _ask(self, *command: Any) -> Any:
        return await self._job(lambda: self._link.ask(*command))

    async def _run_alone(self, call: Call, replicas: int = 0) -> list[Any]:
        return await self._job(lambda: self._run(call, lambda answer: answer, replicas))

    async def _count(self, now: int) -> bool:
        """Count some claims that were not counted yet; whether there are more."""
        keys = [*self._keys.of(self._server.node), self._keys.restores]
        arguments = (self._link.run_id, moment(now), COUNTED_AT_ONCE, self._keys.claim, _COUNTS_AGAIN_AFTER)
        return bool((await self._run_alone(Call("count", keys, arguments)))[2])

    async def _look(self, flights: Sequence[Flight], marks: bool) -> dict[bytes, bool]:
        keys = [self._keys.claim + fingerprint for fingerprint, _ in flights]
        call = Call("await", keys, [b"%d" % marks, *[owner for _, owner in flights]])
        (found,), _ = await self._job(lambda: self._link.run([call]))
        if isinstance(found, Exception):
            raise StoreError(reason(found))
        return {flights[at - 1][1]: marks for at in found}

    async def _run(self, call: Call, read: Callable[[list[Any]], T], replicas: int = 0) -> T:
        """Run a script as part of a job; so many replicas must have what it did."""
        call.arguments = [self._link.run_id, *call.arguments[1:]]  # by now it may be another one
        (answer,), reached = await self._link.run([call], replicas=replicas, wait_ms=self._wait_ms)
        if isinstance(answer, Exception):
            raise answer
        if answer[0] == b"moved":
            self._recovery.doubt()
            raise StoreError(MOVED)
        self._recovery.note_commit(int(answer[1]))
        if reached < replicas:
            raise StoreError(TOO_FEW)
        return read(answer)
