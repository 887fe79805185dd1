# An import that is interrupted or killed, or whose gateway is: begun again, it ends with exactly the same claims.

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from campaigns.imports.__main__ import Plan, run, table, verdicts
from tests.conftest import StartGateway
from tests.support.admin import Operator, audit_lines
from tests.support.commands import on
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

KEY = {"key": "k" * 32}
RULES = [create_user_rule(unique=[{"name": name, "fields": [f"body.{name}"]} for name in ("email", "name")])]
LINES = [b'{"id": %d, "email": "%d@example.org", "name": "n%d"}\n' % (at, at, at) for at in range(1, 1601)]
SOME = 1001
"""Lines that are given before the import is disturbed: more than are sent at once."""
WORDS = ("claims", "import", "--rule", "create-user", "--link", "/users/{body.id}", "--json", "-")


@contextlib.asynccontextmanager
async def importing(program: GatewayProgram, *words: str) -> AsyncIterator[Process]:
    """An import whose lines come through a pipe."""
    admin = ("--admin", f"127.0.0.1:{program.admin_port}")
    command = (sys.executable, "-m", "gateway", *WORDS, *words, *admin)
    # What runs in the background of a shell ignores Ctrl-C, and so would what it starts.
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def give(process: Process, lines: list[bytes]) -> None:
    """Give lines to an import."""
    assert process.stdin is not None
    process.stdin.write(b"".join(lines))


async def told(process: Process) -> dict[str, Any]:
    """What an import said when it ended."""
    assert process.stdin is not None
    process.stdin.close()
    out, _ = await process.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


async def held(operator: Operator) -> int:
    """How many claims there are."""
    status = await operator.get("/status")
    return sum(each["count"] for each in status["store"]["claims"])


async def until_held(program: GatewayProgram, count: int) -> None:
    """Return once there are so many claims."""
    operator = Operator(program)
    while await held(operator) < count:
        pass


async def whole(program: GatewayProgram, *, whole_import: bool = True) -> list[dict[str, Any]]:
    """All claims but for when they were made."""
    if whole_import:
        async with importing(program) as process:
            give(process, LINES)
            ended = await told(process)
            assert (process.returncode, ended["lines"], ended["held"], ended["complete"]) == (0, len(LINES), 0, True)
    ran = await on(program)("claims", "export")
    _, *claims, _ = [json.loads(line) for line in ran.out.splitlines()]
    for claim in claims:
        del claim["first_seen"], claim["expires_at"]
    return sorted(claims, key=lambda claim: str(claim["fingerprint"]))


async def test_the_same_claims_however_it_was_disturbed(upstream: RawUpstream, gateway: StartGateway) -> None:
    undisturbed, killed, restarted = [
        await gateway(store="memory:", fingerprint=KEY, rules=RULES, log={"audit_file": "audit.log"}),
        await gateway(store="memory:", fingerprint=KEY, rules=RULES, log={"audit_file": "audit.log"}),
        await gateway(fingerprint=KEY, rules=RULES, log={"audit_file": "audit.log"}),
    ]
    claims = await whole(undisturbed)
    assert len(claims) == 2 * len(LINES)

    async with importing(killed) as process:
        give(process, LINES[:SOME])
        await until_held(killed, 500)
        process.kill()
    assert await held(Operator(killed)) < len(claims)
    assert await whole(killed) == claims

    async with importing(restarted) as process:
        give(process, LINES[:SOME])
        await until_held(restarted, 500)
        await restarted.kill()
        give(process, LINES[SOME:])
        ended = await told(process)
    assert (process.returncode, ended["complete"]) == (1, False)
    assert f"go on with --from-line {ended['next_line']}" in ended["error"]
    await restarted.start()
    async with importing(restarted, "--from-line", str(ended["next_line"])) as process:
        give(process, LINES)
        assert (await told(process))["complete"]
    assert await whole(restarted, whole_import=False) == claims
    assert [line["result"] for line in audit_lines(restarted.directory / "audit.log")] == ["begun", "begun", "ended"]


async def test_ctrl_c_says_where_to_go_on(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(store="memory:", fingerprint=KEY, rules=RULES, log={"audit_file": "audit.log"})
    async with importing(program) as process:
        give(process, LINES[:SOME])
        await until_held(program, 2000)
        process.send_signal(signal.SIGINT)
        ended = await told(process)
    assert (process.returncode, ended["complete"]) == (130, False)
    assert ended["next_line"] in {1, SOME}
    assert ended["error"].startswith("interrupted; all before line ")
    assert [line["result"] for line in audit_lines(program.directory / "audit.log")] == ["begun", "ended"]
    lines = LINES[: ended["next_line"] - 1]
    assert len(lines) * 2 <= await held(Operator(program))


async def test_a_slice_of_the_campaign(tmp_path: Path) -> None:
    """`make imports` says what is compared. Whether a kill comes in time is a matter of the machine."""
    plan = Plan(rows=400, kills=1, rate=50, alone=0.1, kinds=("sqlite",))
    figures = await run(tmp_path, plan)
    assert figures.wrong == []
    assert figures.beside, "no create came beside it"
    assert len(table(plan, figures)) > len(figures.steps) == 5
    assert verdicts(plan, figures)[1] == ("0 differences", True)
