# docs/deploy.md, held against deploy/: its commands name what is there.

import re

from tests.deploy.kubernetes_checks import POD, RULES, secret_of
from tests.deploy.systemd_checks import SERVICE, SOCKET
from tests.support.deploy import IMAGE_USER, documents, files_of
from tests.test_documents import ROOT, TEXTS, rows, section, ticked

DOCUMENT = "docs/deploy.md"
ENVIRONMENT = "deploy/compose-replicas/.env"
"""What a reader is told to write, and git does not take."""
FOLDERS = {
    "systemd": "systemd",
    "systemd, on two nodes": "systemd-nodes",
    "Kubernetes": "kubernetes",
    "Kubernetes, with several replicas": "replicas",
    "Compose": "compose",
    "Compose, with two gateways": "compose-replicas",
}
"""The headings, each with the folder that it explains."""


def test_every_file_and_unit_named_is_there() -> None:
    named = set(re.findall(r"\bdeploy/[\w./-]+", TEXTS[DOCUMENT]))
    assert {"deploy/kubernetes", "deploy/compose/compose.yaml", "deploy/systemd/gateway.toml"} <= named
    assert [path for path in named - {ENVIRONMENT} if not (ROOT / path).exists()] == []
    assert set(re.findall(r"[\w-]+\.(?:service|socket)\b", TEXTS[DOCUMENT])) == {SERVICE, SOCKET}


def test_every_key_of_a_unit_or_manifest_that_is_explained_stands_there() -> None:
    for heading, folder in FOLDERS.items():
        text = "\n".join(text for each in (folder, f"{folder}-postgresql") for text in files_of(each).values())
        keys = [name.rstrip("…/") for choice, *_ in rows(section(DOCUMENT, heading)) for name in ticked(choice)]
        assert keys
        assert [key for key in keys if key not in text] == []


def test_the_secret_is_made_as_the_pod_mounts_it() -> None:
    name, mount = secret_of(files_of("kubernetes"))
    made = re.search(
        r"kubectl create secret generic (\S+) --from-literal=(\w+)=.*\\\n.*--from-literal=(\w+)=", TEXTS[DOCUMENT]
    )
    assert made
    assert made[1] == name
    assert f'key_file = "{mount}/{made[2]}"' in files_of("kubernetes")[RULES]
    assert f'token_file = "{mount}/{made[3]}"' in files_of("kubernetes")[RULES]


def test_the_pod_that_commands_name_is_the_one_that_is_made() -> None:
    (stateful,) = documents(files_of("kubernetes")[POD])
    name = stateful["metadata"]["name"]
    assert set(re.findall(r"statefulset/([\w-]+)", TEXTS[DOCUMENT])) == {name}
    assert set(re.findall(r"kubectl (?:logs|exec -i) ([\w-]+)", TEXTS[DOCUMENT])) == {f"{name}-0"}
    assert f"user {IMAGE_USER}" in section(DOCUMENT, "Kubernetes")


def test_secrets_are_made_by_the_names_by_which_they_are_asked_for() -> None:
    for secret, folder in (("gateway-valkey", "replicas"), ("gateway-postgresql", "replicas-postgresql")):
        assert f"kubectl create secret generic {secret} --from-literal=password=" in TEXTS[DOCUMENT]
        assert f"name: {secret}\n" in "".join(files_of(folder).values())
    told = section(DOCUMENT, "Compose, with two gateways")
    for text in files_of("compose-replicas").values():
        assert all(f"`{name}=…`" in told for name in re.findall(r"\$\{(\w+):\?", text))
    assert f"/{ENVIRONMENT}\n" in (ROOT / ".gitignore").read_text(encoding="utf-8")
