# Sends requests to an API and says what came of it: which of its endpoints is tried, and when again.

import asyncio
from collections.abc import Sequence

from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse
from gateway.upstream.send import send_request


class CancelledUnsent(asyncio.CancelledError):
    """Sending was cancelled before any byte of the request left."""


class Upstream:
    """An API behind the gateway: one or more endpoints, which take turns. Mutable state: whose turn it is."""

    def __init__(self, endpoints: Sequence[Endpoint], *, response_timeout: float, rewrites_host: bool) -> None:
        """`response_timeout` in seconds; `rewrites_host` says that the API never sees the client's Host."""
        self._endpoints = tuple(endpoints)
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._turn = -1
        self.rewrites_host = rewrites_host

    def __repr__(self) -> str:
        return f"Upstream({', '.join(map(repr, self._endpoints))})"

    async def send(self, request: Request) -> UpstreamResponse | NotSent | NoResponse:
        """Send one request and wait for its answer's head.

        Each endpoint is tried at most once, and the next one only while no byte has left. Only a safe request without a
        body is ever sent a second time: when it was lost on a kept connection, on a new one. Raises CancelledUnsent
        when it is cancelled while a request that must not be sent twice still waits for a connection.
        """
        may_reuse = True
        may_go_again = request.is_safe and request.body == b""
        for endpoint in self._in_turn():
            connection = endpoint.reuse(is_safe=request.is_safe, may_go_again=may_go_again) if may_reuse else None
            if connection is not None:
                result = await self._exchange(endpoint, connection, request)
                if isinstance(result, UpstreamResponse):
                    endpoint.down_until = 0.0
                    return result
                if result.timed_out or not may_go_again:
                    return result
                may_reuse = False
            try:
                connected = await endpoint.connect()
            except asyncio.CancelledError:
                raise CancelledUnsent from None
            if isinstance(connected, Connection):
                return await self._exchange(endpoint, connected, request)
            unreached = connected
        return unreached

    def close(self) -> None:
        """Close the idle connections. Those that carry an exchange end with it."""
        for endpoint in self._endpoints:
            endpoint.close()

    async def _exchange(
        self, endpoint: Endpoint, connection: Connection, request: Request
    ) -> UpstreamResponse | NoResponse:
        answer = send_request(
            self._loop,
            connection,
            request,
            host_line=b"" if request.has_host else endpoint.host_line,
            response_timeout=self._response_timeout,
        )
        try:
            return await answer
        except asyncio.CancelledError:
            connection.cancel(answer)
            raise

    def _in_turn(self) -> Sequence[Endpoint]:
        """All endpoints in the order in which to try them: the healthy ones in turns, then what failed longest ago."""
        if len(self._endpoints) == 1:
            return self._endpoints
        now = self._loop.time()
        healthy = [endpoint for endpoint in self._endpoints if endpoint.down_until <= now]
        if healthy:
            self._turn = (self._turn + 1) % len(healthy)
            healthy = healthy[self._turn :] + healthy[: self._turn]
            if healthy[0].down_until:
                healthy[0].try_again()
        if len(healthy) == len(self._endpoints):
            return healthy
        down = [endpoint for endpoint in self._endpoints if endpoint not in healthy]
        return [*healthy, *sorted(down, key=lambda endpoint: endpoint.down_until)]
