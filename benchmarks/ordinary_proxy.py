# A typical aiohttp proxy: a client session behind a catch-all route. It enforces nothing; its cost is the baseline.

import argparse
from collections.abc import AsyncIterator, Iterable

import uvloop
from aiohttp import ClientSession, web
from multidict import CIMultiDict

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
SESSION = web.AppKey("SESSION", ClientSession)
UPSTREAM = web.AppKey("UPSTREAM", str)


def end_to_end(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """The headers that a proxy passes on (RFC 9110 section 7.6.1)."""
    return CIMultiDict((name, value) for name, value in headers if name.lower() not in HOP_BY_HOP)


async def forward(request: web.Request) -> web.Response:
    """Pass the request on, and its answer back."""
    body = await request.read()
    async with request.app[SESSION].request(
        request.method,
        request.app[UPSTREAM] + request.path_qs,
        headers=end_to_end(request.headers.items()),
        data=body or None,
        allow_redirects=False,
    ) as answer:
        return web.Response(
            status=answer.status,
            reason=answer.reason,
            headers=end_to_end(answer.headers.items()),
            body=await answer.read(),
        )


async def session(app: web.Application) -> AsyncIterator[None]:
    """One client session for the life of the proxy."""
    async with ClientSession(auto_decompress=False) as opened:
        app[SESSION] = opened
        yield


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True, help="its URL, without a path")
    arguments = parser.parse_args()
    app = web.Application()
    app[UPSTREAM] = arguments.upstream
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(
        app,
        host="127.0.0.1",
        port=arguments.port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
