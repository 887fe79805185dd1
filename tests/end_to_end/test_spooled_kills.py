# kill -9 while an upload comes, and while it is sent on from its file: what is left, and what is known afterwards. And
# a gigabyte.

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.end_to_end.test_spooled import BY_CONTENT, LARGE, answers, send
from tests.end_to_end.test_streams import GROWTH, pieces
from tests.support.client import Client
from tests.support.program import rules
from tests.support.shorthands import GIB
from tests.support.uploads import Upload, descriptors, expect_nothing_left, folder, until_open, upload
from tests.support.upstream import At, Call, RawUpstream, Stage

HEAD = b"POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"


async def test_a_kill_while_an_upload_comes_leaves_no_file_and_no_claim(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    sent = upload(LARGE)
    async with Client(program.port) as client:
        await client.send_raw(HEAD % (sent.type[1].encode(), sent.size) + b"".join(sent.pieces())[:-1])
        await until_open(program, 1)
        await program.kill()
    assert list(folder(program).iterdir()) == []
    await program.start()
    assert await answers(program, sent, upload(LARGE, "x")) == [201, "duplicate"]
    assert len(upstream.requests) == 1
    await expect_nothing_left(program)


async def test_a_kill_while_an_upload_is_sent_on_leaves_no_file_and_an_unknown_outcome(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    begun, killed = asyncio.Event(), asyncio.Event()

    async def stand_still(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        begun.set()
        await killed.wait()
        call.reset()

    upstream.script(At(Stage.HEAD, stand_still))
    sent = Upload(len(LARGE) * 7, [LARGE] * 7)  # more than the kernel holds between the two
    sending = asyncio.create_task(send(program, sent))
    await begun.wait()
    await until_open(program, 1)
    await program.kill()
    killed.set()
    await asyncio.gather(sending, return_exceptions=True)
    assert list(folder(program).iterdir()) == []
    await program.start()
    await program.wait_for_log(event="recovered", unknown=1)
    assert await answers(program, sent) == ["outcome-unknown"]
    await expect_nothing_left(program)


async def test_a_file_that_cannot_be_read_while_it_is_sent_on_leaves_an_unknown_outcome(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def stand_still(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        begun.set()
        await go_on.wait()
        call.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(asyncio.IncompleteReadError):
            await call.read_body()
        call.ended = True

    upstream.script(At(Stage.HEAD, stand_still))
    sent = Upload(len(LARGE) * 7, [LARGE] * 7)
    sending = asyncio.create_task(send(program, sent))
    await begun.wait()
    (descriptor,) = descriptors(program.pid, folder(program))
    os.truncate(descriptor, 0)
    go_on.set()
    seen = await sending
    assert (seen.status, seen.slug) == (502, "outcome-unknown")
    assert "error=proxy_internal_error" in (seen.header("Proxy-Status") or "")
    line = await program.wait_for_log(event="spool-failed")
    assert line["reason"] == "the file is shorter than what was written"
    assert await answers(program, sent) == ["outcome-unknown"]
    await expect_nothing_left(program)


async def test_what_an_earlier_process_left_with_a_name_is_removed_at_the_start(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[BY_CONTENT])
    await program.stop()
    left, fresh, other = (folder(program) / name for name in ("gateway-upload-a", "gateway-upload-b", "notes"))
    for path in (left, fresh, other):
        path.touch()
    os.utime(left, (0, 0))
    os.utime(other, (0, 0))
    await program.start()
    assert sorted(folder(program).iterdir()) == sorted([fresh, other])


async def test_a_folder_that_cannot_be_used_is_a_problem_at_the_start_and_at_a_reload(
    upstream: RawUpstream, gateway: StartGateway, tmp_path: Path
) -> None:
    where = tmp_path / "none" / "spool"
    plain = {**BY_CONTENT}
    del plain["spool_limit"]
    program = await gateway(rules=[plain], server={"spool_folder": str(where)})
    assert not where.parent.exists(), "no rule needs it"
    program.file.write_text(rules(upstream.url, rules=[BY_CONTENT], server={"spool_folder": str(where)}))
    program.hang_up()
    line = await program.wait_for_log(event="reload-refused")
    (problem,) = line["problems"]
    assert problem.startswith(f"server.spool_folder: no file can be made in {where}: No such file or directory; give ")
    where.parent.mkdir()
    program.hang_up()
    await program.wait_for_log(event="reloaded")
    assert where.is_dir()
    assert await answers(program, upload(LARGE), upload(LARGE, "x")) == [201, "duplicate"]


@pytest.mark.slow
async def test_a_gigabyte_is_known_by_its_content_within_bounded_memory(
    api: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules(api.url, rules=[{**BY_CONTENT, "spool_limit": "2GiB"}]))
    assert await answers(program, upload(LARGE)) == [201]
    before = program.rss()
    first = Upload(GIB, pieces(GIB))
    assert await answers(program, first) == [201]
    assert api.requests[-1].body_length == first.size
    assert await answers(program, Upload(GIB, pieces(GIB), boundary="another", filename="b.bin")) == ["duplicate"]
    assert program.peak_rss() - before < GROWTH
    await expect_nothing_left(program)
