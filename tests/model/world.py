# A gateway without its wires: the real handler and a real store, between clients and an API that do as they are told.
#
# Everything runs in one loop, one step at a time: a step is over when each create has ended or waits for the API.

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from io import StringIO
from typing import Any, TypeVar

import msgspec

from gateway.guard.routes import Routes
from gateway.http.forwarding import Forwarding
from gateway.model import Purged, Record
from gateway.proxy.handler import Handler
from gateway.telemetry import Telemetry
from gateway.transport.budget import Budget
from gateway.upstream.endpoint import EndpointShared
from gateway.upstream.open import Upstreams
from gateway.upstream.resolve import Resolver
from tests.model.creates import CONFIG, Create, Outcome
from tests.model.lives import Kind, lives
from tests.model.parts import Api, Client, Cut, Door, Operation, WatchedInFlight
from tests.model.reference import Changes, Says
from tests.support.handler import make_rooms
from tests.support.tally import PATIENCE

T = TypeVar("T")
_TURNS = 3
"""Of the loop, in which a create has come to the store, and the store to its thread."""


class World:
    """One gateway over all its lives, and what is around it.

    Mutable state: the time; the parts of its present life; the creates that wait for the API.
    """

    def __init__(self, kind: Kind, now: int) -> None:
        self.now = now
        self.telemetry = Telemetry(StringIO(), requests="none")
        self.waiting: list[Operation] = []
        """Creates that the API has got and not answered, oldest first."""
        self.says: Says = "nothing"
        """What the API says when it is asked what became of a create."""
        self.changes: Changes = "changed"
        """What it makes of a change."""
        self._numbers = itertools.count(1)
        self._lives = lives(kind, lambda: self.now)
        self._loop = asyncio.new_event_loop()
        self._peer = Forwarding((), (), "off", "off", iter(())).peer(None, is_tls=False)
        self.recovered = self._run(self._live())
        """How many claims the present life found in flight."""

    # Creates

    def send(self, creates: Sequence[Create], outcome: Outcome | None = None) -> list[Operation]:
        """Clients send creates, all in one moment; the API answers at once, or with None when it is told to."""
        return self._run(self._send(creates, outcome))

    def answer(self, operation: Operation, outcome: Outcome, creates: Sequence[Create]) -> list[Operation]:
        """The API answers a create that it has got, and clients send others in the same moment."""
        return self._run(self._end(operation, lambda: operation.outcome.set_result(outcome), creates))

    def cut_off(self, operation: Operation, creates: Sequence[Create]) -> list[Operation]:
        """A create is cut off, as at the end of a drain, and clients send others in the same moment."""
        return self._run(self._end(operation, operation.task.cancel, creates))

    def cut_off_while_it_claims(
        self, ahead: Sequence[Create], create: Create, behind: Sequence[Create]
    ) -> tuple[list[Operation], Operation, list[Operation]]:
        """A create is cut off while it waits for the store, which may be busy with others that came ahead of it."""
        return self._run(self._cut_off_while_it_claims(ahead, create, behind))

    async def _send(self, creates: Sequence[Create], outcome: Outcome | None) -> list[Operation]:
        operations = [self._begin(create, outcome) for create in creates]
        await self._until_still(operations)
        return operations

    async def _end(self, operation: Operation, end: Callable[[], object], creates: Sequence[Create]) -> list[Operation]:
        end()
        operations = [self._begin(create, None) for create in creates]
        await asyncio.wait([operation.task])
        await self._until_still([each for each in self._api.operations.values() if not each.task.done()])
        return operations

    async def _cut_off_while_it_claims(
        self, ahead: Sequence[Create], create: Create, behind: Sequence[Create]
    ) -> tuple[list[Operation], Operation, list[Operation]]:
        before = [self._begin(other, None) for other in ahead]
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        operation = self._begin(create, None)
        await asyncio.sleep(0)
        after = await self._end(operation, operation.task.cancel, behind)
        await self._until_still(before)
        return before, operation, after

    def _begin(self, create: Create, outcome: Outcome | None) -> Operation:
        client = Client(self._peer, create)
        answered: asyncio.Future[Outcome] = self._loop.create_future()
        if outcome is not None:
            answered.set_result(outcome)
        task = self._loop.create_task(self._handler(client.exchange))
        operation = Operation(create, next(self._numbers), client, task, answered)
        self._api.operations[task] = operation
        return operation

    async def _until_still(self, operations: list[Operation]) -> None:
        for operation in operations:
            arrived = self._loop.create_task(operation.arrived.wait())
            stopped = self._loop.create_task(self._door.stopped.wait())
            waits = self._loop.create_task(operation.waits.wait())
            may_arrive = [] if operation.outcome.done() else [arrived]
            ends = [operation.task, stopped, waits, *may_arrive]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for event in (arrived, stopped, waits):
                event.cancel()
        self.waiting = [
            operation
            for operation in self._api.operations.values()
            if operation.arrived.is_set() and not operation.task.done()
        ]

    # The operator

    def stored(self) -> list[Record]:
        """Everything in the store, what has expired and was not purged included."""
        return list(self._run(self._door.store.scan(b"", 1000, 0)))

    def forget(self, fingerprint: bytes) -> bool:
        """The operator frees a claim."""
        return self._run(self._door.store.forget(fingerprint))

    def purge(self, limit: int) -> int:
        """Purge in steps, until one finds less than it may remove; gives how many claims lapsed."""
        return self._run(self._purge(limit))

    async def _purge(self, limit: int) -> int:
        lapsed = 0
        purged = Purged(0, 0, more=True)
        while purged.more:
            purged = await self._door.store.purge(self.now, limit)
            lapsed += purged.lapsed
        return lapsed

    # Faults

    @property
    def is_down(self) -> bool:
        """Whether the store is out of order."""
        return self._door.is_down

    def break_store(self) -> None:
        """The store refuses everything from now on."""
        self._door.is_down = True

    def mend_store(self) -> list[bool]:
        """The store works again; gives how the settlements went that waited for it."""
        return self._run(self._door.mend())

    def send_into(self, create: Create, outcome: Outcome, cut: Cut) -> Operation:
        """A client sends a create, and the gateway is killed amid it."""
        self._door.cut = cut
        return self.send([create], outcome)[0]

    def die(self, downtime: int) -> None:
        """The gateway is killed, and started again after so many milliseconds of the clock."""
        self._run(self._die(downtime))

    def stop(self, downtime: int) -> None:
        """The gateway is told to stop: what waits is cut off at once; and is started again."""
        self._run(self._stop(downtime))

    def suspect(self) -> None:
        """The gateway stands still, and another one takes it for stopped."""
        self._run(self._lives.suspect())

    def end(self) -> None:
        """Leave nothing behind."""
        self._door.stopped.set()
        self._run(self._leave())
        self._loop.close()
        self._lives.remove()

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        async def patiently() -> T:
            async with asyncio.timeout(PATIENCE):
                return await doing

        return self._loop.run_until_complete(patiently())

    async def _live(self) -> int:
        """Start the gateway; gives how many claims it found in flight."""
        store, recovered = await self._lives.begin()
        self._api = Api(lambda: self.says, lambda: self.changes)
        self._door = Door(store)
        upstreams = Upstreams(Routes([], self._api), {}, EndpointShared(Resolver(), Budget(2**20)))
        rooms = make_rooms(CONFIG, self._door, upstreams, telemetry=self.telemetry, wall_clock=lambda: self.now)
        in_flight = WatchedInFlight(self._api.operations)
        self._handler = Handler(msgspec.structs.replace(rooms, in_flight=in_flight))
        self.waiting = []
        return recovered

    async def _die(self, downtime: int) -> None:
        self._door.stopped.set()
        await self._lives.kill(self._door.store)
        await self._leave()
        self.now += downtime
        self.recovered = await self._live()

    async def _stop(self, downtime: int) -> None:
        await self._leave()
        self.now += downtime
        self.recovered = await self._live()

    async def _leave(self) -> None:
        """Cancel everything, close the store."""
        tasks = [task for task in self._api.operations if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._api.operations.clear()  # or tasks, their errors and `Admitted`, which is untracked, keep each other
        await self._lives.end(self._door.store)
