# The end of serving: clients get time for a last request, requests in progress finish, what is left is closed.

import asyncio
import contextlib

from gateway.front.server import DownstreamServer


async def wait_for_final_requests(front: DownstreamServer, patience: float) -> None:
    """Give clients that are connected `patience` seconds at most to send a request; return early when none is left."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while any(connection.is_idle for connection in front.admitted):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_INTERVAL)  # hundreds may go in one turn, and nobody tells of the last


async def drain(front: DownstreamServer, timeout: float) -> bool:
    """Let exchanges under way finish, close all other connections; False when `timeout` seconds were too short.

    Those that did not finish are cancelled, and have settled when this returns.
    """
    front.is_draining = front.is_ending = True
    for connection in [*front.admitted, *front.refused]:
        if connection.is_idle:
            connection.close()
        else:
            connection.end_after_answer()
    await asyncio.sleep(0)  # a request that was parsed in this turn reaches the handler in the next
    finished = await front.wait_until_inactive(timeout)
    for connection in list(front.admitted):
        connection.cancel()
    await front.wait_until_inactive(1)
    return finished


_POLL_INTERVAL = 0.02
"""Seconds."""
