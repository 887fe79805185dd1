# The process: builds the rooms, listens, drains, stops. What a request meets is none of its business.

import asyncio
import contextlib
import gc
import signal
import time
from functools import partial

from gateway import __version__
from gateway.admin.listener import Admin
from gateway.certificates import problems
from gateway.compile import compile_rules
from gateway.config import fingerprint_key
from gateway.config.endpoints import (
    SqliteStoreUrl,
    parse_store,
)
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreError
from gateway.fingerprint import Fingerprinter
from gateway.forward import Patience
from gateway.forwarding import Forwarding
from gateway.front.connection import Limits
from gateway.front.house import Front, Watcher
from gateway.front.intake import Bounds
from gateway.front.tls import ListenerTls
from gateway.handler import Handler, Rooms
from gateway.listen import bind, remove_socket, start_admin
from gateway.secret import Secret, beside, ephemeral
from gateway.stores.base import Store
from gateway.stores.open import Opened, open_memory, open_sqlite
from gateway.telemetry import Telemetry
from gateway.upstream.open import open_upstreams

COLLECT_AFTER = 20_000
"""Objects made and not freed before the youngest are looked through."""
PURGE_EVERY = 10.0
"""Seconds between two purges."""
PURGE_STEP = 500
"""Claims removed in one step: a few milliseconds in which no create waits."""


async def serve(config: Config) -> None:
    """Run the gateway until SIGTERM or SIGINT; requests in flight have settled when this returns.

    Raises GatewayError for whatever a person must mend first.
    """
    loop = asyncio.get_running_loop()
    telemetry = Telemetry(style=config.log.format, requests=config.log.requests, call_soon=loop.call_soon)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _keep_going, telemetry)
    async with contextlib.AsyncExitStack() as closing:
        closing.callback(telemetry.flush)
        if found := problems(config, time.time()):
            raise ConfigError(found)
        opened, fingerprinter = await _open(config, telemetry)
        closing.push_async_callback(opened.store.close)
        upstreams = open_upstreams(config)
        closing.callback(upstreams.close)
        tls = None if config.server.tls is None else ListenerTls(config.server.tls, partial(_tell_of_tls, telemetry))
        rooms = Rooms(
            rules=compile_rules(config),
            fingerprinter=fingerprinter,
            store=opened.store,
            upstreams=upstreams,
            telemetry=telemetry,
            forward_without_store=config.store.on_failure == "forward",
            patience=Patience(client=config.server.body_timeout, tunnel=config.server.tunnel_timeout),
            request_id_line=config.forwarding.request_id.encode() + b": %b\r\n",
            wall_clock=_wall_clock,
            stopwatch=time.perf_counter,
        )
        tasks = [_purge_for_ever(opened.store, telemetry), *([] if tls is None else [tls.follow()])]
        for task in tasks:
            closing.push_async_callback(_cancel, loop.create_task(task))
        await _listen(config, _front(config, Handler(rooms)), tls, rooms, stop)
    telemetry.event("stopped")
    telemetry.flush()


def _front(config: Config, handler: Handler) -> Front:
    server = config.server
    limits = Limits(
        head_timeout=server.head_timeout,
        body_timeout=server.body_timeout,
        keepalive_timeout=server.keepalive_timeout,
        max_connections=server.max_connections,
        bounds=Bounds(head=server.max_head, line=server.max_line, fields=server.max_fields),
    )
    told = config.forwarding
    forwarding = Forwarding(told.trusted_proxies, told.headers, told.via, told.request_id)
    return Front(handler, Watcher(handler.unparsed, handler.failed), limits, forwarding)


async def _listen(config: Config, front: Front, tls: ListenerTls | None, rooms: Rooms, stop: asyncio.Event) -> None:
    telemetry = rooms.telemetry
    admin = Admin(rooms.store, telemetry)
    admin_address = await start_admin(admin, config.admin.listen)
    try:
        server, address = await bind(front, config.server, tls)
        admin.ready = True
        _quieten_collector()
        telemetry.event("listening", server=address, admin=admin_address, version=__version__)
        await stop.wait()
        admin.ready = False
        telemetry.event("draining", timeout=float(config.server.drain_timeout))
        server.close()
        remove_socket(config.server.listen)
        if not await front.drain(config.server.drain_timeout):
            telemetry.event("drain-timeout", "warning")
    finally:
        await admin.close()
        remove_socket(config.admin.listen)


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


def _tell_of_tls(telemetry: Telemetry, trouble: str | None) -> None:
    if trouble is None:
        telemetry.event("certificate-reloaded")
    else:
        telemetry.event("certificate-refused", "error", reason=trouble, note="the one loaded before stays in use")


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
