# Who may ask the admin listener, and that whatever else is sent there changes nothing and harms nobody.

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import HARMLESS, JSON, Operator
from tests.support.client import Client, Response, create
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.upstream import RawUpstream

TOKEN = "6d0f3c1e9b7a4852" * 4
HTML = '<script>alert(1)</script>"&'
RELEASE = b'{"reason": "hostile"}'
RIGHT = ("Authorization", f"Bearer {TOKEN}")
OWN = ("Host", "127.0.0.1:9901")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Guarded(NamedTuple):
    """A gateway whose listener wants a token, and a claim of unknown outcome under a rule with an odd name."""

    program: GatewayProgram
    operator: Operator
    path: str
    """That of the claim."""


@pytest.fixture
async def guarded(upstream: RawUpstream, gateway: StartGateway) -> Guarded:
    admin = {"token": TOKEN}
    program = await gateway(admin=admin, rules=[create_user_rule(name=HTML)], log={"audit_file": "audit.log"})
    operator = Operator(program, TOKEN)
    upstream.script(behaviours.reset_after_request())
    await create(program.port)
    (claim,) = await operator.claims()
    return Guarded(program, operator, f"/claims/{claim['fingerprint']}")


async def sent(
    program: GatewayProgram,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
) -> Response:
    async with Client(program.admin_port) as client:
        return await client.request(method, target, headers, body)


Attempt = tuple[int, str, str, list[tuple[str, str]], bytes | None]


def attempts(path: str) -> dict[str, Attempt]:
    """What is tried: the status it must get, and what is sent."""
    release, settle = f"{path}/release", f"{path}/settle"
    good = [OWN, RIGHT, JSON]
    parts = ("Content-Type", "multipart/form-data; boundary=x")
    split = rb'{"path": "/", "headers": {"A": "b\r\nC: d"}}'
    settled = b'{"as": "created", "link": "/x", "reason": "hostile"}'
    return {
        "a name made to lead here": (421, "POST", release, [("Host", "evil.example"), RIGHT, JSON], RELEASE),
        "a name below ours": (421, "GET", "/claims", [("Host", "127.0.0.1.evil.example"), RIGHT], None),
        "another origin": (403, "POST", release, [*good, ("Origin", "https://evil.example")], RELEASE),
        "no origin to speak of": (403, "POST", release, [*good, ("Origin", "null")], RELEASE),
        "another port's origin": (403, "POST", release, [*good, ("Origin", "http://127.0.0.1:1")], RELEASE),
        "a page of another site": (403, "GET", "/claims", [OWN, RIGHT, ("Sec-Fetch-Site", "cross-site")], None),
        "a sister site": (403, "GET", "/status", [OWN, RIGHT, ("Sec-Fetch-Site", "same-site")], None),
        "an image of another site": (403, "GET", "/livez", [OWN, ("Sec-Fetch-Site", "cross-site")], None),
        "a form": (415, "POST", release, [OWN, RIGHT, FORM], b"reason=hostile"),
        "a form of several parts": (415, "POST", release, [OWN, RIGHT, parts], RELEASE),
        "plain text": (415, "POST", release, [OWN, RIGHT, ("Content-Type", "text/plain")], RELEASE),
        "no type": (415, "POST", release, [OWN, RIGHT], RELEASE),
        "something packed": (415, "POST", release, [*good, ("Content-Encoding", "gzip")], b"bomb"),
        "almost JSON": (415, "POST", release, [OWN, RIGHT, ("Content-Type", "application/json-patch+json")], RELEASE),
        "a release by GET": (405, "GET", f"{release}?reason=hostile", good, None),
        "a settlement by GET": (405, "GET", f"{settle}?as=created&reason=hostile", good, None),
        "a reload by GET": (405, "GET", "/reload", good, None),
        "a reload by HEAD": (405, "HEAD", "/reload", good, None),
        "a release by PUT": (405, "PUT", release, good, RELEASE),
        "a release by DELETE": (405, "DELETE", path, good, None),
        "a preflight": (405, "OPTIONS", release, [*good, ("Access-Control-Request-Method", "POST")], None),
        "another method in a header": (405, "GET", release, [*good, ("X-HTTP-Method-Override", "POST")], None),
        "no token": (401, "POST", release, [OWN, JSON], RELEASE),
        "no token to look": (401, "GET", "/claims", [OWN], None),
        "no token for metrics": (401, "GET", "/metrics", [OWN], None),
        "no token for what is not there": (401, "GET", "/no-such-path", [OWN], None),
        "a wrong token": (401, "POST", release, [OWN, ("Authorization", f"Bearer {TOKEN[:-1]}x"), JSON], RELEASE),
        "half a token": (401, "GET", "/status", [OWN, ("Authorization", f"Bearer {TOKEN[:32]}")], None),
        "an empty token": (401, "GET", "/status", [OWN, ("Authorization", "Bearer ")], None),
        "the token as a password": (401, "GET", "/status", [OWN, ("Authorization", f"Basic {TOKEN}")], None),
        "two tokens": (401, "GET", "/status", [OWN, ("Authorization", "Bearer x"), RIGHT], None),
        "the token in the query": (401, "GET", f"/status?token={TOKEN}&access_token={TOKEN}", [OWN], None),
        "the token in a cookie": (401, "GET", "/status", [OWN, ("Cookie", f"token={TOKEN}")], None),
        "a long body": (413, "POST", release, good, b'{"reason": "' + b"x" * 65536 + b'"}'),
        "a long sample": (413, "POST", "/claims/find", good, b'{"path": "/", "body": "' + b"x" * 3_000_000 + b'"}'),
        "no JSON": (400, "POST", release, good, b"reason=hostile"),
        "deep JSON": (400, "POST", "/claims/find", good, b"[" * 60_000),
        "an unknown key": (400, "POST", release, good, b'{"reason": "x", "force": true}'),
        "a settlement as free": (400, "POST", settle, good, settled.replace(b"created", b"free")),
        "a link that is a program": (400, "POST", settle, good, settled.replace(b"/x", b"javascript:alert(1)")),
        "a link that is two lines": (400, "POST", settle, good, settled.replace(b"/x", rb"/x\r\nSet-Cookie: a=b")),
        "an empty first segment": (404, "POST", f"/{release}", good, RELEASE),
        "a way up": (404, "POST", f"{path}/../../claims/{path[8:]}/release", good, RELEASE),
        "an encoded way up": (404, "POST", "/claims/%2e%2e/reload", good, b"{}"),
        "an encoded slash": (404, "POST", "/claims%2freload", good, b"{}"),
        "a NUL": (400, "GET", "/claims/%00", good, None),
        "HTML for a fingerprint": (400, "GET", "/claims/%3Cscript%3E", good, None),
        "a way to a file": (404, "GET", "/page/%2e%2e/%2e%2e/gateway.toml", good, None),
        "a closing slash": (404, "POST", f"{release}/", good, RELEASE),
        "a long path": (404, "GET", "/" + "a" * 7000, good, None),
        "a line of the header in a sample": (400, "POST", "/claims/find", good, split),
    }  # fmt: skip


async def test_hostile_requests_are_refused_and_change_nothing(guarded: Guarded) -> None:
    program, operator, path = guarded
    hostile = attempts(path)
    assert len(hostile) >= 40
    for name, (status, method, target, headers, body) in hostile.items():
        answer = await sent(program, method, target, headers, body)
        assert answer.status == status, (name, answer.body)
        assert {field: answer.header(field) for field in HARMLESS} == HARMLESS, name
        assert answer.header("Content-Type") == "application/json", name
        assert answer.header("Access-Control-Allow-Origin") is None, name
        assert (answer.header("WWW-Authenticate") == "Bearer") is (status == 401), name
        if status == 405:
            assert set((answer.header("Allow") or "").split(",")) <= {"GET", "HEAD", "POST"}, name
        if method != "HEAD":
            assert set(answer.json()) == {"error"}, name
        assert b"<script" not in answer.body
    (claim,) = await operator.claims()
    assert claim["state"] == "unknown"
    assert not program.directory.joinpath("audit.log").read_text(), "something was done"
    assert "reloaded" not in program.events()
    assert TOKEN not in program.whole_output
    assert TOKEN[:-1] not in program.whole_output


async def test_bytes_that_are_no_request_are_answered_harmlessly(guarded: Guarded) -> None:
    program, operator, _ = guarded
    for raw in (
        b"GET /claims HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n",
        b"GET /<script> HTTP/1.1\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: a/b\r\nContent-Type: application/json\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ):
        async with Client(program.admin_port) as client:
            await client.send_raw(raw)
            answer = await client.read_response()
        assert answer.status in {400, 401, 414, 421}, raw[:40]
        assert b"<script" not in answer.body
    begun = (
        f"POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: {RIGHT[1]}\r\n"
    )
    for rest in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n"):
        async with Client(program.admin_port) as client:
            await client.send_raw(begun.encode() + rest)
            await client.say_no_more()
            await client.reader.read()
    assert (await operator.get("/livez")) == {"live": True}
    assert "handler-failed" not in program.events()
    assert all(json.loads(line) for line in program.whole_output.splitlines()), "a line of the log is not JSON"


async def test_only_so_many_changes_are_taken_in_a_second(guarded: Guarded) -> None:
    program, operator, path = guarded
    async with Client(program.admin_port) as client:
        answers = [await client.request("POST", f"{path}/release", [RIGHT, JSON], b"{}") for _ in range(40)]
    assert [answer.status for answer in answers[:20]] == [400] * 20
    late = [answer for answer in answers if answer.status == 429]
    assert late, "40 were taken at once"
    assert {answer.header("Retry-After") for answer in late} == {"1"}
    assert len(await operator.claims()) == 1, "looking is not counted"


async def test_odd_names_reasons_and_links_come_back_as_text(guarded: Guarded) -> None:
    _, operator, path = guarded
    link = "/users/%3Cb%3E<img/src=x>"
    done = await operator.post(f"{path}/settle", **{"as": "created", "reason": HTML, "link": link})
    assert (done.header("Content-Type"), done.json()["claim"]["link"]) == ("application/json", link)
    assert done.json()["claim"]["rule"] == HTML
    line = await guarded.program.wait_for_log(event="audit")
    assert (line["reason"], line["rule"], line["who"]) == (HTML, HTML, "token")
    assert (await operator.get(f"/claims?rule={HTML.replace('&', '%26').replace('<', '%3C')}"))["claims"]


async def test_what_is_open_is_open_and_a_link_may_lead_to_the_page(guarded: Guarded) -> None:
    program = guarded.program
    for path in ("/livez", "/readyz"):
        assert (await sent(program, "GET", path, [OWN])).status == 200
        head = await sent(program, "HEAD", path, [OWN])
        assert (head.status, head.body) == (200, b"")
    followed = [OWN, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert (await sent(program, "GET", "/", followed)).status != 403
    assert (await sent(program, "GET", "/status", [*followed, RIGHT])).status == 403
    framed = [("Sec-Fetch-Dest", "iframe") if name == "Sec-Fetch-Dest" else (name, value) for name, value in followed]
    assert (await sent(program, "GET", "/", framed)).status == 403
    asked = [OWN, RIGHT, ("Sec-Fetch-Site", "same-origin"), ("Origin", "http://127.0.0.1:9901")]
    assert (await sent(program, "GET", "/status", asked)).status == 200
    assert (await sent(program, "GET", "/status", [OWN, ("Authorization", f"bearer {TOKEN}")])).status == 200


async def test_a_reload_takes_a_new_token_and_opens_metrics(guarded: Guarded) -> None:
    program, _, _ = guarded
    new = TOKEN[::-1]
    text = program.file.read_text()
    program.file.write_text(re.sub(rf'token = "{TOKEN}"', f'token = "{new}"\nopen_metrics = true', text))
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    assert (await sent(program, "GET", "/status", [OWN, RIGHT])).status == 401
    assert (await sent(program, "GET", "/status", [OWN, ("Authorization", f"Bearer {new}")])).status == 200
    assert (await sent(program, "GET", "/metrics", [OWN])).status == 200
    line = json.loads(program.directory.joinpath("audit.log").read_text())
    assert (line["action"], line["who"], line["result"], "from" in line) == ("reload", "signal", "applied", False)
    program.file.write_text(program.file.read_text().replace(new, "short"))
    program.hang_up()
    await program.wait_for_log(event="reload-refused")
    assert (await sent(program, "GET", "/status", [OWN, ("Authorization", f"Bearer {new}")])).status == 200
