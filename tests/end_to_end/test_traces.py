# Spans of creates, as a collector gets them, and what the API and the log are told of them.

import asyncio
import itertools

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.client import Client, create
from tests.support.collector import Collector, Exported
from tests.support.program import create_user_rule
from tests.support.shorthands import JSON, entry, let_it_work, post, rule
from tests.support.upstream import RawUpstream

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENT = ("traceparent", f"00-{TRACE}-{PARENT}-01")
STATE = ("tracestate", "congo=secret-of-the-client")
ADA = {"email": "ada@example.org"}
CONFLICT = {"gateway.conflict.entry": "email", "gateway.conflict.is_retry": False}


def traceparent(upstream: RawUpstream, at: int = -1) -> list[str]:
    (value,) = [value for name, value in upstream.requests[at].headers if name.lower() == "traceparent"]
    return value.split("-")


def fits_in(inner: Exported, outer: Exported) -> bool:
    return outer.start <= inner.start <= inner.end <= outer.end


async def test_a_create_is_a_trace_of_its_steps_that_the_client_began_and_the_api_continues(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    program = await gateway(traces={"endpoint": collector.url, "service": "signup"})
    assert (await post(program, "/users", ADA, CLIENT, STATE)).status == 201
    spans = await collector.trace(TRACE, 4)
    whole = spans["create"]
    assert whole.parent_id == PARENT
    assert {span.parent_id for name, span in spans.items() if name != "create"} == {whole.span_id}
    assert {name: span.kind for name, span in spans.items()} == {
        "create": "SERVER",
        "claim": "INTERNAL",
        "upstream": "CLIENT",
        "settle": "INTERNAL",
    }
    steps = [spans[name] for name in ("claim", "upstream", "settle")]
    assert all(fits_in(step, whole) for step in steps)
    assert all(one.end <= next_one.start for one, next_one in itertools.pairwise(steps))
    assert traceparent(upstream) == ["00", TRACE, spans["upstream"].span_id, "01"]
    assert upstream.requests[0].header("tracestate") == STATE[1]
    (line,) = await program.request_lines(1)
    assert line["trace_id"] == TRACE
    assert whole.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 201,
        "gateway.rule": "create-user",
        "gateway.outcome": "created",
        "gateway.fingerprint": line["fingerprint"],
    }
    assert spans["claim"].attributes == {"gateway.claims": 1, "gateway.claim.result": "reserved"}
    assert spans["upstream"].attributes == {"http.request.method": "POST", "http.response.status_code": 201}
    assert spans["settle"].attributes == {"gateway.settled": True}
    assert not any(span.is_error for span in spans.values())
    assert whole.resource["service.name"] == "signup"


async def test_a_duplicate_that_is_answered_at_once_is_one_span_that_names_the_conflict(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    program = await gateway(traces={"endpoint": collector.url})
    assert (await create(program.port, "ada@example.org")).status == 201
    assert (await create(program.port, "ada@example.org")).slug == "duplicate"
    assert (await post(program, "/users", ADA, CLIENT)).slug == "duplicate"
    fingerprint = (await program.request_lines(3))[2]["fingerprint"]
    assert await program.stop() == 0
    first = [span for span in collector.spans if span.attributes.get("gateway.claim.result") == "held"]
    assert [span.name for span in first] == ["claim"], "the store was asked about the first one alone"
    spans = await collector.trace(TRACE, 1)
    assert spans["create"].attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 409,
        "gateway.rule": "create-user",
        "gateway.outcome": "duplicate",
        "gateway.fingerprint": fingerprint,
        **CONFLICT,
        "gateway.conflict.kind": "duplicate",
    }
    assert not spans["create"].is_error
    assert len(upstream.requests) == 1


async def test_one_that_waits_for_another_tells_how_long_and_for_what(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    held = behaviours.Held(behaviours.answer(400))
    upstream.script(held)
    program = await gateway(traces={"endpoint": collector.url}, rules=[create_user_rule(in_flight="wait")])
    first = asyncio.create_task(post(program, "/users", ADA))
    await held.waiting.reach(1)
    second = asyncio.create_task(post(program, "/users", ADA, CLIENT))
    await let_it_work(program)
    held.release()
    assert ((await first).status, (await second).status) == (400, 201)
    assert await program.stop() == 0
    await collector.spans.reach(4)
    await collector.spans.first(lambda span: span.trace_id == TRACE and span.name == "create", "its span")
    wait, *rest = sorted([span for span in collector.spans if span.trace_id == TRACE], key=lambda span: span.start)[1:]
    assert wait.name == "claim", "it was asked of the store what holds its claim"
    assert [span.name for span in rest] == ["wait", "claim", "upstream", "settle"]
    assert rest[0].attributes == {**CONFLICT, "gateway.conflict.kind": "in-progress"}
    assert rest[0].end - rest[0].start > 0


async def test_an_unknown_outcome_and_what_never_left_are_errors(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    upstream.script(behaviours.close_without_answer(), behaviours.answer(500))
    rules_ = [create_user_rule(), rule("order", "/orders", entry("body.email", name="email"))]
    program = await gateway(store="memory:", traces={"endpoint": collector.url}, rules=rules_)
    seen = [await post(program, "/users", ADA, CLIENT), await post(program, "/users", ADA)]
    assert [answer.slug for answer in seen] == ["outcome-unknown", "outcome-unknown"]
    assert (await post(program, "/orders", ADA)).status == 500
    await upstream.close()
    assert (await post(program, "/orders", {"email": "bob@example.org"})).slug == "upstream-unreachable"
    assert await program.stop() == 0
    lost = await collector.trace(TRACE, 4)
    assert lost["upstream"].attributes == {
        "http.request.method": "POST",
        "gateway.sent": True,
        "error.type": "connection_terminated",
    }
    assert lost["create"].attributes["error.type"] == "outcome-unknown"
    assert (lost["create"].is_error, lost["upstream"].is_error, lost["settle"].is_error) == (True, True, False)
    conflict, failed, unsent = [span for span in collector.spans if span.name == "create"][1:]
    assert conflict.attributes["gateway.conflict.kind"] == "outcome-unknown"
    assert not conflict.is_error
    told = [failed.attributes[key] for key in ("gateway.outcome", "http.response.status_code", "error.type")]
    assert told == ["failed", 500, "failed"]
    assert unsent.attributes["gateway.outcome"] == "upstream-unreachable"
    (upstream_span,) = [span for span in collector.spans if span.parent_id == unsent.span_id and span.kind == "CLIENT"]
    assert (upstream_span.attributes["gateway.sent"], upstream_span.is_error) == (False, True)


async def test_what_names_no_trace_begins_a_new_one_and_its_state_is_not_passed_on(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    zeros, no_parent = f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"
    program = await gateway(traces={"endpoint": collector.url})
    sends: list[list[str]] = [[], [zeros], [no_parent], [CLIENT[1]] * 2, ["ff" + CLIENT[1][2:]]]
    for number, sent in enumerate(sends):
        headers = [("traceparent", each) for each in sent]
        assert (await post(program, "/users", {"email": f"{number}@example.org"}, *headers, STATE)).status == 201
    lines = await program.request_lines(len(sends))
    assert await program.stop() == 0
    assert len({line["trace_id"] for line in lines} | {TRACE}) == len(sends) + 1
    for number, line in enumerate(lines):
        spans = await collector.trace(line["trace_id"], 4)
        assert spans["create"].parent_id == ""
        *told, flags = traceparent(upstream, number)
        assert told == ["00", line["trace_id"], spans["upstream"].span_id]
        assert int(flags, 16) & 1 == 1
        assert upstream.requests[number].header("tracestate") is None


async def test_the_decision_of_the_client_stands_and_without_one_the_share_decides(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    program = await gateway(traces={"endpoint": collector.url, "sample": 0})
    unsampled = f"00-{TRACE}-{PARENT}-00"
    for email, headers in (("a", [("traceparent", unsampled), STATE]), ("b", []), ("c", [CLIENT])):
        assert (await post(program, "/users", {"email": f"{email}@example.org"}, *headers)).status == 201
    lines = await program.request_lines(3)
    assert await program.stop() == 0
    spans = await collector.trace(TRACE, 4)
    assert len(collector.spans) == 4
    assert traceparent(upstream, 0) == unsampled.split("-"), "nothing is known here of a span that nobody records"
    assert upstream.requests[0].header("tracestate") == STATE[1]
    version, trace_id, span_id, flags = traceparent(upstream, 1)
    assert (version, trace_id) == ("00", lines[1]["trace_id"])
    assert (int(flags, 16) & 1, int(span_id, 16) > 0) == (0, True)
    assert traceparent(upstream, 2) == ["00", TRACE, spans["upstream"].span_id, "01"]


async def test_strangers_name_no_parent_where_only_trusted_peers_do(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    traces = {"endpoint": collector.url, "parent": "trusted"}
    for trusted in ("10.0.0.0/8", "127.0.0.0/8"):
        program = await gateway(traces=traces, forwarding={"trusted_proxies": [trusted]})
        assert (await post(program, "/users", ADA, CLIENT, STATE)).status == 201
        assert await program.stop() == 0
    await collector.spans.reach(8)
    stranger, trusted_one = [span for span in collector.spans if span.name == "create"]
    assert (stranger.parent_id, trusted_one.parent_id) == ("", PARENT)
    assert stranger.trace_id != TRACE
    assert traceparent(upstream, 0)[1] == stranger.trace_id
    assert upstream.requests[0].header("tracestate") is None


async def test_no_value_of_a_request_is_in_anything_that_is_exported(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    """Neither of an identity nor what else could hold one: paths, queries, fields, ids that clients choose, links."""
    guarded = create_user_rule(
        match={"path": "/tenants/{tenant}/users"},
        unique=[{"name": "email", "fields": ["body.email", "query.ref", "path.tenant"]}],
        scope=["header.X-Region", "cookie.session"],
        key={},
        retry="replay",
    )
    upstream.script(behaviours.answer(201, [("Location", "/users/secret-link")], b"secret-answer"))
    program = await gateway(traces={"endpoint": collector.url}, rules=[guarded])
    target = "/tenants/secret-tenant/users?ref=secret-ref"
    mine = [
        CLIENT,
        STATE,
        ("X-Region", "secret-region"),
        ("Cookie", "session=secret-session"),
        ("Idempotency-Key", "secret-key"),
        ("Authorization", "Bearer secret-token"),
        ("X-Request-Id", "secret-request-id"),
        ("User-Agent", "secret-agent"),
        ("baggage", "user=secret-baggage"),
    ]
    body = {"email": "secret-email@example.org"}
    upstream.script(behaviours.close_without_answer())
    seen = [await post(program, target, each, *mine) for each in (body, body, {"email": 7, "x": "secret-type"})]
    assert [answer.status for answer in seen] == [201, 201, 422]
    other = [header for header in mine if header[0] != "Idempotency-Key"]
    assert (await post(program, target, body, *other, ("Idempotency-Key", "secret-other"))).slug == "duplicate"
    lost = {"email": "secret-lost@example.org"}
    for _ in range(2):
        await post(program, target, lost, *other, ("Idempotency-Key", "secret-third"))
    assert len(await program.request_lines(6)) == 6
    assert await program.stop() == 0
    assert len([span for span in collector.spans if span.name == "create"]) == 6
    payload = b"".join([export.body for export in collector.exports])
    assert b"create-user" in payload
    for text in (b"secret", b"tenants", b"127.0.0.1", b"api.example", b"/users"):
        assert text not in payload.lower(), text
    fields = b"".join([str(export.headers).encode() for export in collector.exports])
    assert b"secret" not in fields


async def test_requests_that_no_rule_guards_have_no_spans_and_are_passed_on_as_they_are(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    program = await gateway(traces={"endpoint": collector.url})
    async with Client(program.port) as client:
        assert (await client.request("GET", "/users", [CLIENT, STATE])).status == 200
    assert "-".join(traceparent(upstream)) == CLIENT[1]
    assert upstream.requests[0].header("tracestate") == STATE[1]
    assert (await program.request_lines(1))[0]["trace_id"] == TRACE
    assert await program.stop() == 0
    assert collector.exports == []


async def test_what_the_api_is_asked_beside_the_create_is_a_step_as_well(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    asks = create_user_rule(authorize={"path": "/me"}, duplicate="upsert")
    upstream.script(behaviours.answer(201, [("Location", "/users/7")]), behaviours.answer(200), behaviours.answer(204))
    program = await gateway(traces={"endpoint": collector.url}, rules=[asks])
    bearer = ("Authorization", "Bearer ada")
    assert (await post(program, "/users", ADA, bearer)).status == 201
    assert (await post(program, "/users", ADA, bearer, CLIENT)).status == 204
    assert await program.stop() == 0
    spans = await collector.trace(TRACE, 4)
    asked, changed = upstream.requests[1:]
    assert (asked.target, changed.method) == ("/me", "PUT")
    assert traceparent(upstream, 1)[2] == spans["authorize"].span_id
    assert traceparent(upstream, 2)[2] == spans["upstream"].span_id
    assert spans["authorize"].attributes == {"http.request.method": "GET", "gateway.verdict": "allowed"}
    assert spans["upstream"].attributes == {"http.request.method": "PUT", "http.response.status_code": 204}
    assert spans["create"].attributes["gateway.outcome"] == "upserted"


async def test_the_question_about_an_unknown_outcome_is_a_wait_of_the_create_that_asks(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    asks = create_user_rule(verify={"path": "/users?email={body.email}"})
    upstream.script(behaviours.close_without_answer(), behaviours.answer(200))
    program = await gateway(traces={"endpoint": collector.url}, rules=[asks])
    assert (await post(program, "/users", ADA)).slug == "outcome-unknown"
    assert (await post(program, "/users", ADA, CLIENT)).slug == "duplicate"
    assert await program.stop() == 0
    await collector.spans.first(lambda span: span.trace_id == TRACE and span.name == "create", "its span")
    spans = [span for span in collector.spans if span.trace_id == TRACE]
    (wait,) = [span for span in spans if span.name == "wait"]
    (whole,) = [span for span in spans if span.name == "create"]
    assert wait.attributes == {**CONFLICT, "gateway.conflict.kind": "outcome-unknown"}
    assert whole.attributes["gateway.conflict.kind"] == "duplicate", "for which it was answered"
    assert upstream.requests[1].target == "/users?email=ada%40example.org"
    assert traceparent(upstream, 1) == ["00", TRACE, whole.span_id, "01"]
    assert upstream.requests[1].target not in str(spans)


async def test_a_create_that_cannot_be_read_is_a_span_too(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    when = create_user_rule(match={"path": "/users", "when": [{"field": "body.type", "equals": "user"}]})
    program = await gateway(traces={"endpoint": collector.url}, rules=[when])
    for body in (b"{", b"x" * 2**21):
        async with Client(program.port) as client:
            await client.request("POST", "/users", [JSON, CLIENT], body)
    lines = await program.request_lines(2)
    assert await program.stop() == 0
    await collector.spans.reach(2)
    assert [span.attributes["gateway.outcome"] for span in collector.spans] == [line["outcome"] for line in lines]
    assert not upstream.requests


async def test_a_create_under_a_rule_in_shadow_tells_what_would_have_become_of_it(
    upstream: RawUpstream, gateway: StartGateway, collector: Collector
) -> None:
    watching = rule("watching", "/users", entry("body.email"), mode="shadow")
    program = await gateway(rules=[watching], traces={"endpoint": collector.url})
    for at, mark in enumerate((None, "duplicate")):
        trace = f"{at + 1:032x}"
        assert (await post(program, "/users", ADA, ("traceparent", f"00-{trace}-{PARENT}-01"))).status == 201
        spans = await collector.trace(trace, 2)
        assert set(spans) == {"create", "upstream"}
        assert spans["create"].attributes.get("gateway.would") == mark
        assert spans["create"].attributes["gateway.outcome"] == ("created" if mark is None else "shadow")
        assert traceparent(upstream)[2] == spans["upstream"].span_id
