# Checks the files and directories that a configuration needs on this machine, without changing anything.

import os
import time
from pathlib import Path

from gateway.config import admin_token, fingerprint_key
from gateway.config.endpoints import SqliteStoreUrl, UnixAddress, parse_listen, parse_store
from gateway.config.schema import Config
from gateway.errors import ConfigError, StoreInUse, StoreOpenError
from gateway.guard.fingerprint import Fingerprinter
from gateway.process.open_traces import missing
from gateway.process.secret import existing
from gateway.process.spool_path import spool_path
from gateway.stores.inspect import inspect
from gateway.tls import certificates


def problems(config: Config) -> list[str]:
    """Return everything on this machine that would prevent `gateway run` from starting, one line each."""
    return [
        *_listeners(config),
        *_operators(config),
        *certificates.problems(config, time.time()),
        *_store(config),
        *_spool(config),
        *missing(config),
    ]


def _listeners(config: Config) -> list[str]:
    found = []
    for where, listen in (("server.listen", config.server.listen), ("admin.listen", config.admin.listen)):
        address = None if listen == "off" else parse_listen(listen)
        if isinstance(address, UnixAddress):
            found += _directory(where, Path(address.path).parent)
    return found


def _operators(config: Config) -> list[str]:
    """Return what is wrong with the admin token, and with the place of the audit file."""
    found = []
    try:
        admin_token(config)
    except ConfigError as error:
        found += error.problems
    if config.log.audit_file is not None:
        path = Path(config.log.audit_file)
        if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
            found.append(f"log.audit_file: {path.absolute()} cannot be written; write the path of another file")
        elif not path.exists():
            found += _directory("log.audit_file", path.absolute().parent)
    return found


def _store(config: Config) -> list[str]:
    store = parse_store(config.store.url)
    found = _directory("store.url", Path(store.path).parent) if isinstance(store, SqliteStoreUrl) else []
    try:
        secret = fingerprint_key(config)
    except ConfigError as error:
        return [*found, *error.problems]
    if found or not isinstance(store, SqliteStoreUrl):
        return found
    try:
        if secret is None:
            kept = existing(store.path)
            if kept is None:
                return []  # neither a store nor a key yet: both are created at the first start
            secret = kept.value
        inspect(store.path, Fingerprinter(secret).key_check)
    except StoreInUse:
        return []  # most likely by the gateway that will be restarted with this file
    except StoreOpenError as error:
        return [f"store.url: {error}"]
    return []


def _spool(config: Config) -> list[str]:
    """Return what is wrong with the folder for large bodies, if any rule takes some. It is made at the start."""
    where, path = "server.spool_folder", spool_path(config)
    if not any(rule.spool_limit for rule in config.active_rules):
        return []
    if path.is_dir():
        return _directory(where, path)
    if path.exists():
        return [f"{where}: {path.absolute()} is no directory; move it away, or write another path"]
    # Beside the store there must be space for a file in any case.
    return [] if config.server.spool_folder is None else _directory(where, path.absolute().parent)


def _directory(where: str, directory: Path) -> list[str]:
    if not directory.is_dir():
        return [f"{where}: there is no directory {directory.absolute()}; create it, or write another path"]
    if not os.access(directory, os.W_OK | os.X_OK):
        return [f"{where}: the directory {directory.absolute()} cannot be written to; give this user write permission"]
    return []
