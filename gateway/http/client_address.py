# The address of a client that trusted proxies speak for: X-Forwarded-For and Forwarded (RFC 7239), read from the right.
# Pure.
#
# What stands left of the first address that is not trusted, the client may have written itself: it is not looked at.

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.http.fields import QUOTED_STRING, TOKEN
from gateway.http.headers import Headers

NOT_KNOWN = ""
"""In place of an address that can be read in two ways, or not at all."""
ABOUT_CLIENT = frozenset({b"forwarded", b"x-forwarded-for"})
"""The fields in which proxies say it."""
Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NODE = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]{1,5})?")
"""An address that may have a port; one of version 6 in brackets then."""
_BARE = re.compile(r"[0-9A-Fa-f:.]+")
_PAIR = re.compile(rb"[ \t]*(?:(%b)=(?:(%b)|(%b)))?[ \t]*([;,]|\Z)" % (TOKEN, TOKEN, QUOTED_STRING))
_ESCAPED = re.compile(r"\\(.)")


def plain_address(text: str) -> Address:
    """Parse an address; one of version 4 that is mapped to version 6 is that. Raises ValueError."""
    address = ip_address(text)
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def client_address(headers: Headers, peer: Address | None, trusted: Sequence[Network]) -> str | None:
    """The address of the client, as a trusted `peer` (None for a unix socket) and the proxies before it say.

    NOT_KNOWN when they contradict each other, or cannot be understood; None when nobody says.
    """
    try:
        found = {_first_stranger(chain, trusted) for chain in _chains(headers)}
    except ValueError:
        return NOT_KNOWN
    if not found:
        return None if peer is None else str(peer)
    return str(found.pop()) if len(found) == 1 else NOT_KNOWN


def _chains(headers: Headers) -> Iterator[Iterator[Address]]:
    """What each field says, the nearest first."""
    if b"x-forwarded-for" in headers.name_set:
        line = b",".join(headers.values(b"x-forwarded-for")).decode("latin-1")
        yield (_address(node.strip(" \t"), is_bare=True) for node in reversed(line.split(",")))
    if b"forwarded" in headers.name_set:
        nodes = _forwarded(b",".join(headers.values(b"forwarded")))
        yield (_address(node, is_bare=False) for node in reversed(nodes))


def _first_stranger(chain: Iterator[Address], trusted: Sequence[Network]) -> Address:
    """The nearest address that is not trusted, or the last one. Raises ValueError."""
    address = None
    for address in chain:
        if not any(address in network for network in trusted):
            break
    if address is None:
        raise ValueError
    return address


def _address(node: str, *, is_bare: bool) -> Address:
    """Raises ValueError, also for "unknown" and names that stand for an address."""
    found = _NODE.fullmatch(node)
    if found is not None:
        return plain_address(found[1] or found[2])
    if is_bare and _BARE.fullmatch(node):
        return plain_address(node)
    raise ValueError


def _forwarded(value: bytes) -> list[str]:
    """The node of each element; empty where it has none. Raises ValueError."""
    nodes: list[str] = []
    node, at = None, 0
    while True:
        pair = _PAIR.match(value, at)
        if pair is None:
            raise ValueError
        if pair[1] and pair[1].lower() == b"for":
            if node is not None:
                raise ValueError
            text = (pair[2] or pair[3][1:-1]).decode("latin-1")
            node = text if pair[2] else _ESCAPED.sub(r"\1", text)
        if pair[4] != b";":
            nodes.append(node or "")
            node = None
        if not pair[4]:
            return nodes
        at = pair.end()
