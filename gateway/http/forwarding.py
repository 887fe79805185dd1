# Who the client is: what the API is told of where a request came from. Pure, but for the randomness in request ids.
#
# What an untrusted client says of itself is dropped before the gateway's own word is added, in whatever spelling some
# server would take it for the same. What is constant for a connection is made once for it.

import os
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import msgspec

from gateway.http.headers import Headers

UNIX = "unix"
"""Stands among trusted proxies for whoever connects through a unix socket."""
OFF = "off"
"""Instead of a name: add no such field."""
X_FORWARDED = "x-forwarded"
FORWARDED = "forwarded"

_FAMILY = re.compile(rb"(?:x-)?forwarded(?:-.*)?|x-real-ip|x-scheme")
"""Fields that say who the client is or what it asked for; in lower case, with hyphens."""
_OTHERS_OF_FAMILY = frozenset({b"x-real-ip", b"x-scheme"})
"""Those of the family in whose name no "forwarded" stands."""
_NOTHING: frozenset[bytes] = frozenset()
_NO_HEADERS = Headers(b"")

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 5.6.2
_PAIR = rb'%b=(?:%b|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t !-~\x80-\xff])*+")' % (_TOKEN, _TOKEN)
_ELEMENTS = re.compile(rb"(?:%b|[ \t]*[;,][ \t]*)*+" % _PAIR)
"""A Forwarded value (RFC 7239 4) in which every quote is closed: what is appended to it is read as another element."""
_BARE = re.compile(_TOKEN)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_RECEIVED_BY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+")
_FIELD_NAME = re.compile(r"[0-9A-Za-z-]+")
_REQUEST_ID = re.compile(rb"([A-Za-z0-9_.:=/+-]{1,128})")
_TRACE_PARENT = re.compile(
    rb"(?!ff|00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""Nothing may follow in version 00, anything in a later one (W3C Trace Context 3.2.2 and 4.3)."""
_IDS_AT_ONCE = 64
_MAPPED = IPv6Network("::ffff:0:0/96")


class ForwardingHeaders(msgspec.Struct, frozen=True, gc=False):
    """What forwarding changes in one request's fields, and by what it can be found again."""

    dropped: frozenset[bytes]
    """Names, in lower case, of the fields that are not passed on."""
    added: bytes
    """Field lines, each with its line end, that stand behind those passed on."""
    request_id: str | None
    """None when none is wanted."""
    trace_id: str | None
    """32 hex digits; None when the request has no valid `traceparent`."""


class Forwarding:
    """Knows which peers are believed, and what is written for the API. Mutable state: request ids made in advance."""

    __slots__ = ("_networks", "_trusts_unix", "ids", "request_id_line", "request_id_name", "via", "writes")

    def __init__(self, trusted_proxies: Sequence[str], headers: Sequence[str], via: str, request_id: str) -> None:
        """Take the values of `[forwarding]`.

        Raises ValueError for a network that is none, a kind of header that is not known, a `via` that is not a
        pseudonym or a host (RFC 9110 7.6.3), and a `request_id` of anything but letters, digits and hyphens, or that
        is a field about the client.
        """
        if unknown := set(headers) - {X_FORWARDED, FORWARDED}:
            raise ValueError(f"no kind of forwarding header: {', '.join(sorted(unknown))}")
        if not _RECEIVED_BY.fullmatch(via):
            raise ValueError("not a name for Via")
        if not _FIELD_NAME.fullmatch(request_id) or is_about_client(request_id):
            raise ValueError("not a header's name for request ids")
        self._networks = tuple(_network(name) for name in trusted_proxies if name != UNIX)
        self._trusts_unix = UNIX in trusted_proxies
        self.writes = frozenset(headers)
        self.via = None if via == OFF else via.encode()
        self.request_id_name = None if request_id == OFF else request_id.lower().encode()
        self.request_id_line = request_id.encode() + b": %b\r\n"
        self.ids = _random_ids()

    def __repr__(self) -> str:
        return f"Forwarding({len(self._networks)} trusted networks)"

    def peer(self, address: str | None, *, is_tls: bool) -> "Peer":
        """Prepare for the requests of one connection, which came from the IP `address`, None for a unix socket.

        Raises ValueError for an address that is none.
        """
        if address is None:
            return Peer(self, None, is_trusted=self._trusts_unix, is_tls=is_tls)
        ip = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address):
            ip = ip.ipv4_mapped or ip
        return Peer(self, ip, is_trusted=any(ip in network for network in self._networks), is_tls=is_tls)


class Peer:
    """Who is at the other end of one client connection.

    Mutable state: the lines that were written for the host and version of the latest request, because the next one
    nearly always has the same.
    """

    __slots__ = (
        "_added",
        "_element",
        "_forwarding",
        "_host",
        "_host_line",
        "_ip",
        "_minor",
        "_node",
        "_proto",
        "_proto_line",
        "_rewritten",
        "_via_line",
        "_writes_forwarded",
        "_writes_x",
        "is_trusted",
    )

    def __init__(
        self, forwarding: Forwarding, ip: IPv4Address | IPv6Address | None, *, is_trusted: bool, is_tls: bool
    ) -> None:
        self.is_trusted = is_trusted
        self._forwarding = forwarding
        self._writes_x = X_FORWARDED in forwarding.writes
        self._writes_forwarded = FORWARDED in forwarding.writes
        self._ip = b"" if ip is None else str(ip).encode()
        self._node = self._ip or b"unknown"  # RFC 7239 6.2: a hop whose address is not known
        if ip is not None and ip.version == 6:
            self._node = b'"[%b]"' % self._ip
        self._proto = b"https" if is_tls else b"http"
        self._proto_line = b"X-Forwarded-Proto: %b\r\n" % self._proto
        rewritten = {b"x-forwarded-for"} if self._writes_x and ip is not None else set()
        self._rewritten = frozenset(rewritten | ({b"forwarded"} if self._writes_forwarded else set()))
        self._remember(None, 1)

    def __repr__(self) -> str:
        return f"Peer({'trusted' if self.is_trusted else 'untrusted'})"

    def forwarding_headers(self, headers: Headers, host: bytes | None, *, minor: int) -> ForwardingHeaders:
        """Decide what is passed on of one request of HTTP/1.`minor`, which names `host`."""
        if host != self._host or minor != self._minor:
            self._remember(host, minor)
        names = headers.names
        joined = b"\n".join(names)
        forwarding = self._forwarding
        id_name = forwarding.request_id_name
        dropped = _look_alikes(headers, id_name)
        if self.is_trusted:
            dropped |= self._rewritten
            added = self._extend(headers)
        else:
            added = self._added
            if joined.find(b"forwarded") >= 0 or not _OTHERS_OF_FAMILY.isdisjoint(names):
                dropped |= frozenset(filter(_FAMILY.fullmatch, names))

        request_id = None
        if id_name is not None:
            if id_name in names:
                request_id = _single(headers, id_name, _REQUEST_ID)
                if request_id is None:
                    dropped |= {id_name}
            if request_id is None:
                request_id = next(forwarding.ids)
                added += forwarding.request_id_line % request_id.encode()
        return ForwardingHeaders(dropped, added, request_id, _single(headers, b"traceparent", _TRACE_PARENT))

    def _remember(self, host: bytes | None, minor: int) -> None:
        """Write what depends only on the host that a request names and on its version."""
        self._host, self._minor = host, minor
        via = self._forwarding.via
        self._via_line = b"" if via is None else b"Via: 1.%d %b\r\n" % (minor, via)
        self._host_line = b""
        self._element = b"for=%b;proto=%b" % (self._node, self._proto)
        if host and not _CONTROL.search(host):
            self._host_line = b"X-Forwarded-Host: %b\r\n" % host
            self._element += b";host=" + (host if _BARE.fullmatch(host) else _quoted(host))
        self._added = self._extend(_NO_HEADERS)

    def _extend(self, headers: Headers) -> bytes:
        """Write this hop behind what `headers` say of those before it."""
        added = b""
        if self._writes_x:
            if self._ip:
                prior = b", ".join(filter(None, headers.values(b"x-forwarded-for")))
                is_kept = prior and not _CONTROL.search(prior)
                added = b"X-Forwarded-For: %b\r\n" % (b"%b, %b" % (prior, self._ip) if is_kept else self._ip)
            if b"x-forwarded-proto" not in headers.names:
                added += self._proto_line
            if b"x-forwarded-host" not in headers.names:
                added += self._host_line
        if self._writes_forwarded:
            prior = b", ".join(filter(None, headers.values(b"forwarded")))
            is_whole = prior and _ELEMENTS.fullmatch(prior)
            added += b"Forwarded: %b\r\n" % (b"%b, %b" % (prior, self._element) if is_whole else self._element)
        return added + self._via_line


def is_about_client(name: str) -> bool:
    """Whether a header of this name says who the client is, and so cannot be made to say anything else."""
    return _FAMILY.fullmatch(name.lower().encode()) is not None


def _network(text: str) -> IPv4Network | IPv6Network:
    """Read a network, as the addresses of peers are read: one of IPv4-mapped addresses is one of IPv4."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _look_alikes(headers: Headers, id_name: bytes | None) -> frozenset[bytes]:
    """Names that some server takes for one of those that matter here."""
    found = headers.look_alikes()
    if not found:
        return _NOTHING
    return frozenset(name for name, plain in found if plain == id_name or _FAMILY.fullmatch(plain))


def _quoted(text: bytes) -> bytes:
    """Write a quoted-string (RFC 9110 5.6.4)."""
    return b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", text)


def _single(headers: Headers, name: bytes, pattern: re.Pattern[bytes]) -> str | None:
    """The first group of `pattern` in the value of a field that stands there once; None when it does not match."""
    if headers.names.count(name) != 1:
        return None
    match = pattern.fullmatch(headers.first(name) or b"")
    return None if match is None else match[1].decode()


def _random_ids() -> Iterator[str]:
    """Yield 128 random bits each time, in hex; many are drawn at once, because a draw costs more than a request may."""
    while True:
        digits = os.urandom(16 * _IDS_AT_ONCE).hex()
        for start in range(0, len(digits), 32):
            yield digits[start : start + 32]
