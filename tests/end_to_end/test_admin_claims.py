# What operators see of claims, and do about them, through the admin listener. Every answer fits the OpenAPI document.

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.admin import Operator, audit_lines
from tests.support.client import create
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.upstream import RawUpstream

ADA, BOB, CAT = "ada@example.org", "bob@example.org", "cat@example.org"
LOST = behaviours.reset_after_request()
HOUR, DAY = 3600.0, 86400.0
ABSENT = "0" * 64


async def unknown(program: GatewayProgram, upstream: RawUpstream, *emails: str) -> None:
    """Have creates whose outcome is unknown."""
    for email in emails:
        upstream.script(LOST)
        assert (await create(program.port, email)).slug == "outcome-unknown"


async def only(operator: Operator, query: str = "") -> dict[str, Any]:
    (claim,) = await operator.claims(query)
    return claim


async def test_claims_are_listed_by_what_is_asked_and_page_by_page(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(), create_user_rule(name="other", match={"path": "/others"})])
    operator = Operator(program)
    assert await operator.claims() == []
    upstream.script(behaviours.answer(201, [("Location", "/users/1")]))
    await create(program.port, ADA)
    await unknown(program, upstream, BOB, CAT)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(program.port, "dan@example.org", path="/others"))
    await held.waiting.reach(1)
    everything = await operator.claims()
    assert sorted(claim["state"] for claim in everything) == ["created", "in_flight", "unknown", "unknown"]
    assert len({claim["operation"] for claim in everything}) == 4
    created = await only(operator, "state=created")
    assert (created["rule"], created["entry"], created["link"]) == ("create-user", "email", "/users/1")
    flying = await only(operator, "rule=other")
    assert (flying["state"], flying["expires_at"], flying["link"]) == ("in_flight", None, None)
    both = await operator.claims("state=unknown&limit=1")
    assert [claim["fingerprint"] for claim in both] == [
        claim["fingerprint"] for claim in sorted(both, key=lambda claim: str(claim["first_seen"]))
    ]
    assert len(both) == 2
    assert await operator.claims("state=unknown&older_than=1h") == []
    assert await operator.claims("entry=username") == []
    assert await operator.claims("rule=%3Cscript%3E") == []
    for query in ("state=gone", "limit=0", "limit=501", "limit=1&limit=2", "older_than=soon", "cursor=xyz", "sort=age"):
        assert (await operator.ask("GET", f"/claims?{query}")).status == 400, query
    held.release()
    assert (await creating).status == 201


@pytest.mark.parametrize("store", ["sqlite:gateway.db", "memory:"])
async def test_one_claim_is_shown_by_its_fingerprint_or_the_digits_that_the_log_has(
    store: str, upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(store=store)
    operator = Operator(program)
    await unknown(program, upstream, ADA, BOB)
    claim = (await operator.claims())[0]
    fingerprint = claim["fingerprint"]
    for digits in (fingerprint, fingerprint.upper(), fingerprint[:12], fingerprint[:13], fingerprint[:63]):
        assert (await operator.get(f"/claims/{digits}"))["fingerprint"] == fingerprint
    assert fingerprint[:12] in {line["fingerprint"] for line in await program.request_lines(2)}
    for digits, status in (
        (ABSENT, 404),
        (ABSENT[:12], 404),
        (fingerprint[:11], 400),
        ("g" * 64, 400),
        ("0" * 65, 400),
    ):
        assert (await operator.ask("GET", f"/claims/{digits}")).status == status, digits


async def test_a_released_identity_is_created_again_and_one_that_is_only_tried_is_not(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(log={"audit_file": "audit.log"})
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    before = await only(operator)
    path = f"/claims/{before['fingerprint']}/release"
    tried = await operator.post(path, reason="tried", dry_run=True)
    assert (tried.status, tried.json()["released"]) == (200, False)
    assert (await create(program.port, ADA)).slug == "outcome-unknown"
    assert not audit_lines(program.directory / "audit.log")
    done = await operator.post(path, reason="looked: <b>not</b> there")
    assert (done.status, done.json()["released"], done.json()["claim"]["operation"]) == (200, True, before["operation"])
    assert (await operator.post(path, reason="again")).status == 404
    upstream.script(behaviours.answer(201))
    assert (await create(program.port, ADA)).status == 201
    (line,) = audit_lines(program.directory / "audit.log")
    assert (
        line.items()
        >= {
            "event": "audit",
            "action": "release",
            "who": "local",
            "from": "127.0.0.1",
            "rule": "create-user",
            "entry": "email",
            "fingerprint": before["fingerprint"][:12],
            "reason": "looked: <b>not</b> there",
            "request_id": done.header("X-Request-Id"),
            "result": "free",
        }.items()
    )
    logged = await program.wait_for_log(event="audit")
    assert {**logged, "time": 0} == {**line, "time": 0}
    assert (program.directory / "audit.log").stat().st_mode & 0o777 == 0o600


async def test_a_settled_identity_is_a_duplicate_with_the_link_for_as_long_as_the_rule_keeps_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """The link is shown as the rule says: here, to the caller of the create that was lost."""
    program = await gateway(rules=[create_user_rule(keep="1h", retry="replay", retry_window="10m")])
    operator = Operator(program)
    mine, others = [("Authorization", "Bearer mine")], [("Authorization", "Bearer other")]
    upstream.script(LOST)
    assert (await create(program.port, ADA, headers=mine)).slug == "outcome-unknown"
    claim = await only(operator)
    path = f"/claims/{claim['fingerprint']}/settle"
    settlement: dict[str, Any] = {"as": "created", "link": "/users/42", "reason": "in the table"}
    tried = await operator.post(path, **settlement, dry_run=True)
    assert (tried.json()["settled"], tried.json()["claim"]["state"]) == (False, "created")
    assert (await operator.get(f"/claims/{claim['fingerprint']}"))["state"] == "unknown"
    done = await operator.post(path, **settlement)
    after = done.json()["claim"]
    assert (done.json()["settled"], after["state"], after["link"]) == (True, "created", "/users/42")
    shown = await operator.get(f"/claims/{claim['fingerprint']}")
    assert {**shown, "age": 0} == {**after, "age": 0}
    retry, other = await create(program.port, ADA, headers=mine), await create(program.port, ADA, headers=others)
    assert (retry.slug, retry.json()["existingResourceLink"]) == ("duplicate", "/users/42"), "there is no stored answer"
    assert (other.slug, other.json().get("existingResourceLink")) == ("duplicate", None)
    corrected = await operator.post(path, **{**settlement, "link": "https://api.example/users/43"})
    assert corrected.json()["claim"]["link"] == "https://api.example/users/43"
    assert (await create(program.port, ADA, headers=mine)).json()["existingResourceLink"].endswith("/43")
    assert seconds_between(after["first_seen"], after["expires_at"]) == pytest.approx(HOUR, abs=60)


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


async def test_a_rule_that_is_gone_has_its_claims_kept_as_rules_do_by_default(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[create_user_rule(keep="1h")])
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    program.file.write_text(program.file.read_text().replace('name = "create-user"', 'name = "renamed"'))
    lost = [{"rule": "create-user", "entry": "email", "removed": True}]
    assert (await operator.post("/reload")).json() == {"rules": 1, "restart": [], "problems": [], "lost": lost}
    claim = await only(operator, "rule=create-user")
    done = await operator.post(f"/claims/{claim['fingerprint']}/settle", **{"as": "created", "reason": "found"})
    after = done.json()["claim"]
    assert seconds_between(after["first_seen"], after["expires_at"]) == pytest.approx(DAY, abs=60)
    assert (await program.wait_for_log(event="audit", action="reload"))["result"] == "applied"


async def test_a_create_in_flight_is_neither_released_nor_settled(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    operator = Operator(program)
    held = behaviours.Held(behaviours.answer(201))
    upstream.script(held)
    creating = asyncio.create_task(create(program.port, ADA))
    await held.waiting.reach(1)
    fingerprint = (await only(operator))["fingerprint"]
    for dry_run in (False, True):
        refused = await operator.post(f"/claims/{fingerprint}/release", reason="impatient", dry_run=dry_run)
        assert (refused.status, "in flight" in refused.json()["error"]) == (409, True)
        settled = {"as": "created", "reason": "impatient", "dry_run": dry_run}
        assert (await operator.post(f"/claims/{fingerprint}/settle", **settled)).status == 409
    held.release()
    assert (await creating).status == 201
    assert (await create(program.port, ADA)).slug == "duplicate"
    assert len(upstream.requests) == 1
    assert not [line for line in program.log if line.get("event") == "audit"]


async def test_a_release_needs_a_reason_and_a_settlement_a_link_that_can_be_read(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    path = f"/claims/{(await only(operator))['fingerprint']}"
    bodies: list[Any] = [{}, ["reason"], {"reason": "x", "force": True}, {"reason": "x", "dry_run": "no"}]
    for body in [*bodies, *[{"reason": each} for each in ("", " ", "a\nb", "\u202egpj", "x" * 501, 7)]]:
        assert (await operator.ask("POST", f"{path}/release", body)).status == 400, body
    links = ["", " ", "/a b", "/a\r\nSet-Cookie: x", "javascript:alert(1)", "data:text/html,x", "http://[", "\u202e", 7]
    for link in [*links, "x" * 2049]:
        settlement = {"as": "created", "reason": "x", "link": link}
        assert (await operator.ask("POST", f"{path}/settle", settlement)).status == 400, link
    assert (await only(operator))["state"] == "unknown"


async def test_what_cannot_be_written_down_is_not_done(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(log={"audit_file": "audit.log"}, store="memory:")
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    path = f"/claims/{(await only(operator))['fingerprint']}/release"
    with program.disk_full():
        refused = await operator.post(path, reason="looked")
        assert (refused.status, "log.audit_file" in refused.json()["error"]) == (503, True)
        assert (await operator.post("/reload")).status == 422
        assert (await create(program.port, ADA)).slug == "outcome-unknown"
    assert (await operator.post(path, reason="looked")).status == 200
    (program.directory / "audit.log").rename(program.directory / "audit.log.1")
    assert (await operator.post("/reload")).status == 200
    assert [line["action"] for line in audit_lines(program.directory / "audit.log")] == ["reload"]


async def test_a_claim_that_was_created_anew_is_not_released_for_the_one_before(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Many operators at once: each claim is released once, and each create that was forwarded anew stays."""
    program = await gateway()
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    path = f"/claims/{(await only(operator))['fingerprint']}/release"
    answers = await asyncio.gather(*[operator.post(path, reason=f"{at}") for at in range(8)])
    assert [answer.status for answer in answers].count(200) == 1
    assert {answer.status for answer in answers} <= {200, 404, 409}
    lost = [line for line in program.log if line.get("event") == "audit" and line["result"].startswith("not done")]
    assert len(lost) == [answer.status for answer in answers].count(409)


async def test_the_status_and_the_report_say_how_it_is(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway()
    operator = Operator(program)
    await unknown(program, upstream, ADA)
    await create(program.port, ADA)
    upstream.script(behaviours.answer(201))
    await create(program.port, BOB)
    status = await operator.get("/status")
    assert (status["ready"], status["reason"], status["store"]["kind"]) == (True, None, "sqlite")
    assert status["config"]["rules"] == 1
    assert status["config"]["path"] == str(program.file)
    assert status["config"]["problems"] == []
    assert {(each["state"], each["count"]) for each in status["store"]["claims"]} == {("unknown", 1), ("created", 1)}
    assert [each["rule"] for each in status["oldest_unknown"]] == ["create-user"]
    assert status["upstreams"] == [{"name": "", "url": f"http://127.0.0.1:{upstream.port}", "up": True}]
    (rule,) = (await operator.get("/report"))["rules"]
    assert (rule["creates"], rule["outcomes"]) == (3, {"created": 1, "outcome-unknown": 2})
    (met,) = rule["conflicts"]
    assert (met["entry"], met["kind"], met["count"], met["callers"]) == ("email", "outcome-unknown", 1, 1)
    assert (rule["mode"], rule["stopped"], rule["next_step"].split(" in ")[0]) == (
        "enforce", 1, "It has stopped 1 of 3 creates (33.3%), of 1 caller,",
    )  # fmt: skip
    before = status["config"]["hash"]
    program.file.write_text(program.file.read_text() + "\n[oops]\n")
    assert (await operator.post("/reload")).status == 422
    status = await operator.get("/status")
    assert (status["config"]["hash"], len(status["config"]["problems"])) == (before, 1)
    assert (await program.wait_for_log(event="audit", action="reload"))["result"] == "refused"
    await operator.ask("GET", "/livez")
    await operator.ask("GET", "/readyz")


async def test_everything_that_is_served_is_described_and_nothing_else_is(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    operator = Operator(program)
    document = await operator.document()
    assert document["openapi"].startswith("3.1.")
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(set(names)) == len(names)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert ("requestBody" in operation) is (method == "post"), path
    assert json.dumps(document).count('"$ref": "#/components/') > 20
    await unknown(program, upstream, ADA)
    path = f"/claims/{(await only(operator))['fingerprint']}"
    for asked in ("/livez", "/readyz", "/openapi.json", "/status", "/report", "/rules", "/claims/versions", path):
        assert (await operator.ask("GET", asked)).status == 200, asked
    assert (await operator.post("/claims/find", path="/users", json={"email": ADA})).status == 200
    assert (await operator.post(f"{path}/settle", **{"as": "created", "reason": "x"})).status == 200
    assert (await operator.post(f"{path}/release", reason="x")).status == 200
    begun = await operator.post("/claims/import", rule="create-user")
    path = f"/claims/import/{begun.json()['id']}"
    assert (await operator.post(path, first=1, lines=[json.dumps({"email": BOB})])).status == 200
    assert (await operator.post(f"{path}/end")).status == 200
    assert (await operator.post("/reload")).status == 200
    others = {"metrics", "page", "page_file", "events", "exportClaims"}
    assert {name for name, status in operator.seen if status == 200} == set(names) - others, "an answer is unchecked"
