# What no ordinary client sends, by tables.

import pytest

from gateway.guard.unusual import MAX_NESTING, MAX_PARAMETERS, find_unusual, is_media_type
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


def test_the_bounds_of_a_query() -> None:
    assert find_unusual("POST", "&" * (MAX_PARAMETERS - 1), headers()) is None
    assert find_unusual("POST", "a" + "[b]" * MAX_NESTING, headers()) is None
    for query in ("&" * MAX_PARAMETERS, ";" * MAX_PARAMETERS, "[" * (MAX_NESTING + 1), "%5B" * (MAX_NESTING + 1)):
        assert find_unusual("POST", query, headers()) is not None


def test_a_method_is_in_upper_case() -> None:
    assert find_unusual("M-SEARCH", "", headers()) is None
    assert find_unusual("pOST", "", headers()) is not None
