# Sends requests to an API and returns the result: chooses among its endpoints, and decides whether to try another one.

import asyncio
from collections.abc import Sequence

from gateway.upstream.connection import Connection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.results import NoResponse, NotSent, Request, UpstreamResponse
from gateway.upstream.send import send_request


class CancelledUnsent(asyncio.CancelledError):
    """Sending was cancelled before any byte of the request was written."""


class Upstream:
    """An API behind the gateway: one or more endpoints, used round-robin. Mutable state: the round-robin index."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        response_timeout: float,
        rewrites_host: bool,
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        """`response_timeout` in seconds; `rewrites_host` says that the API never sees the client's Host.

        `hosts` are the API's own, as `named_host` writes them.
        """
        self.endpoints = tuple(endpoints)
        self._response_timeout = response_timeout
        self._loop = asyncio.get_running_loop()
        self._next = -1
        self.rewrites_host = rewrites_host
        self.hosts = hosts

    def __repr__(self) -> str:
        return f"Upstream({', '.join(map(repr, self.endpoints))})"

    async def send(self, request: Request) -> UpstreamResponse | NotSent | NoResponse:
        """Send one request and wait for the head of its response.

        Each endpoint is tried at most once, and the next one only while no byte has been written. Only a safe request
        without a body is ever sent again: on a new connection, after an idle one turned out to be closed. Raises
        CancelledUnsent when it is cancelled while it waits for a connection.
        """
        may_reuse = True
        is_retryable = request.is_safe and request.body == b""
        for endpoint in self._in_order():
            connection = endpoint.reuse(is_safe=request.is_safe, is_retryable=is_retryable) if may_reuse else None
            if connection is not None:
                result = await self._exchange(endpoint, connection, request)
                if isinstance(result, UpstreamResponse):
                    endpoint.down_until = 0.0
                    return result
                if result.timed_out or not is_retryable:
                    return result
                may_reuse = False
            try:
                connected = await endpoint.connect()
            except asyncio.CancelledError:
                raise CancelledUnsent from None
            if isinstance(connected, Connection):
                return await self._exchange(endpoint, connected, request)
            not_sent = connected
        return not_sent

    def close(self) -> None:
        """Close the idle connections. Busy ones are closed at the end of their exchange."""
        for endpoint in self.endpoints:
            endpoint.close()

    async def _exchange(
        self, endpoint: Endpoint, connection: Connection, request: Request
    ) -> UpstreamResponse | NoResponse:
        response = send_request(
            self._loop,
            connection,
            request,
            host_line=b"" if request.has_host else endpoint.host_line,
            response_timeout=self._response_timeout,
        )
        try:
            return await response
        except asyncio.CancelledError:
            connection.cancel(response)
            raise

    def _in_order(self) -> Sequence[Endpoint]:
        """All endpoints in the order in which to try them: healthy ones round-robin, then the one that failed first."""
        if len(self.endpoints) == 1:
            return self.endpoints
        now = self._loop.time()
        healthy = [endpoint for endpoint in self.endpoints if endpoint.down_until <= now]
        if healthy:
            self._next = (self._next + 1) % len(healthy)
            healthy = healthy[self._next :] + healthy[: self._next]
            if healthy[0].down_until:
                healthy[0].try_again()
        if len(healthy) == len(self.endpoints):
            return healthy
        down = [endpoint for endpoint in self.endpoints if endpoint not in healthy]
        return [*healthy, *sorted(down, key=lambda endpoint: endpoint.down_until)]
