# A PostgreSQL server as one gateway sees it: whether its data is whole, the gateway's row among the others', and the
# schema.

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Record
from gateway.stores.nodes import KEPT_STOPPED, Nodes
from gateway.stores.operations import Known
from gateway.stores.postgresql_link import Link
from gateway.stores.postgresql_migrate import migrate
from gateway.stores.postgresql_records import read_record, restoring
from gateway.stores.recovery import Seen, Server


class PostgresqlServer(Server):
    """Mutable state: the name of the server, and how far this gateway's count was seen to be."""

    def __init__(
        self,
        link: Link,
        node: bytes,
        nodes: Nodes,
        check: Callable[[], Awaitable[None]],
        key_check: bytes,
        wall_clock: Callable[[], int],
        abandoned: Callable[[int], None],
    ) -> None:
        """`check` raises StoreError for a server that cannot keep a promise.

        `wall_clock` and `abandoned` are those of open_postgresql.
        """
        self._link = link
        self.node = node
        self._nodes = nodes
        self._check = check
        self._key_check = key_check
        self._wall_clock = wall_clock
        self._abandoned = abandoned
        self._name = b""
        self.beats = 0
        self._is_older = False
        self.is_new = False
        """Whether there was no store when this gateway connected last."""

    def __repr__(self) -> str:
        return f"PostgresqlServer({self._name!r})"

    @property
    @override
    def name(self) -> bytes:
        return self._name

    @property
    @override
    def is_connected(self) -> bool:
        return self._link.is_connected

    @override
    async def connect(self) -> None:
        link = self._link
        await link.connect()
        try:
            await self.check()
            await link.ask("BEGIN ISOLATION LEVEL READ COMMITTED")
            await link.run("lock_timeout", {"wait": link.lock_timeout})
            self.is_new = await migrate(link)
            await self._check_key()
            ((beats,),) = await link.run("enter", {"node": self.node, "connection": link.token})
            await link.ask("COMMIT")
        except BaseException:
            await link.close()  # which undoes it
            raise
        self._is_older = beats < self.beats
        self.beats = beats

    @override
    async def check(self) -> None:
        await self._check()

    async def _check_key(self) -> None:
        ((found,),) = await self._link.run("key_check", {"value": self._key_check})
        if found != self._key_check:
            raise StoreError("its claims were written with another fingerprint key; restore that one")

    @override
    async def look(self) -> Seen:
        ((self._name, whole, commits),) = await self._link.run("look")
        return Seen(whole, commits, is_older=self._is_older)

    @override
    async def trust(self) -> None:
        await self._link.run("trust", {"server": self._name})

    @override
    async def distrust(self) -> None:
        await self._link.run("trust", {"server": b""})

    @override
    async def find(self, fingerprints: Sequence[bytes]) -> Sequence[Record]:
        return [read_record(row) for (row,) in await self._link.run("find", {"fingerprints": [*fingerprints]})]

    @override
    async def put_back(self, known: Sequence[Known]) -> tuple[int, int]:
        parameters = {"node": self.node, "connection": self._link.token, "batch": restoring(known)}
        ((found,),) = await self._link.run("put_back", parameters)
        restored, taken = msgspec.json.decode(found, type=tuple[int, int])
        return restored, taken

    async def beat(self) -> bool:
        """Count; False where this gateway's row is not what it was: data is missing, or another connection is its own.

        What a stopped gateway had in flight becomes unknown.
        """
        link = self._link
        mine = {"node": self.node, "connection": link.token, "beats": self.beats}
        counted = await link.run("beat", mine)
        if not counted:
            return False
        ((self.beats,),) = counted
        counts = dict(await link.run("counts"))
        for node, count, seconds in self._nodes.stopped(counts):
            gone = {"node": node, "count": count, "now": self._wall_clock(), "gone": seconds >= KEPT_STOPPED}
            ((unknown,),) = await link.run("abandoned", gone)
            if unknown:
                self._abandoned(unknown)
        return True

    async def leave(self) -> None:
        """Remove this gateway's row, unless it leaves something in flight behind."""
        if self._link.is_connected:
            await self._link.run("leave", {"node": self.node})
        await self._link.close()
