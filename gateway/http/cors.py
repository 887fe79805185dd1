# Cross-origin reading of the gateway's own answers (Fetch Standard, CORS protocol). Pure.

from collections.abc import Iterable, Sequence

from gateway.http.headers import Headers

ANY = "*"
"""In place of an origin: all of them, without credentials."""
OWN_FIELDS = ("Idempotent-Replayed", "Link", "Location", "Proxy-Status", "Retry-After")
"""The fields, besides those with names of the rules file, that answers of the gateway's own can have, and that no page
may read unless it is told so."""
_ALLOWS = frozenset({b"access-control-allow-origin", b"access-control-allow-credentials"})


class Cors:
    """Which origins' pages may read the gateway's own answers, and which of their header fields."""

    __slots__ = ("_any", "_exposed", "_lines")

    def __init__(self, origins: Sequence[str], exposed: Iterable[str]) -> None:
        """`origins` as browsers write them, or ANY alone; `exposed` are names of fields."""
        names = ", ".join(dict.fromkeys(exposed))
        self._exposed = f"Access-Control-Expose-Headers: {names}\r\n".encode() if names else b""
        self._any = b"Access-Control-Allow-Origin: *\r\n" if ANY in origins else None
        self._lines = {
            origin.encode(): (
                f"Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n".encode()
            )
            for origin in origins
            if origin != ANY
        }

    def __repr__(self) -> str:
        return f"Cors({'any origin' if self._any else len(self._lines)})"

    def fields(self, request: Headers) -> bytes:
        """The lines that let the page that sent a request read the answer; none for other origins, and for no page."""
        allows = self._allows(request)
        return allows + self._exposed if allows else b""

    def for_replay(self, request: Headers, answer: Headers) -> Headers:
        """Let the page that asks read an answer of the API that was stored, perhaps for a page of another origin.

        What the API allowed is kept where it fits the page that asks, or where that is none of the origins here.
        """
        allows = self._allows(request)
        if allows:
            if answer.values(b"access-control-allow-origin") != [_origin(request)]:
                answer = Headers(answer.without(_ALLOWS).block + allows)
            answer = Headers(answer.block + self._exposed)
        return answer if b"origin" in answer.options(b"vary") else Headers(answer.block + b"Vary: Origin\r\n")

    def _allows(self, request: Headers) -> bytes:
        origin = _origin(request)
        if origin is None:
            return b""
        return self._lines.get(origin, b"") if self._any is None else self._any


def _origin(request: Headers) -> bytes | None:
    """The origin of the page that sent a request (RFC 6454 7); None without one, or with several."""
    values = request.values(b"origin") if b"origin" in request.names else ()
    return values[0] if len(values) == 1 else None
