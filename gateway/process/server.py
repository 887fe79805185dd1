# The process: opens the store, builds the components, listens, drains, stops. Contains nothing of request handling.

import asyncio
import contextlib
import gc
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from gateway import __version__
from gateway.audit import Audit
from gateway.config import admin_token
from gateway.config.schema import Config, ServerConfig
from gateway.errors import ConfigError, StoreError
from gateway.process.accept import Acceptor, TlsAcceptor
from gateway.process.admin.listener import Admin
from gateway.process.admin.metrics import Sources
from gateway.process.assembly import Assembly, wall_clock
from gateway.process.descriptors import ceiling, raise_limit, shortage
from gateway.process.drain import drain, wait_for_final_requests
from gateway.process.identities import look_for_lost
from gateway.process.listen import Listeners, listen
from gateway.process.memory import release_for_ever, set_thresholds
from gateway.process.open_store import open_store
from gateway.process.open_traces import handler_factory, open_traces
from gateway.process.operators import Operators
from gateway.process.reload import SIGNAL, Reloader
from gateway.process.systemd import ServiceManager, inherited_listeners, serving
from gateway.process.watchdog import run_watchdog
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.tls.certificates import problems
from gateway.tls.server import ListenerTls

COLLECT_AFTER = 20_000
"""Allocations between two collections of the youngest generation."""
FINAL_REQUEST_GRACE = 1.0
"""Maximum seconds for which clients that are connected when the listener closes may still send a request."""
PURGE_EVERY = 10.0
"""Seconds between two purges."""
PURGE_STEP = 500
"""Claims removed in one step: creates are delayed by a few milliseconds at most."""


async def serve(config: Config, path: Path) -> None:
    """Run the gateway until SIGTERM or SIGINT; requests in flight have settled when this returns.

    `path` is the rules file that `config` was read from, for reloads. Raises GatewayError for errors that the operator
    must fix.
    """
    set_thresholds()
    loop = asyncio.get_running_loop()
    telemetry = Telemetry(style=config.log.format, requests=config.log.requests, call_soon=loop.call_soon)
    signals = _Signals(loop)
    manager = ServiceManager(os.environ)
    async with contextlib.AsyncExitStack() as closing:
        closing.callback(telemetry.flush)
        closing.callback(telemetry.log_repeated)
        inherited = inherited_listeners(os.environ)
        limit = raise_limit()
        if short := shortage(config, limit):
            telemetry.event("descriptors-low", "warning", limit=limit, needed=short[0], note=short[1])
        if found := problems(config, time.time()):
            raise ConfigError(found)
        traces = open_traces(config, telemetry)
        if traces is not None:  # closed last: a span may end with the last connection
            closing.push_async_callback(traces.close)
        opened, fingerprinter = await open_store(config, telemetry)
        closing.push_async_callback(opened.store.close)
        audit = Audit(lambda facts: telemetry.event("audit", "info", **facts), config.log.audit_file)
        assembly = Assembly(config, opened.store, fingerprinter, telemetry, audit, handler_factory(config, traces))
        closing.callback(assembly.close)
        tls = (
            None if config.server.tls is None else ListenerTls(config.server.tls, partial(_log_certificate, telemetry))
        )
        operators = Operators(admin_token(config), has_open_metrics=config.admin.open_metrics)
        reloader = Reloader(path, assembly, telemetry, manager, audit, operators)
        tasks = [
            _purge_for_ever(opened.store, telemetry),
            run_watchdog(telemetry, manager),
            release_for_ever(lambda: assembly.front.answers.used),
            reloader.watch_for_ever(),
            signals.reload_for_ever(reloader),
            assembly.verifier.run(),
            look_for_lost(opened.store, config, telemetry),
            *([] if tls is None else [tls.follow()]),
            *([] if traces is None else [traces.report_for_ever()]),
        ]
        for task in tasks:
            closing.push_async_callback(_cancel, loop.create_task(task))
        sources = Sources(
            telemetry,
            opened.store,
            assembly,
            problems=lambda: reloader.problems,
            certificates=lambda: () if tls is None else tls.files,
        )
        admin = Admin(sources, reloader, audit, operators, fingerprinter, config.admin.hosts)
        admin_listeners = await listen("admin.listen", config.admin.listen, inherited.get("admin", ()))
        closing.callback(admin_listeners.remove_file)
        operators.require_token(admin_listeners.sockets)
        await admin.start(admin_listeners.sockets)
        closing.push_async_callback(admin.close)
        clients = await listen("server.listen", config.server.listen, inherited.get("server", ()))
        if tls is None:
            acceptor = Acceptor(clients.sockets, assembly.front, telemetry, ceiling(limit))
        else:
            acceptor = TlsAcceptor(clients.sockets, assembly.front, telemetry, ceiling(limit), tls.context)
        admin.health.ready = True
        _configure_gc()
        telemetry.event("listening", server=clients.address, admin=admin_listeners.address, version=__version__)
        manager.ready(serving(len(config.active_rules)))
        await signals.stop.wait()
        admin.health.ready = False
        manager.stopping("draining")
        if traces is not None:
            traces.close_by = loop.time() + _longest_drain(assembly.config.server)
        await _drain(assembly, telemetry, signals, partial(_stop_listening, acceptor, clients))
    telemetry.event("stopped")
    telemetry.flush()


async def _drain(
    assembly: Assembly, telemetry: Telemetry, signals: "_Signals", stop_listening: Callable[[], Awaitable[None]]
) -> None:
    """Drain: serve during the grace period, then let requests in progress finish, then close what is left."""
    front, server = assembly.front, assembly.config.server
    grace = server.drain_grace or 0.0
    telemetry.event("draining", grace=float(grace), timeout=float(server.drain_timeout))
    if grace:
        front.disable_keepalive()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await signals.hurry.wait()
    await stop_listening()
    if grace and not signals.hurry.is_set():
        await wait_for_final_requests(front, min(grace, FINAL_REQUEST_GRACE))
    if not await drain(front, server.drain_timeout):
        telemetry.event("drain-timeout", "warning")


def _longest_drain(server: ServerConfig) -> float:
    """Seconds within which the process ends, connections to the store apart."""
    return (server.drain_grace or 0.0) + FINAL_REQUEST_GRACE + server.drain_timeout + 1.0


async def _stop_listening(acceptor: Acceptor, listeners: Listeners) -> None:
    await acceptor.close()
    listeners.remove_file()


class _Signals:
    """Signals as events: `stop` after the first SIGTERM or SIGINT, `hurry` after the second one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self._hangup = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)  # early: the default action ends the process

    def _end(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()

    async def reload_for_ever(self, reloader: Reloader) -> None:
        """Read the rules file again with each SIGHUP."""
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            await reloader.reload(SIGNAL)


def _log_certificate(telemetry: Telemetry, problem: str | None) -> None:
    if problem is None:
        telemetry.event("certificate-reloaded")
    else:
        telemetry.event("certificate-refused", "error", reason=problem, note="the one loaded before stays in use")


def _configure_gc() -> None:
    """Exclude long-lived objects from garbage collection, and collect rarely.

    Requests create almost no reference cycles, and collecting took 4 % of the CPU time of a request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


async def _purge_for_ever(store: Store, telemetry: Telemetry) -> None:
    while True:
        await asyncio.sleep(PURGE_EVERY)
        try:
            more = True
            while more:
                purged = await store.purge(wall_clock(), PURGE_STEP)
                more = purged.more
                if purged.lapsed:
                    telemetry.event("unknown-lapsed", "warning", times=purged.lapsed)
        except StoreError as error:
            telemetry.event("purge-failed", "warning", reason=str(error))


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
