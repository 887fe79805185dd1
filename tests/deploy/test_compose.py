# deploy/compose: the file is what compose takes, and it agrees with the rules file and the image.

from pathlib import Path

import pytest

from tests.deploy.compose_checks import COMPOSE, RULES, disagreements, schema_problems
from tests.support.deploy import Slip, documents, files_of
from tests.test_image import instruction

FILES = files_of("compose")


def test_the_file_fits_the_schema_of_compose(tmp_path: Path) -> None:
    assert schema_problems(FILES, tmp_path) == []


@pytest.mark.parametrize(
    "slip",
    [
        Slip(COMPOSE, "stop_grace_period:", "stop_grace:", "'stop_grace' was unexpected"),
        Slip(COMPOSE, "    depends_on:", "    depends-on:", "'depends-on' was unexpected"),
        Slip(COMPOSE, "condition: service_healthy", "condition: healthy", "healthy"),
        Slip(COMPOSE, "    internal: true", "    internal: [true]", "[True]"),
        Slip(COMPOSE, "networks:\n  clients:", "network:\n  clients:", "'network' does not match"),
        Slip(COMPOSE, "interval: 10s", "interval: 10", "interval"),
    ],
    ids=lambda slip: slip.new,
)
def test_a_slip_is_found_by_the_schema(slip: Slip, tmp_path: Path) -> None:
    found = schema_problems(slip.made_in(FILES), tmp_path)
    assert any(slip.found in problem for problem in found), found


def test_the_file_the_rules_file_and_the_image_agree(tmp_path: Path) -> None:
    assert disagreements(FILES, tmp_path) == []
    (whole,) = documents(FILES[COMPOSE])
    assert whole["services"]["gateway"]["healthcheck"]["test"] == ["CMD", *instruction(r"HEALTHCHECK .*CMD")]
    assert whole["services"]["gateway"]["command"] == instruction("CMD")


@pytest.mark.parametrize(
    "slip",
    [
        Slip(COMPOSE, '"8080:8080"', '"8080:8000"', "not the gateway's"),
        Slip(RULES, '"0.0.0.0:8080"', '"127.0.0.1:8080"', "nobody outside"),
        Slip(RULES, '"127.0.0.1:9901"', f'"0.0.0.0:9901"\ntoken = "{"t" * 32}"', "admin listener"),
        Slip(COMPOSE, "- store:/var/lib/gateway", "- ./store:/var/lib/gateway", "outlive"),
        Slip(RULES, "sqlite:/var/lib/gateway/gateway.db", "sqlite:/tmp/gateway.db", "outlive"),
        Slip(RULES, "sqlite:/var/lib/gateway/gateway.db", "memory:", "outlive"),
        Slip(COMPOSE, "./rules:/etc/gateway", "./rules/gateway.toml:/etc/gateway/gateway.toml", "taken up"),
        Slip(RULES, "watch_interval", "#watch_interval", "taken up"),
        Slip(RULES, "http://api:9000", "http://users:9000", "somewhere else"),
        Slip(COMPOSE, '"0.0.0.0:9000"', '"0.0.0.0:9001"', "somewhere else"),
        Slip(COMPOSE, "networks: [api]", "networks: [api, clients]", "past the gateway"),
        Slip(COMPOSE, "    networks: [api]", '    networks: [api]\n    ports: ["9000:9000"]', "past the gateway"),
        Slip(COMPOSE, "127.0.0.1:9000/healthz", "127.0.0.1:9901/livez", "asks for a gateway"),
        Slip(COMPOSE, "bin/gateway, health, -c, /etc", "bin/gateway, health, -c, /other", "asks another gateway"),
        Slip(COMPOSE, "      api:\n        condition", "      other:\n        condition", "stop first"),
        Slip(COMPOSE, "stop_grace_period: 40s", "stop_grace_period: 30s", "kills before"),
        Slip(RULES, 'drain_timeout = "30s"', 'drain_timeout = "1m"', "kills before"),
        Slip(COMPOSE, "  read_only: true\n", "", "api can write"),
        Slip(COMPOSE, "  cap_drop: [ALL]\n", "", "gateway has capabilities"),
        Slip(COMPOSE, "no-new-privileges:true", "no-new-privileges:false", "gain privileges"),
        Slip(COMPOSE, "mem_limit: 512m", "mem_limit: 256m", "too little memory"),
        Slip(COMPOSE, "-m, gateway.example]", "-m, gateway.demo]", "no such API"),
    ],
    ids=lambda slip: " ".join(slip.new.split()) or slip.old.strip(),
)
def test_what_does_not_agree_is_found(slip: Slip, tmp_path: Path) -> None:
    assert any(slip.found in problem for problem in disagreements(slip.made_in(FILES), tmp_path))
