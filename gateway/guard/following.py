# Which resource a link, or a request, is about, and the keyed hashes by which the claims of a resource are found. Pure.
#
# A link is taken for that of a resource only where a template of `release` or `update` matches its path: then its
# variables tell resources apart, and a query does not.

from collections.abc import Container, Sequence
from typing import Literal

import msgspec

from gateway.guard.fingerprint import Fingerprinter, is_origin
from gateway.guard.link import own_target
from gateway.guard.template import Partial, Template
from gateway.http.headers import Headers
from gateway.http.paths import read_path

RESOURCE = "resource"
"""The entry of the claims that changes of a resource hold while they are under way: no `unique` entry has this name."""

UNFOLLOWED = bytes([1]) + bytes(15)
"""What the claims of a resource are found by whose link is no longer known: by no request."""


class Action(msgspec.Struct, frozen=True):
    """What a request does to a resource, where it is no create."""

    kind: Literal["release", "update"]
    statuses: tuple[str, ...]
    """Those by which the API says that it has done so, as written."""
    hold: int
    """Milliseconds for which other changes wait for one that the API did not answer: it may still be at work on it."""


class Followed(msgspec.Struct, frozen=True):
    """The path of resources: a template of `release` or `update`."""

    template: Template
    extensions: frozenset[str]
    """Suffixes that make no difference to the API, in lower case."""


def resource_path(followed: Sequence[Followed], path: str) -> tuple[str, ...] | None:
    """The segments of a path of a resource, as they are compared: its variables decoded, all else case-folded.

    None for a path that no template matches, that can be read in two ways, or whose variable is empty.
    """
    reading = read_path(path)
    if reading.is_open or (reading.others and not reading.keeps_encoded):
        return None
    for each in followed:
        for segments in _without_suffix(reading.segments, each.extensions):
            if each.template.takes(segments):
                return _plain(each.template, segments)
    return None


def _without_suffix(segments: tuple[str, ...], extensions: frozenset[str]) -> list[tuple[str, ...]]:
    """A path without its suffix, if that makes no difference, then as it is."""
    stem, _, suffix = segments[-1].rpartition(".") if segments else ("", "", "")
    is_listed = bool(stem) and suffix.lower() in extensions
    return [(*segments[:-1], stem), segments] if is_listed else [segments]


def _plain(template: Template, segments: tuple[str, ...]) -> tuple[str, ...] | None:
    values = template.read(template.fold(segments))
    if not all(values.values()):
        return None  # of a tail: it would be the path of all of them
    names = dict(template.names)
    plain = [
        _plain_segment(part, segments[at], values.get(names.get(at, ""))) for at, part in enumerate(template.segments)
    ]
    return (*plain, values[names[len(plain)]]) if template.has_tail else tuple(plain)


def _plain_segment(part: str | Partial | None, segment: str, value: str | None) -> str:
    if value is None:
        return segment.casefold()
    return f"{part.prefix}{value}{part.suffix}" if isinstance(part, Partial) else value


def origin_host(headers: Headers) -> str:
    """The host that a request names, in lower case and without a default port; empty where it names none."""
    host = (headers.first(b"host") or b"").decode("latin-1").lower()
    return host.removesuffix(":80").removesuffix(":443").rstrip(".")


def link_key(
    followed: Sequence[Followed],
    namespace: str,
    fingerprinter: Fingerprinter,
    origin: bytes | None,
    link: str | None,
    base: str,
    hosts: Container[str],
) -> bytes | None:
    """What the claims of an operation are found by, once it is known where the created thing lives.

    `origin` is what they were found by before; `base` the path that a relative link is relative to, `hosts` those at
    which the API is reached. None where that stays as it is: the link is not that of a resource which is followed, or
    the claims are a resource's already.
    """
    if not followed or link is None or origin is None or not is_origin(origin):
        return None
    segments = link_path(followed, link, base, hosts)
    return None if segments is None else fingerprinter.link(origin, namespace, segments)


def link_path(followed: Sequence[Followed], link: str, base: str, hosts: Container[str]) -> tuple[str, ...] | None:
    """The path of the resource that a link leads to; None where it leads to none that is followed. See link_key."""
    target = own_target(link, base, hosts)
    return None if target is None else resource_path(followed, target.partition("?")[0])
