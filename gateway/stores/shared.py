# What the stores have in common that several gateways share: the queue, the writer, and what becomes of calls when the
# server refuses them, or does not answer.

import abc
import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
from typing_extensions import override

from gateway.errors import StoreError
from gateway.histogram import Histogram
from gateway.model import Change, Claim, Held, Reserved, Settlement
from gateway.stores.base import Store
from gateway.stores.confirmed import Confirmed
from gateway.stores.endings import Endings
from gateway.stores.recovery import Recovery
from gateway.stores.write_queue import Call, Job, WriteQueue

T = TypeVar("T")
LOOK_EVERY = 2.0
"""Seconds between two looks at the server's settings."""
COUNTED_AT_ONCE = 250
"""Claims of an older store that are counted in one step: it holds up creates for about as long as one of them takes."""
MOVED = "the server has changed, and what it may have lost is put back"
TOO_FEW = "too few replicas have the claims"


class Refused(msgspec.Struct, frozen=True):
    """A call that the server did not carry out."""

    why: str
    is_sure: bool = True
    """False where it may have, and nobody can read what it said."""


class Settled(msgspec.Struct, frozen=True):
    """What has become of a settlement with `others`."""

    claims: int
    """How many claims of the operation were settled."""
    changed: tuple[Change, ...]
    """Those of the others that fitted."""


class Unsure(Exception):
    """It is not known what the server has done of a batch."""


Answer = Reserved | Held | int | Settled | Refused
"""What a call is answered."""


class SharedStore(Store, abc.ABC):
    """Claims on a server. One connection and one writer task for each gateway.

    Mutable state: the queue of calls, and whether the store is closing; what the server has confirmed lately.
    """

    is_shared = True

    def __init__(
        self,
        recovery: Recovery,
        endings: Endings,
        *,
        failures: tuple[type[Exception], ...],
        reason: Callable[[BaseException], str],
        commit_timeout: float,
        max_waiting: int,
        node_timeout: float,
    ) -> None:
        """StoreError is raised after `commit_timeout` seconds, for reservations also when `max_waiting` are queued.

        `failures` are what a connection fails with, `reason` is what callers hear of one.
        """
        self._recovery = recovery
        self._endings = endings
        self._confirmed = Confirmed()
        self._failures = failures
        self._reason = reason
        self._queue = WriteQueue(commit_timeout, max_waiting)
        loop = asyncio.get_running_loop()
        self._writer = loop.create_task(self._write_batches(), name="store-writer")
        every = max(0.02, min(node_timeout / 5, recovery.grace / 4))  # a changed server is noticed within the grace
        self._beat = loop.create_task(self._keep_beating(every), name="store-heartbeat")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._queue!r})"

    @property
    @override
    def commits(self) -> Histogram:
        return self._queue.commits

    @property
    @override
    def waiting(self) -> int:
        return len(self._queue)

    @abc.abstractmethod
    async def _write(self, batch: Sequence[Call[Any]]) -> tuple[Sequence[Answer], bool]:
        """Carry out calls in order; what each is answered, and whether enough replicas have what was reserved.

        A settlement is answered with the number of claims, or as Settled.
        Raises Unsure, and StoreError when nothing was done.
        """

    @abc.abstractmethod
    async def _beat_once(self) -> None:
        """Say that this gateway lives, and look after the others."""

    async def _watch(self) -> None:
        """Ask those besides the server who know whether it is still the one to use. Holds up no other call."""

    @abc.abstractmethod
    async def _leave(self) -> None:
        """Say that this gateway ends, and close the connection."""

    @override
    def find_held(self, claims: Sequence[Claim], now: int) -> Held | None:
        if self._queue.is_closing or not self._recovery.is_ready:
            return None
        return self._confirmed.find_held(claims, now, time.monotonic())

    @override
    def reserve(self, claims: Sequence[Claim], owner: bytes, now: int) -> Awaitable[Reserved | Held]:
        call: Call[Reserved | Held] = Call(claims, owner, now, None)
        self._queue.add_reservation(call)
        return call.future

    @override
    def settle(self, owner: bytes, claims: Sequence[Claim], settlement: Settlement, now: int) -> Awaitable[bool]:
        call: Call[bool] = Call(claims, owner, now, settlement)
        self._queue.add(call)
        return call.future

    @override
    async def until_ended(self, fingerprint: bytes, owner: bytes) -> None:
        await self._endings.wait(fingerprint, owner)

    @override
    async def close(self) -> None:
        await self._endings.close()
        self._beat.cancel()
        await asyncio.wait([self._beat])
        self._queue.close()
        await self._writer
        with contextlib.suppress(*self._failures):
            await self._leave()

    async def _job(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something between two batches."""
        job: Job[T] = Job(work)
        self._queue.add(job)
        return await job.future

    async def _free(self, fingerprints: Sequence[bytes], work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do what may free claims between two batches: what the server said of them before counts no more."""

        async def freeing() -> T:
            try:
                return await work()
            finally:
                self._confirmed.forget(fingerprints)

        return await self._job(freeing)

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
        except self._failures as error:
            self._recovery.doubt()  # it may have become a replica
            job.fail(self._reason(error))
        except Exception as error:  # noqa: BLE001 the calls queued behind it must be processed all the same
            self._recovery.doubt()
            job.fail(f"unexpected {type(error).__name__}")
        self._queue.batch_done()

    async def _commit_batch(self, batch: list[Call[Any]]) -> None:
        was_sent = False
        try:
            await self._recovery.ready()
            was_sent, asked_at = True, time.monotonic()
            answers, is_replicated = await self._write(batch)
        except StoreError as error:
            self._fail(batch, str(error), was_sent=False)
        except Unsure as error:
            self._fail(batch, str(error), was_sent=True)
        except self._failures as error:
            self._fail(batch, self._reason(error), was_sent=was_sent)
        except Exception as error:  # noqa: BLE001 the writer must continue with the next batch
            self._recovery.doubt()
            self._fail(batch, f"unexpected {type(error).__name__}", was_sent=was_sent)
        else:
            kept: list[Call[Any]] = []
            for call, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Held):
                    self._confirmed.remember([record for _, record in answer.conflicts], asked_at)
                self._answer(call, answer, kept, is_replicated=is_replicated)
            self._queue.batch_done(kept)

    def _answer(
        self,
        call: Call[Any],
        answer: Answer,
        kept: list[Call[Any]],
        *,
        is_replicated: bool,
    ) -> None:
        """Answer a call; a settlement that was not carried out is tried again."""
        if isinstance(answer, Refused):
            call.fail(answer.why)
            if call.settlement is not None and answer.is_sure:
                kept.append(call)
            elif call.settlement is None and not answer.is_sure:
                self._queue.free(call)
        elif isinstance(answer, Held):
            call.answer(answer)
        elif isinstance(answer, Reserved):
            self._recovery.kept.note_reserved(call.owner, call.claims, call.now)
            if not is_replicated:
                call.fail(TOO_FEW)
            if call.has_failed:
                self._queue.free(call)
            call.answer(answer)
        elif call.settlement is not None:
            settled = answer.claims if isinstance(answer, Settled) else answer
            was_held = bool(settled) or call.may_be_done  # nobody has heard what an earlier try did
            self._recovery.kept.note_settled(call.owner, call.settlement, was_held=was_held)
            if isinstance(answer, Settled):
                self._note_others(call, call.settlement.others, answer.changed)
            call.answer(bool(settled))

    def _note_others(self, call: Call[Any], others: Sequence[Change], changed: Sequence[Change]) -> None:
        self._confirmed.forget([change.fingerprint for change in others])
        self._recovery.kept.note_changed(changed, is_sure=True)
        if call.may_be_done:
            self._recovery.kept.note_changed(others, is_sure=False)

    def _fail(self, batch: list[Call[Any]], why: str, *, was_sent: bool) -> None:
        """Fail a batch. What may have been reserved is freed before anything else."""
        for call in batch:
            call.fail(why)
        for call in reversed(batch):
            call.may_be_done |= was_sent
            if was_sent and call.settlement is None:
                self._queue.free(call)
        self._queue.batch_done([call for call in batch if call.settlement is not None])

    async def _keep_beating(self, every: float) -> None:
        looked = time.monotonic()
        while True:
            try:
                await self._watch()
            except Exception:  # noqa: BLE001 the others take a gateway that does not count any more for stopped
                self._recovery.doubt()
            with contextlib.suppress(StoreError):
                await self._job(self._beat_once)
                if time.monotonic() - looked >= LOOK_EVERY:
                    looked = time.monotonic()
                    await self._job(self._recovery.look_again)
            await asyncio.sleep(every)


def readable(read: Callable[[], T]) -> T | Refused:
    """Read what a server has answered to one call: a record that nobody can read must not fail the others."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001
        return Refused(f"unexpected {type(error).__name__}", is_sure=False)
