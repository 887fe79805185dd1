# What a Retry-After field may say (RFC 9110 10.2.3).

import pytest

from gateway.http.retry_after import is_retry_after


@pytest.mark.parametrize(
    "value",
    [
        b"0",
        b"120",
        b"9" * 30,
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Sun Nov 16 08:49:37 1994",
        b"Sat, 31 Dec 2016 23:59:60 GMT",
        b"Thu, 29 Feb 2024 00:00:00 GMT",
    ],
)
def test_seconds_and_each_form_of_a_date_are_read(value: bytes) -> None:
    """A recipient must read all three forms of an HTTP-date (RFC 9110 5.6.7)."""
    assert is_retry_after(value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"soon",
        b"-1",
        b"+1",
        b"1.5",
        b"1 s",
        b"1, 2",
        "\u0661".encode(),
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun Nov 06 08:49:37 1994 GMT",
        b"1994-11-06T08:49:37Z",
    ],
)
def test_anything_else_is_not(value: bytes) -> None:
    """A value that cannot be read is no statement about when to try again."""
    assert not is_retry_after(value)
