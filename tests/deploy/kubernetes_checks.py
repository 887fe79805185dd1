# What the schemas of Kubernetes say of the manifests, and what must agree between them, the rules file and the image.

from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]

from gateway import __version__, cli
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from tests.support.deploy import (
    IMAGE_USER,
    PYTHON,
    Files,
    documents,
    draining,
    everywhere,
    memory_wanted,
    port_of,
    rules_file,
    size,
    unless,
)

POD, SERVICE, POLICY = "statefulset.yaml", "service.yaml", "networkpolicy.yaml"
KUSTOMIZATION, RULES = "kustomization.yaml", "gateway.toml"
OLDEST, NEWEST = "1.30", kubernetes_validate.latest_version()
"""Since 1.30 every cluster knows native sidecars and `preStop.sleep`."""
API_STOPS_WITHIN = 20
"""Seconds for the API's own requests once it was told to stop."""

Table = dict[str, Any]


def schema_problems(files: Files, version: str) -> list[str]:
    """What the schemas of one version say; unknown keys are problems."""
    found = []
    for name in _one(files, KUSTOMIZATION)["resources"]:
        for document in documents(files[name]):
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{name}: {'.'.join(map(str, error.path))}: {error.message}")
    return found


def disagreements(files: Files, directory: Path) -> list[str]:
    """What does not fit together, as far as no schema can know."""
    config = rules_file(files[RULES], directory)
    stateful, spec = _one(files, POD), _one(files, POD)["spec"]["template"]["spec"]
    (gateway,), (api,) = spec["initContainers"], spec["containers"]
    return list(
        chain(
            _kustomization(files, spec),
            _network(files, config),
            _one_gateway(stateful, gateway, files),
            _probes(gateway, api, config),
            _mounts(stateful, gateway, config),
            _upstream(api, config),
            _endings(spec, gateway, api, config),
            _confined(spec),
            unless(size(gateway["resources"]["limits"]["memory"]) >= memory_wanted(config), "too little memory"),
        )
    )


def secret_of(files: Files) -> tuple[str, str]:
    """The name of the Secret with the fingerprint key, and the path at which its volume is mounted."""
    spec = _one(files, POD)["spec"]["template"]["spec"]
    (name,) = (volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume)
    return name, _mount(spec["initContainers"][0], "fingerprint-key")["mountPath"]


def _one(files: Files, name: str) -> Table:
    (document,) = documents(files[name])
    return document


def _kustomization(files: Files, spec: Table) -> Iterator[str]:
    whole = _one(files, KUSTOMIZATION)
    manifests = {name for name in files if name.endswith(".yaml")} - {KUSTOMIZATION}
    yield from unless(set(whole["resources"]) == manifests, "the kustomization does not list what is there")
    (generator,), (image,) = whole["configMapGenerator"], whole["images"]
    yield from unless(generator["files"] == [RULES], "the ConfigMap does not hold the rules file")
    yield from unless(generator["options"]["disableNameSuffixHash"], "a change would not reach the running gateway")
    yield from unless(image["newTag"] == __version__, "the image is another version's")
    used = {container["image"] for container in (*spec["initContainers"], *spec["containers"])}
    yield from unless(used == {image["name"]}, "the kustomization does not name the image that the pod uses")
    maps = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
    yield from unless(maps == [generator["name"]], "the pod uses another ConfigMap")


def _network(files: Files, config: Config) -> Iterator[str]:
    labels = _one(files, POD)["spec"]["template"]["metadata"]["labels"]
    service, policy = _one(files, SERVICE)["spec"], _one(files, POLICY)["spec"]
    public, admin = port_of(config.server.listen), port_of(config.admin.listen)
    (port,) = service["ports"]
    yield from unless(port["targetPort"] == public, "the Service does not point at the gateway")
    selectors = (service["selector"], policy["podSelector"]["matchLabels"])
    yield from unless(all(selector == labels for selector in selectors), "a selector misses the pod")
    yield from unless(everywhere(config.server.listen), "nobody outside the pod reaches the gateway")
    let_in = {port["port"]: rule.get("from") for rule in policy["ingress"] for port in rule["ports"]}
    yield from unless(let_in.keys() == {public, admin}, "the policy is about other ports")
    yield from unless(let_in.get(public, ()) is None, "clients are kept out")
    yield from unless(let_in.get(admin), "everybody is let in to the admin listener")


def _one_gateway(stateful: Table, gateway: Table, files: Files) -> Iterator[str]:
    spec = stateful["spec"]
    yield from unless(stateful["kind"] == "StatefulSet", "two pods could live at once")
    yield from unless(spec["replicas"] == 1, "there would be several gateways, each with a store of its own")
    yield from unless(
        spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"], "it misses its own pod"
    )
    yield from unless(spec["serviceName"] == _one(files, SERVICE)["metadata"]["name"], "there is no such Service")
    yield from unless(gateway.get("restartPolicy") == "Always", "the gateway would be waited for and not be a sidecar")
    cli.parser().parse_args(gateway["args"])


def _probes(gateway: Table, api: Table, config: Config) -> Iterator[str]:
    public, admin = port_of(config.server.listen), port_of(config.admin.listen)
    asked = {name: (gateway[name]["httpGet"]["path"], gateway[name]["httpGet"]["port"]) for name in _PROBES}
    right = {name: (path, admin) for name, path in _PROBES.items()}
    yield from unless(asked == right, "a probe does not ask what it should, or not the admin listener")
    yield from unless(everywhere(config.admin.listen), "no probe reaches the admin listener")
    yield from unless(api["readinessProbe"]["httpGet"]["port"] == public, "the API is not asked through the gateway")


_PROBES = {"startupProbe": "/readyz", "readinessProbe": "/livez", "livenessProbe": "/livez"}


def _mounts(stateful: Table, gateway: Table, config: Config) -> Iterator[str]:
    claimed = {claim["metadata"]["name"] for claim in stateful["spec"]["volumeClaimTemplates"]}
    store, rules = parse_store(config.store.url), PurePosixPath(gateway["args"][-1])
    durable = [PurePosixPath(each["mountPath"]) for each in gateway["volumeMounts"] if each["name"] in claimed]
    fits = isinstance(store, SqliteStoreUrl) and PurePosixPath(store.path).parent in durable
    yield from unless(fits, "the store does not outlive the pod")
    mounted = _mount(gateway, "rules")
    yield from unless(rules == PurePosixPath(mounted["mountPath"]) / RULES, "the rules are mounted elsewhere")
    yield from unless("subPath" not in mounted and config.server.watch_interval, "a changed ConfigMap is not taken up")
    key = PurePosixPath(_mount(gateway, "fingerprint-key")["mountPath"]) / "key"
    yield from unless(config.fingerprint.key_file == str(key), "the fingerprint key is mounted elsewhere")
    token = str(key.with_name("token"))
    yield from unless(config.admin.token_file == token, "the admin token is mounted elsewhere")
    volumes = {each["name"] for each in stateful["spec"]["template"]["spec"]["volumes"]} | claimed
    yield from unless({each["name"] for each in gateway["volumeMounts"]} <= volumes, "there is no such volume")


def _mount(container: Table, name: str) -> Table:
    (found,) = (each for each in container["volumeMounts"] if each["name"] == name)
    return dict(found)


def _upstream(api: Table, config: Config) -> Iterator[str]:
    listen = api["args"][api["args"].index("--listen") + 1]
    yield from unless(api["command"] == [PYTHON, "-m", "gateway.example"], "the image has no such API")
    yield from unless(listen.startswith("127.0.0.1:"), "the API can be reached past the gateway")
    yield from unless(config.upstream and config.upstream.url == f"http://{listen}", "the API is somewhere else")


def _endings(spec: Table, gateway: Table, api: Table, config: Config) -> Iterator[str]:
    waits = api["lifecycle"]["preStop"]["sleep"]["seconds"]
    enough = spec["terminationGracePeriodSeconds"] > waits + API_STOPS_WITHIN + draining(config)
    yield from unless(enough, "the kubelet kills before the drain has ended")
    stuck = gateway["livenessProbe"]["terminationGracePeriodSeconds"]
    yield from unless(draining(config) < stuck, "a failed liveness probe kills before the drain has ended")
    yield from unless(config.server.drain_grace is None, "drain_grace begins when the API has ended, and helps nobody")


def _confined(spec: Table) -> Iterator[str]:
    """Yield what the Pod Security Standard "restricted" asks for and is not there."""
    pod = spec["securityContext"]
    yield from unless(pod["runAsNonRoot"] and pod["runAsUser"] == pod["fsGroup"] == IMAGE_USER, "not the image's user")
    yield from unless(pod["seccompProfile"] == {"type": "RuntimeDefault"}, "system calls are not filtered")
    for container in (*spec["initContainers"], *spec["containers"]):
        own = container.get("securityContext", {})
        yield from unless(own.get("allowPrivilegeEscalation") is False, f"{container['name']} can gain privileges")
        yield from unless(own.get("readOnlyRootFilesystem"), f"{container['name']} can write to its image")
        yield from unless(own.get("capabilities") == {"drop": ["ALL"]}, f"{container['name']} has capabilities")
