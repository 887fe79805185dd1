# Parses the addresses in the rules file: listeners, upstreams and stores. Pure.
#
# Error texts show only the scheme of a URL: the rest may contain a password.

import re
from ipaddress import ip_address
from typing import NoReturn

import msgspec

from gateway.config.hosts import parse_host, parse_port
from gateway.config.postgresql_url import POSTGRESQL, PostgresqlStoreUrl, parse_postgresql
from gateway.config.valkey_url import VALKEY, ValkeyStoreUrl, parse_valkey

_UNIX = "unix:"
_LONGEST_SOCKET_PATH = 107
"""Bytes; sun_path in Linux's sockaddr_un holds 108 with the closing NUL."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TcpAddress(msgspec.Struct, frozen=True):
    """A host and a port to listen on; port 0 lets the system choose one."""

    host: str
    """A name, an IPv4 address, or an IPv6 address without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class UnixAddress(msgspec.Struct, frozen=True):
    """A unix socket to listen on."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


class UpstreamAddress(msgspec.Struct, frozen=True):
    """The address of an API."""

    host: str
    """Without brackets; "localhost" when `unix` says where to connect."""
    port: int
    unix: str | None
    """The path of a unix socket, or None."""
    tls: bool

    @property
    def authority(self) -> str:
        """The value of the Host field: without the default port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


class MemoryStoreUrl(msgspec.Struct, frozen=True):
    """Claims are kept in memory."""


class SqliteStoreUrl(msgspec.Struct, frozen=True):
    """Claims are kept in a SQLite file."""

    path: str
    """Relative paths are relative to the working directory."""


def parse_listen(text: str) -> TcpAddress | UnixAddress:
    """Read "127.0.0.1:8080", "[::1]:8080" or "unix:/run/gateway.sock".

    Raises ValueError with a text that shows a valid value.
    """
    if text.startswith(_UNIX):
        return UnixAddress(_socket_path(text))
    if "/" in text:
        raise ValueError(
            f'"{text}" is no address; write only host and port, such as "127.0.0.1:8080", or "unix:" and a path'
        )
    host, colon, port = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise ValueError(f'"{text}" has no port; write host and port, such as "127.0.0.1:8080" or "[::1]:8080"')
    number = parse_port(port, lowest=0, shown=f'"{text}"')
    if host in {"", "*"}:
        raise ValueError(f'"{text}" names no host; write "0.0.0.0:{number}" to listen on every IPv4 address')
    return TcpAddress(parse_host(host, text), number)


def is_local(address: TcpAddress | UnixAddress) -> bool:
    """Whether only this machine can connect to it."""
    if isinstance(address, UnixAddress) or address.host.lower() == "localhost":
        return True
    try:
        return ip_address(address.host).is_loopback
    except ValueError:  # a name, which may lead anywhere
        return False


def parse_upstream(url: str) -> UpstreamAddress:
    """Read "http://HOST:PORT", "https://HOST:PORT" or "unix:PATH". Without a port it is 80 or 443.

    Raises ValueError with a text that shows a valid value.
    """
    if url.startswith(_UNIX):
        return UpstreamAddress("localhost", _DEFAULT_PORTS["http"], _socket_path(url), tls=False)
    scheme, separator, rest = url.partition("://")
    tls = scheme.lower() == "https"
    if not separator or scheme.lower() not in _DEFAULT_PORTS:
        _refuse_upstream('the URL does not start with "http://", "https://" or "unix:"')
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        _refuse_upstream("the URL holds a user or a password, which the gateway does not send")
    if "?" in rest or "#" in rest:
        _refuse_upstream("the URL goes on with a query or a fragment; each request brings its own")
    if "/" in rest:
        _refuse_upstream('the URL goes on with a "/" or a path after the host; requests keep the path they came with')
    bracketed = authority.endswith("]")
    host, colon, port = authority.rpartition(":") if ":" in authority and not bracketed else (authority, "", "")
    number = parse_port(port, lowest=1, shown="the URL") if colon else _DEFAULT_PORTS[scheme.lower()]
    return UpstreamAddress(parse_host(host, None), number, None, tls)


def parse_store(url: str) -> MemoryStoreUrl | SqliteStoreUrl | ValkeyStoreUrl | PostgresqlStoreUrl:
    """Read "memory:", "sqlite:PATH", or "valkey://" or "postgresql://" with USER:PASSWORD@HOST:PORT/DATABASE.

    Raises ValueError with a text that shows a valid value.
    """
    right = (
        'write "sqlite:" and a path, such as "sqlite:gateway.db", "valkey://127.0.0.1:6379", '
        '"postgresql://gateway@127.0.0.1:5432/gateway", or "memory:"'
    )
    scheme = _SCHEME.match(url)
    kind = scheme[1].lower() if scheme else ""
    if kind in VALKEY:
        return parse_valkey(url, kind)
    if kind in POSTGRESQL:
        return parse_postgresql(url)
    if url in {"memory:", "memory://"}:
        return MemoryStoreUrl()
    if not url.startswith("sqlite:"):
        raise ValueError(f'the URL starts with none of "sqlite:", "valkey:", "postgresql:" and "memory:"; {right}')
    path = url.removeprefix("sqlite:")
    if path.startswith("//"):
        raise ValueError(
            'the path stands right after "sqlite:"; write "sqlite:gateway.db" for one relative to the working '
            'directory, "sqlite:/var/lib/gateway/gateway.db" for an absolute one'
        )
    if path == ":memory:":
        raise ValueError('a store in memory is written "memory:"')
    if not path or path.endswith("/") or not path.isprintable():
        raise ValueError(f'there is no name of a file after "sqlite:"; {right}')
    return SqliteStoreUrl(path)


def is_authority(text: str) -> bool:
    """Whether a text is a valid Host field (RFC 9110 7.2): a host with an optional port."""
    host, _, port = text.rpartition(":") if re.search(r":[0-9]*\Z", text) else (text, "", "80")
    try:
        parse_port(port, lowest=1, shown="")
    except ValueError:
        return False
    return is_host(host)


def is_host(text: str) -> bool:
    """Whether a text is a host name, an IPv4 address, or an IPv6 address in brackets."""
    try:
        parse_host(text, None)
    except ValueError:
        return False
    return True


def _socket_path(text: str) -> str:
    path = text.removeprefix(_UNIX)
    if path.startswith("//"):
        raise ValueError('the path stands right after "unix:"; write it such as "unix:/run/gateway.sock"')
    if not path or path.endswith("/") or not path.isprintable():
        raise ValueError('there is no path of a socket after "unix:"; write one such as "unix:/run/gateway.sock"')
    if len(path.encode(errors="surrogateescape")) > _LONGEST_SOCKET_PATH:
        raise ValueError(
            f"the socket's path is longer than the {_LONGEST_SOCKET_PATH} bytes that the system takes; "
            'write a shorter one, such as "unix:/run/gateway.sock"'
        )
    return path


def _refuse_upstream(what: str) -> NoReturn:
    raise ValueError(f'{what}; write "http://HOST:PORT", "https://HOST:PORT" or "unix:PATH"')
