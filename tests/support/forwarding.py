# What the tests of forwarding share: peers, requests as the API gets them, and names that are about the client.

import re
from collections.abc import Sequence

from hypothesis import strategies as st

from gateway.http.forwarding import Forwarding, Peer
from gateway.http.headers import Headers
from gateway.process.request_ids import random_ids

Line = tuple[bytes, bytes]

CLIENT = "203.0.113.9"
PROXY = "10.0.0.1"
HOST = b"api.example"
ORDINARY = (b"X-Tenant", b"acme")


def forwarding(
    *trusted: str, headers: Sequence[str] = ("x-forwarded",), via: str = "off", request_id: str = "off"
) -> Forwarding:
    """Settings that write the X-Forwarded fields and nothing else, unless told otherwise."""
    return Forwarding(trusted, headers, via, request_id, random_ids())


def untrusted(*headers: str) -> Peer:
    """A client that nobody trusts, and the kinds of `headers` that are written."""
    return forwarding(headers=headers).peer(CLIENT, is_tls=False)


def trusted(*headers: str) -> Peer:
    """A proxy that is trusted, and the kinds of `headers` that are written."""
    return forwarding(PROXY, headers=headers).peer(PROXY, is_tls=False)


def written(added: bytes) -> list[Line]:
    """The lines that were added. Fails where they are anything but whole field lines."""
    lines = []
    for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", added):
        field = re.fullmatch(rb"([A-Za-z0-9-]+): ([^\x00\r\n]+)\r\n", line)
        assert field, line
        lines.append((field[1], field[2]))
    return lines


def arrives(peer: Peer, *lines: Line, host: bytes | None = HOST, minor: int = 1) -> list[Line]:
    """What the API gets of a request with these lines."""
    forwarding = peer.forwarding_headers(Headers.of(lines), host, minor=minor)
    return [line for line in lines if line[0].lower() not in forwarding.dropped] + written(forwarding.added)


def values(lines: Sequence[Line], name: bytes) -> list[bytes]:
    """The values of one field."""
    return [value for other, value in lines if other.lower() == name.lower()]


def elements(value: bytes) -> list[bytes]:
    """A Forwarded value cut at its commas, those within quotes left alone (RFC 7239 4), as its reader would."""
    found, quoted, escaped = [bytearray()], False, False
    for byte in value:
        if byte == ord(",") and not quoted:
            found.append(bytearray())
            continue
        if escaped:
            escaped = False
        elif byte == ord('"'):
            quoted = not quoted
        elif byte == ord("\\") and quoted:
            escaped = True
        found[-1].append(byte)
    return [bytes(element).strip(b" \t") for element in found]


ABOUT_THE_CLIENT = [
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"X-Forwarded-Host",
    b"X-Forwarded-Port",
    b"X-Forwarded-Server",
    b"X-Forwarded-Prefix",
    b"X-Forwarded-Scheme",
    b"X-Forwarded-Ssl",
    b"X-Forwarded-Uri",
    b"X-Forwarded-Client-Cert",
    b"X-Forwarded-By-A-Name-Nobody-Knows",
    b"X-Forwarded",
    b"X-Real-IP",
    b"X-Scheme",
    b"X-Original-URL",
    b"X-Original-Uri",
    b"X-Original-Method",
    b"X-Rewrite-URL",
    b"X-Script-Name",
    b"Forwarded",
    b"Forwarded-For",
]
LOOK_ALIKES = [
    b"X_Forwarded_For",
    b"x_forwarded-proto",
    b"X-Forwarded_Host",
    b"X.Forwarded.For",
    b"X~Forwarded!For",
    b"X_FORWARDED_PREFIX",
    b"X_Real_IP",
    b"X-Real.IP",
    b"X_Scheme",
    b"Forwarded_For",
    b"X_Original_URL",
    b"SCRIPT_NAME",
    b"path_info",
    b"REMOTE_USER",
    b"HTTP_HOST",
    b"CONTENT_LENGTH",
]

names = st.one_of(
    st.sampled_from(ABOUT_THE_CLIENT + LOOK_ALIKES),
    st.builds(
        lambda words, separator: separator.join(words),
        st.lists(st.sampled_from([b"X", b"x", b"Forwarded", b"FORWARDED", b"For", b"Real", b"ip"]), min_size=1),
        st.sampled_from([b"-", b"_", b".", b"", b"~"]),
    ),
    st.text("xX-_fFoOrRwWaAdDeE.", min_size=1, max_size=16).map(str.encode),
)
"""Field names, many of them about the client in one spelling or another."""
