# Builds the components that handle a request from a configuration, and rebuilds them on a reload without interrupting
# requests.

import time
from collections.abc import Callable

from gateway.audit import Audit
from gateway.config.compile import compile_cors, compile_rules, compile_shadow
from gateway.config.schema import Config
from gateway.errors import ConfigError
from gateway.front.server import DownstreamServer, Watcher
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.http.forwarding import Forwarding
from gateway.process.request_ids import random_ids
from gateway.process.spool_path import spool_path, unusable
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import IdleTimeouts
from gateway.proxy.handler import Handler
from gateway.proxy.in_flight import OperationsInFlight
from gateway.proxy.spooler import Spooler
from gateway.proxy.verification import Verifier
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.transport.spool import SpoolFolder
from gateway.upstream.client import Upstream
from gateway.upstream.open import open_upstreams


class Assembly:
    """The server for clients, and everything behind it.

    Mutable state: `config`, the current configuration, except for keys that need a restart, and when it was applied
    (`applied_at`, seconds since the epoch); the upstreams; `admission` and `forwarding`, by which requests are judged.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        fingerprinter: Fingerprinter,
        telemetry: Telemetry,
        audit: Audit,
        new_handler: Callable[[HandlerDependencies], Handler] = Handler,
    ) -> None:
        """`new_handler` makes the handler of a configuration.

        Raises ConfigError for unusable TLS files, and an unusable folder of spools. A loop must be running.
        """
        self.config = config
        self._store = store
        self._fingerprinter = fingerprinter
        self._telemetry = telemetry
        self._audit = audit
        self._new_handler = new_handler
        self._spools = SpoolFolder(
            spool_path(config),
            config.server.max_spooled,
            lambda reason: telemetry.repeated("spool-failed", "error", reason=reason),
        )
        telemetry.spooled = lambda: self._spools.budget.used
        telemetry.expect(config.active_rules)
        self._prepare_spools(config)
        self._spooler = Spooler(self._spools, fingerprinter)
        # One, because a reload must not part those that wait.
        self._in_flight = OperationsInFlight(store.until_ended if store.is_shared else None)
        self.verifier = Verifier(store, fingerprinter, telemetry, wall_clock)  # one, because it remembers
        self.upstreams = open_upstreams(config)
        self.applied_at = time.time()
        self.admission = Admission(compile_rules(config), self.upstreams.routes, compile_shadow(config))
        self.forwarding = _forwarding(config)
        handler = self._handler(config, self.admission)
        self.front = DownstreamServer(
            handler,
            Watcher(handler.refused, handler.failed),
            config.server,
            self.forwarding,
            self.upstreams.shared.answers,
            compile_cors(config),
        )

    def __repr__(self) -> str:
        return f"Assembly({self.front!r})"

    def apply_config(self, config: Config) -> None:
        """Use another configuration for new requests. Requests in progress finish with the one they began with.

        Raises ConfigError as `__init__` does; then nothing has changed.
        """
        self._prepare_spools(config)
        upstreams = open_upstreams(config, self.upstreams)
        admission = Admission(compile_rules(config), upstreams.routes, compile_shadow(config))
        handler = self._handler(config, admission)
        watcher = Watcher(handler.refused, handler.failed)
        forwarding = _forwarding(config)
        before, self.upstreams, self.config = self.upstreams, upstreams, config
        self.admission, self.forwarding = admission, forwarding
        self.applied_at = time.time()
        self.front.apply_config(handler, watcher, config.server, forwarding, compile_cors(config))
        self._telemetry.apply_config(config.log.format, config.log.requests)
        self._telemetry.expect(config.active_rules)
        self._spools.budget.limit = config.server.max_spooled
        before.close_others(upstreams)

    def close(self) -> None:
        """Close the connections to the APIs, and end the threads that write to disk."""
        self.upstreams.close()
        self._spools.close()

    def _prepare_spools(self, config: Config) -> None:
        """Raises ConfigError."""
        if not any(rule.spool_limit for rule in config.active_rules):
            return
        try:
            self._spools.prepare()
        except OSError as error:
            raise ConfigError([unusable(self._spools.path, error.strerror or type(error).__name__)]) from error

    def _handler(self, config: Config, admission: Admission[Upstream]) -> Handler:
        dependencies = HandlerDependencies(
            admission=admission,
            fingerprinter=self._fingerprinter,
            store=self._store,
            telemetry=self._telemetry,
            audit=self._audit,
            forward_without_store=config.store.on_failure == "forward",
            idle_timeouts=IdleTimeouts(client=config.server.body_timeout, tunnel=config.server.tunnel_timeout),
            wall_clock=wall_clock,
            stopwatch=time.perf_counter,
            in_flight=self._in_flight,
            verifier=self.verifier,
            spooler=self._spooler,
            status_header=config.server.status_header,
        )
        return self._new_handler(dependencies)


def wall_clock() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _forwarding(config: Config) -> Forwarding:
    forwarding = config.forwarding
    return Forwarding(
        forwarding.trusted_proxies, forwarding.headers, forwarding.via, forwarding.request_id, random_ids()
    )
