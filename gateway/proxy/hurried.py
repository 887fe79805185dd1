# An answer that is read, so that it can be told what it means, only for a while: then it goes on to the client.

import asyncio

import msgspec

from gateway.proxy.ending import Ending
from gateway.upstream.results import ResponseBroken, Rest, UpstreamResponse


class _HurriedRest:
    """The rest of an answer's body, which breaks off, as far as its reader can tell, when it takes too long."""

    def __init__(self, rest: Rest, seconds: float) -> None:
        self._rest = rest
        self._until = asyncio.get_running_loop().time() + seconds

    def __repr__(self) -> str:
        return f"_HurriedRest({self._rest!r})"

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._rest.read()  # what comes while this is cancelled stays there
        except TimeoutError:
            raise ResponseBroken from None

    def abandon(self) -> None:
        self._rest.abandon()


async def judge_hurriedly(ending: Ending, answer: UpstreamResponse, seconds: float) -> UpstreamResponse:
    """Find out what an answer means, from what comes of it within some seconds; gives it as far as it was read."""
    if answer.rest is None:
        return await ending.judge(answer)
    judged = await ending.judge(msgspec.structs.replace(answer, rest=_HurriedRest(answer.rest, seconds)))
    return judged if judged.rest is None else msgspec.structs.replace(judged, rest=answer.rest)
