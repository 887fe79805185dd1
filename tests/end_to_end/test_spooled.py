# Uploads too large for memory under rules that read them: hashed on the way to a file, forwarded from there. Nothing is
# left of it, however it ends.

import asyncio
import hashlib
import stat
from collections import Counter
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.end_to_end.test_streams import pieces
from tests.support.client import Client, Response
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, rule
from tests.support.uploads import MIB, Upload, expect_nothing_left, folder, open_files, until_open, upload
from tests.support.upstream import At, Call, RawUpstream, Stage

LIMITS = {"body_limit": "64KiB", "spool_limit": "8MiB"}
BY_CONTENT = rule("upload", "/uploads", entry("file.upload.sha256"), **LIMITS)
BY_ALBUM = rule("upload", "/uploads", entry("form.album"), **LIMITS)
LARGE = bytes(range(256)) * 4 * 1024 + b"end"


async def send(program: GatewayProgram, sent: Upload, *headers: tuple[str, str], is_chunked: bool = False) -> Response:
    async with Client(program.port) as client:
        lines = [sent.type] if is_chunked else sent.headers
        return await client.request("POST", "/uploads", [*lines, *headers], sent.pieces())


async def answers(program: GatewayProgram, *sent: Upload, **options: Any) -> list[int | str]:
    found = [await send(program, each, **options) for each in sent]
    return [seen.slug or seen.status for seen in found]


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
async def test_a_large_file_is_known_by_its_content_and_forwarded_as_it_came(
    upstream: RawUpstream, gateway: StartGateway, *, is_chunked: bool
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    first, again = upload(LARGE), upload(LARGE, "another", "b.bin")
    assert await answers(program, first, again, upload(LARGE[:-1]), is_chunked=is_chunked) == [201, "duplicate", 201]
    assert bytes(upstream.requests[0].body) == b"".join(first.pieces())
    assert upstream.requests[0].header("Transfer-Encoding") == ("chunked" if is_chunked else None)
    assert upstream.requests[0].header("Content-Length") == (None if is_chunked else str(first.size))
    assert len(upstream.requests) == 2
    await expect_nothing_left(program)


async def test_a_large_file_and_a_small_reading_of_it_are_one_identity(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[{**BY_CONTENT, "body_limit": "2MiB"}])
    keyed = {**BY_CONTENT, "key": {}, "retry": "replay"}
    assert await answers(program, upload(LARGE)) == [201]
    await program.restart(program.file.read_text().replace("2MiB", "64KiB"))
    assert await answers(program, upload(LARGE, "x", "b")) == ["duplicate"]
    other = await gateway(rules=[{**keyed, "body_limit": "2MiB"}])
    key = ("Idempotency-Key", "k-1")
    first = await send(other, upload(LARGE), key)
    await other.restart(other.file.read_text().replace("2MiB", "64KiB"))
    replay = await send(other, upload(LARGE), key)
    assert (first.status, replay.status, replay.header("Idempotency-Status")) == (201, 201, "replayed")
    assert replay.body == first.body
    assert (await send(other, upload(LARGE, filename="c"), key)).slug == "key-reused"
    await expect_nothing_left(other)


async def test_the_same_bytes_are_a_retry_within_its_window(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**BY_CONTENT, "retry": "replay", "retry_window": "10m"}])
    caller = ("Authorization", "Bearer a")
    seen = [await send(program, upload(LARGE, boundary), caller) for boundary in ("a", "a", "b")]
    assert [(each.status, each.header("Idempotency-Status")) for each in seen] == [
        *((201, "created"), (201, "replayed"), (409, "duplicate"))
    ]
    assert len(upstream.requests) == 1


async def test_a_field_beside_a_large_file_is_an_identity(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[BY_ALBUM])
    sent = [upload(LARGE + str(at).encode(), album=album) for at, album in enumerate(("7", "7", "8"))]
    assert await answers(program, *sent) == [201, "duplicate", 201]
    assert await answers(program, upload(LARGE)) == ["missing-identity"]
    await expect_nothing_left(program)


async def test_a_body_is_known_by_its_bytes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("upload", "/uploads", entry("body"), **LIMITS)])
    for kind in ([("Content-Type", "text/csv")], [JSON], [], [("Content-Type", "text/csv"), ("Content-Encoding", "x")]):
        body = repr(kind).encode() + LARGE
        async with Client(program.port) as client:
            seen = [await client.request("POST", "/uploads", kind, body) for _ in range(2)]
        assert [each.status for each in seen] == [201, 409]
    assert hashlib.sha256(bytes(upstream.requests[-1].body)).digest() == hashlib.sha256(body).digest()


async def test_files_have_no_name_and_are_for_nobody_else(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[BY_CONTENT])
    assert stat.S_IMODE(folder(program).stat().st_mode) == 0o700
    waiting = asyncio.Event()

    async def hold(call: Call) -> None:
        await waiting.wait()
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    upstream.script(hold)
    sending = asyncio.create_task(send(program, upload(LARGE)))
    await upstream.requests.reach(1)
    (name,) = open_files(program)
    assert name.endswith(" (deleted)")
    assert list(folder(program).iterdir()) == []
    waiting.set()
    assert (await sending).status == 201
    await expect_nothing_left(program)
    assert b"end" not in (program.directory / "gateway.db").read_bytes()


async def test_an_api_that_answers_before_it_has_read_all(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**BY_CONTENT, "spool_limit": "32MiB"}])

    async def refuse(call: Call) -> None:
        await call.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        call.close()

    upstream.script(At(Stage.HEAD, refuse))
    sent = upload(LARGE * 16)
    assert await answers(program, sent) == [413]
    await expect_nothing_left(program)
    assert await answers(program, sent) == [201], "it was refused, so it is free"


async def test_a_client_that_leaves_within_an_upload_claims_nothing(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    sent = upload(LARGE)
    async with Client(program.port) as client:
        lines = b"POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        await client.send_raw(lines % (sent.type[1].encode(), sent.size) + b"".join(sent.pieces())[:-1])
        await until_open(program, 1)
    (line,) = await program.request_lines(1)
    assert line["outcome"] == "request-incomplete"
    await expect_nothing_left(program)
    assert not upstream.requests
    assert await answers(program, sent) == [201]


async def test_a_client_that_leaves_afterwards_is_settled_for(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[BY_CONTENT])
    go_on = asyncio.Event()

    async def late(call: Call) -> None:
        await go_on.wait()
        await call.read_body()
        await call.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    upstream.script(At(Stage.HEAD, late))
    sending = asyncio.create_task(send(program, upload(LARGE)))
    await upstream.started.reach(1)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    go_on.set()
    (line,) = await program.request_lines(1)
    assert (line["outcome"], line["client_gone"]) == ("created", True)
    assert await answers(program, upload(LARGE, "x")) == ["duplicate"]
    await expect_nothing_left(program)


async def test_a_client_is_told_to_go_on_unless_it_need_not(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[BY_CONTENT])
    sent = upload(LARGE)
    head = "POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n"
    async with Client(program.port) as client:
        await client.send_raw(head.format(sent.type[1], sent.size).encode())
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await client.send_raw(b"".join(sent.pieces()))
        assert (await client.read_response("POST")).status == 201
    async with Client(program.port) as client:
        await client.send_raw(head.format(sent.type[1], 9 * MIB).encode())
        assert (await client.read_response("POST")).slug == "body-too-large"
    await expect_nothing_left(program)


async def test_a_duplicate_is_sent_on_from_its_file(upstream: RawUpstream, gateway: StartGateway) -> None:
    changes = {"duplicate": "upsert", "resource": "header.Location"}
    program = await gateway(rules=[{**BY_ALBUM, **changes}])
    first, second = upload(LARGE, album="7"), upload(LARGE * 2, album="7")
    assert [(await send(program, each)).header("Idempotency-Status") for each in (first, second)] == [
        *("created", "upserted")
    ]
    assert [each.method for each in upstream.requests] == ["POST", "PUT"]
    assert bytes(upstream.requests[1].body) == b"".join(second.pieces())

    async def gone(call: Call) -> None:
        await call.send(b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")

    upstream.script(gone)
    assert (await send(program, second)).header("Idempotency-Status") == "created", "sent twice from one file"
    assert [each.method for each in upstream.requests] == ["POST", "PUT", "PUT", "POST"]
    assert bytes(upstream.requests[-1].body) == b"".join(second.pieces())
    await expect_nothing_left(program)


async def test_rules_in_turn_read_one_file(upstream: RawUpstream, gateway: StartGateway) -> None:
    note = rule("note", "/uploads", entry("body.id"), body_limit="64KiB")
    note["match"] = {"path": "/uploads", "when": [{"field": "body.kind", "equals": "note"}]}
    note["missing"] = "forward"
    program = await gateway(rules=[note, BY_CONTENT])
    assert await answers(program, upload(LARGE), upload(LARGE, "x")) == [201, "duplicate"]
    async with Client(program.port) as client:
        seen = await client.request("POST", "/uploads", [JSON], b'{"kind": "note", "id": "%b"}' % (b"x" * 70_000))
    assert seen.slug == "body-too-large"
    odd = upload(LARGE)
    odd.type = ("Content-Type", 'multipart/form-data; boundary="b0 undary"')
    assert await answers(program, odd) == ["missing-identity"]
    await expect_nothing_left(program)


async def test_other_requests_are_served_meanwhile_and_memory_is_bounded(
    api: RawUpstream, gateway: StartGateway
) -> None:
    size = 64 * MIB
    by_content = {**BY_CONTENT, "spool_limit": "100MiB", "in_flight": "wait", "wait_timeout": "60s"}
    program = await gateway(upstream={"url": api.url}, rules=[by_content], server={"max_buffered": "4MiB"})
    assert await answers(program, upload(LARGE)) == [201]
    before = program.rss()
    sent = [Upload(size, pieces(size), boundary=f"b{at}", filename=f"{at}") for at in range(4)]
    found = await asyncio.gather(*[send(program, each) for each in sent])
    assert Counter(each.slug or each.status for each in found) == {201: 1, "duplicate": 3}
    assert api.requests[-1].body_length == sent[0].size
    assert program.peak_rss() - before < 32 * MIB
    await expect_nothing_left(program)


async def test_an_unknown_outcome_of_an_upload_is_found_out(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**BY_ALBUM, "verify": {"path": "/albums/{form.album}"}}])
    upstream.script(lambda call: call.reset())
    sent = upload(LARGE, album="7")
    assert await answers(program, sent, sent) == ["outcome-unknown", "duplicate"]
    assert [(each.method, each.target) for each in upstream.requests] == [("POST", "/uploads"), ("GET", "/albums/7")]
    await expect_nothing_left(program)
