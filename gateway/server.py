# The process: builds the rooms, listens, drains, stops. What a request meets is none of its business.

import asyncio
import contextlib
import gc
import signal
import time
from pathlib import Path

from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from gateway import __version__
from gateway.admin.listener import Admin
from gateway.compile import compile_rules
from gateway.config import fingerprint_key
from gateway.config.endpoints import (
    SqliteStoreUrl,
    TcpAddress,
    UnixAddress,
    parse_listen,
    parse_store,
    parse_upstream,
)
from gateway.config.schema import Config
from gateway.errors import GatewayError, StoreError
from gateway.fingerprint import Fingerprinter
from gateway.front import Front
from gateway.handler import Handler, Rooms
from gateway.secret import Secret, beside, ephemeral
from gateway.stores.base import Store
from gateway.stores.open import Opened, open_memory, open_sqlite
from gateway.telemetry import Telemetry
from gateway.upstream.client import Limits, Upstream

BACKLOG = 4096
COLLECT_AFTER = 20_000
"""Objects made and not freed before the youngest are looked through."""
PURGE_EVERY = 10.0
"""Seconds between two purges."""
PURGE_STEP = 500
"""Claims removed in one step: a few milliseconds in which no create waits."""


class ListenError(GatewayError):
    """An address cannot be listened on."""


async def serve(config: Config) -> None:
    """Run the gateway until SIGTERM or SIGINT; requests in flight have settled when this returns.

    Raises GatewayError for whatever a person must mend first.
    """
    if HttpRequestParser is HttpRequestParserPy:
        raise GatewayError(
            "aiohttp came without its C parser, and its other one is not strict enough to stand at a door; "
            "install it from a wheel, and unset AIOHTTP_NO_EXTENSIONS"
        )
    loop = asyncio.get_running_loop()
    telemetry = Telemetry(style=config.log.format, requests=config.log.requests, call_soon=loop.call_soon)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _keep_going, telemetry)
    async with contextlib.AsyncExitStack() as closing:
        closing.callback(telemetry.flush)
        opened, fingerprinter = await _open(config, telemetry)
        closing.push_async_callback(opened.store.close)
        upstream = _upstream(config)
        closing.callback(upstream.close)
        rooms = Rooms(
            rules=compile_rules(config),
            fingerprinter=fingerprinter,
            store=opened.store,
            upstream=upstream,
            telemetry=telemetry,
            forward_without_store=config.store.on_failure == "forward",
            idle_timeout=config.upstream.idle_timeout,
            wall_clock=_wall_clock,
            stopwatch=time.perf_counter,
        )
        purging = loop.create_task(_purge_for_ever(opened.store, telemetry), name="purge")
        closing.push_async_callback(_cancel, purging)
        handler = Handler(rooms)
        front = Front(handler, handler.unparsed, keepalive_timeout=config.server.keepalive_timeout)
        await _listen(config, front, rooms, stop)
    telemetry.event("stopped")
    telemetry.flush()


async def _listen(config: Config, front: Front, rooms: Rooms, stop: asyncio.Event) -> None:
    telemetry = rooms.telemetry
    admin = Admin(rooms.store, telemetry)
    admin_address = await _start_admin(admin, config.admin.listen)
    try:
        server, address = await _bind(front, config.server.listen, "server.listen")
        admin.ready = True
        _quieten_collector()
        telemetry.event("listening", server=address, admin=admin_address, version=__version__)
        await stop.wait()
        admin.ready = False
        telemetry.event("draining", timeout=float(config.server.drain_timeout))
        server.close()
        if not await front.drain(config.server.drain_timeout):
            telemetry.event("drain-timeout", "warning")
        _remove_socket(config.server.listen)
    finally:
        await admin.close()
        _remove_socket(config.admin.listen)


async def _open(config: Config, telemetry: Telemetry) -> tuple[Opened, Fingerprinter]:
    """Open the store with the secret that its fingerprints are made with."""
    url = parse_store(config.store.url)
    configured = fingerprint_key(config)
    if not isinstance(url, SqliteStoreUrl):
        secret = Secret(configured) if configured else ephemeral()
        return open_memory(), Fingerprinter(secret.value)
    secret = Secret(configured) if configured else beside(url.path)
    if secret.made is not None:
        telemetry.event("fingerprint-key-made", path=str(secret.made), note="keep it with the store, and secret")
    fingerprinter = Fingerprinter(secret.value)
    opened = await open_sqlite(url.path, config.store.durability, fingerprinter.key_check, _wall_clock())
    if opened.is_new:
        telemetry.event("store-made", "info", path=url.path, note="no earlier create is known")
    if opened.recovered:
        telemetry.event("recovered", "warning", unknown=opened.recovered)
    return opened, fingerprinter


def _upstream(config: Config) -> Upstream:
    limits = Limits(
        connect=config.upstream.connect_timeout,
        response=config.upstream.response_timeout,
        idle=config.upstream.idle_timeout,
        pool_size=config.upstream.keepalive_connections,
        pool_idle=config.upstream.keepalive_timeout,
    )
    return Upstream(parse_upstream(config.upstream.url), limits)


async def _bind(front: Front, listen: str, where: str) -> tuple[asyncio.Server, str]:
    loop = asyncio.get_running_loop()
    address = parse_listen(listen)
    try:
        match address:
            case TcpAddress(host, port):
                server = await loop.create_server(front, host, port, backlog=BACKLOG, reuse_address=True)
                bound = server.sockets[0].getsockname()
                return server, str(TcpAddress(bound[0], bound[1]))
            case UnixAddress(path):
                return await loop.create_unix_server(front, path, backlog=BACKLOG), listen
    except OSError as error:
        raise ListenError(f"{where}: cannot listen on {listen}: {error.strerror or error}") from error


def _keep_going(telemetry: Telemetry) -> None:
    """What SIGHUP does: not end the process, as it would by default, with creates in flight."""
    telemetry.event("hangup-ignored", "warning", note="the rules file is read at start only; restart to change it")


def _quieten_collector() -> None:
    """Keep the garbage collector from looking through what lives as long as the process, and from looking often.

    Requests leave next to no cycles behind: 4 % of the CPU of a request went into looking for them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def _remove_socket(listen: str) -> None:
    address = None if listen == "off" else parse_listen(listen)
    if isinstance(address, UnixAddress):
        Path(address.path).unlink(missing_ok=True)


async def _start_admin(admin: Admin, listen: str) -> str:
    if listen == "off":
        return "off"
    try:
        return await admin.start(parse_listen(listen))
    except OSError as error:
        raise ListenError(f"admin.listen: cannot listen on {listen}: {error.strerror or error}") from error


async def _purge_for_ever(store: Store, telemetry: Telemetry) -> None:
    while True:
        await asyncio.sleep(PURGE_EVERY)
        try:
            removed = PURGE_STEP
            while removed == PURGE_STEP:
                purged = await store.purge(_wall_clock(), PURGE_STEP)
                removed = purged.removed
                if purged.lapsed:
                    telemetry.event("unknown-lapsed", "warning", times=purged.lapsed)
        except StoreError as error:
            telemetry.event("purge-failed", "warning", reason=str(error))


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000
