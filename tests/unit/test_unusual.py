# What no ordinary client sends, by tables.

import pytest

from gateway.guard.unusual import MAX_NESTING, MAX_PARAMETERS, find_unusual, is_accept, is_media_type
from gateway.http.headers import Headers
from tests.support.unit import headers


@pytest.mark.parametrize(
    "value",
    [
        *("application/json", "application/json;charset=utf-8", 'application/json ; charset="UTF-8"', "a/b;"),
        *("application/json;odata.metadata=minimal;IEEE754Compatible=true", "multipart/form-data; boundary=--a_b'c"),
        *('multipart/form-data; boundary="a b;c=d"', 'application/vnd.api+json; ext="https://x/y"', "text/plain; ;"),
        *(
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded ; charset=utf-8",
            "multipart/form-data",
        ),
    ],
)
def test_ordinary_types(value: str) -> None:
    assert is_media_type(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        *("", "json", "application/", "/json", "a b/c", "application/json charset=utf-8", "a/b; c", "a/b; c =d"),
        *("a/b,c/d", "application/x-www-form-urlencoded,x/y+json", "a/b; c=d,e/f", 'a/b; c="d', "a/b; c=d; C=e"),
        *("application/x-www-form-urlencoded+json", "Multipart/Form-Data+json; boundary=x"),
        *("application/json; q*=x'y'%ff", "a/b; charset*=utf-8", "a/b; c=\xff", "\xff/b"),
    ],
)
def test_unusual_types(value: str) -> None:
    assert not is_media_type(value.encode("latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        *("", " , ,", "*/*", "application/json", "application/json, text/plain, */*", "text/*;q=.3, a/b ; q=1"),
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        *("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/vnd.api+json;version=1.0;", "a/b;q=x"),
        *('application/ld+json;profile="http://x.org/a,b"', "application/json;odata=verbose", "*/*, *;q=.1"),
    ],
)
def test_ordinary_ranges(value: str) -> None:
    assert is_accept(value.encode())


@pytest.mark.parametrize(
    "value",
    [
        *("x", "*", "*;q=.2", "a/b, *", "*/json", "a/b/c", "!a/b", "a/b|c", "a/*+xml", "a/b c/d", "a/b; =x", "a/b; q"),
        *("a/\xff", "\xff", "a/b; x=\xff", 'a/b; x="y', "*.*", "a", "a/b;x=a'b@c", "*/*, x", "*/*, *x", "a/ b"),
    ],
)
def test_unusual_ranges(value: str) -> None:
    assert not is_accept(value.encode("latin-1"))
    assert find_unusual("POST", "", headers(("Accept", "a/b"), ("Accept", value))) is not None


@pytest.mark.parametrize("line", [b"X:\ty", b"X: \ty", b"X: \t y", b"X: y\t", b"X: y\t ", b"X:\t"])
def test_no_tab_is_around_a_value(line: bytes) -> None:
    assert find_unusual("POST", "", Headers(b"A: b\r\n%b\r\nC: d\r\n" % line)) is not None
    assert find_unusual("POST", "", Headers(b"A: b\tc\r\nX: y\r\n")) is None


def test_the_bounds_of_a_query() -> None:
    assert find_unusual("POST", "&" * (MAX_PARAMETERS - 1), headers()) is None
    assert find_unusual("POST", "a" + "[b]" * MAX_NESTING, headers()) is None
    for query in ("&" * MAX_PARAMETERS, ";" * MAX_PARAMETERS, "[" * (MAX_NESTING + 1), "%5B" * (MAX_NESTING + 1)):
        assert find_unusual("POST", query, headers()) is not None


def test_a_method_is_in_upper_case() -> None:
    assert find_unusual("M-SEARCH", "", headers()) is None
    assert find_unusual("pOST", "", headers()) is not None
