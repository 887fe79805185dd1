# Forwarding fields: X-Forwarded-*, Forwarded, Via and request ids. Pure.
#
# Forwarding fields from an untrusted client are removed before the gateway adds its own, including every spelling that
# some server treats as the same name. What is constant for a connection is computed once.

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import msgspec

from gateway.http.client_address import client_address, plain_address
from gateway.http.fields import QUOTED_STRING, TOKEN
from gateway.http.headers import Headers

UNIX = "unix"
"""Among trusted proxies: every client that connects through a unix socket."""
OFF = "off"
"""In place of a name: do not add the field."""
X_FORWARDED = "x-forwarded"
FORWARDED = "forwarded"

_OTHERS_OF_FAMILY = frozenset(
    {
        *(b"x-real-ip", b"x-scheme", b"x-original-url", b"x-original-uri", b"x-original-method", b"x-rewrite-url"),
        b"x-script-name",
    }
)
"""The names in _FAMILY that do not contain "forwarded"."""
_FAMILY = re.compile(rb"(?:x-)?forwarded(?:-.*)?|%b" % b"|".join(sorted(_OTHERS_OF_FAMILY)))
"""Fields about the client or the original request; in lower case, with hyphens. Some servers take the path from
them."""
_CGI = re.compile(
    rb"script-name|path-info|path-translated|query-string|request-(?:uri|method)|document-(?:uri|root)|auth-type"
    rb"|content-(?:type|length)|gateway-interface|(?:remote|server|http|wsgi)-.*"
)
"""Variables by which a server tells an application of the request (RFC 3875 4.1; PEP 3333), with hyphens. Some servers
take fields of these names for them: then SCRIPT_NAME moves a request to another path."""
_NOTHING: frozenset[bytes] = frozenset()
_NO_HEADERS = Headers(b"")

_PAIR = rb"%b=(?:%b|%b)" % (TOKEN, TOKEN, QUOTED_STRING)
_ELEMENTS = re.compile(rb"(?:%b|[ \t]*[;,][ \t]*)*+" % _PAIR)
"""A Forwarded value (RFC 7239 4) with balanced quotes: what is appended to it is parsed as another element."""
_BARE = re.compile(TOKEN)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_RECEIVED_BY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z:\[\]-]+")
_FIELD_NAME = re.compile(r"[0-9A-Za-z-]+")
_REQUEST_ID = re.compile(rb"([A-Za-z0-9_.:=/+-]{1,128})")
_TRACE_PARENT = re.compile(
    rb"(?!ff|00-.{53})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
"""Version 00 must end there, later versions may continue (W3C Trace Context 3.2.2 and 4.3)."""
_MAPPED = IPv6Network("::ffff:0:0/96")


class ForwardingHeaders(msgspec.Struct, frozen=True, gc=False):
    """The changes to the fields of one request, and its ids."""

    dropped: frozenset[bytes]
    """Names, in lower case, of the fields that are not forwarded."""
    added: bytes
    """Field lines, each with its CRLF, that are added after the forwarded ones."""
    request_id: str | None
    """None when request ids are off."""
    trace_id: str | None
    """32 hex digits; None when the request has no valid `traceparent`."""
    request_id_line: bytes = b""
    """A header line with a %b for the request's id."""

    @property
    def request_id_field(self) -> bytes:
        """The line for the gateway's own answers; empty when there is no id."""
        return b"" if self.request_id is None else self.request_id_line % self.request_id.encode()


class Forwarding:
    """The `[forwarding]` settings: trusted peers and generated fields. `ids` yields request ids."""

    __slots__ = ("_trusts_unix", "ids", "networks", "request_id_line", "request_id_name", "via", "writes")

    def __init__(
        self, trusted_proxies: Sequence[str], headers: Sequence[str], via: str, request_id: str, ids: Iterator[str]
    ) -> None:
        """Take the values of `[forwarding]`, and a source of request ids that cannot be guessed.

        Raises ValueError for an invalid network, an unknown kind of header, a `via` that is not a pseudonym or a host
        (RFC 9110 7.6.3), and a `request_id` that contains anything but letters, digits and hyphens, or is a forwarding
        field.
        """
        if unknown := set(headers) - {X_FORWARDED, FORWARDED}:
            raise ValueError(f"no kind of forwarding header: {', '.join(sorted(unknown))}")
        if not _RECEIVED_BY.fullmatch(via):
            raise ValueError("not a name for Via")
        if not _FIELD_NAME.fullmatch(request_id) or is_about_client(request_id):
            raise ValueError("not a header's name for request ids")
        self.networks = tuple(_network(name) for name in trusted_proxies if name != UNIX)
        self._trusts_unix = UNIX in trusted_proxies
        self.writes = frozenset(headers)
        self.via = None if via == OFF else via.encode()
        self.request_id_name = None if request_id == OFF else request_id.lower().encode()
        self.request_id_line = request_id.encode() + b": %b\r\n"
        self.ids = ids

    def __repr__(self) -> str:
        return f"Forwarding({len(self.networks)} trusted networks)"

    def peer(self, address: str | None, *, is_tls: bool) -> "Peer":
        """Prepare for the requests of one connection from the IP `address`, None for a unix socket.

        Raises ValueError for an invalid address.
        """
        if address is None:
            return Peer(self, None, is_trusted=self._trusts_unix, is_tls=is_tls)
        ip = plain_address(address.partition("%")[0])
        return Peer(self, ip, is_trusted=any(ip in network for network in self.networks), is_tls=is_tls)


class Peer:
    """The peer of one client connection.

    Mutable state: the lines generated for the host and version of the latest request, because the next request nearly
    always has the same.
    """

    __slots__ = (
        "_added",
        "_address",
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
        self._address = ip
        self._ip = b"" if ip is None else str(ip).encode()
        self._node = self._ip or b"unknown"  # RFC 7239 6.2: a hop whose address is not known
        if ip is not None and ip.version == 6:
            self._node = b'"[%b]"' % self._ip
        self._proto = b"https" if is_tls else b"http"
        self._proto_line = b"X-Forwarded-Proto: %b\r\n" % self._proto
        rewritten = {b"x-forwarded-for"} if self._writes_x and ip is not None else set()
        self._rewritten = frozenset(rewritten | ({b"forwarded"} if self._writes_forwarded else set()))
        self._prepare_lines(None, 1)

    def __repr__(self) -> str:
        return f"Peer({'trusted' if self.is_trusted else 'untrusted'})"

    def forwarding_headers(self, headers: Headers, host: bytes | None, *, minor: int) -> ForwardingHeaders:
        """Determine the forwarding fields of one HTTP/1.`minor` request for `host`."""
        if host != self._host or minor != self._minor:
            self._prepare_lines(host, minor)
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
            if joined.find(b"forwarded") >= 0 or not _OTHERS_OF_FAMILY.isdisjoint(headers.name_set):
                dropped |= frozenset(filter(_FAMILY.fullmatch, names))

        request_id = None
        if id_name is not None:
            if id_name in headers.name_set:
                request_id = _single(headers, id_name, _REQUEST_ID)
                if request_id is None:
                    dropped |= {id_name}
            if request_id is None:
                request_id = next(forwarding.ids)
                added += forwarding.request_id_line % request_id.encode()
        trace_id = _single(headers, b"traceparent", _TRACE_PARENT)
        return ForwardingHeaders(dropped, added, request_id, trace_id, forwarding.request_id_line)

    def client_address(self, headers: Headers) -> str | None:
        """The client's address: the peer's own, or what a trusted one says in the end-to-end fields of a request.

        None where nobody says; NOT_KNOWN where that cannot be understood.
        """
        if self.is_trusted:
            return client_address(headers, self._address, self._forwarding.networks)
        return None if self._address is None else str(self._address)

    def _prepare_lines(self, host: bytes | None, minor: int) -> None:
        """Generate the lines that depend only on the host and the version of a request."""
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
        """Append this hop to the earlier hops in `headers`."""
        added = b""
        if self._writes_x:
            if self._ip:
                prior = b", ".join(filter(None, headers.values(b"x-forwarded-for")))
                is_kept = prior and not _CONTROL.search(prior)
                added = b"X-Forwarded-For: %b\r\n" % (b"%b, %b" % (prior, self._ip) if is_kept else self._ip)
            if b"x-forwarded-proto" not in headers.name_set:
                added += self._proto_line
            if b"x-forwarded-host" not in headers.name_set:
                added += self._host_line
        if self._writes_forwarded:
            prior = b", ".join(filter(None, headers.values(b"forwarded")))
            is_whole = prior and _ELEMENTS.fullmatch(prior)
            added += b"Forwarded: %b\r\n" % (b"%b, %b" % (prior, self._element) if is_whole else self._element)
        return added + self._via_line


def is_about_client(name: str) -> bool:
    """Whether a header name is a forwarding field, and so cannot be used for anything else."""
    return _FAMILY.fullmatch(name.lower().encode()) is not None


def _network(text: str) -> IPv4Network | IPv6Network:
    """Parse a network. Like the addresses of peers, IPv4-mapped networks are converted to IPv4."""
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def _look_alikes(headers: Headers, id_name: bytes | None) -> frozenset[bytes]:
    """Names that some servers confuse with a forwarding field, a variable of their own, or the request id."""
    found = headers.look_alikes()
    if not found:
        return _NOTHING
    return frozenset(
        name for name, plain in found if plain == id_name or _FAMILY.fullmatch(plain) or _CGI.fullmatch(plain)
    )


def _quoted(text: bytes) -> bytes:
    """Encode a quoted-string (RFC 9110 5.6.4)."""
    return b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", text)


def _single(headers: Headers, name: bytes, pattern: re.Pattern[bytes]) -> str | None:
    """The first group of `pattern` in the value of a field; None when it is repeated or does not match."""
    if name not in headers.name_set or headers.names.count(name) > 1:
        return None
    match = pattern.fullmatch(headers.first(name) or b"")
    return None if match is None else match[1].decode()
