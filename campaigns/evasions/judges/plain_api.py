# The API of a judge out of the standard library, and msgspec, for the slice in `make test`: as an ordinary one is
# written, and tolerant. It takes methods, paths and keys in any case, and decodes bodies that came compressed.

import argparse
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import msgspec

from campaigns.evasions.judges.batches import LINES, as_list, emails, lines
from campaigns.evasions.judges.conditions import CALLS, CREATES, called
from campaigns.evasions.judges.created import TOKEN, all_created, create
from campaigns.evasions.judges.middleware import Environ, rewritten
from campaigns.evasions.judges.packs import as_stored
from campaigns.evasions.judges.raw_paths import project_in, queue_in
from campaigns.evasions.judges.tolerant_forms import fields_of, files_of
from campaigns.evasions.judges.xml_readers import by_tolerant


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Writes no log."""

    def get_environ(self) -> Environ:
        """With the target as it was sent, as gunicorn and others have it."""
        return super().get_environ() | {"RAW_URI": self.path}

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Answer a request."""
    if environ["PATH_INFO"] == "/created":
        status, text = "200 OK", all_created()
    else:
        status, answer = _answer(environ)
        text = json.dumps(answer)
    data = text.encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]


def _answer(environ: Environ) -> tuple[str, Any]:
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").strip("/").casefold()
    kind = next((kind for kind, form in PATHS.items() if re.fullmatch(form, path)), path)
    if environ.get("HTTP_AUTHORIZATION") != f"Bearer {TOKEN}":
        return "401 Unauthorized", {}
    if environ["REQUEST_METHOD"].upper() != "POST" or kind not in READERS:
        return "404 Not Found", {}
    try:
        value = READERS[kind](environ)
    except (
        AttributeError,
        TypeError,
        ValueError,
        msgspec.DecodeError,
        zlib.error,
        CookieError,
        OSError,
        RecursionError,
    ):
        return "400 Bad Request", {}
    return ("422 Unprocessable Content", {}) if value is None else ("201 Created", create(kind, value))


PATHS = {
    "places": "teams/[^/]+/places",
    "projects": "projects/.+",
    "queues": "queues/.+",
    "files": "files/.+",
    "instances": "instances/[^/]+:undelete",
    "lines": r"customers\([^/]+\)/orders",
    "docs": r"docs/[^/]+\.json",
}
"""The paths of kinds that have a value in theirs."""


def _body(environ: Environ) -> bytes:
    data: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding in {"gzip", "x-gzip"}:
        return gzip.decompress(data)
    if coding == "deflate":
        return zlib.decompress(data, 15 if data[:1] == b"\x78" else -15)
    return data


def _email(environ: Environ, wanted: str = "email") -> Any:
    """The last key that is the wanted one but for case, as Go and ASP.NET read it."""
    data = json.loads(_body(environ))
    members = list(data.items()) if isinstance(data, dict) else []
    return next((value for key, value in reversed(members) if key.casefold() == wanted), None)


def _email_of_form(environ: Environ) -> Any:
    if not environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):  # as Tornado asks
        return _email(environ)
    return parse_qs(_body(environ).decode()).get("email", [None])[0]


def _packed_email(environ: Environ) -> Any:
    """The last key that is the wanted one but for case; binary data is text."""
    data = _body(environ)
    if data[:1] == b"{":
        return _email(
            environ | {"wsgi.input": io.BytesIO(data), "CONTENT_LENGTH": len(data), "HTTP_CONTENT_ENCODING": ""}
        )
    found = msgspec.msgpack.decode(data)
    members = [(as_stored(key), as_stored(value)) for key, value in found.items()] if isinstance(found, dict) else []
    return next((value for key, value in reversed(members) if str(key).casefold() == "email"), None)


def _type_and_query(environ: Environ) -> tuple[str, str]:
    return environ.get("CONTENT_TYPE", ""), environ.get("QUERY_STRING", "")


def _upload(environ: Environ) -> str | None:
    content = files_of(_body(environ), environ.get("CONTENT_TYPE", "")).get("photo")
    return None if content is None else hashlib.sha256(content).hexdigest()


def _parameter(environ: Environ, name: str) -> str | None:
    return next(iter(parse_qs(environ.get("QUERY_STRING", "")).get(name, [])), None)


def _cookie(environ: Environ, name: str) -> str | None:
    cookies: SimpleCookie = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    found = [each.value for key, each in cookies.items() if key.casefold() == name.casefold()]  # as ASP.NET does
    return found[-1] if found else None


def _seat(environ: Environ) -> Any:
    email = _email(environ)
    tenant = [environ.get("HTTP_X_TENANT"), _parameter(environ, "tenant"), _cookie(environ, "tenant")]
    return email and [*tenant, email]


def _conditional(kind: str) -> Callable[[Environ], Any]:
    """JSON, where a parameter, a field or a cookie says that it is to be created."""

    def read(environ: Environ) -> Any:
        parameters = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        is_create = CREATES[kind](
            lambda name: next(iter(parameters.get(name, [])), None),
            lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}"),
            lambda name: _cookie(environ, name),
        )
        return _email(environ) if is_create else None

    return read


def _called(kind: str, environ: Environ) -> Any:
    data = json.loads(_body(environ))
    if isinstance(data, list):
        return called(kind, data)
    wanted = {key.casefold(): key for key in CALLS[kind]}
    return called(kind, {wanted.get(key.casefold(), key): value for key, value in data.items()})


def _batch(kind: str, items: Any) -> Any:
    *before, last = emails(items)
    for email in before:
        create(kind, email)
    return last


def _items(environ: Environ) -> Any:
    """The last key that is the wanted one but for case; an object with numbers for keys is a list, as in PHP."""
    data = json.loads(_body(environ))
    found = next((value for key, value in reversed(data.items()) if key.casefold() == "items"), ())
    return list(found.values()) if isinstance(found, dict) else found


def _imported(environ: Environ) -> Any:
    body = _body(environ).removeprefix(b"\xef\xbb\xbf")
    return lines(body) if environ.get("CONTENT_TYPE", "").startswith(LINES) else as_list(json.loads(body))


def _in_path(kind: str, environ: Environ) -> str | None:
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").strip("/")
    found = re.fullmatch(PATHS[kind].replace("[^/]+", "([^/]+)").replace(".+", "(.+)"), path, re.IGNORECASE)
    return found[1] if found else None


READERS: dict[str, Callable[[Environ], Any]] = {
    "users": _email,
    "notes": _email,
    "members": _email_of_form,
    "signups": lambda environ: fields_of(_body(environ), *_type_and_query(environ)).get("email"),
    "uploads": _upload,
    "risks": lambda environ: _email(environ, "risk"),
    "orders": lambda environ: _parameter(environ, "ref"),
    "parcels": lambda environ: environ.get("HTTP_X_REF"),
    "visits": lambda environ: _cookie(environ, "ref"),
    "seats": _seat,
    "customers": lambda environ: by_tolerant(_body(environ)),
    "packs": _packed_email,
    **{kind: _conditional(kind) for kind in CREATES},
    **{kind: partial(_called, kind) for kind in CALLS},
    **{kind: partial(_in_path, kind) for kind in ("files", "instances", "lines", "docs")},
    "projects": lambda environ: project_in(environ["RAW_URI"]),
    "queues": lambda environ: queue_in(environ["RAW_URI"]),
    "invites": lambda environ: _batch("invites", _items(environ)),
    "imports": lambda environ: _batch("imports", _imported(environ)),
    "letters": lambda environ: fields_of(_body(environ), *_type_and_query(environ)).get("email"),
    "photos": _upload,
    "places": lambda environ: environ["PATH_INFO"].encode("latin-1").decode().split("/")[2],
}


def main() -> None:
    """Serve on a port of this machine until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    with make_server("127.0.0.1", options.port, rewritten(app), Server, Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
