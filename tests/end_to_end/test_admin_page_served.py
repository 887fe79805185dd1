# The operator's page and its event stream, as any client sees them: what they answer, to whom, and out of a wheel.

import asyncio
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import gateway as package
from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create
from tests.support.program import ROOT, GatewayProgram, rules
from tests.support.shorthands import get
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

TOKEN = "a-token-of-more-than-thirty-two-characters"
AUTHORIZED = ("Authorization", f"Bearer {TOKEN}")
FOLDER = Path(package.__file__).parent / "process" / "admin" / "page"
POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    "trusted-types 'none'",
}  # fmt: skip


class Stream:
    """An open event stream."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def event(self, name: str) -> Any:
        """The data of the next event of a name; None once the stream has ended."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._client.reader.readline():
                if line == f"event: {name}\n".encode():
                    return json.loads((await self._client.reader.readline()).removeprefix(b"data: "))
        return None


async def opened(client: Client, *headers: tuple[str, str]) -> Stream:
    lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", "localhost"), *headers))
    await client.send_raw(f"GET /events HTTP/1.1\r\n{lines}\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    assert b"\r\nContent-Type: text/event-stream; charset=utf-8\r\n" in head
    assert b"\r\nCache-Control: no-store\r\n" in head
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
    return Stream(client)


async def test_the_page_is_whole_and_may_do_only_what_it_does(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    page = await get(program.admin_port, "/")
    names = [file.name for file in FOLDER.iterdir() if file.suffix in {".js", ".css", ".svg"}]
    used = set(re.findall(r'(?:href|src)="page/([^"]+)"', page.body.decode()))
    for name in names:
        answer = await get(program.admin_port, f"/page/{name}")
        assert answer.status == 200
        assert answer.body == (FOLDER / name).read_bytes()
        assert set((answer.header("Content-Security-Policy") or "").split("; ")) == POLICY
        assert answer.header("X-Content-Type-Options") == "nosniff"
        used |= set(re.findall(r'from "\./([^"]+)"', answer.body.decode()))
    assert used == set(names)
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    assert set((page.header("Content-Security-Policy") or "").split("; ")) == POLICY
    assert page.header("X-Frame-Options") == "DENY"
    for path in ("/page/", "/page/none.js", "/page/__init__.py", "/page/..%2f__init__.py", "/page/%2e%2e/live.py"):
        assert (await get(program.admin_port, path)).status == 404, path


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    html = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|<script(?![^>]* src=)", html)
    for file in FOLDER.iterdir():
        if file.suffix in {".html", ".css", ".js", ".svg"}:
            text = file.read_text(encoding="utf-8")
            assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, file.name
            assert "innerHTML" not in text
            assert len(text.splitlines()) <= 250, file.name


async def test_events_follow_what_happens(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    async with Client(program.admin_port) as client:
        stream = await opened(client)
        assert await stream.event("minutes") == []
        state: dict[str, Any] = {"ready": True, "reason": None, "claims": {}}
        assert await stream.event("state") == state
        assert await stream.event("audit") == []
        upstream.script(behaviours.reset_after_request())
        assert (await create(program.port)).status == 502
        now = await stream.event("now")
        while not now["unknown"]:  # the next minute may have begun
            now = await stream.event("now")
        assert {**now, "at": 0} == {"created": 0, "duplicates": 0, "retries": 0, "unknown": 1, "at": 0}
        assert await stream.event("state") == {**state, "claims": {"unknown": 1}}
        program.hang_up()
        (line,) = await stream.event("audit")
        assert (line["action"], line["who"]) == ("reload", "signal")
        held = behaviours.Held(behaviours.answer(201))
        upstream.script(held)
        creating = asyncio.create_task(create(program.port, "held"))
        await held.waiting.reach(1)
        stopping = asyncio.create_task(program.stop())
        state = await stream.event("state")
        while state["ready"]:
            state = await stream.event("state")
        assert state["reason"] == "starting or draining"
        held.release()
        assert (await creating).status == 201
        assert await stopping == 0
        assert await stream.event("none") is None, "the stream goes on"


async def test_the_page_is_for_everybody_who_reaches_it_and_what_it_shows_is_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(admin={"listen": "127.0.0.1:0", "token": TOKEN})
    for path in ("/", "/page/page.js"):
        assert (await get(program.admin_port, path)).status == 200
    for path in ("/events", f"/events?token={TOKEN}", f"/events?access_token={TOKEN}", "/rules"):
        assert (await get(program.admin_port, path)).status == 401, path
    async with Client(program.admin_port) as client:
        seen = await client.request("GET", "/rules", [("Host", "localhost"), AUTHORIZED])
        assert [rule["guards"] for rule in seen.json()["rules"]] == ["POST /users"]
        await (await opened(client, AUTHORIZED)).event("state")


async def test_a_wheel_has_the_page(upstream: RawUpstream, tmp_path: Path) -> None:
    build = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await build.communicate()
    assert build.returncode == 0
    installed = tmp_path / "installed"
    with zipfile.ZipFile(output.decode().strip()) as archive:
        archive.extractall(installed)
    page = installed.joinpath(*FOLDER.relative_to(ROOT).parts, "index.html")
    marked = page.read_bytes() + b"<!-- of the wheel -->"
    page.write_bytes(marked)
    program = GatewayProgram(tmp_path / "run", rules(upstream.url), environment={"PYTHONPATH": str(installed)})
    async with program:
        assert (await get(program.admin_port, "/")).body == marked
        style = await get(program.admin_port, "/page/page.css")
        assert style.body == (FOLDER / "page.css").read_bytes()
