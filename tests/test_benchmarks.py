# The benchmarks run with whatever proxies are there, name those that are not, and count only requests that were
# answered as they must be. The figures are no test's business, and neither is what is installed: each test that starts
# a program has a PATH of its own.

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks import document, picture, preload, requests, versions
from benchmarks.generators import own
from benchmarks.measure import CREATE, DUPLICATE, GET, SCENARIOS, Bench, Scenario, WrongAnswerError
from benchmarks.processes import Program, free_port, started
from benchmarks.proxies import NGINX_LUA, upstream_program
from benchmarks.shared_stores import NGINX_LUA_ON_VALKEY
from gateway.model import State
from gateway.stores.open import open_sqlite

ROOT = Path(__file__).parents[1]
EARLIER = """
import socket, sys, tomllib
listen = tomllib.load(open(sys.argv[-1], "rb"))["server"]["listen"]
with socket.create_server(("127.0.0.1", int(listen.rpartition(":")[2]))) as listener:
    while True:
        listener.accept()[0].sendall(b"earlier")
"""
"""An earlier version of the program, as far as it matters."""
SHORT = ["--load", "own", "--seconds", "0.2", "--rounds", "1"]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The only directory on PATH, with nothing in it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    return directory


def run(programs: Path, module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *arguments]
    environment = os.environ | {"PATH": str(programs)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)


def pretend(programs: Path, name: str, *lines: str) -> None:
    """Put a program on PATH that prints these lines and fails."""
    file = programs / name
    file.write_text("\n".join(["#!/bin/sh", *(f"echo '{line}'" for line in lines), "exit 1"]), encoding="utf-8")
    file.chmod(0o755)


# The comparison


def test_without_any_other_proxy_every_scenario_is_measured_and_the_absent_ones_are_named(
    programs: Path, tmp_path: Path
) -> None:
    figures, drawing = tmp_path / "figures.json", tmp_path / "picture.svg"
    said = run(programs, "benchmarks", *SHORT, "--json", str(figures), "--picture", str(drawing))
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert [(row["scenario"], row["proxy"]) for row in found["results"]] == [
        ("pass-through GET", "gateway"),
        ("pass-through GET", "ordinary aiohttp proxy"),
        ("pass-through POST", "gateway"),
        ("pass-through POST", "ordinary aiohttp proxy"),
        ("create", "gateway"),
        ("duplicate", "gateway"),
        ("keyed create", "gateway"),
        ("keyed create", "create"),
        ("replay", "gateway"),
        ("replay", "duplicate"),
        ("create, Valkey", "gateway on Valkey"),
        ("duplicate, Valkey", "gateway on Valkey"),
        ("create, PostgreSQL", "gateway on PostgreSQL"),
        ("create, PostgreSQL", "PostgreSQL, by pgbench"),
        ("duplicate, PostgreSQL", "gateway on PostgreSQL"),
    ]
    assert all(row["requests"] > 0 and row["cpu_us"] > 0 for row in found["results"])
    absent = (
        "Caddy: not found",
        "nginx: not found",
        "HAProxy: not found",
        "nginx+Lua+Redis: not found",
        "nginx+Lua on Valkey: not found",
    )
    assert tuple(line.partition(": not found")[0] + ": not found" for line in found["absent"]) == absent
    assert all(name in said.stdout for name in absent)
    assert "the benchmarks' own generator" in said.stdout
    assert drawing.read_text(encoding="utf-8").count(">ordinary aiohttp proxy<") == 2


def test_creates_of_one_and_of_two_gateways_are_counted_with_what_the_machine_allows(programs: Path) -> None:
    said = run(programs, "benchmarks.scaling", *SHORT)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "valkey, requests from the benchmarks' own generator" in said.stdout
    assert [line.split()[1] for line in said.stdout.splitlines() if line.startswith("|")][2:] == ["1", "2"]
    assert re.search(r"cores allow at most [\d,]+ creates a second", said.stdout)


def test_a_proxy_that_does_not_start_is_left_out_with_what_it_said(programs: Path) -> None:
    pretend(programs, "haproxy", "a licence is missing")
    said = run(programs, "benchmarks", *SHORT, "--only", "GET")
    assert said.returncode == 0, said.stderr
    assert "HAProxy does not serve:\na licence is missing" in said.stdout
    assert "| pass-through GET | gateway " in said.stdout
    assert "| HAProxy " not in said.stdout


def test_an_nginx_without_its_lua_module_is_told_from_one_that_has_it(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(programs, "nginx")
    monkeypatch.setenv("PATH", str(programs))
    for proxy in (NGINX_LUA, NGINX_LUA_ON_VALKEY):
        assert proxy.lacks()[0].startswith("nginx's Lua module")


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.growth"])
def test_asking_for_wrk_where_there_is_none_is_an_error_of_usage(programs: Path, module: str) -> None:
    said = run(programs, module, "--load", "wrk")
    assert (said.returncode, said.stderr) == (2, "wrk is not on PATH\n")


def test_a_profile_is_recorded_or_its_absence_said(programs: Path, tmp_path: Path) -> None:
    said = run(programs, "benchmarks", *SHORT, "--only", "GET", "--profile", str(tmp_path / "profile"))
    assert said.returncode == 0, said.stderr
    file = tmp_path / "profile" / "pass-through-GET.json"
    assert f"profile: {file if file.exists() else 'pass-through-GET: py-spy could not attach'}" in said.stdout


@pytest.mark.parametrize("scenario", [GET, CREATE, DUPLICATE], ids=lambda scenario: scenario.slug)
def test_a_wrong_answer_ends_the_measurement(scenario: Scenario, tmp_path: Path) -> None:
    """The API alone answers duplicates with 201, and 404 is not what this server has for anything."""
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    program = upstream_program(port) if scenario is DUPLICATE else Program(command, port)
    with started("nobody's proxy", [program], tmp_path) as running:
        bench = Bench(own, 0.1, tmp_path)
        with pytest.raises(WrongAnswerError, match=rf"^nobody's proxy, {scenario.name}: every answer should have been"):
            bench.warm_up(scenario, running, 2)
        with pytest.raises(WrongAnswerError):
            bench.run(scenario, running, 2)


# What a process has used

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
SERVE = (
    "import socket, sys\nserver = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nwhile True: server.accept()\n"
)


@pytest.mark.parametrize("wait", ["wait()", "stdout.read()"], ids=["ended", "alive"])
def test_the_cpu_of_children_counts_whether_they_have_ended_or_not(wait: str, tmp_path: Path) -> None:
    lives_on = "import os, sys; os.close(1); sys.stdin.read()" if "stdout" in wait else ""
    child = (
        f"subprocess.Popen([sys.executable, '-c', {BURN + lives_on!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)"
    )
    port = free_port()
    parent = f"import subprocess, sys\nchild = {child}\nchild.{wait}\n{SERVE}"
    with started("a parent", [Program([sys.executable, "-c", parent, str(port)], port)], tmp_path) as running:
        assert running.cpu() >= 0.25
        assert running.memory() > 2**20


def test_every_process_of_a_peer_counts(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    burning = [Program([sys.executable, "-c", BURN + SERVE, str(port)], port) for port in ports]
    with started("two", burning, tmp_path) as running:
        assert running.port == ports[1]
        assert running.cpu() >= 0.5


# Growth


def test_a_small_slice_of_growth_measures_every_part(programs: Path, tmp_path: Path) -> None:
    figures, drawing = tmp_path / "figures.json", tmp_path / "picture.svg"
    sizes = ["--claims", "0,2000", "--connections", "1,3", "--bodies", "150,2048", "--rules", "1,4"]
    sizes += ["--purge", "1000", "--purge-seconds", "0.2", "--directory", str(tmp_path)]
    said = run(programs, "benchmarks.growth", *SHORT, *sizes, "--json", str(figures), "--picture", str(drawing))
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(figures.read_text(encoding="utf-8"))
    points = {series["name"]: [(row["scenario"], row["at"]) for row in series["rows"]] for series in found["series"]}
    assert points == {
        "claims in the store": [("create", "0"), ("create", "2,000"), ("duplicate", "0"), ("duplicate", "2,000")],
        "connections": [("pass-through GET", "1"), ("pass-through GET", "3"), ("create", "1"), ("create", "3")],
        "bytes of the body": [
            ("pass-through POST", "150 B"),
            ("pass-through POST", "2 KiB"),
            ("create", "150 B"),
            ("create", "2 KiB"),
        ],
        "rules": [("pass-through GET", "1"), ("pass-through GET", "4"), ("create", "1"), ("create", "4")],
    }
    ratios = [row["ratio"] is None for series in found["series"] for row in series["rows"]]
    assert ratios == [True, False] * 8
    assert [store["claims"] for store in found["stores"]] == [0, 2000]
    assert [row["store"] for row in found["purge"]] == ["1,000 claims, none expired", "1,000 claims, all expired"]
    assert drawing.read_text(encoding="utf-8").count("<polyline") == 8
    assert list(tmp_path.glob("gateway-bench-*")) == []


def test_a_small_slice_of_lists_asks_every_question_beside_creates(programs: Path, tmp_path: Path) -> None:
    short = ["--claims", "2000", "--unknown", "100", "--rounds", "1", "--seconds", "0.3", "--rate", "100"]
    said = run(programs, "benchmarks.lists", *short, "--directory", str(tmp_path)).stdout
    assert said.startswith("2,000 claims, 100 of them unknown")
    for name in ("counts and oldest unknown", "unknown, first page", "any, an entry there is not, from anywhere"):
        assert re.search(rf"^\| {name}( \| [0-9.]+){{4}} \|$", said, re.MULTILINE)
    assert re.search(r"^\| questions without a pause \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \(", said, re.MULTILINE)
    assert list(tmp_path.glob("gateway-bench-*")) == []


def test_a_small_slice_of_an_operators_questions_is_answered_beside_creates(programs: Path, tmp_path: Path) -> None:
    short = ["--claims", "2000", "--unknown", "100", "--rounds", "1", "--seconds", "0.5", "--rate", "100"]
    done = run(programs, "benchmarks.operators", *short, "--directory", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2,000 claims, 100 of them unknown")
    for asked in ("/status", "/report", "/metrics", "/claims?state=unknown&limit=50"):
        assert re.search(rf"^\| +`{re.escape(asked)}` \| +[1-9]\d* \|( +[0-9.]+ \|){{3}}$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^\| +(?:alone|beside the operator) \| +50 \|", done.stdout, re.MULTILINE)) == 2
    assert "p99 to that of creates alone: " in done.stdout
    assert list(tmp_path.glob("gateway-bench-*")) == []


async def test_a_filled_store_holds_that_many_more_claims_and_the_gateway_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    await (await open_sqlite(str(path), "process", b"key", 0)).store.close()
    with pytest.raises(ValueError, match="has no claim to copy"):
        preload.fill(path, 1, 0, 1)
    with closing(sqlite3.connect(path)) as database:
        row = [b"f" * 32, b"o" * 16, 2, "rule", "entry", 1000, 5000, 4000, "/users/1", None, None, None, 7, None]
        database.execute(f"INSERT INTO claims VALUES ({', '.join('?' * len(row))})", row)
        database.execute("INSERT INTO counts VALUES ('rule', 2, 1)")
        database.commit()
    preload.fill(path, 300, 10_000, 13_000)
    assert preload.expired(path, 5000) == 1
    assert preload.expired(path, 11_495) == 151
    assert preload.expired(path, 13_000) == 301
    opened = await open_sqlite(str(path), "process", b"key", 0)
    try:
        records = await opened.store.scan(b"", 500, 0)
        assert len(records) == 301
        assert {(record.expires_at or 0) - record.first_seen for record in records} == {4000}
        assert len({record.owner for record in records}) == 301
        assert {record.version for record in records} == {7}
        assert (await opened.store.overview(0)).claims == {("rule", State.CREATED): 301}
    finally:
        await opened.store.close()


# What is sent


@pytest.mark.parametrize("size", [120, 200, 2**20])
def test_every_create_of_a_run_is_as_long_as_it_says_and_has_an_identity_of_its_own(size: int) -> None:
    identities = set()
    for number in (0, 7, 12_345_678):
        head, _, body = requests.numbered(requests.create("series", size), number).partition(b"\r\n\r\n")
        assert len(body) == size
        assert f"Content-Length: {size}".encode() in head.split(b"\r\n")
        identities.add(json.loads(body)["email"])
    assert identities == {f"series-{number}@example.org" for number in ("00000000", "00000007", "12345678")}


def test_a_body_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ValueError, match="has at least"):
        requests.create("series", 50)


def test_the_configuration_of_every_peer_names_no_address_but_its_own() -> None:
    """Whatever changes from run to run stands between @ signs; a fixed port would measure somebody else."""
    for file in (ROOT / "benchmarks" / "peers").iterdir():
        text = file.read_text(encoding="utf-8")
        assert "127.0.0.1:" not in text.replace("127.0.0.1:@", ""), file.name


def test_no_two_proxies_have_one_name() -> None:
    """It is also where their files are."""
    proxies = {proxy for scenario in SCENARIOS for proxy in (scenario.ours, *scenario.peers)}
    assert len({proxy.name for proxy in proxies}) == len(proxies) == 10


# The page


def test_the_tables_of_the_page_say_what_the_figures_beside_it_say() -> None:
    page = document.PAGE.read_text(encoding="utf-8")
    assert document.written(page) == page
    assert len(re.findall(r"\| gateway(?: on \w+)? +\|", page)) == len(SCENARIOS)


@pytest.mark.parametrize("name", ["comparison", "growth"])
def test_the_pictures_of_the_page_show_what_the_figures_beside_it_say(name: str) -> None:
    figures: dict[str, Any] = json.loads((document.DOCS / f"{name}.json").read_text(encoding="utf-8"))
    drawn = {"comparison": picture.comparison_picture, "growth": picture.growth_picture}[name](figures)
    assert (document.DOCS / f"{name}.svg").read_text(encoding="utf-8") == drawn


def test_a_page_keeps_all_that_is_not_a_table() -> None:
    page = "before\n\n<!-- one -->\n\nold\n\n<!-- end of one -->\n\nafter\n"
    assert document.filled(page, "one", ["new \\1"]) == page.replace("old", "new \\1")


def test_an_earlier_version_is_run_from_its_own_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where there is a package of the same name
    package = tmp_path / "tree" / "gateway"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(EARLIER)
    with (
        versions.serving("before", package.parent, free_port(), tmp_path) as running,
        socket.create_connection(("127.0.0.1", running.port), timeout=30) as connection,
    ):
        assert connection.recv(64) == b"earlier"
