# Which keys a reload applies, and which need a restart. Pure.

import msgspec

from gateway.config.schema import Config
from gateway.config.versions import Lost

RESTART = (
    "server.listen", "server.tls", "server.spool_folder", "admin.listen", "admin.hosts", "store.url",
    "store.durability", "store.commit_timeout", "store.max_waiting", "store.prefix", "store.replicas",
    "store.trust_server", "store.failover_grace", "store.node_timeout", "fingerprint.key", "fingerprint.key_file",
    "traces",
)  # fmt: skip
"""Keys that are only read at the start, because the sockets and files they name are in use."""


class Reload(msgspec.Struct, frozen=True):
    """The result of a reload."""

    rules: int = 0
    """The number of rules now."""
    restart: tuple[str, ...] = ()
    """Keys that have changed since the start and need a restart."""
    problems: tuple[str, ...] = ()
    """Why the file was not applied; empty when it was."""
    lost: tuple[Lost, ...] = ()
    """Entries that have another identity since, and no `previous`: what was created before stops no create any more."""


def waiting(started: Config, now: Config) -> tuple[str, ...]:
    """The keys that have changed since the start and need a restart."""
    return tuple([key for key in RESTART if _value(started, key) != _value(now, key)])


def _value(config: Config, key: str) -> object:
    table, _, name = key.partition(".")
    value = getattr(config, table)
    return getattr(value, name) if name else value
