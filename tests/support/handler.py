# What the tests of the handler share: the packages behind it, a store, a front in the test's own loop with any handler.

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

from gateway.audit import Audit
from gateway.config.compile import compile_rules, compile_shadow
from gateway.config.schema import Config, ServerConfig
from gateway.config.table import Duration, Size
from gateway.front.exchange import Exchange
from gateway.front.server import DownstreamServer, Watcher
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.http.forwarding import Forwarding
from gateway.process.drain import drain
from gateway.process.request_ids import random_ids
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import IdleTimeouts
from gateway.proxy.in_flight import OperationsInFlight
from gateway.proxy.spooler import Spooler
from gateway.proxy.verification import Verifier
from gateway.stores.base import Opened, Store
from gateway.stores.open import open_sqlite
from gateway.telemetry import Telemetry
from gateway.transport.budget import Budget
from gateway.transport.spool import SpoolFolder
from gateway.upstream.open import Upstreams
from tests.support.tally import PATIENCE

NOW = 1_700_000_000_000
FINGERPRINTER = Fingerprinter(b"a key that is long enough for a test")
LIMITS = ServerConfig(
    head_timeout=Duration(5),
    body_timeout=Duration(5),
    keepalive_timeout=Duration(5),
    max_connections=10,
    max_buffered=Size(2**30),
)


def make_rooms(
    config: Config,
    store: Store,
    upstreams: Upstreams,
    *,
    telemetry: Telemetry | None = None,
    wall_clock: Callable[[], int] = lambda: NOW,
    body_timeout: float = 5,
) -> HandlerDependencies:
    """The dependencies of a handler. A loop must be running."""
    telemetry = telemetry or Telemetry(StringIO(), style="json")
    return HandlerDependencies(
        admission=Admission(compile_rules(config), upstreams.routes, compile_shadow(config)),
        fingerprinter=FINGERPRINTER,
        store=store,
        telemetry=telemetry,
        audit=Audit(lambda _: None, None),
        forward_without_store=config.store.on_failure == "forward",
        idle_timeouts=IdleTimeouts(client=body_timeout, tunnel=5),
        wall_clock=wall_clock,
        stopwatch=asyncio.get_running_loop().time,
        in_flight=OperationsInFlight(),
        verifier=Verifier(store, FINGERPRINTER, telemetry, wall_clock),
        spooler=Spooler(SpoolFolder(Path(tempfile.gettempdir()), 2**40, lambda _: None), FINGERPRINTER),
        status_header="Idempotency-Status",
    )


async def open_file(path: Path, now: int = NOW) -> Opened:
    """Open a SQLite store that belongs to FINGERPRINTER, and takes its time."""
    return await open_sqlite(str(path), "process", FINGERPRINTER.key_check, now, commit_timeout=PATIENCE)


def refused(slug: str, _status: int) -> None:
    raise AssertionError(f"the request was refused as {slug}")


def failed(error: BaseException) -> None:
    raise AssertionError("the handler failed") from error


@asynccontextmanager
async def fronted(
    handle: Callable[[Exchange], Awaitable[None]],
    *,
    failed: Callable[[BaseException], None] = failed,
    send_buffer: int | None = None,
    answers: Budget | None = None,
    patience: float = 1,
) -> AsyncIterator[int]:
    """Serve with `handle` on a port. The clients' requests are expected to be good ones.

    `answers` is the budget of the upstreams; in the end, exchanges under way are waited for so long as `patience` says.
    `send_buffer` is how many bytes the kernel takes of an answer that nobody reads, if not as many as it likes.
    """
    forwarding = Forwarding((), (), "off", "off", random_ids())
    front = DownstreamServer(handle, Watcher(refused, failed), LIMITS, forwarding, answers)
    server = await asyncio.get_running_loop().create_server(front, "127.0.0.1", 0)
    if send_buffer is not None:
        server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)  # what it accepts inherits it
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await drain(front, patience)
