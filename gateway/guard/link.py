# The link to a created thing, as a target at the API that made it. Pure.

import re
from collections.abc import Container
from urllib.parse import unquote, urljoin, urlsplit

from gateway.http.paths import named_host
from gateway.http.uri import as_uri

_SEPARATOR = re.compile(r"[/\\]")


def own_target(link: str, base: str, hosts: Container[str]) -> str | None:
    """The target, in origin form (RFC 9112 3.2.1), that a link names at the API that made it.

    None when it leads to a host that is not in `hosts`, or has another scheme than HTTP, no path, or dot segments.
    `base` is the path of the request, for a link that is relative to it (RFC 3986 5.2). A fragment is dropped.
    """
    try:
        uri = urlsplit(as_uri(link))
    except ValueError:  # an address in brackets that is none
        return None
    path = uri.path
    if uri.scheme or uri.netloc:
        if uri.scheme not in {"", "http", "https"} or not uri.netloc or named_host(uri.netloc) not in hosts:
            return None
    elif not path.startswith("/") and (path or uri.query):
        path = urljoin(base, path)
    # A dot segment may be a value that its owner chose, and would lead to another thing; "//" looks like a host.
    if not path.startswith("/") or path.startswith("//") or _has_dots(path):
        return None
    return f"{path}?{uri.query}" if uri.query else path


def _has_dots(path: str) -> bool:
    """Whether some server could read a segment of a path as a dot segment."""
    return any(segment.partition(";")[0] in {".", ".."} for segment in _SEPARATOR.split(unquote(path)))
