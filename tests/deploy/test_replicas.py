# deploy/replicas: the manifests are what Kubernetes takes, and two gateways with its rules file share claims.

import os
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config import load
from gateway.config.endpoints import parse_store
from gateway.config.valkey_url import ValkeyStoreUrl
from tests.deploy.kubernetes_checks import NEWEST, OLDEST, schema_problems
from tests.support import valkey
from tests.support.client import create
from tests.support.deploy import DEPLOY, Slip, documents, draining, files_of, port_of
from tests.support.program import GatewayProgram
from tests.support.upstream import RawUpstream

FILES = files_of("replicas")
POD, SCALER, BUDGET, RULES = "deployment.yaml", "autoscaler.yaml", "disruptionbudget.yaml", "gateway.toml"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_fits_the_schemas_of_kubernetes(version: str) -> None:
    assert schema_problems(FILES, version) == []


@pytest.mark.parametrize(
    "slip",
    [
        Slip(POD, "restartPolicy: Always", "restartPolicies: Always", "'restartPolicies' was unexpected"),
        Slip(POD, "maxSurge: 1", "maxSurges: 1", "'maxSurges' was unexpected"),
        Slip(SCALER, "averageUtilization: 70", "averageUtilization: 70%", "'70%' is not of type"),
        Slip(BUDGET, "maxUnavailable: 1", "maxAway: 1", "'maxAway' was unexpected"),
    ],
    ids=lambda slip: slip.new,
)
def test_a_slip_in_a_manifest_is_found_by_its_schema(slip: Slip) -> None:
    assert any(slip.found in problem for problem in schema_problems(slip.made_in(FILES), NEWEST))


def one(name: str) -> dict[str, Any]:
    (document,) = documents(FILES[name])
    return document


def test_the_manifests_and_the_rules_file_agree(tmp_path: Path) -> None:
    (tmp_path / RULES).write_text(FILES[RULES], encoding="utf-8")
    config = load(tmp_path / RULES, {"VALKEY_PASSWORD": "secret"})
    spec = one(POD)["spec"]["template"]["spec"]
    (gateway,), (api,) = spec["initContainers"], spec["containers"]
    assert isinstance(parse_store(config.store.url), ValkeyStoreUrl), "each pod would let each create through"
    (secret,) = gateway["env"]
    assert f"${{{secret['name']}}}" in FILES[RULES]
    assert port_of(config.server.listen) == 8080 == one("service.yaml")["spec"]["ports"][0]["targetPort"]
    assert {port["containerPort"] for port in gateway["ports"]} == {8080, port_of(config.admin.listen)}
    waits = api["lifecycle"]["preStop"]["sleep"]["seconds"] + 20 + draining(config)
    assert spec["terminationGracePeriodSeconds"] >= waits
    assert one(SCALER)["spec"]["scaleTargetRef"]["name"] == one(POD)["metadata"]["name"]
    assert one(SCALER)["spec"]["minReplicas"] > one(BUDGET)["spec"]["maxUnavailable"]
    mounts = {mount["name"] for mount in gateway["volumeMounts"]}
    assert mounts <= {volume["name"] for volume in spec["volumes"]}
    for name in ("service.yaml", "networkpolicy.yaml"):
        assert FILES[name] == (DEPLOY / "kubernetes" / name).read_text(encoding="utf-8")


async def test_two_gateways_with_its_rules_share_claims(upstream: RawUpstream, tmp_path: Path) -> None:
    """Everything is as in deploy/, but for addresses and directories, which a test chooses."""
    (tmp_path / "key").write_text("k" * 32, encoding="ascii")
    server = valkey.new_server(tmp_path / "valkey")
    with server.client() as client:
        acl = re.search(r"ACL SETUSER gateway on >PASSWORD (.+)", (DEPLOY.parent / "docs" / "stores.md").read_text())
        assert acl is not None
        client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", *acl[1].split())
    toml = re.sub(r'listen = "[0-9.]+:\d+"', 'listen = "127.0.0.1:0"', FILES[RULES])
    toml = re.sub(r'"http://[^"]+"', f'"{upstream.url}"', toml).replace("/run/secrets/gateway", str(tmp_path))
    toml = toml.replace("valkey:6379", f"127.0.0.1:{server.port}")
    environment = {**os.environ, "VALKEY_PASSWORD": "secret"}
    try:
        async with (
            GatewayProgram(tmp_path / "one", toml, environment=environment) as one,
            GatewayProgram(tmp_path / "two", toml, environment=environment) as two,
        ):
            assert (await create(one.port, username="ada")).status == 201
            seen = await create(two.port, username="ada")
        assert (seen.status, seen.slug, seen.json()["existingResourceLink"]) == (409, "duplicate", "/users/1")
        assert "secret" not in one.output + two.output
    finally:
        server.stop()
