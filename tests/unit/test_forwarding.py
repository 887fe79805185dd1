# Who the client is: the API hears it from the gateway, whatever a client that is not trusted says of itself.

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http.forwarding import Forwarding
from gateway.http.headers import Headers
from tests.support.forwarding import (
    ABOUT_THE_CLIENT,
    CLIENT,
    HOST,
    LOOK_ALIKES,
    ORDINARY,
    PROXY,
    Line,
    arrives,
    elements,
    forwarding,
    names,
    untrusted,
    values,
    written,
)

OUR_X = [(b"X-Forwarded-For", CLIENT.encode()), (b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", HOST)]
OUR_FORWARDED = b"for=203.0.113.9;proto=http;host=api.example"

# A client that is not trusted


@pytest.mark.parametrize("name", ABOUT_THE_CLIENT + LOOK_ALIKES)
@pytest.mark.parametrize("spell", [bytes, bytes.lower, bytes.upper])
def test_what_an_untrusted_client_says_of_itself_is_replaced(name: bytes, spell: type[bytes]) -> None:
    spoof = (spell(name), b"192.0.2.66")
    assert arrives(untrusted("x-forwarded"), spoof, ORDINARY, spoof) == [ORDINARY, *OUR_X]
    assert arrives(untrusted("forwarded"), spoof, ORDINARY) == [ORDINARY, (b"Forwarded", OUR_FORWARDED)]
    assert arrives(untrusted(), spoof, ORDINARY) == [ORDINARY]


def test_each_of_many_spoofed_fields_is_dropped() -> None:
    spoofs = [(name, b"192.0.2.66") for name in ABOUT_THE_CLIENT + LOOK_ALIKES]
    assert arrives(untrusted("x-forwarded"), *spoofs, ORDINARY, *spoofs) == [ORDINARY, *OUR_X]


@pytest.mark.parametrize(
    "name", [b"X-Forward", b"X-Forwardedness", b"My-X-Forwarded-For", b"X-Real-IPs", b"x_tenant", b"X-Schemes", b"Via"]
)
def test_a_field_of_another_name_is_passed_on(name: bytes) -> None:
    assert arrives(untrusted("x-forwarded"), (name, b"1")) == [(name, b"1"), *OUR_X]


kinds = st.sets(st.sampled_from(["x-forwarded", "forwarded"]))


@given(st.lists(names), kinds, st.booleans())
@example([b"X-Forwarded-For", b"X_Forwarded_For", b"Forwarded"], set(), False)
def test_no_untrusted_client_can_make_a_value_of_its_own_arrive(
    spoofed: list[bytes], written_kinds: set[str], is_tls: bool
) -> None:
    """Read as a CGI server reads fields: by variables in which every odd character is an underscore."""
    peer = forwarding(PROXY, headers=tuple(written_kinds)).peer(CLIENT, is_tls=is_tls)
    proto = b"https" if is_tls else b"http"
    allowed: dict[str, bytes] = {}
    if "x-forwarded" in written_kinds:
        allowed |= {"X_FORWARDED_FOR": b"203.0.113.9", "X_FORWARDED_PROTO": proto, "X_FORWARDED_HOST": HOST}
    if "forwarded" in written_kinds:
        allowed["FORWARDED"] = b"for=203.0.113.9;proto=" + proto + b";host=api.example"
    seen: dict[str, bytes] = {}
    for name, value in arrives(peer, *[(name, b"spoofed") for name in spoofed]):
        variable = re.sub("[^A-Z0-9]", "_", name.decode().upper())
        if re.fullmatch("(X_)?FORWARDED(_.*)?|X_REAL_IP|X_SCHEME", variable):
            assert variable not in seen, "two fields for one variable"
            seen[variable] = value
    assert seen == allowed


# Addresses

ADDRESSES = [
    (CLIENT, b"203.0.113.9", b"203.0.113.9"),
    ("2001:db8::17", b"2001:db8::17", b'"[2001:db8::17]"'),
    ("2001:DB8:0:0:0:0:0:17", b"2001:db8::17", b'"[2001:db8::17]"'),
    ("::ffff:203.0.113.9", b"203.0.113.9", b"203.0.113.9"),
    ("::ffff:cb00:7109", b"203.0.113.9", b"203.0.113.9"),
    ("fe80::1%eth0", b"fe80::1", b'"[fe80::1]"'),
    ("::ffff:203.0.113.9%2", b"203.0.113.9", b"203.0.113.9"),
]


@pytest.mark.parametrize(("address", "in_x", "in_forwarded"), ADDRESSES)
def test_an_address_is_written_as_each_field_wants_it(address: str, in_x: bytes, in_forwarded: bytes) -> None:
    peer = forwarding(headers=("x-forwarded", "forwarded")).peer(address, is_tls=True)
    assert arrives(peer) == [
        (b"X-Forwarded-For", in_x),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", HOST),
        (b"Forwarded", b"for=%b;proto=https;host=api.example" % in_forwarded),
    ]


def test_a_unix_peer_has_no_address_and_is_not_trusted_unasked() -> None:
    peer = forwarding("0.0.0.0/0", "::/0", headers=("x-forwarded", "forwarded")).peer(None, is_tls=False)
    assert arrives(peer, (b"X-Forwarded-For", b"192.0.2.66"), (b"Forwarded", b"for=192.0.2.66")) == [
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", HOST),
        (b"Forwarded", b"for=unknown;proto=http;host=api.example"),
    ]


# The host that was asked for

HOSTS = [
    (b"api.example", b"api.example"),
    (b"api.example:8080", b'"api.example:8080"'),
    (b"[2001:db8::17]:8080", b'"[2001:db8::17]:8080"'),
    (b"caf\xc3\xa9.example", b'"caf\xc3\xa9.example"'),
    (b"\xff\x80", b'"\xff\x80"'),
    (b'a"b', b'"a\\"b"'),
    (b"a\\b", b'"a\\\\b"'),
    (b"a;for=192.0.2.66, for=1", b'"a;for=192.0.2.66, for=1"'),
]


@pytest.mark.parametrize(("host", "in_forwarded"), HOSTS)
def test_a_host_is_quoted_where_it_is_no_token(host: bytes, in_forwarded: bytes) -> None:
    lines = arrives(untrusted("x-forwarded", "forwarded"), host=host)
    assert values(lines, b"x-forwarded-host") == [host]
    assert values(lines, b"forwarded") == [b"for=203.0.113.9;proto=http;host=" + in_forwarded]


@pytest.mark.parametrize("host", [None, b"", b"a\r\nX-Admin: 1", b"a\nb", b"a\rb", b"a\0b", b"\x7f"])
def test_a_host_that_is_missing_or_cannot_be_written_is_left_out(host: bytes | None) -> None:
    came = [(b"X-Forwarded-Host", b"192.0.2.66"), (b"Forwarded", b"host=192.0.2.66")]
    lines = arrives(untrusted("x-forwarded", "forwarded"), *came, host=host)
    assert values(lines, b"x-forwarded-host") == []
    assert values(lines, b"forwarded") == [b"for=203.0.113.9;proto=http"]


def test_each_request_of_a_connection_is_told_by_its_own_host_and_version() -> None:
    peer = forwarding(via="gw").peer(CLIENT, is_tls=False)
    for host, minor in [(b"a", 1), (b"b", 1), (b"b", 0), (None, 0), (b"a", 1), (b"a", 1)]:
        lines = arrives(peer, host=host, minor=minor)
        assert values(lines, b"x-forwarded-host") == [host] * (host is not None)
        assert values(lines, b"via") == [b"1.%d gw" % minor]


@given(st.binary(min_size=1).filter(lambda host: not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", host)))
@example(b'"\\')
def test_whatever_the_host_it_is_read_back_from_forwarded(host: bytes) -> None:
    (value,) = values(arrives(untrusted("forwarded"), host=host), b"forwarded")
    assert elements(value) == [value]
    text = value.removeprefix(b"for=203.0.113.9;proto=http;host=")
    read = re.sub(rb"\\(.)", rb"\1", text[1:-1]) if text.startswith(b'"') else text
    assert read == host


# Whatever comes

SETTINGS = [
    forwarding(*networks, headers=headers, via=via, request_id=request_id)
    for networks in [(), (PROXY, "unix")]
    for headers in [(), ("x-forwarded",), ("forwarded",), ("x-forwarded", "forwarded")]
    for via, request_id in [("gw", "X-Request-Id"), ("off", "off")]
]
any_value = st.binary(max_size=40) | st.sampled_from([b"a\r\nX-Admin: 1", b"\0", b'"', b"for=a", b"192.0.2.1"])
line_value = any_value.map(lambda value: re.sub(rb"[\r\n]", b"", value).strip(b" \t"))
"""What may stand in a line: a line's end would make it two."""
any_name = st.sampled_from([b"X-Forwarded-For", b"X-Forwarded-Host", b"Forwarded", b"X-Request-Id", b"traceparent"])


@given(
    st.sampled_from(SETTINGS),
    st.sampled_from([CLIENT, PROXY, None]),
    st.lists(st.tuples(any_name | names, line_value), max_size=6),
    st.none() | any_value,
    st.sampled_from([0, 1]),
)
def test_only_whole_lines_of_known_fields_are_added_each_once(
    settings: Forwarding, address: str | None, lines: list[Line], host: bytes | None, minor: int
) -> None:
    """Holds for values that no strict parser lets in, too: not a byte of CR, LF or NUL comes through."""
    forwarding = settings.peer(address, is_tls=False).forwarding_headers(Headers.of(lines), host, minor=minor)
    added = Counter(name for name, _ in written(forwarding.added))
    assert set(added.values()) <= {1}
    assert set(added) <= {
        b"X-Forwarded-For",
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"Forwarded",
        b"Via",
        b"X-Request-Id",
    }
    passed = {name.lower() for name, _ in lines} - forwarding.dropped
    assert passed & {name.lower() for name in added} == set(), "a field that is added stands there only once"


# Settings


def mistakes() -> Iterator[tuple[str, tuple[list[str], list[str], str, str]]]:
    """Each mistake, by what it is."""
    for network in ["", "10.0.0.0/33", "example.com", "10.0.0.256", "unix:/run/x.sock", "10.0.0.0/8 "]:
        yield f"network {network!r}", ([network], [], "off", "off")
    for kind in ["", "X-Forwarded", "x-forwarded-for"]:
        yield f"kind {kind!r}", ([], [kind], "off", "off")
    for via in ["", "two words", "a,b", "gw\r\nX-Admin: 1", "gw\n", "gw\0", "é", "(gw)"]:
        yield f"via {via!r}", ([], [], via, "off")
    for name in ["", "X Request Id", "X-Request-Id:", "X-Id\r\n", "X-Id\n", "X_Request_Id", "é", "X-Forwarded-Id"]:
        yield f"request id {name!r}", ([], [], "off", name)


@pytest.mark.parametrize("values", [pytest.param(values, id=what) for what, values in mistakes()])
def test_a_setting_that_cannot_be_meant_is_refused(values: tuple[list[str], list[str], str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Forwarding(*values, iter(()))


@pytest.mark.parametrize("address", ["", "localhost", "10.0.0.1:80", "[::1]"])
def test_a_peer_without_an_ip_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        forwarding("unix").peer(address, is_tls=False)
