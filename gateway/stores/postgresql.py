# The store that several gateways share on a PostgreSQL server.
#
# Calls are queued as those of the SQLite store. A batch of them is one statement, and so one transaction: a function
# decides them on the server, in order, with the rows locked that may change.

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Claim, Filter, Kept, Overview, Page, Purged, Record, Settlement, State
from gateway.stores import postgresql_records as records
from gateway.stores.base import MAX_LINKED
from gateway.stores.endings import Endings, Flight
from gateway.stores.postgresql_link import FAILURES, Link, reason
from gateway.stores.postgresql_listing import PostgresqlLists
from gateway.stores.postgresql_records import Step, step_of
from gateway.stores.postgresql_server import PostgresqlServer
from gateway.stores.purge_walk import PurgeWalk
from gateway.stores.recovery import Recovery
from gateway.stores.shared import COUNTED_AT_ONCE, MOVED, Answer, SharedStore, readable
from gateway.stores.write_queue import Call

_ATTEMPTS = 3


class PostgresqlStore(SharedStore):
    """Claims on a server that other gateways use, too.

    Mutable state, beside that of every shared store: the position of the purge.
    """

    def __init__(
        self,
        link: Link,
        server: PostgresqlServer,
        recovery: Recovery,
        *,
        polls: Callable[[str], None],
        commit_timeout: float,
        max_waiting: int,
        node_timeout: float,
    ) -> None:
        """Times in seconds: see SharedStore.

        `polls` hears why the ends of other gateways' operations are only looked for.
        """
        self._link = link
        self._server = server
        self._purge = PurgeWalk(self)
        self._lists = PostgresqlLists(self._ask, link.schema)
        super().__init__(
            recovery,
            Endings(link.hear, self._look, FAILURES, polls),
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
        step = Step(claims, owner, now, alone, records.states_of(was))

        async def work() -> bool:
            (changed,), _ = await self._decide([step])
            if changed:
                self._recovery.kept.note_resettled(owner, claims, was, alone)
            return bool(changed)

        return await self._free([claim.fingerprint for claim in claims], work)

    @override
    async def read_answer(self, claims: Sequence[Claim], owner: bytes) -> bytes | None:
        wanted = {"fingerprints": [claim.fingerprint for claim in claims], "owner": owner}
        found = await self._ask("answer", wanted)
        return found[0][0] if found else None

    @override
    async def get(self, fingerprint: bytes, now: int) -> Record | None:
        found = await self._ask("get", {"fingerprint": fingerprint})
        record = records.read_record(found[0][0]) if found else None
        return record if record is not None and record.is_held(now) else None

    @override
    async def find_linked(self, link: bytes, now: int) -> Sequence[Record]:
        found = await self._ask("find_linked", {"link": link, "now": now, "most": MAX_LINKED})
        return [records.read_record(stored) for (stored,) in found]

    @override
    async def add(self, kept: Sequence[Kept], now: int) -> Sequence[Record | None]:
        firsts: dict[bytes, Kept] = {}
        for one in kept:
            firsts.setdefault(one.record.fingerprint, one)
        wanted = {"batch": records.adding(firsts.values()), "now": now}

        async def work() -> list[Any]:
            self._link.has_waited()
            written = await self._commit("add_kept", wanted)
            if not self._link.has_waited():
                raise StoreError("too few standbys have what was added")
            return written.met

        met = [records.read_record(stored) for stored in await self._job(work)] if kept else []
        there = {record.fingerprint: record for record in met}
        found: list[Record | None] = []
        for one in kept:
            found.append(there.get(one.record.fingerprint))
            there.setdefault(one.record.fingerprint, one.record)  # which later ones meet
        return found

    @override
    async def read_kept(self, records: Sequence[Record]) -> Sequence[Kept]:
        wanted = {
            "fingerprints": [record.fingerprint for record in records],
            "owners": [record.owner for record in records],
        }
        answers = dict(await self._ask("read_kept", wanted)) if records else {}
        return [Kept(record, answers.get(record.fingerprint)) for record in records]

    @override
    async def scan(self, after: bytes, limit: int, now: int) -> Sequence[Record]:
        page = await self._ask("scan", {"after": after, "limit": limit, "now": now})
        return [records.read_record(row) for (row,) in page]

    @override
    async def list_claims(self, only: Filter, after: bytes, limit: int, now: int) -> Page:
        return await self._lists.page(only, after, limit, now)

    @override
    async def overview(self, now: int) -> Overview:
        await self._count()
        return await self._lists.overview()

    @override
    async def forget(self, fingerprint: bytes) -> bool:
        nothing = Claim(fingerprint, "", "", 0)
        step = Step([nothing], None, 0, Settlement(None), records.FORGOTTEN)

        async def work() -> bool:
            (changed,), _ = await self._decide([step])
            if changed:
                self._recovery.kept.note_forgotten(fingerprint)
            return bool(changed)

        return await self._free([fingerprint], work)

    @override
    async def purge(self, now: int, limit: int) -> Purged:
        self._confirmed.advance_clock(now)
        if await self._count():
            return Purged(0, 0, more=True)
        return await self._job(lambda: self._purge.step(now, limit))

    async def run(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        """Run a statement of the purge."""
        return await self._link.run(statement, parameters)

    @override
    async def ping(self, now: int) -> None:
        await self._job(self._beat_once)

    # What a shared store needs

    @override
    async def _write(self, batch: Sequence[Call[Any]]) -> tuple[Sequence[Answer], bool]:
        self._link.has_waited()
        try:
            found, rows = await self._decide([step_of(call) for call in batch])
        except psycopg.Error as error:
            raise StoreError(reason(error)) from error
        self._purge.note_written(sum(len(call.claims) for call in batch if call.settlement is not None))
        answers = [
            readable(lambda one=one: records.answer_of(one, rows))  # type: ignore[misc]
            for one in found
        ]
        return answers, self._link.has_waited()

    async def _decide(self, steps: Sequence[Step]) -> tuple[list[records.Found | int], list[records.Row]]:
        """Have the server decide; what it says of each step, and the claims by their numbers."""
        batch, rows = records.batch(steps)
        written = await self._commit("decide", {"batch": batch})
        return records.answers(steps, written.answers), rows

    async def _commit(self, statement: str, wanted: dict[str, Any]) -> records.Written:
        """Have the server carry out a batch, unless it has lost something."""
        parameters = {
            "node": self._server.node,
            "connection": self._link.token,
            "beats": self._server.beats,
            "server": self._server.name,
            "wait": self._link.lock_timeout,
        }
        ((found,),) = await self._link.run(statement, parameters | wanted, attempts=_ATTEMPTS)
        written = records.read_written(found)
        if written.moved:
            self._recovery.doubt()
            raise StoreError(MOVED)
        if written.at:
            self._recovery.note_commit(written.at)
        return written

    async def _count(self) -> bool:
        """Count some claims that were not counted yet; whether there are more."""
        ((is_more,),) = await self._ask("count_more", {"most": COUNTED_AT_ONCE})
        return bool(is_more)

    async def _ask(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        return await self._job(lambda: self._link.run(statement, parameters))

    async def _look(self, flights: Sequence[Flight], marks: bool) -> dict[bytes, bool]:
        fingerprints, owners = map(list, zip(*flights, strict=True))
        wanted = {"fingerprints": fingerprints, "owners": owners, "marks": marks}
        return dict(await self._ask("look_for", wanted))

    @override
    async def _beat_once(self) -> None:
        if not await self._server.beat():
            self._recovery.doubt()
            raise StoreError(MOVED)

    @override
    async def _leave(self) -> None:
        await self._server.leave()
