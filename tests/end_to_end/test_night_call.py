# A customer cannot sign up, at night: what wakes an operator, what they see, find and do about it, and that nothing of
# it shows who the customer is.

import contextlib
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from campaigns.monitoring.shipped import RULES
from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator, audit_lines
from tests.support.client import Response, create
from tests.support.commands import on
from tests.support.page import LACKS, browser, is_shown
from tests.support.program import GatewayProgram
from tests.support.scrape import Scraped, ask_for_metrics, read_scrape, scrape
from tests.support.upstream import RawUpstream

EMAIL = "ada.lovelace@example.org"
MINE = [("Authorization", "Bearer of-the-customer")]
PROMTOOL = shutil.which("promtool")
LACKING = [lack for lack in ("no prometheus" if PROMTOOL is None else None, LACKS) if lack]
SECRETS = ("lovelace", "of-the-customer")
WHY = "ticket 4711: in the users table"
TARGET = {"job": "idempotency-gateway", "instance": "a"}
"""Labels that Prometheus adds."""
QUARTER = 15 * 60 * 1000
"""Milliseconds."""


async def lost(upstream: RawUpstream, port: int) -> Response:
    """A create that the API commits, and does not answer in time."""
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    answer = await create(port, EMAIL, headers=MINE)
    held.release()
    return answer


async def pass_a_quarter_of_an_hour(program: GatewayProgram) -> None:
    """The gateway is stopped, all that is in its store becomes older, and it is started again."""
    assert await program.stop() == 0
    with contextlib.closing(sqlite3.connect(program.directory / "gateway.db")) as store:
        store.execute("UPDATE claims SET first_seen = first_seen - ?", (QUARTER,))
        store.commit()
    await program.start()


def of_prometheus(scraped: Scraped, firing: Collection[str], directory: Path) -> str:
    """What Prometheus objects when it scrapes this all the time, and just these of the shipped alerts should be firing.

    Nothing where there is no promtool.
    """
    if PROMTOOL is None:
        return ""
    samples = [sample for family in scraped.families.values() for sample in family.samples]
    series = [
        {"series": f"{sample.name}{labels(sample.labels | TARGET)}", "values": f"{sample.value}x20"}
        for sample in samples
    ]
    fired = [{"labels": labels({"alertname": name, "rule": "create-user"}), "value": 1} for name in firing]
    asked = {
        "expr": 'count by (alertname, rule) (ALERTS{alertstate="firing"})',
        "eval_time": "4m",
        "exp_samples": fired,
    }
    file = directory / "alerts.json"  # JSON is YAML
    tests = [{"interval": "15s", "input_series": series, "promql_expr_test": [asked]}]
    file.write_text(json.dumps({"rule_files": [str(path) for path in RULES], "tests": tests}))
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def labels(pairs: Mapping[str, str]) -> str:
    """As PromQL writes them."""
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in pairs.items()) + "}"


def contents(folder: Path) -> dict[str, str]:
    """All files of a gateway that has stopped."""
    return {path.name: path.read_bytes().decode("latin-1") for path in folder.iterdir() if path.is_file()}


async def test_the_night_call(upstream: RawUpstream, gateway: StartGateway, tmp_path: Path) -> None:
    program = await gateway(upstream={"response_timeout": "200ms"}, log={"audit_file": "audit.log"})
    seen: dict[str, str] = {}
    """What was shown of it, by where."""

    # The API times out after it has committed.
    answer = await lost(upstream, program.port)
    assert (answer.status, answer.slug) == (504, "outcome-unknown")
    assert of_prometheus(await scrape(program), (), tmp_path) == "", "somebody is woken too early"
    await pass_a_quarter_of_an_hour(program)
    retry = await create(program.port, EMAIL, headers=MINE)
    assert (retry.status, retry.slug) == (409, "outcome-unknown"), "the customer calls"

    # The alert fires.
    metrics = await ask_for_metrics(program)
    seen["metrics"] = metrics.body.decode()
    assert of_prometheus(read_scrape(metrics), ["GatewayUnknownOld"], tmp_path) == ""

    async with contextlib.AsyncExitStack() as stack:
        # The page shows it.
        if not LACKS:
            page = await (await stack.enter_async_context(browser()))(program)
            await is_shown(page, "#claims tbody tr", "create-user")
            await is_shown(page, "#unknown-count", "1")
            assert await page.title() == "(1) Idempotency gateway"
            seen["page"] = await page.content()

        # And so do commands; the customer's body finds it.
        run = on(program)
        status = await run("status")
        assert (status.code, "unknown" in status.out) == (0, True)
        listed = await run("claims", "list", "--state", "unknown")
        assert listed.code == 0
        head, row = listed.out.splitlines()
        assert head.split() == ["FINGERPRINT", "STATE", "AGE", "RULE", "ENTRY", "LINK"]
        fingerprint, state, _, rule, entry, _ = row.split()
        assert (state, rule, entry) == ("unknown", "create-user", "email")
        body = tmp_path / "body.json"
        body.write_text(json.dumps({"email": f" {EMAIL.upper()} "}))
        found = await run("claims", "find", "/users", "-d", f"@{body}")
        assert (found.code, fingerprint in found.out, "409 outcome-unknown" in found.out) == (0, True, True)

        # It is settled, once it was tried.
        settle = ("claims", "settle", "--created", "--link", "/users/42", "--reason", WHY)
        tried = await run(*settle, "--dry-run", fingerprint)
        assert (tried.code, "would be created at /users/42" in tried.out) == (0, True)
        assert (await create(program.port, EMAIL, headers=MINE)).slug == "outcome-unknown"
        done = await run(*settle, fingerprint[:12])
        assert (done.code, "is created at /users/42" in done.out) == (0, True)
        retry = await create(program.port, EMAIL, headers=MINE)
        assert (retry.slug, retry.json()["existingResourceLink"]) == ("duplicate", "/users/42")
        assert len(upstream.requests) == 1
        (line,) = audit_lines(program.directory / "audit.log")
        assert (line["action"], line["reason"], line["fingerprint"]) == ("settle", WHY, fingerprint[:12])
        assert line["result"] == "created"
        (claim,) = await Operator(program).claims()
        assert claim["link"] == "/users/42"
        if not LACKS:
            await is_shown(page, "#claims .nothing", "No create is blocked")
            await is_shown(page, "#audit li", WHY)
            seen["page, settled"] = await page.content()
    seen["metrics, settled"] = (await ask_for_metrics(program)).body.decode()
    assert of_prometheus(await scrape(program), (), tmp_path) == "", "it goes on firing"

    # Nothing of it says who the customer is.
    assert await program.stop() == 0
    seen["printed"] = "".join([each.out + each.err for each in (status, listed, found, tried, done)])
    seen |= {"logged": program.whole_output, **contents(program.directory)}
    assert {"audit.log", "gateway.db"} <= seen.keys()
    assert {where for where, text in seen.items() for secret in SECRETS if secret in text.lower()} == set()
    if LACKING:
        pytest.skip(f"{', '.join(LACKING)}: the rest of it was played")
