# Via, request ids and traces: by what a request is found again on both sides of the gateway.

import re

import pytest

from gateway.http.headers import Headers
from tests.support.forwarding import CLIENT, HOST, ORDINARY, PROXY, arrives, forwarding, untrusted, written

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"

# Via

VIA_CAME = (b"Via", b"1.1 edge, 1.0 old (a comment)")


@pytest.mark.parametrize(("minor", "expected"), [(1, b"1.1 gw"), (0, b"1.0 gw")])
@pytest.mark.parametrize("address", [CLIENT, PROXY])
def test_via_names_the_client_s_version_after_those_that_came(address: str, minor: int, expected: bytes) -> None:
    peer = forwarding(PROXY, headers=(), via="gw").peer(address, is_tls=False)
    assert arrives(peer, VIA_CAME, minor=minor) == [VIA_CAME, (b"Via", expected)]


def test_via_that_is_off_leaves_what_came() -> None:
    assert arrives(untrusted(), VIA_CAME) == [VIA_CAME]


# Request ids

WITH_ID = forwarding(PROXY, headers=(), request_id="X-Request-Id")


@pytest.mark.parametrize("address", [CLIENT, PROXY])
@pytest.mark.parametrize("value", [b"a", b"0af7651916cd43dd8448eb211c80319c", b"Root=1-67891233-abc/_.:+=", b"x" * 128])
def test_a_request_id_that_is_safe_to_write_is_kept(value: bytes, address: str) -> None:
    line = (b"x-request-id", value)
    peer = WITH_ID.peer(address, is_tls=False)
    assert peer.forwarding_headers(Headers.of([line]), HOST, minor=1).request_id == value.decode()
    assert arrives(peer, line, ORDINARY) == [line, ORDINARY]


UNSAFE_IDS = [
    [],
    [b""],
    [b"x" * 129],
    [b"two words"],
    [b'a"b'],
    [b"a,b"],
    [b"\xc3\xa9"],
    [b"a\n"],
    [b"${jndi:x}"],
    [b"one", b"one"],
    [b"one", b""],
]


@pytest.mark.parametrize("came", UNSAFE_IDS)
def test_any_other_request_id_is_made_anew(came: list[bytes]) -> None:
    peer = WITH_ID.peer(CLIENT, is_tls=False)
    lines = [(b"x-request-id", value) for value in came]
    forwarding = peer.forwarding_headers(Headers.of(lines), HOST, minor=1)
    assert forwarding.request_id is not None
    assert re.fullmatch("[0-9a-f]{32}", forwarding.request_id)
    assert written(forwarding.added) == [(b"X-Request-Id", forwarding.request_id.encode())]
    assert [value for value in arrives(peer, *lines, ORDINARY) if value[0] == b"x-request-id"] == []


def test_no_two_request_ids_are_alike_nor_begin_alike() -> None:
    """A thousand ids of two connections: a counter or a prefix in them would show."""
    peers = [WITH_ID.peer(CLIENT, is_tls=False), WITH_ID.peer(PROXY, is_tls=False)]
    ids = [peers[turn % 2].forwarding_headers(Headers(b""), HOST, minor=1).request_id or "" for turn in range(1000)]
    assert len({one[:12] for one in ids}) == len({one[-12:] for one in ids}) == 1000


@pytest.mark.parametrize("name", [b"X_Request_Id", b"x-request_id", b"X.REQUEST.ID"])
def test_no_second_request_id_reaches_the_api_under_a_name_that_looks_alike(name: bytes) -> None:
    kept = (b"X-Request-Id", b"a")
    assert arrives(WITH_ID.peer(CLIENT, is_tls=False), kept, (name, b"b"), ORDINARY) == [kept, ORDINARY]


def test_a_request_id_that_is_off_is_neither_read_nor_made() -> None:
    line = (b"X-Request-Id", b"two words")
    peer = untrusted()
    assert arrives(peer, line) == [line]
    assert peer.forwarding_headers(Headers.of([line]), HOST, minor=1).request_id is None


# Traces

TRACE_PARENTS = [
    (b"00-%b-%b-01" % (TRACE, PARENT), True),
    (b"00-%b-%b-00" % (TRACE, PARENT), True),
    (b"00-%b-%b-ff" % (TRACE, PARENT), True),
    (b"01-%b-%b-01" % (TRACE, PARENT), True),
    (b"cc-%b-%b-01-what the future will be like" % (TRACE, PARENT), True),
    (b"cc-%b-%b-01-" % (TRACE, PARENT), True),
    (b"cc-%b-%b-01.more" % (TRACE, PARENT), False),
    (b"cc-%b-%b-0" % (TRACE, PARENT), False),
    (b"00-%b-%b-01-" % (TRACE, PARENT), False),
    (b"00-%b-%b-01-more" % (TRACE, PARENT), False),
    (b"ff-%b-%b-01" % (TRACE, PARENT), False),
    (b"00-%b-%b-01" % (b"0" * 32, PARENT), False),
    (b"00-%b-%b-01" % (TRACE, b"0" * 16), False),
    (b"01-%b-%b-01" % (b"0" * 32, PARENT), False),
    (b"00-%b-%b-01" % (TRACE.upper(), PARENT), False),
    (b"00-%b-%b-01" % (TRACE, PARENT.upper()), False),
    (b"0A-%b-%b-01" % (TRACE, PARENT), False),
    (b"00-%b-%b-0G" % (TRACE, PARENT), False),
    (b"00-%b-%b" % (TRACE, PARENT), False),
    (b"00-%b-%b-01" % (TRACE[:-1], PARENT), False),
    (b"0-%b-%b-01" % (TRACE, PARENT), False),
    (b"000-%b-%b-01" % (TRACE, PARENT), False),
    (b"00_%b_%b_01" % (TRACE, PARENT), False),
    (b"", False),
]


@pytest.mark.parametrize(("value", "is_valid"), TRACE_PARENTS)
@pytest.mark.parametrize("address", [CLIENT, PROXY])
def test_a_trace_is_known_by_a_valid_traceparent_which_passes_either_way(
    value: bytes, is_valid: bool, address: str
) -> None:
    line = (b"TraceParent", value)
    peer = WITH_ID.peer(address, is_tls=False)
    assert peer.forwarding_headers(Headers.of([line]), HOST, minor=1).trace_id == (TRACE.decode() if is_valid else None)
    assert arrives(peer, line)[0] == line


def test_two_traceparents_are_none() -> None:
    lines = [(b"traceparent", b"00-%b-%b-01" % (TRACE, PARENT))] * 2
    assert untrusted().forwarding_headers(Headers.of(lines), HOST, minor=1).trace_id is None
    assert arrives(untrusted(), *lines) == lines
