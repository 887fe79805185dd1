# `gateway probe`: its verdicts, and what it sends, against real servers.

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import probe
from gateway.commands.probe.report import AT_ONCE, IN_SEQUENCE, Phase, Result, judge, latency
from gateway.commands.processes import Child, free_addresses, start_example

PLAIN = '{"name": "Ada", "email": "ada@example.com", "username": "ada"}'
UNIQUE = '{"name": "Ada", "email": "{{unique}}@example.com", "username": "{{unique}}"}'

CREATED = "201 Created\r\nLocation: /things/1"
CONFLICT = "409 Conflict"


class OneOfEach:
    """Answers the first create with a given body with `first`, and every later one with `then`; None: hangs up."""

    def __init__(self, first: str | None = CREATED, then: str | None = CONFLICT) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self._first, self._then = first, then
        self._known: set[bytes] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ": 0")
        body = await reader.readexactly(int(length.partition(":")[2]))
        self.requests.append((head, body))
        answer = self._then if body in self._known else self._first
        self._known.add(body)
        if answer is not None:
            writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()


Serve = Callable[[OneOfEach], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves one behaviour and returns its URL."""
    servers: list[asyncio.Server] = []

    async def start(behaviour: OneOfEach) -> str:
        servers.append(await asyncio.start_server(behaviour.serve, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/things"

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def example(tmp_path: Path) -> AsyncIterator[Child]:
    (address,) = free_addresses(1)
    child = await start_example(address, ":memory:", 0, log=tmp_path / "example.log")
    yield child
    await child.kill()


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gateway probe")
    probe.configure(parser)
    return parser.parse_args(arguments)


async def run(*arguments: str) -> int:
    """The command as cli.py calls it; in a thread, because it runs a loop of its own."""
    return await asyncio.to_thread(probe.execute, parse(*arguments))


async def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = await run(*arguments, "--json")
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, parsed


async def test_an_api_that_checks_nothing_makes_duplicates(example: Child, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(f"http://{example.listen}/users", "-d", UNIQUE, "-n", "20") == 1
    out = capsys.readouterr().out
    assert "makes duplicates: 20 of 20 identical creates were accepted, 20 different resources" in out
    assert "20 identical creates in sequence, then 20 at once" in out
    assert len([line for line in example.said() if line.startswith("api: POST /users -> 201")]) == 40


async def test_an_api_that_accepts_each_identity_once_stops_duplicates(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    behaviour = OneOfEach()
    code, found = await report(capsys, await serve(behaviour), "-d", UNIQUE, "-n", "10")
    assert code == 0
    assert found["verdict"]["text"] == "stops duplicates: 1 accepted, 9 answered 409"
    assert [phase["statuses"] for phase in found["phases"]] == [{"201": 1, "409": 9}] * 2
    assert [phase["fresh"] for phase in found["phases"]] == [True, True]
    assert not any("raced" in limit for limit in found["verdict"]["limits"])


async def test_without_the_marker_the_second_phase_repeats_and_the_report_says_what_that_leaves_open(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await report(capsys, await serve(OneOfEach()), "-d", PLAIN, "-n", "5")
    assert code == 0
    assert found["verdict"]["text"] == "stops duplicates: 1 accepted, 9 answered 409"
    assert [phase["statuses"] for phase in found["phases"]] == [{"201": 1, "409": 4}, {"409": 5}]
    assert any("raced" in limit for limit in found["verdict"]["limits"])


async def test_a_replayed_answer_cannot_be_told_from_a_duplicate_that_does_not_show(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await report(capsys, await serve(OneOfEach(then=CREATED)), "-d", UNIQUE, "-n", "5")
    assert code == 1
    assert found["verdict"]["text"] == "cannot tell: 5 of 5 were accepted, and all name the same resource"


async def test_a_port_where_nobody_listens_cannot_tell_and_is_not_asked_again_and_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (address,) = free_addresses(1)
    code, found = await report(capsys, f"http://{address}/users", "-d", PLAIN)
    assert code == 1
    text = "cannot tell: no create got an answer (3 x no connection: Connection refused)"
    assert found["verdict"] == {"kind": "cannot-tell", "text": text, "limits": []}
    assert [phase["sent"] for phase in found["phases"]] == [3]


async def test_a_connection_that_ends_without_an_answer_may_have_created_something(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await report(capsys, await serve(OneOfEach(first=None, then=CONFLICT)), "-d", PLAIN, "-n", "3")
    assert code == 1
    assert found["phases"][0]["errors"] == {"no answer: Server disconnected": 1}
    assert any("may have happened" in limit for limit in found["verdict"]["limits"])


async def test_the_creates_of_a_phase_are_equal_to_the_byte_and_those_of_two_phases_are_not(serve: Serve) -> None:
    behaviour = OneOfEach()
    url = await serve(behaviour)
    await run(f"{url}?tag={{{{unique}}}}", "-d", UNIQUE, "-H", "X-Ref: a-{{unique}}", "-n", "4")
    first, second = behaviour.requests[:4], behaviour.requests[4:]
    assert len(set(first)) == 1
    assert len(set(second)) == 1
    assert first[0] != second[0]
    for head, body in (first[0], second[0]):
        value = json.loads(body)["username"]
        assert f"X-Ref: a-{value}\r\n" in head
        assert head.startswith(f"POST /things?tag={value} HTTP/1.1\r\n")


async def test_method_headers_and_body_are_sent_as_given(serve: Serve, tmp_path: Path) -> None:
    behaviour = OneOfEach()
    file = tmp_path / "body"
    file.write_bytes(b"a=\xff\r\n")
    headers = ("-H", "Content-Type: text/plain", "-H", "X-Two: 1", "-H", "X-Two: 2")
    await run(await serve(behaviour), "-X", "PUT", "-d", f"@{file}", *headers, "-n", "2")
    head, body = behaviour.requests[0]
    assert body == b"a=\xff\r\n"
    assert head.startswith("PUT /things HTTP/1.1\r\n")
    assert "X-Two: 1\r\nX-Two: 2\r\n" in head
    assert head.lower().count("content-type:") == 1


async def test_a_body_is_json_unless_a_header_says_otherwise_and_no_body_has_no_type(serve: Serve) -> None:
    behaviour = OneOfEach()
    url = await serve(behaviour)
    await run(url, "-d", PLAIN, "-n", "2")
    assert "Content-Type: application/json\r\n" in behaviour.requests[0][0]
    await run(url, "-n", "2")
    assert "content-type" not in behaviour.requests[-1][0].lower()


async def test_a_body_can_come_from_standard_input() -> None:
    program = "from gateway.commands.curl_options import data; import sys; sys.stdout.buffer.write(data('@-'))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(b"from a pipe\xff\n")
    assert out == b"from a pipe\xff\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "required: URL"),
        (("ftp://127.0.0.1/",), "is not a URL to send to"),
        (("http://",), "is not a URL to send to"),
        (("http://127.0.0.1:99999/",), "is not a URL to send to"),
        (("http://127.0.0.1/", "-H", "no colon"), "is not a header"),
        (("http://127.0.0.1/", "-H", "a b: c"), "is not a header"),
        (("http://127.0.0.1/", "-H", "X: a\r\nY: b"), "is not a header"),
        (("http://127.0.0.1/", "-X", "P OST"), "is not a request method"),
        (("http://127.0.0.1/", "-d", "@no such file"), "cannot read the file 'no such file': No such file"),
        (("http://127.0.0.1/", "-n", "1"), "is not a whole number from 2 to 1000"),
        (("http://127.0.0.1/", "-n", "1001"), "is not a whole number from 2 to 1000"),
        (("http://127.0.0.1/", "--timeout", "nan"), "is not a number of seconds"),
    ],
)
def test_a_wrong_command_line_is_exit_status_2_and_says_what_is_wrong(
    arguments: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def phase(*results: Result, name: str = IN_SEQUENCE, fresh: bool = True) -> Phase:
    return Phase(name, results, fresh)


def created(resource: str | None = None) -> Result:
    return Result(0.1, status=201, resource=resource)


REFUSED = Result(0.1, status=409)


@pytest.mark.parametrize(
    ("results", "kind", "text"),
    [
        (
            (created("a"), created("b"), REFUSED),
            "makes",
            "2 of 3 identical creates were accepted, 2 different resources",
        ),
        ((created("a"), created("b"), Result(0.1, error="x")), "makes", "2 of 3 identical creates"),
        ((created(), REFUSED, REFUSED), "stops", "1 accepted, 2 answered 409"),
        ((created("a"), REFUSED, Result(0.1, status=422)), "stops", "1 accepted, 1 answered 409, 1 answered 422"),
        ((Result(0.1, status=303, resource="a"), REFUSED), "stops", "1 accepted, 1 answered 409"),
        ((created("a"), created("a"), REFUSED), "cannot-tell", "2 of 3 were accepted, and all name the same resource"),
        ((created("a"), created()), "cannot-tell", "2 of 2 were accepted, but the answers name no resource"),
        ((created("a"), REFUSED, Result(0.1, status=429)), "cannot-tell", "1 of 3 ended neither accepted nor refused"),
        ((created("a"), Result(0.1, status=500)), "cannot-tell", "1 of 2 ended neither accepted nor refused"),
        ((REFUSED, REFUSED), "cannot-tell", "none was accepted (2 answered 409): the thing exists already"),
        ((Result(0.1, status=401), Result(0.1, status=401)), "cannot-tell", "none was accepted (2 answered 401)"),
    ],
)
def test_what_the_answers_about_one_identity_prove(results: tuple[Result, ...], kind: str, text: str) -> None:
    """Two names for one identity prove duplicates; one acceptance and refusals prove the opposite; else nothing is."""
    verdict = judge([phase(*results)])
    assert verdict.kind == kind
    assert text in verdict.text


def test_an_api_that_only_fails_a_race_makes_duplicates_and_the_verdict_names_the_phase() -> None:
    raced = phase(created("b"), created("c"), REFUSED, name=AT_ONCE)
    verdict = judge([phase(created("a"), REFUSED, REFUSED), raced])
    assert verdict.kind == "makes"
    assert verdict.text == ("makes duplicates: at once, 2 of 3 identical creates were accepted, 2 different resources")


def test_a_second_resource_in_the_repeated_phase_is_a_duplicate_of_the_first() -> None:
    again = phase(created("b"), REFUSED, name=AT_ONCE, fresh=False)
    assert judge([phase(created("a"), REFUSED), again]).kind == "makes"


def test_refusals_that_are_not_409_are_pointed_out() -> None:
    verdict = judge([phase(created("a"), Result(0.1, status=400))])
    assert verdict.kind == "stops"
    assert any("not 409" in limit for limit in verdict.limits)


def test_latency_counts_only_answers() -> None:
    found = latency(phase(Result(0.001, status=201), Result(0.003, status=409), Result(9, error="x")))
    assert found is not None
    assert (found.min, found.median, found.max) == (1.0, 2.0, 3.0)
    assert latency(phase(Result(9, error="x"))) is None
