# What one route of the admin listener is: enough to serve it, to guard it, and to describe it.

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    method: Literal["GET", "POST"]
    """GET takes HEAD, too."""
    path: str
    handler: Handler
    name: str
    """Its operationId."""
    summary: str
    answers: Mapping[int, type[msgspec.Struct] | str]
    """By status the shape of an answer, or the media type of one that is no JSON; failures are added."""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    """The shape of a JSON body."""
    access: Literal["token", "open", "metrics"] = "token"
    """Who may ask: whoever shows the token; everybody who reaches the listener; or everybody, if the rules file says
    so."""
    changes: bool = False
    """Whether it changes something: then it is written down, and there may be only so many in a second."""
