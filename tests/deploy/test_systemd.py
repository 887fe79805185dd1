# deploy/systemd: the units are what systemd takes without a word, and they agree with the rules file.

import re
from pathlib import Path

import pytest

from tests.deploy.systemd_checks import RULES, SERVICE, SOCKET, analyzer, disagreements, exposed, verified
from tests.support.deploy import Slip, files_of

FILES = files_of("systemd")

needs_systemd = pytest.mark.skipif(
    analyzer() is None, reason="systemd-analyze is not installed: only it knows what systemd takes"
)


@needs_systemd
def test_systemd_takes_both_units_without_a_word(tmp_path: Path) -> None:
    assert verified(FILES, tmp_path) == []


@needs_systemd
@pytest.mark.parametrize(
    "slip",
    [
        Slip(SERVICE, "WatchdogSec=30", "WatchdogSecs=30", "Unknown key 'WatchdogSecs'"),
        Slip(SERVICE, "WatchdogSec=30", "WatchdogSec=soon", "Failed to parse"),
        Slip(SERVICE, "[Install]", "[Instal]", "Unknown section 'Instal'"),
        Slip(SERVICE, "Type=notify", "Type=notified", "Failed to parse service type"),
        Slip(SERVICE, "SystemCallFilter=@system-service", "SystemCallFilter=@system-services", "@system-services"),
        Slip(SERVICE, "ExecStart=/opt/gateway/bin/", "ExecStart=/opt/gateways/bin/", "is not executable"),
        Slip(SOCKET, "Backlog=", "Backlogs=", "Unknown key 'Backlogs'"),
        Slip(SOCKET, "ListenStream=0.0.0.0:8080", "ListenStream=0.0.0.0:80800", "Failed to parse address"),
    ],
    ids=lambda slip: slip.new,
)
def test_a_slip_in_a_unit_is_found_by_systemd(slip: Slip, tmp_path: Path) -> None:
    assert any(slip.found in line for line in verified(slip.made_in(FILES), tmp_path))


@needs_systemd
def test_systemd_finds_the_service_well_enclosed(tmp_path: Path) -> None:
    assert exposed(FILES, tmp_path) == []


@needs_systemd
@pytest.mark.parametrize(
    "line",
    ["DynamicUser=yes\nUser=gateway\n", "CapabilityBoundingSet=\n", "SystemCallFilter=@system-service\n"],
    ids=lambda line: line.split("=")[0],
)
def test_a_service_less_enclosed_is_found_by_systemd(line: str, tmp_path: Path) -> None:
    found = exposed(Slip(SERVICE, line, "", "").made_in(FILES), tmp_path)
    assert found
    assert re.search(r"exposure level for idempotency-gateway\.service: \d\.\d", found[0])


def test_the_units_and_the_rules_file_agree(tmp_path: Path) -> None:
    assert disagreements(FILES, tmp_path) == []


@pytest.mark.parametrize(
    "slip",
    [
        Slip(SOCKET, "ListenStream=0.0.0.0:8080", "ListenStream=0.0.0.0:8081", "two addresses"),
        Slip(RULES, 'listen = "0.0.0.0:8080"', 'listen = "0.0.0.0:8081"', "two addresses"),
        Slip(SOCKET, "FileDescriptorName=server", "FileDescriptorName=public", "by this name"),
        Slip(SOCKET, "Backlog=4096", "Backlog=128", "backlog"),
        Slip(RULES, 'drain_grace = "2s"', 'drain_grace = "15s"', "before the drain"),
        Slip(SERVICE, "TimeoutStopSec=45", "TimeoutStopSec=30", "before the drain"),
        Slip(SERVICE, "LimitNOFILE=32768", "LimitNOFILE=20000", "too few descriptors"),
        Slip(SERVICE, "RestartSec=1", "RestartSec=2", "for ever"),
        Slip(SERVICE, "Type=notify", "Type=simple", "wait until it serves"),
        Slip(SERVICE, "NotifyAccess=main", "NotifyAccess=all", "speak for it"),
        Slip(SERVICE, "gateway reload -c", "gateway check -c", "does not reload"),
        Slip(SERVICE, "gateway run -c /etc/gateway/", "gateway run -c /etc/gateways/", "does not run"),
        Slip(SERVICE, "StateDirectory=gateway\n", "StateDirectory=gw\n", "state directory"),
        Slip(RULES, "/var/lib/gateway/gateway.db", "/var/lib/gateway.db", "state directory"),
        Slip(SERVICE, "StateDirectoryMode=0700", "StateDirectoryMode=0755", "read the store"),
    ],
    ids=lambda slip: slip.new.replace("\n", " "),
)
def test_what_does_not_agree_is_found(slip: Slip, tmp_path: Path) -> None:
    assert any(slip.found in problem for problem in disagreements(slip.made_in(FILES), tmp_path))
