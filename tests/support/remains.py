# What a gateway leaves that has killed itself: on its clients' connections, and in its store.

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from tests.support.client import Client
from tests.support.tally import PATIENCE


async def everything(client: Client) -> bytes:
    """All that a client gets until its connection ends, however it ends."""
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while piece := await client.reader.read(65536):
                received += piece
    return received


def states(file: Path) -> list[str]:
    """The states of what a dead gateway left in its store, in the order in which it was claimed."""
    names = {1: "in_flight", 2: "created", 3: "unknown"}
    with contextlib.closing(sqlite3.connect(file)) as database:
        both = "SELECT state, first_seen FROM claims UNION ALL SELECT 1, first_seen FROM in_flight"
        rows = database.execute(f"SELECT state FROM ({both}) ORDER BY first_seen, state DESC").fetchall()
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return [names[state] for (state,) in rows]


def stored_answers(file: Path) -> int:
    """How many answers of the API a dead gateway left in its store."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        ((count,),) = database.execute("SELECT count(*) FROM claims WHERE answer IS NOT NULL").fetchall()
    return int(count)
