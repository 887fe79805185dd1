# Whom a request comes from: the peer's address, or what trusted proxies say, and nothing where that is not certain.

import pytest

from gateway.http.client_address import NOT_KNOWN
from tests.support.forwarding import forwarding
from tests.support.unit import headers

XFF, RFC = "X-Forwarded-For", "Forwarded"
TRUSTED = ("10.0.0.0/8", "2001:db8::/32", "unix")


def seen(address: str | None, *lines: tuple[str, str], trusted: tuple[str, ...] = TRUSTED) -> str | None:
    return forwarding(*trusted).peer(address, is_tls=False).client_address(headers(*lines))


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB9:0::1", "2001:db9::1"),
        ("fe80::1%eth0", "fe80::1"),
        (None, None),
    ],
)
def test_a_stranger_is_who_connects_whatever_it_says(address: str | None, plain: str | None) -> None:
    for lines in ([], [(XFF, "198.51.100.7")], [(RFC, "for=198.51.100.7")], [(XFF, "nonsense")]):
        assert seen(address, *lines, trusted=()) == plain


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("1.1.1.1,198.51.100.7,10.1.1.1 ,\t10.2.2.2", "198.51.100.7"),
        ("unknown, nonsense, 198.51.100.7", "198.51.100.7"),
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("2001:DB9::0:1", "2001:db9::1"),
        ("[2001:DB9::1]", "2001:db9::1"),
        ("[2001:db9::1]:443", "2001:db9::1"),
        ("::FFFF:198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 2001:db8::5", "198.51.100.7"),
    ],
)
def test_a_trusted_peer_is_believed_up_to_the_first_stranger(said: str, client: str) -> None:
    assert seen("10.0.0.1", (XFF, said)) == seen(None, (XFF, said)) == client
    assert seen("10.0.0.1", *[(XFF, part) for part in said.split(",")]) == client


@pytest.mark.parametrize(
    "said",
    [
        *("", ",", "unknown", "_hidden", "198.51.100.7,", "1.1.1.1, , 10.0.0.2", "198.51.100.7 7", "198.51.100.07"),
        *("198.51.100.7:", "198.51.100", "fe80::1%eth0", "[2001:db9::1", "2001:db9::1]:1", "é", '"198.51.100.7"'),
    ],
)
def test_what_is_no_address_where_one_is_needed_is_not_known(said: str) -> None:
    assert seen("10.0.0.1", (XFF, said)) == NOT_KNOWN


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("for=198.51.100.7", "198.51.100.7"),
        ("FOR=198.51.100.7;proto=https;by=10.0.0.1", "198.51.100.7"),
        ('for=x;host="a, for=1.1.1.1;b\\"", For="198.51.100.7:80";host=y, for=10.2.2.2', "198.51.100.7"),
        ('for="[2001:DB9::1]:443"', "2001:db9::1"),
        ('proto=http;for="198.51\\.100.7"', "198.51.100.7"),
        ("by=x, for=10.2.2.2, for=10.3.3.3", NOT_KNOWN),
        *(
            (text, NOT_KNOWN)
            for text in ("", "for=unknown", "proto=https", "for=198.51.100.7;for=198.51.100.7", "for=")
        ),
        *((text, NOT_KNOWN) for text in ('for="198.51.100.7', "for=198.51.100.7:80", 'for="2001:db9::1"', "for")),
        ("for=198.51.100.7,", NOT_KNOWN),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(said: str, client: str) -> None:
    assert seen("10.0.0.1", (RFC, said)) == client


def test_without_a_word_it_is_the_proxy_itself_or_nobody() -> None:
    assert seen("10.0.0.1") == "10.0.0.1"
    assert seen(None) is None


def test_two_fields_must_say_the_same() -> None:
    one, other = (XFF, "198.51.100.7"), (RFC, 'for="198.51.100.7:80", for=10.1.1.1')
    assert seen("10.0.0.1", one, other) == "198.51.100.7"
    assert seen("10.0.0.1", one, (RFC, "for=198.51.100.8")) == NOT_KNOWN
    assert seen("10.0.0.1", one, (RFC, "for=unknown")) == NOT_KNOWN
