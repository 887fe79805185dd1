# Proxies that are trusted: which they are, and that what they say of those before them is kept and continued.

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http.forwarding import Forwarding
from tests.support.forwarding import (
    HOST,
    LOOK_ALIKES,
    Line,
    arrives,
    elements,
    forwarding,
    trusted,
    values,
)


def test_a_trusted_unix_peer_s_chain_is_passed_on_as_it_came() -> None:
    peer = forwarding("unix", headers=("x-forwarded", "forwarded")).peer(None, is_tls=False)
    came = [(b"X-Forwarded-For", b"192.0.2.1"), (b"X-Forwarded-For", b"192.0.2.2"), (b"X-Forwarded-Proto", b"https")]
    assert arrives(peer, *came, (b"Forwarded", b"for=192.0.2.1")) == [
        *came,
        (b"X-Forwarded-Host", HOST),
        (b"Forwarded", b"for=192.0.2.1, for=unknown;proto=http;host=api.example"),
    ]


@pytest.mark.parametrize(
    ("networks", "address", "is_trusted"),
    [
        ((), "127.0.0.1", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "127.0.0.2", False),
        (("10.0.0.0/8",), "10.255.0.1", True),
        (("10.0.0.0/8",), "11.0.0.1", False),
        (("10.0.0.7/8",), "10.1.1.1", True),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", True),
        (("::ffff:10.0.0.0/104",), "10.255.0.1", True),
        (("::ffff:10.0.0.0/104",), "11.0.0.1", False),
        (("::ffff:0:0/95",), "::fffe:0:1", True),
        (("::/0",), "10.0.0.1", False),
        (("0.0.0.0/0",), "::1", False),
        (("2001:db8::/32", "fe80::/10"), "fe80::1%eth0", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("unix",), None, True),
        (("unix",), "127.0.0.1", False),
        (("127.0.0.0/8",), None, False),
    ],
)
def test_a_peer_is_trusted_when_a_network_holds_it(
    networks: tuple[str, ...], address: str | None, is_trusted: bool
) -> None:
    assert forwarding(*networks).peer(address, is_tls=False).is_trusted == is_trusted


TRUSTED_CHAINS = [
    ([], b"10.0.0.1"),
    ([b""], b"10.0.0.1"),
    ([b"192.0.2.1"], b"192.0.2.1, 10.0.0.1"),
    ([b"192.0.2.1, 192.0.2.2"], b"192.0.2.1, 192.0.2.2, 10.0.0.1"),
    ([b"192.0.2.1", b"", b"2001:db8::1"], b"192.0.2.1, 2001:db8::1, 10.0.0.1"),
    ([b"unknown"], b"unknown, 10.0.0.1"),
    ([b"192.0.2.1\0"], b"10.0.0.1"),
]


@pytest.mark.parametrize(("came", "expected"), TRUSTED_CHAINS)
def test_a_trusted_proxy_is_appended_to_the_chain_it_sent(came: list[bytes], expected: bytes) -> None:
    lines = arrives(trusted("x-forwarded"), *[(b"x-forwarded-for", value) for value in came])
    assert values(lines, b"x-forwarded-for") == [expected]


def test_what_a_trusted_proxy_says_of_scheme_and_host_is_kept() -> None:
    said = [
        (b"x-forwarded-proto", b"https"),
        (b"X-FORWARDED-HOST", b"shop.example"),
        (b"X-Forwarded-Port", b"443"),
        (b"X-Forwarded-Prefix", b"/shop"),
        (b"X-Real-IP", b"192.0.2.1"),
    ]
    assert arrives(trusted("x-forwarded"), *said) == [*said, (b"X-Forwarded-For", b"10.0.0.1")]


def test_what_a_trusted_proxy_does_not_say_is_written() -> None:
    https = (b"X-Forwarded-Proto", b"https")
    host = (b"X-Forwarded-Host", b"shop.example")
    chain = (b"X-Forwarded-For", b"10.0.0.1")
    assert arrives(trusted("x-forwarded")) == [chain, (b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Host", HOST)]
    assert arrives(trusted("x-forwarded"), https) == [https, chain, (b"X-Forwarded-Host", HOST)]
    assert arrives(trusted("x-forwarded"), host) == [host, chain, (b"X-Forwarded-Proto", b"http")]


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_dropped_even_from_a_trusted_proxy(name: bytes) -> None:
    """No proxy writes such a name: it passed one from a client."""
    lines = arrives(trusted("x-forwarded", "forwarded"), (name, b"192.0.2.66"), (b"x_tenant", b"acme"))
    assert lines[0] == (b"x_tenant", b"acme")
    assert not any(b"192.0.2.66" in value for _, value in lines)


def test_a_kind_that_is_not_written_passes_unchanged_from_a_trusted_proxy() -> None:
    x = [(b"X-Forwarded-For", b"192.0.2.1"), (b"X-Forwarded-For", b"192.0.2.2"), (b"X-Real-IP", b"192.0.2.1")]
    forwarded = [(b"Forwarded", b"for=192.0.2.1"), (b"forwarded", b'for="')]
    assert arrives(trusted(), *x, *forwarded) == [*x, *forwarded]
    assert arrives(trusted("forwarded"), *x)[: len(x)] == x
    assert arrives(trusted("x-forwarded"), *forwarded)[: len(forwarded)] == forwarded


OUR_ELEMENT = b"for=10.0.0.1;proto=http;host=api.example"


@pytest.mark.parametrize(
    "came",
    [
        [b"for=192.0.2.1"],
        [b'for="[2001:db8::1]:4711";proto=https;by=_hidden, for=192.0.2.43'],
        [b"for=192.0.2.1", b"For=192.0.2.2;Proto=https"],
        [b"for=192.0.2.1; proto=https ,for=192.0.2.2;"],
        [b'for="a, \\" b";host="\xe9"'],
        [b",", b"for=192.0.2.1"],
    ],
)
def test_a_trusted_proxy_is_appended_to_its_forwarded_field(came: list[bytes]) -> None:
    (value,) = values(arrives(trusted("forwarded"), *[(b"Forwarded", one) for one in came]), b"forwarded")
    assert value == b", ".join([*came, OUR_ELEMENT])
    assert elements(value)[-1] == OUR_ELEMENT


@pytest.mark.parametrize(
    "came",
    [
        [],
        [b""],
        [b"", b""],
        [b'for="192.0.2.66'],
        [b'for="192.0.2.66\\"'],
        [b'for=192.0.2.66;by="', b"for=192.0.2.1"],
        [b'"', b"for=192.0.2.66"],
        [b"192.0.2.66"],
        [b"for="],
        [b'for="a\0b"'],
        [b'for="a\r\nX-Admin: 1"'],
    ],
)
def test_a_forwarded_field_that_cannot_be_continued_is_replaced(came: list[bytes]) -> None:
    lines = arrives(trusted("forwarded"), *[(b"Forwarded", one) for one in came])
    assert lines == [(b"Forwarded", OUR_ELEMENT)]


@given(st.lists(st.text('a="\\,; ', max_size=12).map(str.encode), max_size=3))
@example([b'a="\\', b'"'])
def test_nothing_before_it_hides_the_gateway_s_own_element(came: list[bytes]) -> None:
    (value,) = values(arrives(trusted("forwarded"), *[(b"Forwarded", one) for one in came]), b"forwarded")
    assert elements(value)[-1] == OUR_ELEMENT


def test_a_chain_of_proxies_that_trust_each_other_names_every_hop() -> None:
    kinds = ("x-forwarded", "forwarded")
    lines: list[Line] = [(b"X-Forwarded-For", b"192.0.2.66"), (b"Forwarded", b"for=192.0.2.66")]
    for address, is_tls in [("203.0.113.9", True), ("2001:db8::1", False), ("10.0.0.2", False)]:
        hop = Forwarding(["2001:db8::/32", "10.0.0.0/8"], kinds, "gw", "off", iter(())).peer(address, is_tls=is_tls)
        lines = arrives(hop, *lines)
    assert values(lines, b"x-forwarded-for") == [b"203.0.113.9, 2001:db8::1, 10.0.0.2"]
    assert values(lines, b"x-forwarded-proto") == [b"https"]
    assert elements(b", ".join(values(lines, b"forwarded"))) == [
        b"for=203.0.113.9;proto=https;host=api.example",
        b'for="[2001:db8::1]";proto=http;host=api.example',
        b"for=10.0.0.2;proto=http;host=api.example",
    ]
    assert values(lines, b"via") == [b"1.1 gw"] * 3
