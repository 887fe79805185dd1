# What systemd itself says of the units, and what must agree between them and the rules file.

import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from gateway import cli
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.process.listen import BACKLOG
from tests.support.deploy import PROGRAM, Files, draining, rules_file, seconds, unless, written

SERVICE, SOCKET, RULES = "idempotency-gateway.service", "idempotency-gateway.socket", "gateway.toml"
INSTALLED_RULES = "/etc/gateway/gateway.toml"
MOST_EXPOSED = 15
"""Tenths; what systemd-analyze calls "OK" ends at 49, and a service without any of it has 96."""

Unit = dict[str, list[str]]
"""All values of each key; the sections of our units share none."""


def analyzer() -> str | None:
    """The path of systemd-analyze; None when this machine does not have it."""
    return shutil.which("systemd-analyze")


def verified(files: Files, directory: Path) -> list[str]:
    """What `systemd-analyze verify` says of the units, with a program that exists in place of the installed one."""
    here = str(Path(sys.executable).with_name("gateway"))
    units = {name: text.replace(PROGRAM, here) for name, text in files.items() if name != RULES}
    there = written(units, directory)
    paths = [str(there / name) for name in units if "/" not in name]  # what is added to a unit is found beside it
    done = _analyze("verify", "--man=no", *paths)
    return [line for line in (done.stderr + done.stdout).splitlines() if "idempotency-gateway" in line] or (
        [f"systemd-analyze ended with {done.returncode}: {done.stderr}"] if done.returncode else []
    )


def exposed(files: Files, directory: Path) -> list[str]:
    """What `systemd-analyze security` says of the service when it is more exposed than it should be."""
    path = written(files, directory) / SERVICE
    done = _analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", str(path))
    return [done.stdout + done.stderr] if done.returncode else []


def _analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = analyzer()
    assert program is not None
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)


def disagreements(files: Files, directory: Path) -> list[str]:
    """What does not fit together in units and rules file, as far as systemd cannot know."""
    service, socket = parsed(files[SERVICE]), parsed(files[SOCKET])
    config = rules_file(files[RULES], directory)
    tries, pause, within = (int(service[key][0]) for key in ("StartLimitBurst", "RestartSec", "StartLimitIntervalSec"))
    tries_end = tries * pause < within
    return [
        *_socket(socket, config.server.listen),
        *_commands(service),
        *_store(service, config.store.url),
        *unless(seconds(service["TimeoutStopSec"][0]) > draining(config), "systemd kills before the drain has ended"),
        *unless(int(service["LimitNOFILE"][0]) > 2 * config.server.max_connections, "too few descriptors"),
        *unless(tries_end, "it would be started again for ever"),
    ]


def _socket(socket: Unit, listen: str) -> Iterator[str]:
    yield from unless(socket["ListenStream"] == [listen], "the socket unit and server.listen name two addresses")
    yield from unless(socket["FileDescriptorName"] == ["server"], "the gateway does not know the socket by this name")
    yield from unless(socket["Backlog"] == [str(BACKLOG)], "the backlog is not the gateway's own")


def _commands(service: Unit) -> Iterator[str]:
    yield from unless(service["Type"] == ["notify"], "systemd would not wait until it serves")
    yield from unless(service["NotifyAccess"] == ["main"], "others could speak for it")
    for key, verb in (("ExecStart", "run"), ("ExecReload", "reload")):
        (command,) = service[key]
        program, *arguments = command.split()
        yield from unless(program == PROGRAM, f"{key} starts another program")
        yield from unless(arguments == [verb, "-c", INSTALLED_RULES], f"{key} does not {verb} with the installed rules")
        yield from unless(verb in cli.COMMANDS, f"there is no gateway {verb}")


def _store(service: Unit, url: str) -> Iterator[str]:
    state = f"/var/lib/{service['StateDirectory'][0]}"
    store = parse_store(url)
    fits = isinstance(store, SqliteStoreUrl) and Path(store.path).parent == Path(state)
    yield from unless(fits, "the store is not in the state directory, the only one that can be written")
    yield from unless(service["WorkingDirectory"] == [state], "relative paths would start elsewhere")
    yield from unless(service["StateDirectoryMode"] == ["0700"], "others can read the store")


def parsed(text: str) -> Unit:
    """The keys of a unit, or of what is added to one."""
    unit: Unit = defaultdict(list)
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            unit[key].append(value)
    return unit
