# Where a create passes crash points in the stores (see crash.py). Those that gateways share are on the way only where
# their clients are installed.

import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

import aiosqlite

from gateway.model import Kept, Reserved, State
from gateway.process.crash_fuse import Fuse, Stage, stage
from gateway.stores import sql
from gateway.stores.base import Store
from gateway.stores.shared import SharedStore
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import Call

_STEPS_INTO_WRITE = 40
"""Steps of SQLite's virtual machine: the shortest write takes a hundred, and the last one commits."""
_COMMITTED = {0: "claim-committed", 1: "settle-committed"}
"""By the state of a claim before it is written. What else is written are claims of others, with a settlement."""


def _reserve(fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    def reserve(store: Store, *args: Any) -> Any:
        fuse.at("before-claim-queued")
        stage.set(Stage.CLAIMS)
        answer: Any = method(store, *args)
        if not answer.done():  # otherwise it was answered from the cache, or rejected
            fuse.at("after-claim-queued")
        return answer

    return reserve


def _settle(fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    def settle(store: Store, *args: Any) -> Any:
        fuse.at("before-settle-queued")
        stage.set(Stage.SETTLED)
        answer = method(store, *args)
        fuse.at("after-settle-queued")
        return answer

    return settle


def _resettle(fuse: Fuse, method: Callable[..., Awaitable[bool]]) -> Callable[..., Any]:
    async def resettle(store: Store, owner: bytes, claims: Any, was: State, *args: Any) -> bool:
        name = "gone-freed" if was is State.CREATED else "resettle"
        fuse.at(f"before-{name}")
        is_changed = await method(store, owner, claims, was, *args)
        if is_changed:
            fuse.at(f"after-{name}")
        return is_changed

    return resettle


def _add(fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def add(store: Store, kept: Sequence[Kept], now: int) -> Any:
        fuse.at("before-claims-added")
        met = await method(store, kept, now)
        if None in met:
            fuse.at("after-claims-added")
        return met

    return add


def _execute(fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    heads = {name: sql.read(name).partition(":places")[0] for name in ("write", "add")}
    columns = re.findall(r"\w+", heads["write"].partition("batch (")[2].partition(")")[0])

    async def execute(database: aiosqlite.Connection, statement: str, parameters: Iterable[Any] | None = None) -> Any:
        values = list(parameters or ())
        if statement.startswith(heads["write"]):
            reached = _written(*(values[columns.index(name) :: len(columns)] for name in ("owner", "was", "answer")))
        elif statement.startswith(heads["add"]):
            reached = Counter(["claims-added"])
        else:
            return await method(database, statement, parameters)
        for point, times in reached.items():
            if fuse.burns(f"before-{point}", times):
                await database.set_progress_handler(fuse.blow, _STEPS_INTO_WRITE)
        result = await method(database, statement, values)
        for point, times in reached.items():
            if fuse.burns(f"after-{point}", times):
                fuse.blow()
        return result

    return execute


def _written(owners: Iterable[Any], before: Iterable[int], answers: Iterable[Any]) -> Counter[str]:
    """The points that the rows of a batch reach: once for each operation, however many claims it has."""
    rows = [row for row in zip(map(bytes, owners), before, answers, strict=True) if row[0]]  # the others only pad
    written = {(owner, _COMMITTED[was]) for owner, was, _ in rows if was in _COMMITTED}
    written |= {(owner, "answer-stored") for owner, _, answer in rows if answer}
    points = Counter(point for _, point in written)
    if any(was not in _COMMITTED for _, was, _ in rows):
        points["settle-committed"] = points["settle-committed"] or 1  # of an operation that has no claims itself
    return points


def _commit(fuse: Fuse, method: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """Of a batch for a server: before it is sent, or when its answer has come, which nobody has heard of yet."""

    async def commit_batch(store: SharedStore, batch: list[Call[Any]]) -> None:
        for point, creates in _points(batch).items():
            if fuse.burns(f"before-{point}", creates):
                fuse.blow()
        await method(store, batch)
        written = [call for call in batch if call.future.done() and not call.future.cancelled() and _is_written(call)]
        for point, creates in _points(written).items():
            if fuse.burns(f"after-{point}", creates):
                fuse.blow()

    return commit_batch


def _points(calls: Sequence[Call[Any]]) -> Counter[str]:
    points = Counter(["claim-committed" if call.settlement is None else "settle-committed" for call in calls])
    points["answer-stored"] = sum(call.settlement is not None and bool(call.settlement.answer) for call in calls)
    return points


def _is_written(call: Call[Any]) -> bool:
    if call.future.exception() is not None:
        return False
    return not call.claims or call.future.result() is True or type(call.future.result()) is Reserved


def _with_clients() -> Iterator[type[Any]]:
    with contextlib.suppress(ImportError):
        from gateway.stores.valkey import ValkeyStore

        yield ValkeyStore
    with contextlib.suppress(ImportError):
        from gateway.stores.postgresql import PostgresqlStore

        yield PostgresqlStore


Place = tuple[type[Any], str, Callable[[Fuse, Any], Callable[..., Any]]]
"""A method of a class, and what makes its replacement."""
COMMITS: Sequence[Place] = ((aiosqlite.Connection, "execute", _execute), (SharedStore, "_commit_batch", _commit))
RESERVES: Sequence[Place] = [(store, "reserve", _reserve) for store in (SqliteStore, SharedStore)]
SETTLES: Sequence[Place] = [(store, "settle", _settle) for store in (SqliteStore, SharedStore)]
_SERVERS: Sequence[type[Any]] = [*_with_clients()]
_BACKENDS: Sequence[type[Any]] = [SqliteStore, *_SERVERS]
RESETTLES: Sequence[Place] = [(store, "resettle", _resettle) for store in _BACKENDS]
ADDS: Sequence[Place] = [COMMITS[0], *[(store, "add", _add) for store in _SERVERS]]
