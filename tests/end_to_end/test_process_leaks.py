# What the process never tells anybody: no value of a request is found where it does not belong.

import json
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.burst import Outcome, burst
from tests.support.client import request_bytes
from tests.support.program import GatewayProgram, create_user_rule
from tests.support.shorthands import get
from tests.support.upstream import Call, RawUpstream, example, perform

EVERYWHERE = {
    "name": "everywhere",
    "match": {"path": "/t/{tenant}/users"},
    "scope": ["header.X-Tenant"],
    "unique": [
        {"name": "email", "fields": ["body.email"]},
        {"name": "rest", "fields": ["path.tenant", "query.ref", "cookie.session"]},
    ],
}
ORDERS = {
    "name": "order",
    "match": {"path": "/orders"},
    "unique": [{"name": "email", "fields": ["body.email"]}],
    "key": {},
    "retry": "replay",
}
RULES = [create_user_rule(), EVERYWHERE, ORDERS]


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
        *["long" * 200, "[" * 60, '{"a":1}', "a" * 255, "\u0430dmin", "\\x41", "\\\\u0041", "%u0041", "=?utf-8?q?x?="],
    ]
    for number, text in enumerate(naughty):
        yield f"c4n4ry{number:03d}q{text}"


async def echo(call: Call) -> None:
    """Answer with all that was sent, unless asked to die."""
    request = call.request
    if request.header("X-Die"):
        await perform(behaviours.half_head(), call)
    elif request.target.startswith("/orders"):
        fields = [("X-Note", request.header("X-Note") or ""), ("X-Target", request.target)]
        await perform(behaviours.answer(201, fields, bytes(request.body)), call)
    else:
        await perform(example, call)


def test_there_are_enough_canaries() -> None:
    assert len(list(canaries())) >= 100
    assert len(set(canaries())) == len(list(canaries()))


def requests_with(text: str) -> list[bytes]:
    """Requests that have a text in every place that a rule reads, and in others."""
    encoded = quote(text.replace("/", ""), safe="")
    raw = "".join(character for character in text if character.isprintable()).encode().decode("latin-1").strip()
    body = json.dumps({"email": text, "note": text}).encode()
    kind = ("Content-Type", "application/json")
    secrets = [("X-Tenant", raw), ("X-Note", raw), ("Authorization", raw), ("Cookie", f"session={encoded}")]
    target = f"/t/{encoded}/users?ref={encoded}"
    return [
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


def retries_with(text: str) -> tuple[list[bytes], list[bytes]]:
    """Make a create whose answer is stored, and its retries; and what others send, or the same caller wrongly."""
    encoded = quote(text, safe="")
    raw = "".join(character for character in text if character.isprintable()).encode().decode("latin-1").strip()
    body = json.dumps({"email": text, "note": text}).encode()
    kind, ada = ("Content-Type", "application/json"), ("Authorization", raw)
    note, key = ("X-Note", raw), ("Idempotency-Key", f'"{encoded[:200]}"')
    target = f"/orders?{encoded[:60]}"
    own = [request_bytes("POST", target, [kind, ada, note, key], body)] * 3
    others = [
        request_bytes("POST", target, [kind, ("Authorization", f"{raw}!"), note, key], body),
        request_bytes("POST", target, [kind, note], body),
        request_bytes("POST", target, [kind, ada, note, key], json.dumps({"email": text, "note": 2}).encode()),
        request_bytes("POST", target, [kind, ada, note, ("Idempotency-Key", f"{raw}!")], body),
        request_bytes("POST", target, [kind, ada, note, key, key], body),
        request_bytes("POST", target, [kind, ada, note, ("Idempotency-Key", f'"{raw[:8] * 40}')], body),
    ]
    return own, others


def shown(answers: Sequence[Outcome]) -> bytes:
    """All that answers say."""
    fields = [f"{name}{value}".encode("latin-1") for answer in answers for name, value in answer.fields]
    return b"".join([*fields, *[answer.body for answer in answers]])


def stored_answers(store: Path) -> list[bytes]:
    """The answers in a store, as they are stored."""
    with closing(sqlite3.connect(store)) as database:
        return [row[0] for row in database.execute("SELECT answer FROM claims WHERE answer IS NOT NULL")]


def is_packed(data: bytes) -> bool:
    """Whether it is compressed and not encrypted, behind a head of some bytes."""
    for start in range(40):
        try:
            zlib.decompress(data[start:])
        except zlib.error:
            continue
        return True
    return False


async def leaks(program: GatewayProgram, upstream: RawUpstream, texts: Sequence[str], mark: bytes) -> list[str]:
    """Send texts in every place, end the gateway, and name where one of them is found that does not belong there."""
    upstream.default = echo
    answers = await burst(program.port, [each for text in texts for each in requests_with(text)], 1)
    slugs = {answer.slug for answer in answers}
    assert slugs >= {"duplicate", "missing-identity", "ambiguous-path", "hidden-field", "outcome-unknown"}
    assert slugs >= {"method-override", None}
    assert len(upstream.requests) >= 3 * len(texts), "hardly any of them was let through"
    retries = [retries_with(text) for text in texts]
    own = await burst(program.port, [each for sent, _ in retries for each in sent], 1)
    others = await burst(program.port, [each for _, sent in retries for each in sent], 1)
    assert [answer.status for answer in own] == [201] * len(own)
    assert sum(("idempotent-replayed", "true") in answer.fields for answer in own) == 2 * len(texts)
    assert {answer.slug for answer in others} == {"duplicate", "key-reused", "key-malformed"}
    assert all(answer.status for answer in [*answers, *others])
    told = shown([*[answer for answer in answers if answer.slug], *others])
    metrics = (await get(program.admin_port, "/metrics")).body
    kept = {path.name: path.read_bytes() for path in program.directory.iterdir() if path.name != "gateway.toml"}
    assert set(kept) >= {"gateway.db", "gateway.db-wal", "gateway.db.key"}
    assert await program.stop() == 0
    store = program.directory / "gateway.db"
    assert len(stored_answers(store)) == len(texts)
    places = {"log": program.whole_output.encode(), "metrics": metrics, "answers": told, "store": store.read_bytes()}
    found = [name for name, data in {**places, **kept}.items() if mark in data.lower() or mark.hex().encode() in data]
    if any(is_packed(answer) for answer in stored_answers(store)):
        found.append("stored answers, which are not encrypted")
    return found


async def test_no_value_of_a_request_is_found_in_the_log_the_store_the_metrics_or_anothers_answer(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=RULES)
    assert await leaks(program, upstream, list(canaries()), b"c4n4ry") == []
