from collections.abc import Callable

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.endpoints import (
    MemoryStoreUrl,
    SqliteStoreUrl,
    TcpAddress,
    UnixAddress,
    UpstreamAddress,
    is_authority,
    parse_listen,
    parse_store,
    parse_upstream,
)
from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.valkey_url import ValkeyStoreUrl


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", TcpAddress("127.0.0.1", 8080)),
        ("[::1]:8080", TcpAddress("::1", 8080)),
        ("localhost:0", TcpAddress("localhost", 0)),
        ("unix:/run/gateway.sock", UnixAddress("/run/gateway.sock")),
        ("unix:gateway.sock", UnixAddress("gateway.sock")),
    ],
)
def test_an_address_to_listen_on_is_taken_apart_and_written_again(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:9000", UpstreamAddress("127.0.0.1", 9000, None, tls=False)),
        ("http://api.example.com", UpstreamAddress("api.example.com", 80, None, tls=False)),
        ("https://api.example.com", UpstreamAddress("api.example.com", 443, None, tls=True)),
        ("HTTPS://[::1]:9443", UpstreamAddress("::1", 9443, None, tls=True)),
        ("http://[::1]", UpstreamAddress("::1", 80, None, tls=False)),
        ("unix:/run/api.sock", UpstreamAddress("localhost", 80, "/run/api.sock", tls=False)),
    ],
)
def test_the_place_of_the_api_is_taken_apart(url: str, address: UpstreamAddress) -> None:
    assert parse_upstream(url) == address


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://api.example.com:80", "api.example.com"),
        ("http://api.example.com:443", "api.example.com:443"),
        ("https://api.example.com:443", "api.example.com"),
        ("https://[::1]", "[::1]"),
        ("http://[::1]:9000", "[::1]:9000"),
        ("unix:/run/api.sock", "localhost"),
    ],
)
def test_the_place_of_the_api_is_named_as_a_host_field_names_it(url: str, authority: str) -> None:
    assert parse_upstream(url).authority == authority


@pytest.mark.parametrize(
    "text", ["api.example.com", "api.example.com:8443", "API.example.com.", "[::1]", "[::1]:80", "127.0.0.1:1", "a_b-c"]
)
def test_what_a_host_field_may_hold(text: str) -> None:
    assert is_authority(text)


@pytest.mark.parametrize(
    "text",
    ["", ":80", "a:", "a:0", "a:65536", "a:b", "::1", "u@a", "a/b", "a b", "a,b", "-a", ".a", "a..b", "300.1.1.1"],
)
def test_what_a_host_field_may_not_hold(text: str) -> None:
    assert not is_authority(text)


@pytest.mark.parametrize("host", ["a..b", "..", "x" * 64, ".".join(["x" * 63] * 4)])
def test_a_name_that_dns_could_not_hold_is_no_host(host: str) -> None:
    with pytest.raises(ValueError, match="valid host"):
        parse_upstream(f"http://{host}.test")


@pytest.mark.parametrize(
    ("url", "store"),
    [
        ("memory:", MemoryStoreUrl()),
        ("sqlite:gateway.db", SqliteStoreUrl("gateway.db")),
        ("sqlite:/var/lib/gateway.db", SqliteStoreUrl("/var/lib/gateway.db")),
        ("sqlite:with space.db", SqliteStoreUrl("with space.db")),
    ],
)
def test_the_place_of_the_store_is_taken_apart(url: str, store: MemoryStoreUrl | SqliteStoreUrl) -> None:
    assert parse_store(url) == store


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://:9000",
        "http://api.example.com:",
        "http://api.example.com:0",
        "http://api example.com",
        "http://api.example.com\n",
        "http://api.example.com#top",
        "http://api.example.com?x",
        "http://[::1",
        "http:/api.example.com",
        "unix:/run/",
        "unix:/run/\0",
    ],
)
def test_what_is_no_upstream_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_upstream(url)


@given(st.text())
@example("http://user:pa55word@host")
@example("https://user:pa55word@host:80/")
@example("unix://pa55word")
def test_an_upstream_is_read_or_refused_without_being_repeated(url: str) -> None:
    """Whatever the text, there is an address or a ValueError, and no password stands in the error."""
    assert "pa55word" not in refusal(parse_upstream, url)


@given(st.text(), st.sampled_from(["", "unix:", "127.0.0.1:", "[", "sqlite:"]))
def test_any_text_is_an_address_a_store_or_a_value_error(text: str, start: str) -> None:
    for parse in (parse_listen, parse_store):
        said = refusal(parse, start + text)
        assert said == "" or "write" in said or "written" in said, "a refusal says what would be right"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:pa55word@host",
        "redis://:pa55word@host:port",
        "redis://:pa55word@host/database",
        "valkey+sentinel://:pa55word@host",
        "valkey://:pa55word@a,b",
        "valkey+cluster://:pa55word@a,b/1",
        "valkey+cluster://:pa55word@a,b/claims",
        "redis://:pa55/word@host",
        "postgresql://u:pa55word@host:port/db",
        "postgresql://u:pa55word@host/db?unknown=pa55word",
        "postgresql://u:pa55word@host/db?client_encoding=latin1",
        "postgresql://u:pa55word@host/db?target_session_attrs=any",
        "postgresql://u:pa55word@host/db/more",
        "postgresql://u:pa55word#@host/db",
        "postgresql://u:%zzpa55word@host/db",
        "postgresql://u:pa55word/x@host/db",
        "postgresql://u:pa55word@/db",
        "postgresql://u:pa55word?@host/db",
    ],
)
def test_a_refused_store_does_not_show_its_password(url: str) -> None:
    said = refusal(parse_store, url)
    assert "write" in said or "written" in said
    assert "pa55" not in said


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://db", "postgresql://db"),
        ("postgres://u:pa55word@db:5433/claims", "postgresql://db:5433/claims"),
        ("postgresql://u:p%40ss@a,b:5433,[::1]:5434/c%20d?sslmode=require", "postgresql://a,b:5433,[::1]:5434/c d"),
        ("postgresql:///claims?host=/run/postgresql&password=pa55word", "postgresql:///claims"),
    ],
)
def test_a_url_of_postgresql_goes_to_its_client_as_it_is_and_people_see_no_password(url: str, address: str) -> None:
    assert parse_store(url) == PostgresqlStoreUrl(url, address)


@pytest.mark.parametrize(
    ("url", "store", "shown"),
    [
        ("redis://a", ValkeyStoreUrl((("a", 6379),)), "valkey://a:6379/0"),
        (
            "rediss://u:p%40ss@a:1/2",
            ValkeyStoreUrl((("a", 1),), 2, "u", "p@ss", tls=True),
            "valkeys://a:1/2",
        ),
        (
            "redis+sentinel://a,b:1/claims/2",
            ValkeyStoreUrl((("a", 26379), ("b", 1)), 2, service="claims"),
            "valkey+sentinel://a:26379,b:1/claims/2",
        ),
        (
            "rediss+cluster://u:pa55word@a,[::1]:1",
            ValkeyStoreUrl((("a", 6379), ("::1", 1)), 0, "u", "pa55word", tls=True, cluster=True),
            "valkeys+cluster://a:6379,[::1]:1/0",
        ),
    ],
)
def test_a_valkey_server_its_sentinels_or_nodes_of_its_cluster(url: str, store: ValkeyStoreUrl, shown: str) -> None:
    assert parse_store(url) == store
    assert str(store) == shown
    assert parse_store(shown) == msgspec.structs.replace(store, user=None, password=None)


def refusal(parse: Callable[[str], object], text: str) -> str:
    """What a parser says against a text; nothing when it takes it. No other error gets out of it."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""
