# Request targets: what a path says, what else some API behind us could read it as, which hosts are named. Pure.

import re
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.http.headers import Headers

_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
"""A path that can be read in one way only, and in which nothing is left to decode."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ODD = re.compile(r"//|;|\\|#|%(?:2f|5c|25|3b|23|3f|[01][0-9a-f]|7f)|[\x00-\x1f\x7f]", re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_ROUNDS_OF_DECODING = 3
_CUSTOMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\"), "/"),
    (re.compile(r"\x00.*", re.DOTALL), ""),  # where a C string ends
    (re.compile(r";[^/]*|[?#].*|[\x00-\x1f\x7f]", re.DOTALL), ""),  # parameters (RFC 3986 3.3), query, fragment
    (re.compile(r"^//+[^/]*"), ""),  # a URL without a scheme, as `new URL(path, base)` takes it
    (re.compile(r"/{2,}"), "/"),
)
"""What some servers replace in a path, and by what."""


class Target(msgspec.Struct, frozen=True):
    """A request target (RFC 9112 3.2) taken apart; every part as sent."""

    path: str
    query: str
    authority: str | None
    """Only in absolute form, where it wins over the Host header (RFC 9112 3.2.2)."""


class Reading(msgspec.Struct, frozen=True):
    """A decoded path, as segments without the leading slash; one trailing slash is not significant."""

    segments: tuple[str, ...]
    others: tuple[tuple[str, ...], ...] = ()
    """What else the path could be read as. Empty for all but odd paths."""


def split_target(target: str) -> Target:
    """Take a target apart. Asterisk and authority forms come back with their text as the path."""
    if "?" not in target and target.startswith("/"):
        return Target(target, "", None)
    authority = None
    if not target.startswith("/") and "://" in target:
        rest = target.partition("://")[2]
        end = re.search(r"[/?]|$", rest)
        at = end.start() if end else len(rest)
        authority, target = rest[:at], rest[at:]
        if not target.startswith("/"):
            target = "/" + target
    path, _, query = target.partition("?")
    return Target(path, query, authority)


def named_hosts(target: Target, headers: Headers) -> frozenset[str]:
    """The hosts that a request names, in lower case and without a port; nearly always one.

    An absolute target's host wins over the Host field (RFC 9112 3.2.2), and an API may go by the field all the same:
    both are given. RFC 9110 4.2.3: the host is case-insensitive; "name." is the same name, fully qualified.
    """
    named = [value.decode("latin-1") for value in headers.values(b"host")]
    if target.authority is not None:
        named.append(target.authority)
    return frozenset([plain_host(_PORT.sub("", host.rpartition("@")[2])) for host in named])


def plain_host(host: str) -> str:
    """A host without port in the one form in which hosts are compared."""
    return host.lower().rstrip(".")


def read_path(path: str) -> Reading:
    """Decode a path and resolve its dot segments; collect what other software could make of it."""
    if _PLAIN.fullmatch(path):
        return Reading(_segments(path))
    decoded = _decode(path)
    if decoded is not None and not _ODD.search(path) and not _has_dots(decoded):
        return Reading(_segments(decoded))
    readings = dict.fromkeys(_other_readings(path))
    return Reading(next(iter(readings)), tuple(readings))


def _segments(path: str) -> tuple[str, ...]:
    parts = path.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    return tuple(parts)


def _decode(path: str) -> str | None:
    """Undo percent-encoding once; None when the result is not text."""
    if _BAD_ESCAPE.search(path):
        return None
    try:
        return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        return None


def _has_dots(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.split("/"))


def _other_readings(path: str) -> list[tuple[str, ...]]:
    """Every combination of what servers are known to do: decode again, follow any of the customs, resolve dots."""
    texts = [path]
    for _ in range(_ROUNDS_OF_DECODING):
        texts.append(unquote_to_bytes(texts[-1].encode("utf-8", "surrogateescape")).decode("utf-8", "replace"))
    for pattern, by in _CUSTOMS:
        texts = list(dict.fromkeys(variant for text in texts for variant in (pattern.sub(by, text), text)))
    readings = []
    for text in texts:
        for segments in (_resolve(_segments(text)), _segments(text)):
            readings.append(segments)
            readings.append(tuple([segment for segment in segments if segment]))
    return readings


def _resolve(segments: tuple[str, ...]) -> tuple[str, ...]:
    """Remove dot segments (RFC 3986 5.2.4)."""
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    return tuple(kept)
