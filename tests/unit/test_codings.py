import pytest

from gateway.http.codings import accept_only

CODINGS = frozenset({b"gzip", b"deflate", b"identity"})


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([b"gzip, deflate, br, zstd"], b"gzip, deflate"),
        ([b"br;q=1.0, gzip;q=0.8, *;q=0.1"], b"gzip;q=0.8"),
        ([b"GZip ;q=0.5,identity;q=0"], b"GZip ;q=0.5, identity;q=0"),
        ([b"br", b"gzip"], b"gzip"),
        ([b"br"], b"identity"),
        ([b"*"], b"identity"),
        ([b""], b"identity"),
    ],
)
def test_only_codings_are_asked_for_that_both_know(values: list[bytes], line: bytes) -> None:
    assert accept_only(values, CODINGS) == b"Accept-Encoding: %b\r\n" % line
