# deploy/kubernetes: the manifests are what Kubernetes takes, and they agree with the rules file and the image.

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml.constructor import DuplicateKeyError

from tests.deploy.kubernetes_checks import (
    KUSTOMIZATION,
    NEWEST,
    OLDEST,
    POD,
    POLICY,
    RULES,
    SERVICE,
    disagreements,
    schema_problems,
)
from tests.support.deploy import IMAGE_USER, Files, Slip, files_of, written
from tests.test_image import DOCKERFILE

FILES = files_of("kubernetes")

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed: only it builds a kustomization"
)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_fits_the_schemas_of_kubernetes(version: str) -> None:
    assert schema_problems(FILES, version) == []


@pytest.mark.parametrize(
    "slip",
    [
        Slip(POD, "restartPolicy: Always", "restartPolicies: Always", "'restartPolicies' was unexpected"),
        Slip(POD, "startupProbe:", "startProbe:", "'startProbe' was unexpected"),
        Slip(POD, "terminationGracePeriodSeconds: 55", "terminationGracePeriodSeconds: 55s", "'55s' is not of type"),
        Slip(POD, "runAsUser: 10001", "runAsUser: gateway", "'gateway' is not of type"),
        Slip(POD, "name: api\n          image", "image", "'name' is a required property"),
        Slip(SERVICE, "targetPort:", "targetport:", "'targetport' was unexpected"),
        Slip(POLICY, "policyTypes:", "policies:", "'policies' was unexpected"),
    ],
    ids=lambda slip: slip.new,
)
def test_a_slip_in_a_manifest_is_found_by_its_schema(slip: Slip) -> None:
    for version in (OLDEST, NEWEST):
        assert any(slip.found in problem for problem in schema_problems(slip.made_in(FILES), version))


def test_a_version_without_the_sleep_of_prestop_is_found_by_its_schema() -> None:
    assert any("'sleep' was unexpected" in problem for problem in schema_problems(FILES, "1.28"))


def test_a_key_that_stands_twice_is_found() -> None:
    slip = Slip(SERVICE, "      port: 80\n", "      port: 80\n      port: 81\n", "")
    with pytest.raises(DuplicateKeyError):
        schema_problems(slip.made_in(FILES), NEWEST)


def built(files: Files, directory: Path) -> subprocess.CompletedProcess[str]:
    """What `kubectl kustomize` makes of the files; it asks no cluster."""
    command = ["kubectl", "kustomize", str(written(files, directory))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@needs_kubectl
def test_kubectl_builds_the_kustomization(tmp_path: Path) -> None:
    done = built(FILES, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nkind: ") == 4
    assert "watch_interval" in done.stdout
    assert done.stdout.count("image: registry.example.com/idempotency-gateway:") == 2


@needs_kubectl
@pytest.mark.parametrize("old", ["configMapGenerator:", "  - service.yaml"])
def test_a_slip_in_the_kustomization_is_found_by_kubectl(old: str, tmp_path: Path) -> None:
    slip = Slip(KUSTOMIZATION, old, old.replace("e", "ee", 1), "")
    assert built(slip.made_in(FILES), tmp_path).returncode != 0


def test_the_manifests_the_rules_file_and_the_image_agree(tmp_path: Path) -> None:
    assert disagreements(FILES, tmp_path) == []
    assert f"USER {IMAGE_USER}:{IMAGE_USER}\n" in DOCKERFILE


@pytest.mark.parametrize(
    "slip",
    [
        Slip(SERVICE, "targetPort: 8080", "targetPort: 9000", "does not point at the gateway"),
        Slip(RULES, '"0.0.0.0:8080" ', '"0.0.0.0:8088" ', "does not point at the gateway"),
        Slip(RULES, '"0.0.0.0:8080" ', '"127.0.0.1:8080" ', "nobody outside the pod"),
        Slip(RULES, '"0.0.0.0:9901" ', '"127.0.0.1:9901" ', "no probe reaches"),
        Slip(
            SERVICE, "  selector:\n    app.kubernetes.io/name: users", "  selector:\n    name: users", "misses the pod"
        ),
        Slip(POLICY, "- port: 9901", "- port: 9902", "other ports"),
        Slip(POLICY, "    - from:", "    - nobody:", "everybody is let in"),
        Slip(
            POLICY,
            "    - ports:\n        - port: 8080",
            "    - from: []\n      ports:\n        - port: 8080",
            "kept out",
        ),
        Slip(POD, "replicas: 1", "replicas: 2", "several gateways"),
        Slip(POD, "kind: StatefulSet", "kind: Deployment", "two pods"),
        Slip(POD, "serviceName: users-api", "serviceName: users", "no such Service"),
        Slip(POD, "          restartPolicy: Always\n", "", "not be a sidecar"),
        Slip(POD, "path: /readyz", "path: /livez", "does not ask what it should"),
        Slip(
            POD, "path: /healthz\n              port: 8080", "path: /healthz\n              port: 9000", "through the"
        ),
        Slip(POD, "terminationGracePeriodSeconds: 55", "terminationGracePeriodSeconds: 50", "the kubelet kills"),
        Slip(RULES, 'drain_timeout = "20s"', 'drain_timeout = "30s"', "liveness probe kills"),
        Slip(RULES, 'drain_timeout = "20s"', 'drain_timeout = "1s"\ndrain_grace = "1s"', "helps nobody"),
        Slip(POD, "seconds: 10", "seconds: 20", "the kubelet kills"),
        Slip(POD, "mountPath: /var/lib/gateway", "mountPath: /var/lib/store", "outlive the pod"),
        Slip(POD, "    - metadata:\n        name: store", "    - metadata:\n        name: stores", "outlive the pod"),
        Slip(
            POD,
            "- name: rules\n              mount",
            "- name: rules\n              subPath: x\n              mount",
            "taken up",
        ),
        Slip(RULES, "watch_interval =", "#watch_interval =", "taken up"),
        Slip(POD, "mountPath: /etc/gateway", "mountPath: /etc", "mounted elsewhere"),
        Slip(RULES, "/run/secrets/gateway/key", "/run/secrets/gateway/keys", "key is mounted elsewhere"),
        Slip(RULES, "/run/secrets/gateway/token", "/run/secrets/token", "token is mounted elsewhere"),
        Slip(POD, "  volumes:\n        - name: rules", "  volumes:\n        - name: rule", "no such volume"),
        Slip(POD, '"127.0.0.1:9000"', '"0.0.0.0:9000"', "past the gateway"),
        Slip(RULES, "http://127.0.0.1:9000", "http://127.0.0.1:9001", "somewhere else"),
        Slip(RULES, '"128MiB"', '"512MiB"', "too little memory"),
        Slip(POD, "runAsUser: 10001", "runAsUser: 1000", "image's user"),
        Slip(POD, "type: RuntimeDefault", "type: Unconfined", "not filtered"),
        Slip(POD, "securityContext: *hardened", "securityContext: {}", "api has capabilities"),
        Slip(POD, "drop: [ALL]", "drop: [NET_RAW]", "gateway has capabilities"),
        Slip(KUSTOMIZATION, "  - service.yaml\n", "", "does not list"),
        Slip(KUSTOMIZATION, "gateway-rules", "rules", "another ConfigMap"),
        Slip(KUSTOMIZATION, "Hash: true", "Hash: false", "running gateway"),
        Slip(KUSTOMIZATION, "newTag: ", "newTag: 9.", "another version"),
        Slip(KUSTOMIZATION, "- name: idempotency-gateway", "- name: gateway", "that the pod uses"),
    ],
    ids=lambda slip: " ".join(slip.new.split()) or slip.old.strip(),
)
def test_what_does_not_agree_is_found(slip: Slip, tmp_path: Path) -> None:
    assert any(slip.found in problem for problem in disagreements(slip.made_in(FILES), tmp_path))
