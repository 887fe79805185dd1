# Opens the store that the configuration names, with the secret that its fingerprints are made with.

from gateway.config import fingerprint_key
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.config.schema_store import StoreConfig
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreOpenError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.assembly import wall_clock
from gateway.process.secret import Secret, beside, ephemeral
from gateway.stores.base import Opened
from gateway.stores.open import open_memory, open_sqlite
from gateway.telemetry import Telemetry


async def open_store(config: Config, telemetry: Telemetry) -> tuple[Opened, Fingerprinter]:
    """Open the store, and create the fingerprinter with its secret."""
    url = parse_store(config.store.url)
    configured = fingerprint_key(config)
    if isinstance(url, ValkeyStoreUrl):
        return await _open_valkey(config.store, url, Fingerprinter(configured or b""), telemetry)
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


async def _open_valkey(
    store: StoreConfig, url: ValkeyStoreUrl, fingerprinter: Fingerprinter, telemetry: Telemetry
) -> tuple[Opened, Fingerprinter]:
    try:  # only here: who has no such store does not need its client
        from gateway.stores.open_valkey import open_valkey
        from gateway.stores.valkey_checks import Demands
    except ImportError as error:
        raise StoreOpenError(
            f"store.url needs the package {error.name}, which is not installed; install idempotency-gateway[redis]"
        ) from error
    opened = await open_valkey(
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
    )
    telemetry.event("store-connected", server=str(url), settings="trusted" if store.trust_server else "checked")
    if opened.is_new:
        telemetry.event("store-made", "info", path=str(url), note="no earlier create is known")
    return opened, fingerprinter
