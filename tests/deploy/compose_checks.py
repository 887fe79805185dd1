# What the schema of compose files says, and what must agree between compose.yaml, the rules file and the image.

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from gateway import cli
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from tests.support.deploy import (
    PROGRAM,
    PYTHON,
    Files,
    documents,
    draining,
    everywhere,
    memory_wanted,
    port_of,
    rules_file,
    seconds,
    size,
    unless,
    written,
)

COMPOSE, RULES = "compose.yaml", "rules/gateway.toml"

Table = dict[str, Any]


def schema_problems(files: Files, directory: Path, name: str = COMPOSE) -> list[str]:
    """What the Compose Specification's schema says; unknown keys are problems."""
    path = written(files, directory) / name
    arguments = ["--builtin-schema", "vendor.compose-spec", "--output-format", "json", str(path)]
    command = [sys.executable, "-m", "check_jsonschema", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    said = json.loads(done.stdout)
    assert done.returncode == (1 if said["errors"] else 0), done.stderr
    return [json.dumps(error) for error in (*said["errors"], *said.get("parse_errors", ()))]


def disagreements(files: Files, directory: Path) -> list[str]:
    """What does not fit together, as far as no schema can know."""
    config = rules_file(files[RULES], directory)
    (whole,) = documents(files[COMPOSE])
    gateway, api = whole["services"]["gateway"], whole["services"]["api"]
    return list(
        chain(
            _addresses(gateway, config),
            _volumes(whole, gateway, config),
            upstream(whole, api, config),
            health(gateway, api),
            _endings(gateway, config),
            *(confined(name, service) for name, service in whole["services"].items()),
            unless(size(gateway["mem_limit"]) >= memory_wanted(config), "too little memory"),
        )
    )


def _addresses(gateway: Table, config: Config) -> Iterator[str]:
    (published,) = gateway["ports"]
    yield from unless(port_of(published) == port_of(config.server.listen), "the port published is not the gateway's")
    yield from unless(everywhere(config.server.listen), "nobody outside the container reaches the gateway")
    yield from unless(not everywhere(config.admin.listen), "other containers reach the admin listener")


def _volumes(whole: Table, gateway: Table, config: Config) -> Iterator[str]:
    mounts = {PurePosixPath(to): source for source, to, *_ in (each.split(":") for each in gateway["volumes"])}
    store = parse_store(config.store.url)
    volume = mounts.get(PurePosixPath(store.path).parent) if isinstance(store, SqliteStoreUrl) else None
    yield from unless(volume in whole["volumes"], "the store does not outlive the container")
    rules = PurePosixPath(cli.parser().parse_args(gateway["command"]).config)
    source = mounts.get(rules.parent, "")
    there = source.startswith("./") and f"{source[2:]}/{rules.name}" == RULES
    yield from unless(there and config.server.watch_interval, "a changed rules file is not taken up")


def upstream(whole: Table, api: Table, config: Config) -> Iterator[str]:
    """Yield what is wrong with where the API is."""
    port = port_of(api["command"][api["command"].index("--listen") + 1])
    there = config.upstream and config.upstream.url == f"http://api:{port}"
    yield from unless(there, "the API is somewhere else")
    yield from unless(api["entrypoint"] == [PYTHON, "-m", "gateway.example"], "the image has no such API")
    inner = all((whole["networks"][name] or {}).get("internal") for name in api["networks"])
    yield from unless(inner and "ports" not in api, "the API can be reached past the gateway")


def health(gateway: Table, api: Table) -> Iterator[str]:
    """Yield what is wrong with the health checks of a gateway and of the API."""
    test, *command = gateway["healthcheck"]["test"]
    yield from unless([test, command[0]] == ["CMD", PROGRAM], "the health check calls another program")
    asks = cli.parser().parse_args(command[1:])
    yield from unless(asks.config == cli.parser().parse_args(gateway["command"]).config, "it asks another gateway")
    listen = api["command"][api["command"].index("--listen") + 1]
    own = f"http://127.0.0.1:{port_of(listen)}/healthz" in api["healthcheck"]["test"][-1]
    yield from unless(own, "the API's health is the image's, which asks for a gateway")


def _endings(gateway: Table, config: Config) -> Iterator[str]:
    yield from unless("api" in gateway["depends_on"], "the API would stop first, and requests under way be lost")
    enough = seconds(gateway["stop_grace_period"]) > draining(config)
    yield from unless(enough, "the engine kills before the drain has ended")


def confined(name: str, service: Table) -> Iterator[str]:
    """Yield what a service may do that it should not."""
    yield from unless(service.get("read_only"), f"{name} can write to its image")
    yield from unless(service.get("cap_drop") == ["ALL"], f"{name} has capabilities")
    yield from unless("no-new-privileges:true" in service.get("security_opt", ()), f"{name} can gain privileges")
    yield from unless("privileged" not in service, f"{name} is privileged")
