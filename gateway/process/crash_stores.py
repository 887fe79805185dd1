# Where a create passes crash points in the stores (see crash.py). Those that gateways share are on the way only where
# their clients are installed.

import contextlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

import aiosqlite

from gateway.model import Reserved, State
from gateway.process.crash_fuse import Fuse, Stage, stage
from gateway.stores import sql
from gateway.stores.base import Store
from gateway.stores.shared import SharedStore
from gateway.stores.sqlite import SqliteStore
from gateway.stores.write_queue import Call

_STEPS_INTO_WRITE = 40
"""Steps of SQLite's virtual machine: the shortest write takes a hundred, and the last one commits."""


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


def _execute(fuse: Fuse, method: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    text = sql.read("write")
    head = text.partition(":places")[0]
    columns = re.findall(r"\w+", text.partition("batch (")[2].partition(")")[0])

    async def execute(database: aiosqlite.Connection, statement: str, parameters: Iterable[Any] | None = None) -> Any:
        if not statement.startswith(head):
            return await method(database, statement, parameters)
        values = list(parameters or ())
        owners, states, answers = (values[columns.index(name) :: len(columns)] for name in ("owner", "state", "answer"))
        written = {  # once for each create, however many claims it has
            (owner, "claim-committed" if state == 1 else "settle-committed")
            for owner, state in zip(owners, states, strict=True)
        }
        written |= {(owner, "answer-stored") for owner, answer in zip(owners, answers, strict=True) if answer}
        creates_to = Counter(point for owner, point in written if owner)  # a row that only pads has no owner
        for point, creates in creates_to.items():
            if fuse.burns(f"before-{point}", creates):
                await database.set_progress_handler(fuse.blow, _STEPS_INTO_WRITE)
        result = await method(database, statement, values)
        for point, creates in creates_to.items():
            if fuse.burns(f"after-{point}", creates):
                fuse.blow()
        return result

    return execute


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
    return call.future.exception() is None and (call.future.result() is True or type(call.future.result()) is Reserved)


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
_BACKENDS: Sequence[type[Any]] = [SqliteStore, *_with_clients()]
RESETTLES: Sequence[Place] = [(store, "resettle", _resettle) for store in _BACKENDS]
