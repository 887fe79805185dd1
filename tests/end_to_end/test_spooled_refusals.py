# Large uploads that are refused: of a type that cannot be read while it comes, unreadable, too large, or too much for
# the disk. Nothing is forwarded, and no file is left.

import gzip
import hashlib

from tests.conftest import StartGateway
from tests.end_to_end.test_spooled import BY_ALBUM, BY_CONTENT, LARGE, LIMITS, answers, send
from tests.support.client import Client
from tests.support.shorthands import JSON, entry, rule
from tests.support.uploads import MIB, Upload, expect_nothing_left, open_files, part, until_open, upload
from tests.support.upstream import RawUpstream


async def test_what_cannot_be_read_while_it_comes_is_too_large_as_before(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    unique = entry("form.album | body", missing="skip")
    program = await gateway(rules=[rule("upload", "/uploads", unique, key={}, **LIMITS)])
    key = ("Idempotency-Key", "k")
    coded = gzip.compress(bytes(hash_ for at in range(4096) for hash_ in hashlib.sha256(b"%d" % at).digest()))
    sends = [
        ([("Content-Type", "application/x-www-form-urlencoded")], b"album=7&x=" + b"y" * 70_000),
        ([JSON], b'{"a": "%b"}' % (b"y" * 70_000)),
        ([upload(b"").type, ("Content-Encoding", "gzip")], coded),
    ]
    for headers, body in sends:
        async with Client(program.port) as client:
            assert (await client.request("POST", "/uploads", [*headers, key], body)).slug == "body-too-large"
    assert not upstream.requests
    assert not open_files(program)


async def test_bounds_of_what_is_in_files(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**BY_CONTENT, "spool_limit": "2MiB"}], server={"max_spooled": "3MiB"})
    too_large = upload(LARGE * 2)
    assert await answers(program, too_large) == ["body-too-large"], "it was announced"
    assert await answers(program, too_large, is_chunked=True) == ["body-too-large"]
    texts = Upload(MIB, [b"x" * MIB])
    texts.head = part('name="album"')
    texts.size = len(texts.head) + MIB + len(texts.tail)
    assert await answers(program, texts) == ["body-too-large"], "what is in no file stays in memory"
    async with Client(program.port) as one:
        await one.send_raw(
            b"POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b0undary\r\n"
            b"Content-Length: 2000000\r\n\r\n" + part('name="upload"; filename="a"') + b"x" * 1_900_000
        )
        await until_open(program, 1)
        assert await answers(program, upload(LARGE[:500_000]), upload(LARGE[:500_000])) == [201, "duplicate"]
        sized = Upload(1_500_000, [b"x" * 1_500_000])
        assert await answers(program, sized) == ["overloaded"]
        assert await answers(program, sized, is_chunked=True) == ["overloaded"]
    await expect_nothing_left(program)
    assert await answers(program, sized) == [201], "the space is free again"
    assert len(upstream.requests) == 2


async def test_an_unreadable_form_is_refused_before_all_of_it_has_come(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_ALBUM])
    async with Client(program.port) as client:
        await client.send_raw(
            b"POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b0undary\r\n"
            b"Content-Length: 5000000\r\n\r\n--b0undary\r\nX: 1\r\n\r\n" + b"x" * 600_000
        )
        seen = await client.read_response("POST")
    assert (seen.status, seen.slug, seen.header("Connection")) == (422, "missing-identity", "close")
    await expect_nothing_left(program)
    forwards = await gateway(rules=[{**BY_ALBUM, "missing": "forward"}])
    odd = upload(LARGE)
    odd.head = b"--b0undary\r\nX: 1\r\n\r\n"
    odd.size = len(odd.head) + len(LARGE) + len(odd.tail)
    seen = await send(forwards, odd)
    assert (seen.status, seen.header("Idempotency-Gateway")) == (201, "unguarded; reason=missing-identity")
    assert bytes(upstream.requests[0].body) == b"".join(odd.pieces())
    await expect_nothing_left(forwards)


async def test_a_disk_that_takes_nothing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[BY_CONTENT], store="memory:", server={"spool_folder": "spool"})
    with program.disk_full():
        seen = await send(program, upload(LARGE))
    assert (seen.status, seen.slug, seen.header("Retry-After")) == (503, "spool-unavailable", "1")
    line = await program.wait_for_log(event="spool-failed")
    assert (line["level"], line["reason"]) == ("error", "File too large")
    assert not upstream.requests
    assert await answers(program, upload(LARGE)) == [201]
    await until_open(program, 0, program.directory / "spool")
    assert list((program.directory / "spool").iterdir()) == []
