# deploy/replicas, and its variant on PostgreSQL: the manifests are what Kubernetes takes, and two gateways with either
# rules file share claims.

import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import msgspec
import pytest
from ruamel.yaml import YAML

from gateway.config import load
from gateway.config.endpoints import parse_store
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.valkey_url import ValkeyStoreUrl
from tests.deploy.kubernetes_checks import NEWEST, OLDEST, schema_problems
from tests.deploy.test_kubernetes import needs_kubectl
from tests.support import postgresql, valkey
from tests.support.client import create
from tests.support.deploy import DEPLOY, SECRETS, Slip, documents, draining, files_of, port_of, rules_file
from tests.support.program import GatewayProgram
from tests.support.upstream import RawUpstream

FILES = files_of("replicas")
ON_POSTGRESQL = files_of("replicas-postgresql")
POD, SCALER, BUDGET, RULES = "deployment.yaml", "autoscaler.yaml", "disruptionbudget.yaml", "gateway.toml"


def built(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `kubectl kustomize` makes of a folder; it asks no cluster."""
    command = ["kubectl", "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


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
    config = load(tmp_path / RULES, SECRETS)
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


@needs_kubectl
@pytest.mark.parametrize("folder", ["replicas", "replicas-postgresql"])
def test_kubectl_builds_what_fits_the_schemas(folder: str) -> None:
    done = built(DEPLOY / folder)
    assert done.returncode == 0, done.stderr
    made = documents(done.stdout)
    for document in made:
        kubernetes_validate.validate(document, NEWEST, strict=True)
    kinds = {document["kind"]: document for document in made}
    assert len(made) == len(kinds) == 6
    (gateway,) = kinds["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    assert kinds["ConfigMap"]["data"][RULES] == files_of(folder)[RULES]
    name = "PGPASSWORD" if "postgresql" in folder else "VALKEY_PASSWORD"
    assert [secret["name"] for secret in gateway["env"]] == [name]


def test_the_variant_changes_the_password_and_the_store_alone(tmp_path: Path) -> None:
    (whole,) = documents(ON_POSTGRESQL["kustomization.yaml"])
    (patch,) = whole["patches"]
    change: dict[str, Any]
    (change,) = YAML(typ="safe", pure=True).load(patch["patch"])
    assert whole["resources"] == ["../replicas"]
    assert (patch["target"]["kind"], patch["target"]["name"]) == ("Deployment", one(POD)["metadata"]["name"])
    assert (change["op"], change["path"]) == ("replace", "/spec/template/spec/initContainers/0/env")
    (secret,) = change["value"]
    assert secret["name"] == "PGPASSWORD"
    assert secret["valueFrom"].keys() == {"secretKeyRef"}
    configs = [rules_file(files[RULES], tmp_path) for files in (FILES, ON_POSTGRESQL)]
    assert isinstance(parse_store(configs[1].store.url), PostgresqlStoreUrl)
    assert "sslmode=" in configs[1].store.url
    urls = {config.store.url for config in configs}
    assert len(urls) == 2
    assert configs[0] == msgspec.structs.replace(
        configs[1], store=msgspec.structs.replace(configs[1].store, url=configs[0].store.url)
    )


@pytest.mark.parametrize("folder", ["replicas", "replicas-postgresql"])
async def test_two_gateways_with_its_rules_share_claims(folder: str, upstream: RawUpstream, tmp_path: Path) -> None:
    """Everything is as in deploy/, but for addresses, directories and the server's settings, which a test chooses."""
    for secret in ("key", "token"):
        (tmp_path / secret).write_text("k" * 32, encoding="ascii")
    toml = re.sub(r'listen = "[0-9.]+:\d+"', 'listen = "127.0.0.1:0"', files_of(folder)[RULES])
    toml = re.sub(r'"http://[^"]+"', f'"{upstream.url}"', toml).replace("/run/secrets/gateway", str(tmp_path))
    if folder == "replicas":
        with valkey.server().client() as client:
            acl = re.search(
                r"ACL SETUSER gateway on >PASSWORD (.+)", (DEPLOY.parent / "docs" / "stores.md").read_text()
            )
            assert acl is not None
            client.execute_command("ACL", "SETUSER", "gateway", "on", ">secret", *acl[1].split())
        toml = toml.replace("valkey:6379", f"127.0.0.1:{valkey.server().port}")
    else:
        server = postgresql.server().url
        toml = re.sub(r'"postgresql://[^"]+"', f'"{server}"\ntrust_server = true', toml)
    async with (
        GatewayProgram(tmp_path / "one", toml, environment=SECRETS) as first,
        GatewayProgram(tmp_path / "two", toml, environment=SECRETS) as second,
    ):
        assert (await create(first.port, username="ada")).status == 201
        seen = await create(second.port, username="ada")
    assert (seen.status, seen.slug, seen.json()["existingResourceLink"]) == (409, "duplicate", "/users/1")
    assert "secret" not in first.output + second.output
