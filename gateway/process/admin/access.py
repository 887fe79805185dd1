# Who may ask the admin listener: whoever shows the token, where there is one, and no page of another site in a browser
# that reaches it. And how fast things may be changed.

import ipaddress
import socket
import struct
import time
from collections.abc import Callable, Collection

from aiohttp import web

from gateway.audit import Actor
from gateway.process.admin.answers import JSON, Refused
from gateway.process.admin.routes import Route
from gateway.process.operators import Operators

REQUEST_ID = web.RequestKey("request_id", str)
"""Where a request keeps its id."""
PAGE = "/"
"""The path that other sites may link to."""
MAX_CHANGES = 20
"""Changes in one second."""
_PEER = struct.Struct("3i")
"""Process, user and group at the other end of a unix socket (unix(7), SO_PEERCRED)."""
_OWN_SITE = frozenset({"same-origin", "none"})


class Access:
    """Decides about each request before anything is done. Mutable state: how many changes may still be made now."""

    def __init__(
        self, operators: Operators, hosts: Collection[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`hosts` are names of this listener, with dots; `clock` gives seconds."""
        self._operators = operators
        self._hosts = frozenset(host.lower() for host in hosts)
        self._clock = clock
        self._left = float(MAX_CHANGES)
        self._counted_at = clock()

    def __repr__(self) -> str:
        return f"Access({self._operators!r})"

    def check(self, request: web.Request, route: Route | None) -> None:
        """Raise Refused for a request that must not be answered. `route` is None where there is no such route."""
        headers = request.headers
        if not _is_own_host(request.host, self._hosts):
            raise Refused(
                421, "The Host is no name of this listener. Use an address, localhost, or a name listed in admin.hosts."
            )
        origin = headers.get("Origin")
        if origin is not None and origin not in {f"http://{request.host}", f"https://{request.host}"}:
            raise Refused(403, "The request comes from a page of another origin.")
        if headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE and not _leads_to_page(request):
            raise Refused(403, "The request comes from a page of another site.")
        if not self._is_open(route) and not self._operators.takes(_only(request, "Authorization")):
            raise Refused(401, "Show the admin token: Authorization: Bearer TOKEN.", {"WWW-Authenticate": "Bearer"})
        if request.method == "POST" and route is not None and not _is_json(request):
            raise Refused(415, "Send it with Content-Type: application/json, and without Content-Encoding.")
        if route is not None and route.changes:
            self._count_change()

    def actor(self, request: web.Request) -> Actor:
        """Who asks, for the audit."""
        who = "token" if self._operators.needs_token else "local"
        return Actor(who, _source(request), request[REQUEST_ID])

    def _is_open(self, route: Route | None) -> bool:
        if route is None:
            return False
        return route.access == "open" or (route.access == "metrics" and self._operators.has_open_metrics)

    def _count_change(self) -> None:
        now = self._clock()
        self._left = min(MAX_CHANGES, self._left + (now - self._counted_at) * MAX_CHANGES)
        self._counted_at = now
        if self._left < 1:
            raise Refused(429, f"More than {MAX_CHANGES} changes a second.", {"Retry-After": "1"})
        self._left -= 1


def _leads_to_page(request: web.Request) -> bool:
    """Whether somebody follows a link to the page, in a tab of its own."""
    headers = request.headers
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return is_link and request.method == "GET" and request.rel_url.raw_path == PAGE


def _only(request: web.Request, name: str) -> str | None:
    """The value of a field; none where it is there more than once."""
    values = request.headers.getall(name, [])
    return values[0] if len(values) == 1 else None


def _is_json(request: web.Request) -> bool:
    return request.content_type == JSON and "Content-Encoding" not in request.headers


def _source(request: web.Request) -> str | None:
    transport = request.transport
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None:
        return None
    if peer.family == socket.AF_UNIX:
        _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        return f"uid {user}"
    return request.remote


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
