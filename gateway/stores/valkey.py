# The store that several gateways share: Valkey, or Redis. One connection and one writer task for each gateway.
#
# Calls are queued as those of the SQLite store. A batch of them is one pipeline of scripts. Each decides on the server,
# so that no other gateway comes in between.

import asyncio
import contextlib
import heapq
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Claim, Held, Purged, Record, Reserved, Settlement, State
from gateway.stores import valkey_records as records
from gateway.stores.base import Store
from gateway.stores.valkey_link import FAILURES, Call, Link, reason
from gateway.stores.valkey_nodes import Nodes
from gateway.stores.valkey_records import Keys, ending, in_flight, moment, read_record
from gateway.stores.valkey_recovery import Recovery
from gateway.stores.write_queue import Call as Queued
from gateway.stores.write_queue import Job, WriteQueue

T = TypeVar("T")
LOOK_EVERY = 60.0
"""Seconds between two looks at the server's settings."""
_SETTLED_BY_OWNER = b"14"
_BUSY_WITH_OTHERS = "too few replicas have the reservation"


class ValkeyStore(Store):
    """Claims on a server that other gateways use, too.

    Mutable state: the queue of calls, and whether the store is closing.
    """

    is_shared = True

    def __init__(
        self,
        link: Link,
        keys: Keys,
        recovery: Recovery,
        *,
        commit_timeout: float,
        max_waiting: int,
        node_timeout: float,
        replicas: int = 0,
    ) -> None:
        """StoreError is raised after `commit_timeout` seconds, for reservations also when `max_waiting` are queued.

        What a gateway has in flight becomes unknown when it has not been heard of for `node_timeout` seconds.
        """
        self._link = link
        self._keys = keys
        self._recovery = recovery
        self._replicas = replicas
        self._wait_ms = max(1, round(commit_timeout * 500))
        self._queue = WriteQueue(commit_timeout, max_waiting)
        self._nodes = Nodes(link, keys, recovery.node, node_timeout)
        loop = asyncio.get_running_loop()
        self._writer = loop.create_task(self._write_batches(), name="store-writer")
        every = min(node_timeout / 5, recovery.grace / 4)  # a server that has changed is noticed within the grace
        self._beat = loop.create_task(self._keep_beating(every), name="store-heartbeat")

    def __repr__(self) -> str:
        return f"ValkeyStore({self._queue!r})"

    @override
    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        call: Queued[Reserved | Held] = Queued(claims, owner, now, None)
        self._queue.add_reservation(call)
        return call.future

    @override
    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        call: Queued[bool] = Queued(claims, owner, now, settlement)
        self._queue.add(call)
        return call.future

    @override
    async def resettle(
        self, owner: bytes, claims: Sequence[Claim], was: State, settlement: Settlement, now: int
    ) -> bool:
        states = b"34" if was is State.UNKNOWN else b"%d" % was
        alone = Settlement(settlement.state, settlement.expires_at, settlement.resource)
        changed = await self._run(self._settling(claims, owner, alone, states), lambda answer: int(answer[2]))
        if changed:
            self._recovery.note_resettled(owner, alone)
        return bool(changed)

    @override
    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        wanted = [self._keys.answer + claim.fingerprint for claim in claims]
        for stored in await self._job(lambda: self._link.ask("MGET", *wanted)):
            if stored is not None and stored[:16] == owner:
                return bytes(stored[16:])
        return None

    @override
    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        data = await self._job(lambda: self._link.ask("GET", self._keys.claim + fingerprint))
        record = None if data is None else read_record(fingerprint, data)
        return record if record is not None and record.is_held(now) else None

    @override
    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        return await self._job(lambda: self._scan(after, limit, now))

    @override
    async def forget(self, fingerprint: bytes) -> bool:
        call = Call("forget", self._keys.of(self._recovery.node, [fingerprint]), [self._link.run_id])
        return bool(await self._run(call, lambda answer: int(answer[2])))

    @override
    async def purge(self, now: int, limit: int) -> Purged:
        arguments: list[bytes | int] = [self._link.run_id, moment(now), limit, self._keys.claim, self._keys.answer]
        call = Call("purge", self._keys.of(self._recovery.node), arguments)
        removed, lapsed = await self._run(call, lambda answer: (int(answer[2]), int(answer[3])))
        return Purged(removed, lapsed, removed == limit)

    @override
    async def ping(self, now: int) -> None:
        await self._run(Call("settle", self._keys.of(self._recovery.node), [self._link.run_id, b"", b"", b""]), bool)

    @override
    async def close(self) -> None:
        self._beat.cancel()
        self._queue.close()
        await self._writer
        if self._link.is_connected:
            with contextlib.suppress(*FAILURES):
                await self._nodes.leave()
        await self._link.close()

    # The writer

    async def _write_batches(self) -> None:
        while (batch := await self._queue.next_batch()) is not None:
            if isinstance(batch, Job):
                await self._run_job(batch)
            else:
                await self._commit_batch(batch)

    async def _run_job(self, job: Job[Any]) -> None:
        try:
            await self._recovery.ready()
            job.answer(await job.work())
        except StoreError as error:
            job.fail(str(error))
        except FAILURES as error:
            job.fail(reason(error))
        except Exception as error:  # noqa: BLE001 the calls queued behind it must be processed all the same
            job.fail(f"unexpected {type(error).__name__}")
        self._queue.batch_done()

    async def _commit_batch(self, batch: list[Queued[Any]]) -> None:
        try:
            await self._recovery.ready()
        except (StoreError, *FAILURES) as error:  # nothing was sent
            self._fail(batch, str(error) if isinstance(error, StoreError) else reason(error), was_sent=False)
            return
        try:
            calls = [self._script_of(call) for call in batch]
            answers, reached = await self._link.run(calls, replicas=self._replicas, wait_ms=self._wait_ms)
        except FAILURES as error:
            self._fail(batch, reason(error), was_sent=True)
            return
        except Exception as error:  # noqa: BLE001 the writer must go on with the next batch
            self._fail(batch, f"unexpected {type(error).__name__}", was_sent=True)
            return
        kept: list[Queued[Any]] = []
        for call, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                if not str(answer).startswith("OOM"):  # it may be a replica by now
                    self._recovery.doubt()
                self._refuse(call, reason(answer), kept)
            elif answer[0] == b"moved":
                self._recovery.doubt()
                self._refuse(call, "the server has changed, and what it may have lost is put back", kept)
            else:
                try:
                    self._answer(call, answer, is_replicated=reached >= self._replicas)
                except Exception as error:  # noqa: BLE001 a record that nobody can read must not end the writer
                    call.fail(f"unexpected {type(error).__name__}")
                    if call.settlement is None:
                        self._queue.free(call)
        self._queue.batch_done(kept)

    def _script_of(self, call: Queued[Any]) -> Call:
        if call.settlement is not None:
            return self._settling(call.claims, call.owner, call.settlement, _SETTLED_BY_OWNER)
        keys = self._keys.of(self._recovery.node, [claim.fingerprint for claim in call.claims])
        new = [in_flight(claim, call.owner, call.now) for claim in call.claims]
        return Call("reserve", keys, [self._link.run_id, moment(call.now), *new])

    def _settling(self, claims: Sequence[Claim], owner: bytes, settlement: Settlement, states: bytes) -> Call:
        keys = self._keys.of(self._recovery.node, [claim.fingerprint for claim in claims])
        ends = [part for claim in claims for part in ending(settlement.of(claim))]
        return Call("settle", keys, [self._link.run_id, owner, states, settlement.answer or b"", *ends])

    def _answer(self, call: Queued[Any], answer: list[Any], *, is_replicated: bool) -> None:
        if answer[0] == b"held":
            numbers, found = answer[1::2], answer[2::2]
            met = [(call.claims[at - 1], data) for at, data in zip(numbers, found, strict=True)]
            call.answer(Held(tuple([(claim, read_record(claim.fingerprint, data)) for claim, data in met])))
            return
        self._recovery.note_commit(int(answer[1]))
        if call.settlement is not None:
            self._recovery.note_settled(call.owner, call.settlement, was_held=bool(answer[2]))
            call.answer(bool(answer[2]))
            return
        self._recovery.note_reserved(call.owner, call.claims, call.now)
        if not is_replicated:
            call.fail(_BUSY_WITH_OTHERS)
        if call.has_failed:
            self._queue.free(call)
        call.answer(Reserved(tuple([read_record(data[:32], data[32:]) for data in answer[2:]])))

    def _refuse(self, call: Queued[Any], why: str, kept: list[Queued[Any]]) -> None:
        """Fail a call that the server did not carry out; a settlement is tried again."""
        call.fail(why)
        if call.settlement is not None:
            kept.append(call)

    def _fail(self, batch: list[Queued[Any]], why: str, *, was_sent: bool) -> None:
        """Fail a batch. What may have been reserved is freed before anything else."""
        for call in batch:
            call.fail(why)
        for call in reversed(batch):
            if was_sent and call.settlement is None:
                self._queue.free(call)
        self._queue.batch_done([call for call in batch if call.settlement is not None])

    # Jobs

    async def _run(self, call: Call, read: Callable[[list[Any]], T]) -> T:
        async def work() -> T:
            call.arguments = [self._link.run_id, *call.arguments[1:]]  # by now it may be another one
            (answer,), _ = await self._link.run([call])
            if isinstance(answer, Exception):
                raise answer
            if answer[0] == b"moved":
                self._recovery.doubt()
                raise StoreError("the server has changed, and what it may have lost is put back")
            self._recovery.note_commit(int(answer[1]))
            return read(answer)

        return await self._job(work)

    async def _job(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        job: Job[T] = Job(work)
        self._queue.add(job)
        return await job.future

    async def _scan(self, after: bytes, limit: int, now: int) -> list[Record]:
        """Go through all names: a server has no order of them, and few ask for it."""
        names: list[bytes] = []
        cursor, pattern = 0, records.escape(self._keys.claim) + b"*"
        skip = len(self._keys.claim)
        while True:
            cursor, page = await self._link.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            names += [name[skip:] for name in page if name[skip:] > after]
            if not int(cursor):
                break
        found: list[Record] = []
        names = heapq.nsmallest(len(names), set(names))
        for at in range(0, len(names), limit):
            page = names[at : at + limit]
            stored = await self._link.ask("MGET", *[self._keys.claim + name for name in page])
            for name, data in zip(page, stored, strict=True):
                if data is not None and (record := read_record(name, data)).is_held(now):
                    found.append(record)
            if len(found) >= limit:
                break
        return found[:limit]

    async def _keep_beating(self, every: float) -> None:
        looked = time.monotonic()
        while True:
            with contextlib.suppress(StoreError):
                await self._job(self._beat_once)
                if time.monotonic() - looked >= LOOK_EVERY:
                    looked = time.monotonic()
                    await self._job(self._recovery.look_again)
            await asyncio.sleep(every)

    async def _beat_once(self) -> None:
        if await self._link.ask("GET", self._keys.server) != self._link.run_id:
            self._recovery.doubt()  # the next call looks closer
            return
        await self._nodes.beat()


def node_name() -> bytes:
    """A name that no other process has."""
    return os.urandom(8).hex().encode()
