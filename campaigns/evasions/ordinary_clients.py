# What ordinary clients send, against rules that fit it: the first create is created, the second one is a duplicate.

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from campaigns.evasions.clients.python_clients import CLIENTS
from campaigns.evasions.judge import INSTALLED, ROOT
from campaigns.evasions.table.browsers import BROWSERS
from tests.support import behaviours
from tests.support.client import Client
from tests.support.program import GatewayProgram, Table, create_user_rule, rules
from tests.support.shorthands import entry, rule
from tests.support.upstream import Call, RawUpstream, perform


def _put(path: str) -> Table:
    return {"methods": ["PUT"], "path": path}


RULES: tuple[Table, ...] = (
    create_user_rule(),
    rule("sign-up", "/signups", entry("query.ref")),
    rule("file", "/files/{name}", entry("path.name"), match=_put("/files/{name}")),
    rule("customer", "/v1/customers", entry("header.Idempotency-Key")),
    rule("item", "/", entry("header.X-Amz-Target", "header.X-Ref")),
    rule("object", "/{bucket}/{key}", entry("path.key"), match=_put("/{bucket}/{key}")),
)
CREATED = behaviours.answer(201, [("Content-Type", "application/json")], b'{"id": "1", "object": "customer"}')
STORED = behaviours.answer(201)
NODE = ("fetch, JSON", "fetch, a stream", "fetch, a form", "fetch, a form in parts", "http, JSON")
AXIOS = ("axios, JSON", "axios, a form", "axios, a form in parts")
_CURL = ("curl", "--silent", "--output", "{sink}", "--write-out", "%{http_code}")
_JSON = ("--header", "Content-Type: application/json")
CURL: dict[str, Sequence[str]] = {
    "-d @file": (*_JSON, "-d", "@{file}", "{url}/users"),
    "-d @file, charset": ("-H", "Content-Type: application/json; charset=utf-8", "-d", "@{file}", "{url}/users"),
    "--json": ("--json", "@{file}", "{url}/users"),
    "--data-binary": (*_JSON, "--data-binary", "@{file}", "{url}/users"),
    "in chunks": (*_JSON, "-H", "Transfer-Encoding: chunked", "-d", "@{file}", "{url}/users"),
    "Expect": (*_JSON, "-H", "Expect: 100-continue", "-d", "@{file}", "{url}/users"),
    "HTTP/1.0": ("--http1.0", *_JSON, "-d", "@{file}", "{url}/users"),
    "-T to POST": (*_JSON, "-X", "POST", "-T", "{file}", "{url}/users"),
    "-T": ("-T", "{file}", "{url}/files/{ref}"),
    "-T in chunks": ("-H", "Transfer-Encoding: chunked", "-T", "{file}", "{url}/files/{ref}"),
    "-d": ("-d", "email={ref}@example.org", "{url}/signups?ref={ref}"),
    "-F": ("-F", "email={ref}@example.org", "-F", "file=@{file}", "{url}/signups?ref={ref}"),
}


@dataclass(frozen=True)
class Answered:
    """What a client got."""

    name: str
    first: str
    """The status of its create."""
    again: str
    """That of the same create, sent again."""

    @property
    def is_right(self) -> bool:
        """Whether the first was created, and the second one was a duplicate."""
        return (self.first, self.again) == ("201", "409")


def commands() -> dict[str, Sequence[str]]:
    """The clients that are installed, with their commands."""
    found: dict[str, Sequence[str]] = {}
    module = (str(INSTALLED / "bin" / "python"), "-m", "campaigns.evasions.clients.python_clients")
    found |= {name: (*module, name, "{port}", "{ref}") for name in CLIENTS}
    if shutil.which("curl"):
        found |= {f"curl {name}": (*_CURL, *arguments) for name, arguments in CURL.items()}
    if shutil.which("node"):
        has_axios = (INSTALLED / "node_modules" / "axios").is_dir()
        script = str(Path(__file__).parent / "clients" / "node_clients.mjs")
        names = (*NODE, *(AXIOS if has_axios else ()))
        found |= {f"node {name}": ("node", script, name, "{port}", "{ref}", str(INSTALLED)) for name in names}
    return found


async def created(call: Call) -> None:
    """Answer that a thing was created."""
    await perform(STORED if call.request.method == "PUT" else CREATED, call)


async def run(directory: Path) -> list[Answered]:
    """Have every client that is installed create one thing twice."""
    found = []
    async with RawUpstream(created) as upstream, _gateway(directory / "gateway", upstream) as program:
        for number, (name, command) in enumerate(commands().items()):
            ref = f"ada{number}"
            found.append(Answered(name, *[await _status(command, program.port, ref, directory) for _ in range(2)]))
        for name, message in BROWSERS:
            found.append(Answered(name, *[await _sent(program.port, message) for _ in range(2)]))
    return found


def _gateway(directory: Path, upstream: RawUpstream) -> GatewayProgram:
    return GatewayProgram(directory, rules(upstream.port, rules=RULES))


async def _status(command: Sequence[str], port: int, ref: str, directory: Path) -> str:
    """Run a client; the status that it prints, or what it says where it fails."""
    file = directory / f"{ref}.json"
    file.write_text(f'{{"name": "Ada", "email": "{ref}@example.org"}}\n', encoding="utf-8")
    values = {"port": str(port), "url": f"http://127.0.0.1:{port}", "ref": ref, "file": str(file), "sink": "/dev/null"}
    argv = [command[0], *[_filled(part, values) for part in command[1:]]]
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "HOME": str(directory)},
    )
    output, error = await process.communicate()
    lines = (output or error).decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {process.returncode}"


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace("{" + name + "}", value)
    return part


async def _sent(port: int, message: bytes) -> str:
    async with Client(port) as client:
        await client.send_raw(message)
        return str((await client.read_response("POST")).status)
