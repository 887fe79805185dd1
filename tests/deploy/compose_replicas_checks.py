# What must agree between a compose file with several gateways, its load balancer, rules file and store, and the image.

import re
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from gateway import cli
from gateway.config.endpoints import parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.schema import Config
from gateway.config.valkey_url import ValkeyStoreUrl
from tests.deploy.compose_checks import confined, health, upstream
from tests.support.deploy import (
    Files,
    documents,
    draining,
    everywhere,
    memory_wanted,
    port_of,
    rights,
    rules_file,
    seconds,
    size,
    unless,
)

BALANCER = "haproxy.cfg"
PASSWORD = "${STORE_PASSWORD:?write it into .env}"
DATA = {"valkey": "/data", "postgresql": "/var/lib/postgresql/data"}
"""Where the image of each server keeps what it has."""

Store = Literal["valkey", "postgresql"]
Table = dict[str, Any]


def disagreements(files: Files, store: Store, directory: Path) -> list[str]:
    """What does not fit together, as far as no schema can know."""
    config = rules_file(files[f"{store}/gateway.toml"], directory)
    (whole,) = documents(files[f"{store}.yaml"])
    services = whole["services"]
    gateways = {name: service for name, service in services.items() if name.startswith("gateway-")}
    first = services["gateway-1"]
    return list(
        chain(
            unless(len(gateways) > 1 and all(one == first for one in gateways.values()), "gateways are not alike"),
            _balancer(files[BALANCER], services["balancer"], gateways, config),
            _gateway(first, store, config),
            _networks(whole, gateways),
            _store(whole, store, config),
            upstream(whole, services["api"], config),
            health(first, services["api"]),
            *(confined(name, service) for name, service in services.items()),
        )
    )


def _balancer(text: str, balancer: Table, gateways: Table, config: Config) -> Iterator[str]:
    (published,), (bound,) = balancer["ports"], re.findall(r"^ +bind :(\d+)$", text, re.MULTILINE)
    yield from unless(port_of(published) == int(bound), "the port published is not the load balancer's")
    servers = re.findall(r"^ +server \w+ (\S+)$", text, re.MULTILINE)
    right = [f"{name}:{port_of(config.server.listen)}" for name in gateways]
    yield from unless(servers == right, "the load balancer asks other gateways than there are")
    yield from unless(set(balancer["depends_on"]) == set(gateways), "clients come before gateways are there")
    yield from unless("retry-on conn-failure\n" in text, "what may have been done would be sent again")
    yield from unless("set-header X-Forwarded-For %[src]" in text, "clients say themselves who they are")
    yield from unless(config.forwarding.trusted_proxies, "every client has the load balancer's address")
    yield from unless(f"./{BALANCER}:" in balancer["volumes"][0], "the load balancer has another file")


def _gateway(gateway: Table, store: Store, config: Config) -> Iterator[str]:
    yield from unless(everywhere(config.server.listen), "the load balancer does not reach a gateway")
    yield from unless(not everywhere(config.admin.listen), "other containers reach the admin listener")
    yield from unless("ports" not in gateway, "a gateway can be reached past the load balancer")
    rules = PurePosixPath(cli.parser().parse_args(gateway["command"]).config)
    there = f"./{store}:{rules.parent}:ro" in gateway["volumes"] and rules.name == "gateway.toml"
    yield from unless(there and config.server.watch_interval, "a changed rules file is not taken up")
    yield from unless(config.fingerprint.key and not config.fingerprint.key_file, "they share no key")
    secrets = gateway["environment"].values()
    yield from unless(all(re.fullmatch(r"\$\{\w+:\?.+\}", value) for value in secrets), "a secret is in the file")
    yield from unless(PASSWORD in secrets, "a gateway has not the password of the store")
    yield from unless({"api", "store"} == set(gateway["depends_on"]), "what it needs stops first")
    enough = seconds(gateway["stop_grace_period"]) > draining(config)
    yield from unless(enough, "the engine kills before the drain has ended")
    yield from unless(config.server.drain_grace, "a connection that the load balancer keeps breaks in a restart")
    yield from unless(size(gateway["mem_limit"]) >= memory_wanted(config), "too little memory")


def _networks(whole: Table, gateways: Table) -> Iterator[str]:
    members = {
        name: {each for each, service in whole["services"].items() if name in service["networks"]}
        for name in whole["networks"]
    }
    right = {
        "clients": {"balancer"},
        "gateways": {"balancer", *gateways},
        "api": {"api", *gateways},
        "store": {"store", *gateways},
    }
    yield from unless(members == right, "somebody reaches what he should not")
    inner = {name for name, network in whole["networks"].items() if (network or {}).get("internal")}
    yield from unless(inner == {"gateways", "api", "store"}, "a network is open to others")


def _store(whole: Table, store: Store, config: Config) -> Iterator[str]:
    service, url = whole["services"]["store"], parse_store(config.store.url)
    if isinstance(url, ValkeyStoreUrl):
        fits = url.hosts == (("store", 6379),)
        words = service["command"]
        given = dict(pairwise(words))
        yield from unless(given["--appendonly"] == "yes", "a restart of the server forgets claims")
        yield from unless(given["--maxmemory-policy"] == "noeviction", "the server throws claims away")
        enough = size(given["--maxmemory"]) * 2 <= size(service["mem_limit"])
        yield from unless(enough, "too little memory to rewrite the file")
        yield from unless(f">{PASSWORD}" in words and given["default"] == "off", "the server needs no password")
        yield from unless(words[-len(rights()) :] == rights(), "its user may do something else")
        secrets = service["environment"].values()
    else:
        fits = isinstance(url, PostgresqlStoreUrl) and url.address == "postgresql://store:5432/gateway"
        own = service["environment"]
        yield from unless(own["POSTGRES_USER"] == own["POSTGRES_DB"] == "gateway", "the server has another user")
        secrets = [own["POSTGRES_PASSWORD"]]
    yield from unless(fits, "the store is somewhere else")
    yield from unless(list(secrets) == [PASSWORD], "the password is in the file")
    yield from unless(f"claims:{DATA[store]}" in service["volumes"], "claims do not outlive the container")
    yield from unless("ports" not in service, "the store can be reached from outside")
    yield from unless(
        service["user"] in {"valkey", "postgres"}, "the server would start as root, and lack a capability"
    )
