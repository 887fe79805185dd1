# Every rules file in deploy/: free of problems, and guarding the example API when it really runs.

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.commands.processes import free_addresses
from gateway.config.endpoints import parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import ConfigError
from tests.deploy.compose_checks import COMPOSE
from tests.deploy.kubernetes_checks import POD
from tests.support.client import create
from tests.support.deploy import DEPLOY, documents, files_of, rules_file
from tests.support.program import GatewayProgram
from tests.support.tally import PATIENCE

RULES = {path.relative_to(DEPLOY).as_posix(): path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*.toml")}
SHARED = {name for name, text in RULES.items() if "sqlite:" not in text}
"""Those of several gateways, which need a server: test_replicas.py and test_compose_replicas.py run some of them."""


def test_each_way_to_deploy_has_its_rules_file() -> None:
    assert set(RULES) - SHARED == {"systemd/gateway.toml", "kubernetes/gateway.toml", "compose/rules/gateway.toml"}
    assert {
        "systemd-nodes/valkey/gateway.toml",
        "systemd-nodes/postgresql/gateway.toml",
        "replicas/gateway.toml",
        "replicas-postgresql/gateway.toml",
        "compose-replicas/valkey/gateway.toml",
        "compose-replicas/postgresql/gateway.toml",
    } == SHARED


@pytest.mark.parametrize("name", RULES)
def test_a_rules_file_is_free_of_problems_and_guards_something(name: str, tmp_path: Path) -> None:
    assert rules_file(RULES[name], tmp_path).rules


@pytest.mark.parametrize("name", RULES)
def test_a_key_misspelt_in_a_rules_file_is_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drain_timeouts"):
        rules_file(RULES[name].replace("drain_timeout", "drain_timeouts"), tmp_path)


@pytest.mark.parametrize("name", sorted(SHARED))
def test_several_gateways_share_a_secret_and_a_server_and_show_no_password(name: str, tmp_path: Path) -> None:
    config = rules_file(RULES[name], tmp_path)
    assert isinstance(parse_store(config.store.url), PostgresqlStoreUrl if "postgresql" in name else ValkeyStoreUrl)
    assert config.fingerprint.key or config.fingerprint.key_file
    url = re.search(r'^url = "(\w+://.+)"', RULES[name].partition("[store]")[2], re.MULTILINE)
    assert url
    assert re.fullmatch(r"[\w+]+://gateway(:\$\{\w+\})?@[^@]+", url[1]), "a password is in the file"


@asynccontextmanager
async def example(arguments: list[str]) -> AsyncIterator[None]:
    """The example API, called as a manifest calls it, until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.example", *arguments), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stderr.readline()).decode()
        assert "listening on" in line, line
        yield
    finally:
        process.kill()
        await process.communicate()


def example_arguments(folder: str) -> list[str]:
    """How a manifest calls the example API; none does in deploy/systemd, where it is called as compose does."""
    if folder == "kubernetes":
        (stateful,) = documents(files_of("kubernetes")[POD])
        return list(stateful["spec"]["template"]["spec"]["containers"][0]["args"])
    (whole,) = documents(files_of("compose")[COMPOSE])
    return list(whole["services"]["api"]["command"])


@pytest.mark.parametrize("name", sorted(RULES.keys() - SHARED))
async def test_the_example_runs_and_a_create_reaches_it_once(name: str, tmp_path: Path) -> None:
    """Everything is as in deploy/, but for addresses and directories, which a test chooses."""
    (address,) = free_addresses(1)
    for secret in ("key", "token"):
        (tmp_path / secret).write_text("k" * 32, encoding="ascii")
    toml = re.sub(r'listen = "[0-9.]+:\d+"', 'listen = "127.0.0.1:0"', RULES[name])
    toml = re.sub(r'"http://[^"]+"', f'"http://{address}"', toml)
    toml = toml.replace("/var/lib/gateway", str(tmp_path)).replace("/run/secrets/gateway", str(tmp_path))
    arguments = [
        address if word.endswith(":9000") else str(tmp_path / "example.db") if word.endswith(".db") else word
        for word in example_arguments(name.partition("/")[0])
    ]
    async with example(arguments), GatewayProgram(tmp_path / "gateway", toml) as gateway:
        first = await create(gateway.port, name="Ada Lovelace", username="ada")
        second = await create(gateway.port, name="Ada Lovelace", username="ada")
    assert (first.status, first.header("Location")) == (201, "/users/1")
    assert (second.status, second.slug, second.json()["existingResourceLink"]) == (409, "duplicate", "/users/1")
