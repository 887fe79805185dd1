# Creates that never left the gateway, because the API was out of reach: they are free again at once.

import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support.client import create
from tests.support.program import rules
from tests.support.shorthands import AGAIN, LOOKED_UP, expect_next, expect_proxy_status, expect_stored
from tests.support.upstream import RawUpstream


@contextlib.asynccontextmanager
async def refused_port() -> AsyncIterator[tuple[str, socket.socket, None]]:
    """A port that is bound and not listened on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener, None


@contextlib.asynccontextmanager
async def crowded_port() -> AsyncIterator[tuple[str, socket.socket, None]]:
    """A port whose queue is full: the kernel leaves further connections waiting."""
    with socket.socket() as listener, contextlib.ExitStack() as crowd:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = crowd.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", listener, None


@contextlib.asynccontextmanager
async def missing_socket() -> AsyncIterator[tuple[str, None, Path]]:
    """A unix socket that is not there."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "api.sock"
        yield f"unix:{path}", None, path


@contextlib.asynccontextmanager
async def abandoned_socket() -> AsyncIterator[tuple[str, None, Path]]:
    """A unix socket whose server is gone."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "api.sock"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(path))
        yield f"unix:{path}", None, path


Unreachable = Callable[[], contextlib.AbstractAsyncContextManager[tuple[str, socket.socket | None, Path | None]]]


@pytest.mark.parametrize(
    ("unreachable", "status", "error"),
    [
        (refused_port, 502, "connection_refused"),
        (crowded_port, 504, "connection_timeout"),
        (missing_socket, 502, "connection_refused"),
        (abandoned_socket, 502, "connection_refused"),
    ],
)
async def test_a_create_that_never_left_is_free_again_at_once(
    unreachable: Unreachable, status: int, error: str, gateway: StartGateway
) -> None:
    async with unreachable() as (url, listener, path):
        program = await gateway(rules(url, upstream={"connect_timeout": "300ms"}))
        for email in (AGAIN, LOOKED_UP, AGAIN):
            seen = await create(program.port, email)
            assert (seen.status, seen.slug) == (status, "upstream-unreachable")
            expect_proxy_status(seen, error)
        lines = await program.request_lines(3)
        assert {line["outcome"] for line in lines} == {"upstream-unreachable"}
        async with RawUpstream(path=path, listener=listener) as upstream:
            await expect_next(program.port, upstream, AGAIN, "free")
            await expect_stored(program, lines[1], "free")


async def test_a_name_that_does_not_resolve_leaves_the_create_free(gateway: StartGateway) -> None:
    program = await gateway(rules("http://no-such-host.invalid:80"))
    for _ in range(2):
        seen = await create(program.port, AGAIN)
        assert (seen.status, seen.slug) == (502, "upstream-unreachable")
        expect_proxy_status(seen, "dns_error")
    line, _ = await program.request_lines(2)
    await expect_stored(program, line, "free")
