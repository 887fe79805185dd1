# The log of the real program on a terminal, and what of it a pipe gets.

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.support import behaviours
from tests.support.client import Client, create, create_bytes
from tests.support.program import GatewayProgram, create_user_rule, rules
from tests.support.shorthands import JSON, entry, rule
from tests.support.terminal import GatewayOnTerminal, plain
from tests.support.upstream import RawUpstream

LONG = "create-a-subscription-of-an-enterprise-customer-with-a-long-name"
WIDE = "ユーザー登録ルール-新規アカウント作成"
LINE = re.compile(r"\d\d:\d\d:\d\d \S+ +(\d{3}|gone) +\S+ .*\d\.\d (ms|s) [0-9a-f]{8}.*")


def of(upstream: RawUpstream) -> str:
    named = [rule(name, f"/{at}", entry("body.email", name="email")) for at, name in enumerate((LONG, WIDE))]
    return rules(upstream.url, rules=[create_user_rule(), *named])


async def traffic(port: int, upstream: RawUpstream) -> None:
    upstream.script(behaviours.answer(201), behaviours.answer(500))
    async with Client(port) as client:
        for target in ("/users", "/0", "/1", "/1"):
            await client.request("POST", target, [JSON], b'{"email": "ada@example.org"}')
        await client.request("GET", "/users")


async def test_requests_are_lines_of_one_shape_as_wide_as_the_terminal_is(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    async with GatewayOnTerminal(tmp_path, of(upstream), 80) as program:
        await traffic(program.port, upstream)
        await program.wait_for("passed")
        narrow = [plain(line) for line in program.lines if "POST" in line or "GET" in line]
        program.resize(120)
        await create(program.port, "ada@example.org")
        wide = plain(await program.lines.first(lambda line: cell_len(plain(line)) > 90 and "duplicate" in line))
        assert await program.stop() == 0
        await program.wait_for("info: stopped")
        painted = [line for line in program.lines if "POST" in line]
    outcomes = ["created", "failed", "created", "duplicate", "passed"]
    assert [line.split()[3] for line in narrow] == outcomes
    for line in [*narrow, wide]:
        assert LINE.fullmatch(line), line
        before, _, _ = line.partition(re.findall(r" +[0-9.]+ ms", line)[0])
        assert cell_len(before) <= 63
    assert {cell_len(line) for line in narrow} == {80}, "each ends where the terminal does"
    assert narrow[1].split()[4].endswith("…")
    assert "\x1b[32mcreated\x1b[0m" in painted[0]
    assert "\x1b[31mfailed\x1b[0m" in painted[1]


async def test_of_many_requests_those_that_are_as_usual_have_no_line(tmp_path: Path, upstream: RawUpstream) -> None:
    async with GatewayOnTerminal(tmp_path, rules(upstream.url), 100) as program:
        async with Client(program.port) as client:
            for number in range(80):
                await client.send_raw(create_bytes(f"{number}@example.org"))
                assert (await client.read_response("POST")).status == 201
            await client.send_raw(create_bytes("0@example.org"))
            assert (await client.read_response("POST")).slug == "duplicate"
        await program.wait_for("many requests")
        await program.wait_for("duplicate")
        assert 50 <= len([line for line in program.lines if "created" in line]) < 80


@pytest.mark.parametrize(
    ("environment", "is_painted"),
    [({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "dumb", "FORCE_COLOR": "1"}, True)],
)
async def test_the_environment_decides_about_colours_and_not_about_the_shape(
    environment: dict[str, str], is_painted: bool, tmp_path: Path, upstream: RawUpstream
) -> None:
    async with GatewayOnTerminal(tmp_path, rules(upstream.url), 80, environment) as program:
        await create(program.port, "ada@example.org")
        line = await program.wait_for("created")
    assert ("\x1b[" in line) == is_painted
    assert LINE.fullmatch(plain(line))


async def test_a_pipe_gets_plain_text_or_json_whatever_a_terminal_would_get(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    text = rules(upstream.url, log={"format": "text"})
    seen = []
    for number, environment in enumerate(({}, {"FORCE_COLOR": "1", "COLUMNS": "90"})):
        async with GatewayOnTerminal(tmp_path / str(number), text, None, environment) as program:
            await create(program.port, "ada@example.org")
            seen.append(await program.wait_for("created"))
    usual = r"[0-9:]{8} POST 201 created rule=create-user upstream=201 fingerprint=\w{12} id=\w{32} [0-9.]+ms"
    assert re.fullmatch(usual, seen[0])
    assert "\x1b[32mcreated\x1b[0m" in seen[1], "who asks for colours gets them"
    forced = GatewayProgram(tmp_path / "json", rules(upstream.url), environment={"FORCE_COLOR": "1"})
    async with forced as program_of_json:
        assert (await create(program_of_json.port, "bob@example.org")).status == 201
        assert (await program_of_json.request_lines(1))[0]["outcome"] == "created"
    assert "\x1b" not in forced.whole_output
