# Opens the store that the configuration names, with the secret that its fingerprints are made with.

from collections.abc import Awaitable, Callable

from gateway.config import fingerprint_key
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.schema import Config
from gateway.config.schema_store import StoreConfig
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreOpenError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.assembly import wall_clock
from gateway.process.secret import Secret, beside, ephemeral
from gateway.stores.base import Opened
from gateway.stores.demands import Demands
from gateway.stores.open import open_memory, open_sqlite
from gateway.telemetry import Telemetry


async def open_store(config: Config, telemetry: Telemetry) -> tuple[Opened, Fingerprinter]:
    """Open the store, and create the fingerprinter with its secret."""
    url = parse_store(config.store.url)
    configured = fingerprint_key(config)
    if isinstance(url, ValkeyStoreUrl | PostgresqlStoreUrl):
        return await _open_shared(config.store, url, Fingerprinter(configured or b""), telemetry)
    if not isinstance(url, SqliteStoreUrl):
        secret = Secret(configured) if configured else ephemeral()
        return open_memory(), Fingerprinter(secret.value)
    secret = Secret(configured) if configured else beside(url.path)
    if secret.made is not None:
        telemetry.event("fingerprint-key-made", path=str(secret.made), note="keep it with the store, and secret")
    fingerprinter = Fingerprinter(secret.value)
    opened = await open_sqlite(
        url.path,
        config.store.durability,
        fingerprinter.key_check,
        wall_clock(),
        commit_timeout=config.store.commit_timeout,
        max_waiting=config.store.max_waiting,
    )
    if opened.is_new:
        telemetry.event("store-made", "info", path=url.path, note="no earlier create is known")
    if opened.recovered:
        telemetry.event("recovered", "warning", unknown=opened.recovered)
    return opened, fingerprinter


async def _open_shared(
    store: StoreConfig, url: ValkeyStoreUrl | PostgresqlStoreUrl, fingerprinter: Fingerprinter, telemetry: Telemetry
) -> tuple[Opened, Fingerprinter]:
    opener = _opener(url)
    opened = await opener(
        url,
        Demands(store.durability, store.replicas, is_trusted=store.trust_server),
        fingerprinter.key_check,
        prefix=store.prefix,
        commit_timeout=store.commit_timeout,
        max_waiting=store.max_waiting,
        node_timeout=store.node_timeout,
        failover_grace=store.failover_grace,
        restored=lambda restored, taken: telemetry.event(
            "store-restored", "warning", claims=restored, held_by_others=taken
        ),
        polls=lambda why: telemetry.event("store-polled", "warning", reason=why),
        abandoned=lambda unknown: telemetry.event("recovered", "warning", unknown=unknown),
    )
    telemetry.event("store-connected", server=str(url), settings="trusted" if store.trust_server else "checked")
    if opened.is_new:
        telemetry.event("store-made", "info", path=str(url), note="no earlier create is known")
    return opened, fingerprinter


def _opener(url: ValkeyStoreUrl | PostgresqlStoreUrl) -> Callable[..., Awaitable[Opened]]:
    """Import the store only where there is one: who has none does not need its client."""
    extra = "redis" if isinstance(url, ValkeyStoreUrl) else "postgresql"
    try:
        if isinstance(url, ValkeyStoreUrl):
            from gateway.stores.open_valkey import open_valkey

            return open_valkey
        from gateway.stores.open_postgresql import open_postgresql
    except ImportError as error:
        raise StoreOpenError(
            f"store.url needs the package {error.name}, which is not installed; install idempotency-gateway[{extra}]"
        ) from error
    return open_postgresql
