# Names and hosts that differ only in case, or in how a host is written: one identity, or none that is certain.

from typing import Any

import pytest

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import IdentityError
from gateway.guard.identity import RequestView, identify
from gateway.guard.large_body import LARGE
from gateway.model import Json
from tests.support.unit import request, rule


def value(field: str, asked: RequestView, **changes: Any) -> Json:
    """What one field of a request is."""
    path = "/t/{tenant}/users" if field.startswith("path.") else "/users"
    _, (identity,) = identify(rule(path=path, unique=(UniqueConfig(name="it", fields=(field,), **changes),)), asked)
    return identity.values[0]


def unreadable(field: str, asked: RequestView) -> str:
    with pytest.raises(IdentityError) as raised:
        value(field, asked)
    return str(raised.value)


TWO_CASES = "{} has a key that differs only in case, which an API may take for the same"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("body.email", '{"email":"b@x","Email":"a@x"}'),
        ("body.email", '{"Email":"a@x","email":"b@x"}'),
        ("body.email", '{"email":"b@x","\\u0045mail":"a@x"}'),
        ("body.Email", '{"Email":"b@x","eMAIL":"a@x"}'),
        ("body.user.email", '{"user":{"email":"b"},"User":{"email":"a"}}'),
        ("body.user.email", '{"user":{"email":"b","EMAIL":"a"}}'),
        ("body.items[0].sku", '{"items":[{"sku":"b","SKU":"a"}]}'),
        ("body.key", '{"key":"b","\u212aey":"a"}'),  # the Kelvin sign, which Go folds to k
        ("body.status", '{"status":"b","\u017ftatus":"a"}'),  # the long s
        ("body.status", '{"status":"b","\\u017ftatu\\u017f":"a"}'),
        ("body.key", '{"\\u212aEY":"a"}'),
        ("body.desk.key", '{"des\u212a":{"key":"a"},"desk":{"key":"b"}}'),
    ],
)
@pytest.mark.parametrize("filler", [0, LARGE], ids=["small", "large"])
def test_keys_that_differ_only_in_case_count_as_one_key_twice(field: str, body: str, filler: int) -> None:
    """Go and ASP.NET take either for the field, and the last one wins: the identity is not certain."""
    filled = f'{{"filler":"{"x" * filler}",{body[1:]}'
    assert unreadable(field, request(filled)) == TWO_CASES.format(field)


def test_a_key_in_another_case_alone_is_no_value() -> None:
    """An API that folds case would create it, so it is neither an identity nor a body without one."""
    assert unreadable("body.email", request('{"Email":"a@x"}')) == TWO_CASES.format("body.email")


@pytest.mark.parametrize(
    "body",
    [
        '{"email":"a","x":1,"X":2}',
        '{"email":"a","other":{"Email":"b","EMAIL":"c"}}',
        '{"email":"a","e-mail":"b","email_2":"c","myemail":"d","EMAILS":"e"}',
        '[{"email":"a"}]',
    ],
)
def test_other_keys_may_differ_only_in_case(body: str) -> None:
    """Only the keys on the way to a value decide what it is."""
    assert value("body[0].email" if body.startswith("[") else "body.email", request(body)) == "a"


def test_the_keys_within_a_value_are_taken_as_they_are() -> None:
    """A value that is an object may be a map with keys of its own, in which case counts."""
    asked = request('{"labels":{"app":1,"App":2}}')
    assert value("body.labels", asked, types=("object",)) == {"app": 1, "App": 2}


@pytest.mark.parametrize("query", ["ref=b&Ref=a", "Ref=a", "REF=a&ref=b", "%52ef=a&ref=b"])
def test_parameters_of_the_query_are_as_strict(query: str) -> None:
    """ASP.NET takes them for one parameter with two values."""
    text = "query.ref stands there under a name that some servers take for the same"
    assert unreadable("query.ref", request("", query=query)) == text


@pytest.mark.parametrize("field", ["host", "header.Host", "header.host"])
@pytest.mark.parametrize(
    "sent", ["a.example", "A.example", "a.example:80", "a.example.", "A.EXAMPLE.:8080", "a.example:"]
)
def test_a_host_is_one_identity_however_it_is_written(field: str, sent: str) -> None:
    """It is read as match.host reads it: in lower case, without port and final dot."""
    assert value(field, request("", ("Host", sent))) == "a.example"


@pytest.mark.parametrize(("sent", "read"), [("[::1]:8080", "[::1]"), ("127.0.0.1:80", "127.0.0.1"), ("b", "b")])
def test_other_hosts_stay_apart(sent: str, read: str) -> None:
    """Addresses lose their port, and nothing else."""
    assert value("host", request("", ("Host", sent))) == read


def test_a_host_that_is_not_named_is_absent() -> None:
    """HTTP/1.0 may leave Host out; then there is no identity."""
    assert unreadable("host", request("")) == "host is absent"


def test_the_rule_knows_that_host_is_a_header_that_decides() -> None:
    """Connection must not name it, as no header that a rule reads."""
    fields = (UniqueConfig(name="it", fields=("host", "body.n")),)
    assert rule(unique=fields).headers == {b"host"}


@pytest.mark.parametrize("raw", ["m\u00fcnchen", "m\udcc3\udcbcnchen", "m%C3%BCnchen"])
def test_raw_utf8_in_a_query_is_the_text_that_its_escapes_are(raw: str) -> None:
    """Old clients send it unescaped; it is one identity with the escaped spelling."""
    assert value("query.q", request("", query=f"q={raw}")) == "m\u00fcnchen"
