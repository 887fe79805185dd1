# A customer cannot sign up, at night: what an operator sees, finds and does about it, and that nothing of it shows who
# the customer is.

import json
from pathlib import Path

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator, audit_lines
from tests.support.client import Response, create
from tests.support.commands import on
from tests.support.upstream import RawUpstream

EMAIL = "ada.lovelace@example.org"
MINE = [("Authorization", "Bearer of-the-customer")]
WHY = "ticket 4711: in the users table"


async def lost(upstream: RawUpstream, port: int, email: str) -> Response:
    """A create that the API commits, and does not answer in time."""
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    answer = await create(port, email, headers=MINE)
    held.release()
    return answer


async def test_the_night_call(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(upstream={"response_timeout": "200ms"}, log={"audit_file": "audit.log"})
    answer = await lost(upstream, program.port, EMAIL)
    assert (answer.status, answer.slug) == (504, "outcome-unknown")
    retry = await create(program.port, EMAIL, headers=MINE)
    assert (retry.status, retry.slug) == (409, "outcome-unknown"), "the customer calls"

    run = on(program)
    status = await run("status")
    assert (status.code, "unknown" in status.out) == (0, True)
    listed = await run("claims", "list", "--state", "unknown")
    assert listed.code == 0
    head, row = listed.out.splitlines()
    assert head.split() == ["FINGERPRINT", "STATE", "AGE", "RULE", "ENTRY", "LINK"]
    fingerprint, state, _, rule, entry, _ = row.split()
    assert (state, rule, entry) == ("unknown", "create-user", "email")

    body = program.directory / "body.json"
    body.write_text(json.dumps({"email": f" {EMAIL.upper()} "}))
    found = await run("claims", "find", "/users", "-d", f"@{body}")
    assert (found.code, fingerprint in found.out, "409 outcome-unknown" in found.out) == (0, True, True)

    tried = await run("claims", "settle", "--created", "--link", "/users/42", "--reason", WHY, "--dry-run", fingerprint)
    assert (tried.code, "would be created at /users/42" in tried.out) == (0, True)
    assert (await create(program.port, EMAIL, headers=MINE)).slug == "outcome-unknown"
    done = await run("claims", "settle", "--created", "--link", "/users/42", "--reason", WHY, fingerprint[:12])
    assert (done.code, "is created at /users/42" in done.out) == (0, True)

    retry = await create(program.port, EMAIL, headers=MINE)
    assert (retry.slug, retry.json()["existingResourceLink"]) == ("duplicate", "/users/42")
    assert len(upstream.requests) == 1
    (line,) = audit_lines(program.directory / "audit.log")
    assert (line["action"], line["reason"], line["fingerprint"]) == ("settle", WHY, fingerprint[:12])
    assert line["result"] == "created"
    (claim,) = await Operator(program).claims()
    assert claim["link"] == "/users/42"

    assert await program.stop() == 0
    body.unlink()
    printed = "".join([each.out + each.err for each in (status, listed, found, tried, done)])
    for name, text in {"printed": printed, "logged": program.whole_output, **contents(program.directory)}.items():
        for secret in ("lovelace", "LOVELACE", "of-the-customer"):
            assert secret not in text, name


def contents(folder: Path) -> dict[str, str]:
    """All files of a gateway that has stopped."""
    return {path.name: path.read_bytes().decode("latin-1") for path in folder.iterdir() if path.is_file()}
