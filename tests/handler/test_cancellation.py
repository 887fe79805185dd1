# A create is cancelled at each place where it waits: whatever the place, its claims end up settled by what is certain.
#
# Handler, front, store and upstream are the real ones, in the test's own loop; only the cancelling is made here.

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gateway.compile import compile_rules
from gateway.config.schema import Config, MatchConfig, RuleConfig, UniqueConfig, UpstreamConfig
from gateway.fingerprint import Fingerprinter
from gateway.forward import Patience
from gateway.front.exchange import Exchange
from gateway.handler import Handler, Rooms
from gateway.model import State
from gateway.stores.base import Store
from gateway.stores.memory import MemoryStore
from gateway.stores.open import open_sqlite
from gateway.telemetry import Telemetry
from gateway.upstream.open import open_upstreams
from tests.handler.support import fronted
from tests.support.client import Client, NoResponseError, create_bytes
from tests.support.upstream import Call, RawUpstream

NOW = 1_000_000
FINGERPRINTER = Fingerprinter(b"a key that is long enough for a test")
RULE = RuleConfig(
    name="create-user",
    match=MatchConfig(path="/users"),
    unique=(UniqueConfig(name="email", fields=("body.email",)),),
    resource="/users/{body.id}",
)
LONGEST = 40


class CancelledAt:
    """Handles an exchange with a real handler, and cancels it at its n-th suspension."""

    def __init__(self, handler: Handler, suspension: int) -> None:
        self._handler = handler
        self._suspension = suspension
        self.reached = False
        self.over = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        try:
            await self._step(self._handler(exchange))
        finally:
            self.over.set()

    @types.coroutine
    def _step(self, handling: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        waits = 0
        try:
            waiting = handling.send(None)
            while True:
                waits += 1
                if waits == self._suspension:
                    self.reached = True
                    task = asyncio.current_task()
                    assert task is not None
                    task.cancel()
                try:
                    resume = yield waiting
                except BaseException as error:  # noqa: BLE001 - the cancellation, or what was waited for has failed
                    waiting = handling.throw(error)
                else:
                    waiting = handling.send(resume)
        except StopIteration:
            return


@asynccontextmanager
async def serving(store: Store, upstream: RawUpstream, suspension: int) -> AsyncIterator[tuple[int, CancelledAt]]:
    config = Config(upstream=UpstreamConfig(url=upstream.url), rules=(RULE,))
    upstreams = open_upstreams(config)
    rooms = Rooms(
        rules=compile_rules(config),
        fingerprinter=FINGERPRINTER,
        store=store,
        upstreams=upstreams,
        telemetry=Telemetry(StringIO(), style="json"),
        forward_without_store=False,
        patience=Patience(client=5, tunnel=5),
        request_id_line=b"X-Request-Id: %b\r\n",
        wall_clock=lambda: NOW,
        stopwatch=asyncio.get_running_loop().time,
    )
    cancelled = CancelledAt(Handler(rooms), suspension)
    try:
        async with fronted(cancelled) as port:
            yield port, cancelled
    finally:
        upstreams.close()


async def in_pieces(call: Call) -> None:
    """Answer so that there is something to wait for everywhere: head, then the body in pieces."""
    await asyncio.sleep(0)
    await call.send(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{")
    for piece in (b'"id"', b": 7"):
        await asyncio.sleep(0.005)
        await call.send(piece)


@asynccontextmanager
async def opened(kind: str, directory: Path) -> AsyncIterator[Store]:
    store: Store = MemoryStore()
    if kind == "sqlite":
        store = (await open_sqlite(str(directory / "keys.db"), "process", FINGERPRINTER.key_check, NOW)).store
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_no_place_to_be_cancelled_leaves_a_claim_without_an_owner(
    kind: str, tmp_path: Path, upstream: RawUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.default = in_pieces
    met = []
    async with opened(kind, tmp_path) as store:
        for suspension in range(1, LONGEST):
            email = f"{suspension}@example.com"
            fingerprint = FINGERPRINTER.fingerprint("create-user", "email", (), (email,))
            async with serving(store, upstream, suspension) as (port, cancelled):
                async with Client(port) as client:
                    await client.send_raw(create_bytes(email, pad="x" * 300_000))
                    await cancelled.over.wait()
                    if not cancelled.reached:
                        assert (await client.read_response("POST")).status == 201
                    else:
                        with pytest.raises(NoResponseError):
                            await client.read_response("POST")
                await store.ping(NOW)
            record = await store.get(fingerprint, NOW)
            arrived = [request for request in [*upstream.requests, *upstream.aborted] if request is not None]
            sent = [request for request in arrived if request.value("body.email") == email]
            state = None if record is None else record.state
            assert state is not State.IN_FLIGHT, f"at suspension {suspension} nobody is left to settle the claim"
            assert state is not None or not sent, f"at suspension {suspension} a create that was sent became free"
            if not cancelled.reached:
                assert state is State.CREATED
                break
            met.append("free" if state is None else state.name.lower())
        else:
            pytest.fail(f"a create waits more than {LONGEST} times")
    with capsys.disabled():
        sys.stdout.write(f"\n  {kind}: cancelled at {len(met)} suspensions: {', '.join(met)}\n")
    assert {"free", "unknown", "created"} <= set(met)
