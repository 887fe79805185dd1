# The address of a store on a Valkey server, or on Redis, of the Sentinels that know where one is, or of nodes of a
# cluster. Pure.
#
# Error texts show nothing of the URL, which may contain a password.

import re
from collections.abc import Sequence
from urllib.parse import unquote

import msgspec

from gateway.config.hosts import parse_host, parse_port

VALKEY = {
    "valkey": "valkey",
    "redis": "valkey",
    "valkeys": "valkeys",
    "rediss": "valkeys",
    "valkey+sentinel": "valkey+sentinel",
    "redis+sentinel": "valkey+sentinel",
    "valkeys+sentinel": "valkeys+sentinel",
    "rediss+sentinel": "valkeys+sentinel",
    "valkey+cluster": "valkey+cluster",
    "redis+cluster": "valkey+cluster",
    "valkeys+cluster": "valkeys+cluster",
    "rediss+cluster": "valkeys+cluster",
}
"""The schemes, each with the one that is shown."""
_PORT, _SENTINEL_PORT = 6379, 26379
_DATABASE = re.compile(r"[0-9]{1,4}")
_SERVICE = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class ValkeyStoreUrl(msgspec.Struct, frozen=True):
    """Claims are kept on a server that other gateways may use, too."""

    hosts: Sequence[tuple[str, int]]
    """The server; with `service` its Sentinels; of a cluster some of its nodes."""
    database: int = 0
    user: str | None = None
    password: str | None = None
    tls: bool = False
    service: str | None = None
    """What Sentinels call the server."""
    cluster: bool = False
    """Whether the server is found among the nodes of a cluster."""

    def __str__(self) -> str:
        """For people: without user and password."""
        kind = "+cluster" if self.cluster else "+sentinel" if self.service else ""
        scheme = f"valkey{'s' if self.tls else ''}{kind}"
        hosts = ",".join([f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts])
        service = f"/{self.service}" if self.service else ""
        return f"{scheme}://{hosts}{service}/{self.database}"


def parse_valkey(url: str, scheme: str) -> ValkeyStoreUrl:
    """Read "valkey://USER:PASSWORD@HOST:PORT/DATABASE".

    With Sentinels it is "valkey+sentinel://HOST:PORT,…/SERVICE", with nodes of a cluster "valkey+cluster://HOST:PORT,…".
    `scheme` is one of VALKEY. Raises ValueError with a text that shows a valid value.
    """
    has_sentinels, is_cluster = "sentinel" in scheme, "cluster" in scheme
    right = f"{VALKEY[scheme]}://127.0.0.1:{_PORT}"
    if has_sentinels:
        right = f"{VALKEY[scheme]}://127.0.0.1:{_SENTINEL_PORT}/mymaster"
    rest = url.partition("://")[2]
    if not rest:
        raise ValueError(f'there is no host after "{scheme}:"; write "{right}"')
    if "?" in rest or "#" in rest:
        raise ValueError(f'the URL goes on with a query or a fragment, which mean nothing here; write "{right}"')
    credentials, _, place = rest.rpartition("@")
    if "/" in credentials:
        raise ValueError("the URL has a slash in its user or password; write it as %2F")
    user, colon, password = credentials.partition(":")
    authority, *names = place.removesuffix("/").split("/")
    service = names.pop(0) if has_sentinels and names else None
    if has_sentinels and (service is None or not _SERVICE.fullmatch(service)):
        raise ValueError(f'the URL does not say what the Sentinels call the server; write "{right}"')
    if len(names) > 1 or (names and not _DATABASE.fullmatch(names[0])):
        raise ValueError(f'the URL goes on with more than the number of a database; write "{right}/0"')
    if is_cluster and names and int(names[0]):
        raise ValueError(f'the URL names a database, and a cluster has only the first one; write "{right}"')
    places = authority.split(",")
    if len(places) > 1 and not (has_sentinels or is_cluster):
        raise ValueError(
            f'the URL names several servers, which only Sentinels or nodes of a cluster may be; write "{right}", '
            '"valkey+sentinel://HOST,HOST/SERVICE", or "valkey+cluster://HOST,HOST"'
        )
    return ValkeyStoreUrl(
        tuple([_place(each, _SENTINEL_PORT if has_sentinels else _PORT) for each in places]),
        int(names[0]) if names else 0,
        unquote(user) or None,
        unquote(password) if colon else None,
        tls=scheme.startswith(("valkeys", "rediss")),
        service=service,
        cluster=is_cluster,
    )


def _place(text: str, default: int) -> tuple[str, int]:
    bracketed = text.endswith("]")
    host, colon, port = text.rpartition(":") if ":" in text and not bracketed else (text, "", "")
    return parse_host(host, None), parse_port(port, lowest=1, shown="the URL") if colon else default
