# deploy/monitoring: rules, dashboard and scrapes ask for what a gateway tells, and the documents say what to do.
# `make monitoring` evaluates them in a Prometheus; here promtool reads them, where there is one.

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from campaigns.monitoring import operator
from campaigns.monitoring.compressed import compress, compress_duration
from campaigns.monitoring.results import ABSENT, BY_PROMTOOL
from campaigns.monitoring.scenarios import SCENARIOS
from campaigns.monitoring.shipped import (
    MONITORING,
    OF_TARGETS,
    RULES,
    Selector,
    alerts,
    dashboard,
    expressions,
    grouping_labels,
    metrics_in,
    scrapes,
    selectors_in,
    shown,
    variables,
)
from gateway import cli
from tests.conftest import StartGateway
from tests.deploy.kubernetes_checks import POD, POLICY
from tests.deploy.kubernetes_checks import RULES as RULES_FILE
from tests.support.authority import Authority
from tests.support.deploy import documents, files_of
from tests.support.program import create_user_rule
from tests.support.scrape import Scraped, scrape
from tests.support.tls import server_tls
from tests.support.users_api import verified_rule
from tests.test_documents import ROOT, TEXTS, anchors, names, section, ticked

RUNBOOK = "https://github.com/idempotency-gateway/idempotency-gateway/blob/main/docs/operations.md#"
FILES = files_of("monitoring")
TESTS = ROOT / "tests" / "deploy" / "alerts"
ELSEWHERE = {"ALERTS": {"job", "alertname", "alertstate"}, "up": set[str](), "gateway_store_bytes": set[str]()}
"""What Prometheus itself knows, and what only some stores tell, with its labels."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: apt-get install prometheus")


def test_every_alert_says_how_urgent_it_is_what_it_means_and_what_to_do() -> None:
    found = alerts()
    assert len({alert["alert"] for alert in found}) == len(found) > 20
    for alert in found:
        assert alert["labels"].keys() == {"severity"}
        assert alert["labels"]["severity"] in {"critical", "warning"}
        told = alert["annotations"]
        assert told.keys() == {"summary", "description", "runbook_url"}
        assert len(told["summary"]) < 120
        assert len(told["description"]) > 100
        assert "`" in told["description"], f"{alert['alert']} names nothing to look at"


def test_every_alert_is_explained_where_its_runbook_leads_and_no_other_is() -> None:
    text = TEXTS["docs/operations.md"]
    headings = {next(iter(anchors(line))): line.lstrip("# ") for line in re.findall(r"^#+ .+$", text, re.MULTILINE)}
    explained = set()
    for alert in alerts():
        url = alert["annotations"]["runbook_url"]
        assert url.startswith(RUNBOOK)
        assert alert["alert"] in ticked(section("docs/operations.md", headings[url.removeprefix(RUNBOOK)]))
        explained.add(alert["alert"])
    assert set(re.findall(r"`(Gateway[A-Z]\w+)`", text)) == explained


def test_every_command_that_an_alert_names_is_taken_as_it_stands() -> None:
    told = {command for alert in alerts() for command in ticked(alert["annotations"]["description"])}
    commands = [command.split() for command in told if command.startswith("gateway ")]
    assert len(commands) > 5
    for _, verb, *words in commands:
        assert verb in cli.COMMANDS
        if "-c" in words:
            filled = re.sub(r"\{\{.+?\}\}", "RULE", " ".join(words)).replace("FINGERPRINT", "0" * 64)
            cli.parser().parse_args([verb, *filled.split()])


def test_every_panel_asks_the_data_source_that_is_chosen_and_the_dashboard_names_none() -> None:
    board = dashboard()
    assert "uid" not in board
    assert board["id"] is None
    assert board["schemaVersion"] >= 39
    (source,) = (each for each in board["templating"]["list"] if each["type"] == "datasource")
    assert (source["name"], source["query"], source["current"]) == ("datasource", "prometheus", {})
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    asked = [*panels, *(target for panel in panels for target in panel["targets"])]
    asked += [each for each in board["templating"]["list"] if each is not source]
    asked += [each for each in board["annotations"]["list"] if "expr" in each]
    assert all(each["datasource"] == chosen for each in asked)
    assert all(panel["description"] for panel in panels)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_no_panel_lies_over_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not taken & cells, panel["title"]
        taken |= cells


def test_every_variable_that_an_expression_uses_is_there_and_used() -> None:
    known = {each["name"] for each in dashboard()["templating"]["list"]} | {"__rate_interval"}
    text = (MONITORING / "dashboard.json").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{?(\w+)\}?", text)) - {"__all"} == known


async def whole_scrape(gateway: StartGateway, tmp_path: Path) -> Scraped:
    """What a gateway tells whose rules have all that metrics are about."""
    pair = Authority(tmp_path).issue("server")
    program = await gateway(
        rules=[
            verified_rule(),
            create_user_rule(name="keyed", match={"path": "/orders"}, key={}, retry="replay"),
            create_user_rule(name="watched", match={"path": "/watched"}, mode="shadow"),
        ],
        server=server_tls(pair),
    )
    return await scrape(program)


async def test_every_metric_and_label_that_is_asked_for_is_told_by_a_gateway(
    gateway: StartGateway, tmp_path: Path
) -> None:
    told = await whole_scrape(gateway, tmp_path)
    samples = [sample for family in told.families.values() for sample in family.samples]
    labels = {**ELSEWHERE}
    for sample in samples:
        labels[sample.name] = labels.get(sample.name, set()) | set(sample.labels)
    recorded = {rule["record"] for path in RULES for rule in _rules(path) if "record" in rule}
    histograms = {f"{name}_bucket": found for name, found in _buckets(told).items()}
    labels = {**labels, **{name: {"rule"} for name in recorded}, **histograms}
    of_some = {label for known in labels.values() for label in known} | OF_TARGETS
    for expression in expressions():
        unknown = metrics_in(expression) - labels.keys()
        assert not unknown, f"{unknown} in {expression}"
        assert grouping_labels(expression) <= of_some, expression
        for selector in selectors_in(expression):
            assert {label for label, _ in selector.matchers} <= labels[selector.name] | OF_TARGETS, selector
    assert set().union(*map(metrics_in, expressions())) >= recorded


def _rules(path: Path) -> list[dict[str, Any]]:
    (document,) = documents(path.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def _buckets(told: Scraped) -> dict[str, set[str]]:
    """Histograms by name, also those that have seen nothing yet, with their labels."""
    with_rule = {"gateway_request_duration_seconds", "gateway_upstream_duration_seconds"}
    return {
        name: {"le", "rule"} if name in with_rule else {"le"}
        for name, family in told.families.items()
        if family.type == "histogram"
    }


def test_every_outcome_and_event_that_is_asked_for_exists() -> None:
    known = {
        "event": set(names("docs/operations.md", "Other lines")),
        "outcome": {*names("docs/operations.md", "Outcomes"), *names("docs/answers.md", "By slug")},
        "state": {"in_flight", "created", "unknown"},
        "verdict": {"exists", "absent", "unclear"},
    }
    asked: list[Selector] = [selector for expression in expressions() for selector in selectors_in(expression)]
    found = [(label, value) for _, matchers in asked for label, text in matchers for value in text.split("|")]
    wrong = [(label, value) for label, value in found if label in known and value and value not in known[label]]
    assert not wrong
    assert {"unknown-lapsed", "unguarded"} <= {value for _, value in found}


def test_a_slip_in_an_expression_would_be_found() -> None:
    assert metrics_in('sum by (rule) (rate(gateway_request_total{rule!=""}[5m]))') == {"gateway_request_total"}
    assert selectors_in('up{job="a", instance=~"$b"}') == [Selector("up", (("job", "a"), ("instance", "$b")))]
    assert grouping_labels("max without (url, pod) (x) and on (job) y") == {"url", "pod", "job"}


def test_every_expression_of_the_dashboard_is_held_to_what_is_chosen() -> None:
    for panel, expression in shown():
        for selector in selectors_in(expression):
            chosen = dict(selector.matchers)
            assert chosen["job"] == "$job", panel
            assert ("instance" in chosen) != (selector.name.startswith("rule:") or selector.name == "ALERTS"), panel
    assert [name for name, *_ in variables()] == ["job", "instance", "rule"]


# The campaign


def test_every_alert_has_a_scenario_or_is_left_to_promtool_alone() -> None:
    played = {name for scenario in SCENARIOS for name in scenario.fires} | {ABSENT}
    assert played | BY_PROMTOOL == {alert["alert"] for alert in alerts()}
    assert not played & BY_PROMTOOL
    tested = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("*.test.yml"))
    assert {name for name in BY_PROMTOOL if f'"{name}"' not in tested} == set()
    assert f"{len(SCENARIOS)} situations" in TEXTS["docs/testing.md"]
    assert f"## {len(SCENARIOS)} situations" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_time_is_compressed_where_it_lasts_and_nowhere_else() -> None:
    assert compress("increase(x[1d] offset 10m) > 10 * 60") == "increase(x[1440000ms] offset 10000ms) > 10 * 60"
    assert compress("max (gateway_unknown_oldest_seconds) > 600") == "max (gateway_unknown_oldest_seconds) > 10"
    assert compress_duration("15s") == "250ms"
    ages = [rule["expr"] for path in RULES for rule in _rules(path) if re.search(r"_seconds\b", rule["expr"])]
    assert sum(compress(expression) != expression for expression in ages) == 3, "an age is not compressed"


def test_without_a_prometheus_the_campaign_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "campaigns.monitoring"],
        env={**os.environ, "PATH": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "apt-get install prometheus" in done.stderr


# Kubernetes


def test_the_operator_gets_the_same_rules() -> None:
    assert FILES["kubernetes/prometheusrule.yaml"] == operator.text(), "run python -m campaigns.monitoring.operator"
    (document,) = documents(FILES["kubernetes/kustomization.yaml"])
    assert {f"kubernetes/{name}" for name in document["resources"]} | {"kubernetes/kustomization.yaml"} == {
        name for name in FILES if name.startswith("kubernetes/")
    }


@pytest.mark.parametrize(("folder", "pod"), [("kubernetes", POD), ("replicas", "deployment.yaml")])
def test_the_monitor_finds_the_pods_and_is_let_in(folder: str, pod: str) -> None:
    (monitor,) = documents(FILES["kubernetes/podmonitor.yaml"])
    (workload,), (policy,) = documents(files_of(folder)[pod]), documents(files_of(folder)[POLICY])
    template = workload["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    (port,) = (each for each in template["spec"]["initContainers"][0]["ports"] if each["name"] == endpoint["port"])
    (let_in,) = (rule for rule in policy["spec"]["ingress"] if rule["ports"] == [{"port": port["containerPort"]}])
    (namespace,) = let_in["from"][0]["namespaceSelector"]["matchLabels"].values()
    assert f"namespace `{namespace}`" in section("docs/operations.md", "Be woken")
    assert {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]} == {"job": _job()}
    rules = files_of(folder)[RULES_FILE]
    asks = "\ntoken" in rules and "\nopen_metrics = true" not in rules
    assert ("authorization" in endpoint) == asks, (
        "a listener that asks for a token is asked without one, or the reverse"
    )


def _job() -> str:
    (document,) = documents(FILES["prometheus.yml"])
    (scrape_config,) = document["scrape_configs"]
    return str(scrape_config["job_name"])


def test_the_job_that_is_scraped_is_the_one_that_is_asked_for() -> None:
    asked = {text for expression in expressions() for _, found in selectors_in(expression) for _, text in found}
    assert _job() in asked


# promtool


def promtool(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False, timeout=300, **options)


@needs_promtool
@pytest.mark.parametrize("has_token", [False, True])
def test_promtool_takes_the_rules_and_the_scrapes(has_token: bool, tmp_path: Path) -> None:
    shutil.copytree(MONITORING, tmp_path / "monitoring")
    file = tmp_path / "monitoring" / "prometheus.yml"
    if has_token:
        (token := tmp_path / "token").write_text("x")
        file.write_text(scrapes(token))
        (document,) = documents(file.read_text())
        assert document["scrape_configs"][0]["authorization"] == {"credentials_file": str(token)}
    done = promtool("check", "config", "--lint=all", "--lint-fatal", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.slow
def test_alerts_fire_when_they_must_and_only_then() -> None:
    done = promtool("test", "rules", *sorted(path.name for path in TESTS.glob("*.test.yml")), cwd=TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
