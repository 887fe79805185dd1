# deploy/systemd-nodes: what two nodes add to the units of deploy/systemd is what systemd takes, and fits their rules
# files.

import re
from pathlib import Path

import pytest

from tests.deploy.systemd_checks import SERVICE, SOCKET, analyzer, exposed, parsed, verified
from tests.support.deploy import Files, Slip, draining, files_of, rules_file, seconds

UNITS = {name: text for name, text in files_of("systemd").items() if name in {SERVICE, SOCKET}}
NODES = files_of("systemd-nodes")
DROP_IN = f"{SERVICE}.d/credentials.conf"
RULES = ("valkey/gateway.toml", "postgresql/gateway.toml")

needs_systemd = pytest.mark.skipif(
    analyzer() is None, reason="systemd-analyze is not installed: only it knows what systemd takes"
)


def installed(nodes: Files = NODES) -> Files:
    """The units of a node, as they are below /etc/systemd/system."""
    return {**UNITS, DROP_IN: nodes["credentials.conf"]}


@needs_systemd
def test_systemd_takes_the_units_of_a_node_without_a_word(tmp_path: Path) -> None:
    assert verified(installed(), tmp_path) == []
    assert exposed(installed(), tmp_path) == []


@needs_systemd
@pytest.mark.parametrize(
    "slip",
    [
        Slip("credentials.conf", "LoadCredential=", "LoadCredentials=", "Unknown key 'LoadCredentials'"),
        Slip("credentials.conf", "StartLimitIntervalSec=0", "StartLimitIntervalSec=no", "Failed to parse"),
        Slip("credentials.conf", "ExecReload=/bin/kill", "ExecReload=/bin/kills", "is not executable"),
    ],
    ids=lambda slip: slip.new,
)
def test_a_slip_is_found_by_systemd(slip: Slip, tmp_path: Path) -> None:
    found = verified(installed(slip.made_in(NODES)), tmp_path)
    assert any(slip.found in line for line in found), found


@pytest.mark.parametrize("name", RULES)
def test_units_and_rules_file_of_a_node_agree(name: str, tmp_path: Path) -> None:
    config = rules_file(NODES[name], tmp_path)
    service, socket, node = parsed(UNITS[SERVICE]), parsed(UNITS[SOCKET]), parsed(NODES["credentials.conf"])
    assert socket["ListenStream"] == [config.server.listen]
    assert seconds(service["TimeoutStopSec"][0]) > draining(config)
    assert int(service["LimitNOFILE"][0]) > 2 * config.server.max_connections
    (credential,) = node["LoadCredential"]
    assert config.fingerprint.key_file == f"/run/credentials/{SERVICE}/{credential.partition(':')[0]}"
    assert config.forwarding.trusted_proxies
    secret = "VALKEY_PASSWORD" if name.startswith("valkey") else "PGPASSWORD"
    assert f"{secret}=…" in NODES["credentials.conf"]
    assert re.search(r"valkeys://|sslmode=verify-full", NODES[name]), "a password would cross the network unencrypted"
