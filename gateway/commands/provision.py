# What a configuration needs of this machine, looked at without changing anything.

import os
from pathlib import Path

from gateway.config import fingerprint_key
from gateway.config.endpoints import SqliteStoreUrl, UnixAddress, parse_listen, parse_store
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreOpenError
from gateway.secret import beside, key_path
from gateway.stores.inspect import inspect


def problems(config: Config) -> list[str]:
    """Say everything on this machine that would keep `gateway run` from starting, a line each."""
    return [*_listeners(config), *_store(config), *_key(config)]


def _listeners(config: Config) -> list[str]:
    found = []
    for where, listen in (("server.listen", config.server.listen), ("admin.listen", config.admin.listen)):
        address = None if listen == "off" else parse_listen(listen)
        if isinstance(address, UnixAddress):
            found += _directory(where, Path(address.path).parent)
    return found


def _store(config: Config) -> list[str]:
    store = parse_store(config.store.url)
    if not isinstance(store, SqliteStoreUrl):
        return []
    path = Path(store.path)
    found = _directory("store.url", path.parent)
    if not found and path.exists():
        try:
            inspect(store.path)
        except StoreOpenError as error:
            return [f"store.url: {error}"]
    return found


def _directory(where: str, directory: Path) -> list[str]:
    if not directory.is_dir():
        return [f"{where}: there is no directory {directory.absolute()}; make it, or write another path"]
    if not os.access(directory, os.W_OK | os.X_OK):
        return [f"{where}: the directory {directory.absolute()} cannot be written to; give this user the right to"]
    return []


def _key(config: Config) -> list[str]:
    try:
        if fingerprint_key(config) is not None:
            return []
    except ConfigError as error:
        return error.problems
    store = parse_store(config.store.url)
    if isinstance(store, SqliteStoreUrl) and (key_path(store.path).exists() or _holds_claims(Path(store.path))):
        try:
            beside(store.path)  # makes a key only when there is none and the store is new
        except StoreOpenError as error:
            return [f"fingerprint: {error}"]
    return []


def _holds_claims(store: Path) -> bool:
    return store.is_file() and store.stat().st_size > 0
