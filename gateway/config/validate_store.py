# What the file says of the store: whether it makes sense. Pure.

import re

from gateway.config.endpoints import parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.problems import Problems, quote
from gateway.config.schema import Config
from gateway.config.schema_store import StoreConfig
from gateway.config.valkey_url import ValkeyStoreUrl

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_LONGEST_SCHEMA = 63
_OF_SERVERS = ("prefix", "replicas", "trust_server", "failover_grace", "node_timeout")
"""Keys that are about a store on a server."""


def validate_store(config: Config, problems: Problems) -> None:
    """Note every problem of `[store]`, and of a secret that gateways must share."""
    store, default = config.store, StoreConfig()
    url = problems.parse(path, parse_store, store.url) if problems.sound(path := ("store", "url")) else None
    if isinstance(url, PostgresqlStoreUrl):
        _as_schema(store.prefix, problems)
    if isinstance(url, ValkeyStoreUrl | PostgresqlStoreUrl):
        _on_server(config, problems)
    elif url is not None:
        for key in _OF_SERVERS:
            if getattr(store, key) != getattr(default, key) and problems.sound(place := ("store", key)):
                problems.add(
                    place,
                    'has no effect without a server that keeps the claims; write url = "valkey://127.0.0.1:6379", or '
                    "leave it out",
                )


def _on_server(config: Config, problems: Problems) -> None:
    store, secret = config.store, config.fingerprint
    if not _PREFIX.fullmatch(store.prefix) and problems.sound(prefix := ("store", "prefix")):
        problems.add(prefix, f"{quote(store.prefix)} is no plain name; write letters, digits, and any of _ . : -")
    if not 0 <= store.replicas <= 9 and problems.sound(replicas := ("store", "replicas")):
        problems.add(replicas, "must be from 0 to 9; write replicas = 1")
    if store.node_timeout < 1 and problems.sound(node := ("store", "node_timeout")):
        problems.add(node, 'must be at least a second, or a gateway that is busy seems to have stopped; write "15s"')
    if secret.key is None and secret.key_file is None and problems.sound(("fingerprint",), ("fingerprint", "key")):
        problems.add(
            ("store", "url"),
            "needs a secret that all gateways share, or none would know another one's claims; write [fingerprint] with "
            'key_file = "gateway.key"',
        )


def _as_schema(prefix: str, problems: Problems) -> None:
    """PostgreSQL cuts longer names, so that two stores would be one; and names of its own begin with pg_."""
    if not problems.sound(place := ("store", "prefix")):
        return
    if len(prefix) > _LONGEST_SCHEMA:
        problems.add(
            place, f"has more than {_LONGEST_SCHEMA} characters, which no schema of PostgreSQL has; shorten it"
        )
    elif prefix.startswith("pg_"):
        problems.add(place, f'{quote(prefix)} is kept for PostgreSQL itself; write one that does not begin with "pg_"')
