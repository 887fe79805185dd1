# Request targets: path, query, hosts, and the other ways in which an API may interpret an ambiguous path. Pure.

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote_to_bytes

import msgspec

from gateway.http.headers import Headers

_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
"""A path that is unambiguous and needs no decoding."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ODD = re.compile(r"//|;|\\|#|%(?:2f|5c|25|3b|23|3f|[01][0-9a-f]|7f)|[\x00-\x1f\x7f]", re.IGNORECASE)
_ENCODED = re.compile(r"%(?:2f|25)", re.IGNORECASE)
_ENCODED_TWICE = re.compile(r"%25[0-9a-f]{2}", re.IGNORECASE)
_PORT = re.compile(r":\d*$")
_MAX_DECODINGS = 3
MAX_READ = 128 * 1024
"""Characters of all texts that a path may be read as, together: enough for any path of 1 KiB."""
_SUBSTITUTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\"), "/"),
    (re.compile(r"\x00.*", re.DOTALL), ""),  # where a C string ends
    (re.compile(r";[^/]*"), ""),  # parameters (RFC 3986 3.3)
    (re.compile(r"[?#].*", re.DOTALL), ""),  # query, fragment
    (re.compile(r"[\x00-\x1f\x7f]"), ""),
    # A URL without a scheme, as `new URL(path, base)` takes it; once, or each name between slashes would be a host.
    (re.compile(r"^//+[^/]*/*"), "/"),
    (re.compile(r"/{2,}"), "/"),
)
"""Substitutions that some servers make in a path."""


class Target(msgspec.Struct, frozen=True, gc=False):
    """The parts of a request target (RFC 9112 3.2), as sent."""

    path: str
    query: str
    authority: str | None
    """Only in absolute form, where it overrides the Host header (RFC 9112 3.2.2)."""


class Reading(msgspec.Struct, frozen=True):
    """A decoded path as segments, without the leading slash and without one trailing slash."""

    segments: tuple[str, ...]
    others: tuple[tuple[str, ...], ...] = ()
    """The other ways in which the path could be interpreted. Empty for all but ambiguous paths."""
    is_open: bool = False
    """Whether the path has more interpretations than are worked out; then there is nothing in the others."""
    keeps_encoded: bool = False
    """Whether only encoded slashes and percent signs make it ambiguous; `segments` have them in their values."""


def split_target(target: str) -> Target:
    """Split a target into its parts. Asterisk and authority forms are returned with their text as the path."""
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

    The host of an absolute target overrides the Host field (RFC 9112 3.2.2), but an API may use the field all the same:
    both are returned. RFC 9110 4.2.3: the host is case-insensitive; "name." is the same name, fully qualified.
    """
    named = [value.decode("latin-1") for value in headers.values(b"host")]
    if target.authority is not None:
        named.append(target.authority)
    return frozenset([named_host(host) for host in named])


def named_host(authority: str) -> str:
    """The host of an authority such as a Host field's value, in the one form in which hosts are compared."""
    return plain_host(_PORT.sub("", authority.rpartition("@")[2]))


def plain_host(host: str) -> str:
    """Normalise a host without port for comparison."""
    return host.lower().rstrip(".")


def read_path(path: str) -> Reading:
    """Decode a path and resolve its dot segments; for an ambiguous path also collect the other interpretations."""
    if _PLAIN.fullmatch(path):
        return Reading(split_path(path))
    decoded = _decode(path)
    if decoded is not None and not _ODD.search(path) and not _has_dots(decoded):
        return Reading(split_path(decoded))
    texts = _texts(path)
    if texts is None:
        return Reading((), is_open=True)
    readings = dict.fromkeys(_readings(texts))
    values = _split_before_decoding(path)
    if values is not None:
        return Reading(values, tuple(readings), keeps_encoded=True)
    return Reading(next(iter(readings)), tuple(readings))


def _split_before_decoding(path: str) -> tuple[str, ...] | None:
    """Split a path before it is decoded, as an API does that takes %2F for a part of a name (RFC 3986 2.2).

    None where it is ambiguous beside that: encoded twice, or with a dot segment once it is decoded.
    """
    if _ENCODED_TWICE.search(path) or _ODD.search(_ENCODED.sub("-", path)):
        return None
    segments = [_decode(segment) for segment in split_path(path)]
    if any(segment is None or _has_dots(segment) for segment in segments):
        return None
    return tuple([segment for segment in segments if segment is not None])


def split_path(path: str) -> tuple[str, ...]:
    """The segments of a path as they are, without the leading slash and without one trailing slash."""
    parts = path.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    return tuple(parts)


def _decode(path: str) -> str | None:
    """Percent-decode once; None when the result is not valid UTF-8."""
    if _BAD_ESCAPE.search(path):
        return None
    try:
        return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        return None


def _has_dots(path: str) -> bool:
    return any(segment in {".", ".."} for segment in path.split("/"))


def _texts(path: str) -> list[str] | None:
    """Every text that a path may be taken for: decoded again, substituted, resolved. None when longer than MAX_READ.

    Servers do this in different orders, and it matters: one that drops parameters before it decodes reads
    "/%75sers;a%2fb" as "/users".
    """
    texts, fresh = {path: None}, [path]
    for _ in range(_MAX_DECODINGS):
        if not _add_changed(texts, fresh):
            return None
        fresh = [text for text in dict.fromkeys(map(_decode_any, fresh)) if text not in texts]
        texts |= dict.fromkeys(fresh)
    return list(texts) if _add_changed(texts, fresh) else None


def _add_changed(texts: dict[str, None], fresh: list[str]) -> bool:
    """Add what servers make of the fresh ones of all texts without decoding them; whether all are short enough."""
    size = sum(map(len, texts))
    for text in fresh:  # grows meanwhile
        for change in _CHANGES:
            if (other := change(text)) not in texts:
                texts[other] = None
                fresh.append(other)
                size += len(other)
                if size > MAX_READ:
                    return False
    return size <= MAX_READ


def _decode_any(path: str) -> str:
    return unquote_to_bytes(path.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def _readings(texts: list[str]) -> list[tuple[str, ...]]:
    """Each text as segments, with dot segments and empty ones as they are, and without them."""
    readings = []
    for text in texts:
        for segments in (_resolve(split_path(text)), split_path(text)):
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


def _resolve_text(path: str) -> str:
    """The same of a whole path, which may end with a slash."""
    if "/." not in path:
        return path
    return "/" + "/".join(_resolve(tuple(path.split("/")[1:])))


_CHANGES: tuple[Callable[[str], str], ...] = (
    *[partial(pattern.sub, by) for pattern, by in _SUBSTITUTIONS],
    _resolve_text,
)
"""What some servers do with a path, beside decoding it."""
