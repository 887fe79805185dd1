# Who may ask the admin listener: no page of another site in a browser that reaches it. Pure but for the middleware.

import ipaddress
from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def access_checks(hosts: Collection[str]) -> Middleware:
    """Make a middleware that refuses requests of other sites' pages. `hosts` are names of this listener, with dots."""
    names = frozenset(host.lower() for host in hosts)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_own_host(request.host, names):
            reason = "The Host is no name of this listener. Use an address, localhost, or a name listed in admin.hosts."
            return web.json_response({"error": reason}, status=421)
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{request.host}", f"https://{request.host}"}:
            return web.json_response({"error": "The request comes from a page of another origin."}, status=403)
        if request.method == "POST" and request.content_type != "application/json":
            return web.json_response({"error": "Send it with Content-Type: application/json."}, status=415)
        return await handler(request)

    return check


def _is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a Host cannot be a name of somebody else that was made to lead here (DNS rebinding).

    Nobody else can give out an address, or a name without dots.
    """
    name = host.lower().rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host.lower()
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return "." not in name.rstrip(".") or name in names
    return True
