# Which pages may read the gateway's own answers, and answers that were stored for pages of another origin.

import pytest

from gateway.http.cors import ANY, Cors
from gateway.http.headers import Headers

A, B, C = "https://a.example", "https://b.example", "https://c.example"
CORS = Cors([A, B], ["Retry-After", "X-Id", "Retry-After"])
EXPOSED = "Access-Control-Expose-Headers: Retry-After, X-Id\r\n"


def asking(*origins: str) -> Headers:
    return Headers("".join([f"Origin: {origin}\r\n" for origin in origins]).encode())


def allowing(origin: str) -> str:
    return f"Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n"


def test_a_page_of_a_listed_origin_may_read_and_send_credentials() -> None:
    assert CORS.fields(asking(B)).decode() == allowing(B) + EXPOSED


@pytest.mark.parametrize(
    "request_fields",
    [
        Headers(b""),
        asking(C),
        asking("null"),
        asking("*"),
        asking("https://a.example.evil.example"),
        asking("https://a.example/"),
        asking("HTTPS://A.EXAMPLE"),
        asking("http://a.example"),
        asking("https://a.example:8443"),
        asking(A, B),
        asking(A, A),
        asking(""),
        asking(f"{A}, {B}"),
    ],
)
def test_any_other_page_may_not(request_fields: Headers) -> None:
    assert CORS.fields(request_fields) == b""


def test_any_origin_may_read_where_all_are_allowed_and_credentials_are_not() -> None:
    cors = Cors([ANY], [])
    assert cors.fields(asking(C)) == b"Access-Control-Allow-Origin: *\r\n"
    assert cors.fields(Headers(b"")) == b""


@pytest.mark.parametrize(
    ("stored", "origin", "seen"),
    [
        ("", B, allowing(B)),
        (allowing(A), B, allowing(B)),
        (allowing(A), A, allowing(A)),
        (f"Access-Control-Allow-Origin: {A}\r\n", A, f"Access-Control-Allow-Origin: {A}\r\n"),
        ("Access-Control-Allow-Origin: *\r\n", B, allowing(B)),
    ],
)
def test_a_stored_answer_is_readable_by_the_page_that_asks_for_it(stored: str, origin: str, seen: str) -> None:
    before = Headers(f"{stored}X-Total: 7\r\n".encode())
    given = CORS.for_replay(asking(origin), before)
    expected = sorted(f"{seen}{EXPOSED}X-Total: 7\r\nVary: Origin\r\n".splitlines())
    assert sorted(given.block.decode().splitlines()) == expected


@pytest.mark.parametrize("request_fields", [asking(C), Headers(b"")])
def test_what_the_api_allowed_other_pages_stays_as_it_was(request_fields: Headers) -> None:
    stored = Headers(f"{allowing(A)}Access-Control-Expose-Headers: X-Total\r\nVary: Accept, origin\r\n".encode())
    assert CORS.for_replay(request_fields, stored).block == stored.block


def test_the_fields_that_the_api_exposes_stay_exposed() -> None:
    stored = Headers(b"Access-Control-Expose-Headers: X-Total\r\n")
    assert CORS.for_replay(asking(A), stored).values(b"access-control-expose-headers") == [
        b"X-Total",
        b"Retry-After, X-Id",
    ]
