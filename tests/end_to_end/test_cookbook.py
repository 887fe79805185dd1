# docs/rules.md: each job's rules do what the table under them says.

import re
import tomllib
from typing import NamedTuple

import pytest

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.config import ROOT
from tests.support.upstream import RawUpstream

_SECTION = re.compile(
    r"^## (?P<title>.+?)\n.*?```toml\n(?P<rules>.*?)```\n(?P<rows>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL
)
_ROW = re.compile(r"^\| (?P<request>.+) \| (?P<gets>\d{3}(?: [a-z-]+)?) \|$", re.MULTILINE)
_FIELD = re.compile(r"([A-Za-z-]+): (.*)")


class Job(NamedTuple):
    """One section."""

    title: str
    rules: str
    rows: list[tuple[str, str]]


TEXT = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
JOBS = [Job(each["title"], each["rules"], _ROW.findall(each["rows"])) for each in _SECTION.finditer(TEXT)]


def test_the_page_has_rules_and_rows_for_each_job() -> None:
    assert [job.title for job in JOBS] == re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    assert all(len(job.rows) >= 2 for job in JOBS)
    assert sum(len(job.rows) for job in JOBS) == len(re.findall(r"^\| (?!---|request)", TEXT, re.MULTILINE))
    assert all({"409 duplicate", "200 accepted"} & {gets for _, gets in job.rows} for job in JOBS)


@pytest.mark.parametrize("job", JOBS, ids=[job.title for job in JOBS])
async def test_each_request_gets_what_its_row_says(job: Job, upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=tomllib.loads(job.rules)["rules"])
    spans: list[str] = []
    forwarded = 0
    for request, gets in job.rows:
        spans = spans if request == "the same" else re.findall(r"`([^`]*)`", request.replace("\\|", "|"))
        (method, target), *rest = spans[0].split(" "), *spans[1:]
        fields = [(found[1], found[2]) for span in rest if (found := _FIELD.fullmatch(span))]
        body = "".join([span for span in rest if not _FIELD.fullmatch(span)]).replace("⏎", "\r\n").encode()
        kind = [] if any(name == "Content-Type" for name, _ in fields) else [("Content-Type", "application/json")]
        async with Client(program.port) as client:
            seen = await client.request(method, target, [*kind, *fields], body)
        told = seen.slug or (seen.header("Idempotency-Status") or "").removeprefix("created")
        assert f"{seen.status} {told}".rstrip() == gets, request
        forwarded += gets in {"200", "201", "200 updated", "200 released", "201 overridden", "201 exempt"}
    assert len(upstream.requests) == forwarded
