# What the process never tells anybody: no value of a request is found where it does not belong.

import json
from collections.abc import Iterator
from urllib.parse import quote

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import burst
from tests.support.client import request_bytes
from tests.support.program import create_user_rule
from tests.support.shorthands import get
from tests.support.upstream import Call, RawUpstream, example, perform


def canaries() -> Iterator[str]:
    """Strings that careless programs print, run, cut up or choke on; each has a mark of its own to be found by."""
    naughty = [
        *["null", "undefined", "true", "NaN", "-1", "1e999", "0x0", "1/0", "1;DROP TABLE claims", "' OR 1=1 --"],
        *[
            '" OR ""="',
            "'; --",
            "\\",
            "\\\\",
            "\\n",
            "\\u0000",
            "%s%n%d",
            "%00",
            "%0d%0aX-Injected:1",
            "{0}",
            "{{7*7}}",
        ],
        *["${jndi:ldap://x}", "$(id)", "`id`", "|id", ";id", "&&id", "../../etc/passwd", "file:///etc/passwd", "<b>x"],
        *["<script>alert(1)</script>", "]]>", "<!--", "&amp;", "&#0;", "javascript:x", "=1+1", "@SUM(1)", "+1", "--x"],
        *["\t", "  two", "trailing ", " leading", "a\nb", "a\r\nb", "\x00nul", "\x1b[31mred", "\x07bell", "\x7fdel"],
        *["\x85", "\xa0", "\u200b", "\u2028", "\u202ertl", "\ufeffbom", "\ufffd", "\uffff", "e\u0301", "\u00e9", "ſ"],
        *["ß", "İ", "ı", "Ω", "Ⅷ", "𝓤", "𠜎", "😀", "👩‍👩‍👧", "🇩🇪", "한국", "日本語", "العربية", "עברית", "ไทย", "Ṱ̺̺̕o"],
        *["ada@example.org", "user+tag@x.co", '"quoted"@x', "a@[127.0.0.1]", "+49 30 1234567", "4111111111111111"],
        *["DE89370400440532013000", "192.168.0.1", "::1", "Bearer eyJhbGciOi", "password=hunter2", "AKIA0123456789"],
        *["urn:problem-type:x", "gateway_requests_total", "create-user", "idempotency-gateway", "duplicate", "email"],
        *["long" * 500, "[" * 60, '{"a":1}', "a" * 255, "\u0430dmin", "\\x41", "\\\\u0041", "%u0041", "=?utf-8?q?x?="],
    ]
    for number, text in enumerate(naughty):
        yield f"c4n4ry{number:03d}q{text}"


async def die_if_asked(call: Call) -> None:
    await perform(behaviours.half_head() if call.request.header("X-Die") else example, call)


def test_there_are_enough_canaries() -> None:
    assert len(list(canaries())) >= 100
    assert len(set(canaries())) == len(list(canaries()))


async def test_no_value_of_a_request_is_found_in_the_log_the_store_the_metrics_or_anothers_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    everywhere = {
        "name": "everywhere",
        "match": {"path": "/t/{tenant}/users"},
        "scope": ["header.X-Tenant"],
        "unique": [
            {"name": "email", "fields": ["body.email"]},
            {"name": "rest", "fields": ["path.tenant", "query.ref", "cookie.session"]},
        ],
    }
    upstream.default = die_if_asked
    program = await gateway(rules=[create_user_rule(), everywhere])
    requests: list[bytes] = []
    for text in canaries():
        encoded = quote(text.replace("/", ""), safe="")
        raw = "".join(character for character in text if character.isprintable()).encode().decode("latin-1").strip()
        body = json.dumps({"email": text, "note": text}).encode()
        kind = ("Content-Type", "application/json")
        secrets = [("X-Tenant", raw), ("X-Note", raw), ("Authorization", raw), ("Cookie", f"session={encoded}")]
        target = f"/t/{encoded}/users?ref={encoded}"
        requests += [
            *[request_bytes("POST", target, [kind, *secrets], body)] * 2,
            request_bytes("POST", "/users", [kind], body),
            request_bytes("POST", "/users", [kind], body[:-1]),
            request_bytes("POST", f"/users;{encoded}", [kind, *secrets], body),
            request_bytes("POST", target, [kind, *secrets, ("Connection", "X-Tenant")], body),
            request_bytes("GET", target, secrets),
            request_bytes("POST", f"{target}&ref={encoded}", [kind, *secrets], body),
            request_bytes("POST", target, [kind, *secrets, secrets[0]], body),
            request_bytes("POST", target, [kind, *secrets, ("Cookie", f"session={encoded}")], body),
            request_bytes("POST", target, [kind, *secrets, ("X-HTTP-Method", raw)], body),
            request_bytes("POST", "/users", [kind], body[:-1] + b"," + body[1:]),
            request_bytes("POST", "/users", [("Content-Type", f"application/{encoded}")], body),
            request_bytes("POST", "/users", [kind, ("Content-Encoding", raw)], body),
            *[request_bytes("POST", "/users", [kind, ("X-Die", "1")], json.dumps({"email": text + "!"}).encode())] * 2,
        ]
    answers = await burst(program.port, requests, 1)
    slugs = {answer.slug for answer in answers}
    assert slugs >= {"duplicate", "missing-identity", "ambiguous-path", "hidden-field", "outcome-unknown"}
    assert slugs >= {"method-override", None}
    assert len(upstream.requests) >= 3 * len(list(canaries())), "hardly any of them was let through"
    assert all(answer.status for answer in answers)
    told = b"".join(answer.body for answer in answers if answer.slug)
    metrics = (await get(program.admin_port, "/metrics")).body
    kept = {path.name: path.read_bytes() for path in program.directory.iterdir() if path.name != "gateway.toml"}
    assert set(kept) >= {"gateway.db", "gateway.db-wal", "gateway.db.key"}
    assert await program.stop() == 0
    store = (program.directory / "gateway.db").read_bytes()
    written = program.whole_output.encode()
    for name, found in {"log": written, "metrics": metrics, "answers": told, "store": store, **kept}.items():
        assert b"c4n4ry" not in found.lower(), name
        assert b"c4n4ry".hex().encode() not in found.lower(), name
