# The example API: an ordinary web application that never checks whether what it creates exists already. Knows nothing
# of the gateway.

import asyncio
import os
import sys
from typing import TypeVar

import msgspec
from aiohttp import web

from gateway.example.database import Database, NewOrder, NewUser, Order, User

CRASH_HEADER = "X-Example-Crash"
CRASH_AFTER_COMMIT = "after-commit"

New = TypeVar("New", NewUser, NewOrder)


class ExampleApi:
    """The handlers. `delay`, in seconds, passes before a create is stored: long enough to see creates overlap."""

    def __init__(self, database: Database, delay: float, *, allow_crash: bool = False) -> None:
        self._database = database
        self._delay = delay
        self._allow_crash = allow_crash

    def application(self) -> web.Application:
        """Return the application, ready to be served."""
        application = web.Application()
        application.router.add_post("/users", self.create_user)
        application.router.add_get("/users", self.list_users)
        application.router.add_get(r"/users/{id:\d{1,18}}", self.show_user)
        application.router.add_delete(r"/users/{id:\d{1,18}}", self.delete_user)
        application.router.add_post("/tenants/{tenant}/orders", self.create_order)
        application.router.add_get(r"/tenants/{tenant}/orders/{id:\d{1,18}}", self.show_order)
        application.router.add_get("/healthz", self.health)
        return application

    async def create_user(self, request: web.Request) -> web.Response:
        """POST /users."""
        new = await _decode(request, NewUser)
        await asyncio.sleep(self._delay)
        user = await self._database.add_user(new)
        return self._created(request, user)

    async def list_users(self, _: web.Request) -> web.Response:
        """GET /users."""
        return _json(200, await self._database.users())

    async def show_user(self, request: web.Request) -> web.Response:
        """GET /users/{id}."""
        user = await self._database.user(int(request.match_info["id"]))
        return _json(404, {"error": "no such user"}) if user is None else _json(200, user)

    async def delete_user(self, request: web.Request) -> web.Response:
        """DELETE /users/{id}."""
        if await self._database.remove_user(int(request.match_info["id"])):
            return web.Response(status=204)
        return _json(404, {"error": "no such user"})

    async def create_order(self, request: web.Request) -> web.Response:
        """POST /tenants/{tenant}/orders."""
        tenant = request.match_info["tenant"]
        new = await _decode(request, NewOrder)
        await asyncio.sleep(self._delay)
        order = await self._database.add_order(tenant, new)
        return self._created(request, order)

    async def show_order(self, request: web.Request) -> web.Response:
        """GET /tenants/{tenant}/orders/{id}."""
        number = int(request.match_info["id"])
        order = await self._database.order(request.match_info["tenant"], number)
        return _json(404, {"error": "no such order"}) if order is None else _json(200, order)

    async def health(self, _: web.Request) -> web.Response:
        """GET /healthz."""
        return _json(200, {"status": "ok"})

    def _created(self, request: web.Request, thing: User | Order) -> web.Response:
        path = request.rel_url.raw_path
        location = f"{path}/{thing.id}"
        if self._allow_crash and request.headers.get(CRASH_HEADER) == CRASH_AFTER_COMMIT:
            say(f"{request.method} {path} -> stored {location}, and died before it answered")
            os._exit(1)  # the row is committed and no response is sent: to a client this looks like a failed create
        say(f"{request.method} {path} -> 201 {location}")
        return _json(201, thing, {"Location": location})


def say(text: str) -> None:
    """Log one line, before the response is sent."""
    print(f"api: {text}", file=sys.stderr, flush=True)


async def _decode(request: web.Request, kind: type[New]) -> New:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        say(f"{request.method} {request.rel_url.raw_path} -> 400")
        body = msgspec.json.encode({"error": str(error)}).decode()
        raise web.HTTPBadRequest(text=body, content_type="application/json") from error


def _json(status: int, value: object, headers: dict[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value) + b"\n"
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
