# What a changed rules file changes while the gateway runs, and what waits for a restart. Pure.

import msgspec

from gateway.config.schema import Config

RESTART = (
    "server.listen", "server.tls", "admin.listen", "store.url", "store.durability", "store.commit_timeout",
    "store.max_waiting", "fingerprint.key", "fingerprint.key_file",
)  # fmt: skip
"""Keys that are read at the start only: what was bound or opened by them is in use."""


class Reload(msgspec.Struct, frozen=True):
    """What came of reading the rules file again."""

    rules: int = 0
    """How many rules there are now."""
    restart: tuple[str, ...] = ()
    """Keys that have changed since the start and wait for a restart."""
    problems: tuple[str, ...] = ()
    """Why nothing was taken up; empty when it was."""


def waiting(started: Config, now: Config) -> tuple[str, ...]:
    """Name the keys that have changed since the start and wait for a restart."""
    return tuple([key for key in RESTART if _value(started, key) != _value(now, key)])


def _value(config: Config, key: str) -> object:
    table, name = key.split(".")
    return getattr(getattr(config, table), name)
