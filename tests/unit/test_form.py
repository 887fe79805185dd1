# Forms that are urlencoded: what is read, and every way in which servers would read something else.

import gzip
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import BodyTooLarge, CodingNotAccepted, IdentityError
from gateway.guard.identity import RequestView, identify
from gateway.guard.urlencoded import MAX_NAMES, MAX_PARAMETERS
from gateway.model import Json
from tests.support.unit import request, rule

URLENCODED = ("Content-Type", "application/x-www-form-urlencoded")
CANARY = "canary-7b1f"


def of(field: str, asked: RequestView, **changes: object) -> Json:
    """What one field of a request is."""
    _, (identity,) = identify(rule(unique=(UniqueConfig(name="it", fields=(field,)),), **changes), asked)
    return identity.values[0]


def form(body: str | bytes, kind: str = URLENCODED[1], query: str = "") -> RequestView:
    return request(body, ("Content-Type", kind), query=query)


def unreadable(field: str, asked: RequestView) -> IdentityError:
    """Why one field cannot be read."""
    with pytest.raises(IdentityError) as raised:
        of(field, asked)
    assert CANARY not in str(raised.value), "a value is shown"
    return raised.value


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("email=a", "a"),
        ("x=1&email=a&y=", "a"),
        ("email=", ""),
        ("email=a=b", "a=b"),
        ("email=a+b%20c%2Bd", "a b c+d"),
        ("%65mail=a", "a"),
        ("email=%C3%A9", "é"),
        ("email=100%25", "100%"),
        ("email=a&x=100%&y%=1", "a"),
        ("&&email=a&", "a"),
        ("email=a&x=1;y=2", "a"),
        ("email=a&x=%ff", "a"),
        ("_charset_=utf-8&email=a", "a"),
        ("user[email]=x&email=a", "a"),
        ("email=a&x", "a"),
        ("email=a&note=\u00e9", "a"),
    ],
)
def test_a_parameter_is_read(body: str, found: str) -> None:
    assert of("form.email", form(body)) == found


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded; charset=utf-8",
        'Application/X-WWW-Form-Urlencoded;charset="UTF-8"',
        "application/x-www-form-urlencoded; x=y",
        "application/x-www-form-urlencoded;",
    ],
)
def test_the_type_of_a_form_may_be_written_in_ordinary_ways(kind: str) -> None:
    assert of("form.email", form("email=a", kind)) == "a"


@pytest.mark.parametrize(
    "body",
    [
        *("email=1&email=2", "email=1&email=1", "email&email=1", "email=1&+email=2", "email=1&email%00z=2"),
        *("email[]=2", "email=1&email[a]=2", "email=1&email]=2", "Email=1", "email=1&[email]=2", "email.x=1&email=2"),
        *("x;email=2&email=1", "email=1&x=1;email=2", "email=1&x=;EMAIL=2", "email=1;x", "email", "x&email"),
        *("email=1&email;x", "email=1&email;", "email=1&EMAIL;x=2"),
        *("email=a%00b", "email=a%0ab", "email=a%0d%0ab", "email=a\r\n", "email=a%7f", "email=%ff", "email=%C3"),
        *(
            "email=\u00e9",
            "\u00e9=1&email=1",
            "%ff=1&email=1",
            "email=%u0061",
            "email=[]=a",
            "email=x%5D=a",
            "email=100%",
            "email=%4",
            "email=a%zz%20b",
            "email=1&%u0065=2",
            "email=%c0%b2",
        ),
        *(
            "_charset_=latin-1&email=a",
            "_CHARSET_=utf-16&email=a",
            "_charset_&email=a",
            b"email=\xff",
            b"email=1&x=\xff",
        ),
        *("email=" + "x" * 1025, "email=" + "%41" * 1025, "email=" + "a+" * 2000),
        *("x=1&" * (MAX_PARAMETERS - 1) + "email=a&", "email=a&x=" + ";" * MAX_PARAMETERS),
        *("x" * (MAX_NAMES + 1) + "=&email=a", "email=a&x=;" + "y" * MAX_NAMES + "z"),
    ],
)
def test_what_servers_read_differently_is_unreadable(body: str | bytes) -> None:
    assert not unreadable("form.email", form(body)).is_absent


@pytest.mark.parametrize("body", ["", "x=1", "emails=1", "=email", "x=email", "&"])
def test_an_absent_parameter_is_said_to_be_absent(body: str) -> None:
    error = unreadable("form.email", form(body))
    assert (str(error), error.is_absent) == ("form.email is absent", True)


def test_a_body_that_is_no_form_has_no_field_of_one_and_a_form_none_of_json() -> None:
    """An alternative may be looked for in either."""
    for asked in (request('{"email": "a"}'), request("email=a", ("Content-Type", "text/plain")), request()):
        error = unreadable("form.email", asked)
        assert error.is_absent
        assert str(error) == "form.email is absent: the body's Content-Type is not that of a form"
    both = (UniqueConfig(name="it", fields=("body.email", "form.email")),)
    with pytest.raises(IdentityError, match=r"^body\.email is absent$") as raised:
        identify(rule(unique=both), form("email=a"))
    assert raised.value.is_absent
    assert unreadable("file.email.size", form("email=a")).is_absent


def test_a_rule_for_json_does_not_read_forms() -> None:
    assert str(unreadable("body.email", form("email=a"))) == "the body's Content-Type is not JSON"


def test_a_nested_name_stands_beside_others_of_its_kind_and_not_beside_its_parent() -> None:
    field = 'form."user[email]"'
    assert of(field, form("user[email]=a&user[name]=b&user%5Btags%5D%5B%5D=c&email=d")) == "a"
    for beside in ("user", "user[]", "user.email", "user[email][]", "user[Email]", "user[email", "[user][email]"):
        unreadable(field, form(urlencode({"user[email]": "a", beside: "b"})))


@pytest.mark.parametrize("query", ["email=a", "email", "x=1&EMAIL=2", "x;email=1", "email[]=1"])
def test_a_parameter_that_stands_in_the_query_too_is_unreadable(query: str) -> None:
    """A servlet takes that of the query, Rails that of the body."""
    assert "query" in str(unreadable("form.email", form("email=a", query=query)))
    assert of("form.email", form("email=a", query="emails=1&x=email")) == "a"


@pytest.mark.parametrize(
    "kind",
    [
        *("application/x-www-form-urlencoded; charset=latin-1", "application/x-www-form-urlencoded; charset=us-ascii"),
        *("application/x-www-form-urlencoded; charset", "application/x-www-form-urlencoded; charset*=utf-8''utf-16"),
        *("application/x-www-form-urlencoded; charset=utf-8; Charset=utf-16", "application/x-www-form-urlencoded, x/y"),
        *('application/x-www-form-urlencoded; charset="utf\\-8"', "application/x-www-form-urlencoded+json"),
    ],
)
def test_a_type_that_servers_read_differently_is_unreadable(kind: str) -> None:
    unreadable("form.email", form("email=a", kind))


def test_codings_and_the_limit_are_those_of_json() -> None:
    coded = request(gzip.compress(b"email=a"), URLENCODED, ("Content-Encoding", "gzip"))
    assert of("form.email", coded, content_encodings=("gzip",), body_limit=7) == "a"
    with pytest.raises(CodingNotAccepted):
        of("form.email", coded)
    with pytest.raises(BodyTooLarge):
        of("form.email", coded, content_encodings=("gzip",), body_limit=6)
    unreadable("form.email", request(b"email=a", URLENCODED, URLENCODED))


PIECES = st.sampled_from(
    ["email", "=", "&", ";", "%", "%65", "%00", "%ff", "+", "[", "]", "a", "\xff", "\x00", "_charset_", ".", "Email"]
)


@given(st.lists(PIECES, max_size=12) | st.lists(st.characters(max_codepoint=255), max_size=8))
def test_any_body_is_read_or_refused(pieces: list[str]) -> None:
    try:
        found = of("form.email", form("".join(pieces).encode("latin-1")))
    except IdentityError:
        return
    assert isinstance(found, str)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20), st.booleans())
def test_what_an_encoder_writes_is_read_as_it_was_meant(value: str, by_quote: bool) -> None:
    body = f"x=1&email={quote(value)}" if by_quote else urlencode({"email": value, "x": "y;z"})
    assert of("form.email", form(body)) == value
