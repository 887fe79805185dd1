# Reads the URL of a PostgreSQL server, which goes to libpq as it is. Pure.
#
# Error texts show nothing of the URL: it may contain a password.

import re
from urllib.parse import unquote

import msgspec

from gateway.config.hosts import parse_host, parse_port

POSTGRESQL = ("postgresql", "postgres")
"""The schemes of its URLs."""

_SHOWN = "postgresql://gateway@127.0.0.1:5432/gateway"
_PARAMETERS = re.compile(
    "application_name|channel_binding|connect_timeout|dbname|gss[a-z]+|host|hostaddr|keepalives(_[a-z]+)?|krbsrvname|"
    "load_balance_hosts|(min|max)_protocol_version|oauth_[a-z_]+|options|passfile|password|port|require_auth|requirepeer|"
    "scram_[a-z]+_key|service|ssl[a-z]+|ssl_(min|max)_protocol_version|tcp_user_timeout|user"
)
"""What libpq takes after the "?", without what the gateway decides itself."""
_OWN = {
    "client_encoding": "which the gateway sets itself; write the URL without it",
    "target_session_attrs": "which is always read-write, to find the primary; write the URL without it",
}


class PostgresqlStoreUrl(msgspec.Struct, frozen=True):
    """Claims are kept on a PostgreSQL server that other gateways may use, too."""

    url: str
    """With its user and password, if it has them."""
    address: str
    """Without them."""

    def __str__(self) -> str:
        """For people: without user and password."""
        return self.address


def parse_postgresql(url: str) -> PostgresqlStoreUrl:
    """Read "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full", with several hosts, too.

    Raises ValueError with a text that shows a valid value.
    """
    rest = url.partition("://")[2]
    if not rest:
        raise ValueError(f'there is no host after "postgresql:"; write "{_SHOWN}"')
    if "#" in rest:
        raise ValueError(f'a "#" in the user or password of the URL is written %23; write "{_SHOWN}"')
    if not url.isprintable() or re.search(r"%(?![0-9A-Fa-f]{2})|%00", rest):
        raise ValueError('the URL has a "%" that no two digits follow, or a character that is written with "%"')
    place, _, query = rest.partition("?")
    authority, slash, database = place.partition("/")
    user, at, hosts = authority.rpartition("@")
    if "@" in database or (at and "@" in user):
        raise ValueError('a "/" in the user or password of the URL is written %2F, and an "@" is written %40')
    if "/" in database:
        raise ValueError(f'the URL goes on with more than the name of a database; write "{_SHOWN}"')
    names = _check_query(query)
    if hosts:
        for host in hosts.split(","):
            _check_host(host)
    elif not names & {"host", "hostaddr", "service"}:
        raise ValueError(f'the URL names no host; write "{_SHOWN}"')
    return PostgresqlStoreUrl(url, f"postgresql://{hosts}{slash}{unquote(database)}")


def _check_query(query: str) -> set[str]:
    """Check what follows the "?"; the names in it."""
    names = set()
    for part in query.split("&") if query else []:
        name, equals, _ = part.partition("=")
        if name in _OWN:
            raise ValueError(f"the URL has {name}, {_OWN[name]}")
        if not _PARAMETERS.fullmatch(name) or not equals:
            raise ValueError(
                'the URL has a parameter that libpq does not know; write those of libpq, such as "?sslmode=verify-full"'
            )
        names.add(name)
    return names


def _check_host(text: str) -> None:
    bracketed = text.endswith("]")
    host, colon, port = text.rpartition(":") if ":" in text and not bracketed else (text, "", "")
    parse_host(host, None)
    if colon:
        parse_port(port, lowest=1, shown="the URL")
