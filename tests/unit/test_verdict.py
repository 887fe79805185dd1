# What the API's answer to a question says. An answer that something does not exist must be beyond doubt.

import gzip
import json
from typing import Any

import pytest
from hypothesis import given

from gateway.config.schema_verify import VerifyConfig
from gateway.guard.question import Verify
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.verdict import Verdict, read_answer
from tests.support.unit import headers, rule, values

JSON = ("Content-Type", "application/json")


def asks(**changes: Any) -> Verify:
    settings = {"path": "/users?email={body.email}", "found": "body.items[0].id", **changes}
    verify = rule(verify=VerifyConfig(**settings)).verify
    assert verify is not None
    return verify


def said(body: Any, status: int = 200, *lines: tuple[str, str], is_whole: bool = True, **changes: Any) -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return str(read_answer(asks(**changes), status, headers(*(lines or (JSON,))), data, is_whole=is_whole).verdict)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"items": [{"id": 7}]}, "exists"),
        ({"items": [{"id": "u-7"}, {"id": "u-8"}]}, "exists"),
        ({"items": []}, "absent"),
        ({"items": None}, "absent"),
        ({"items": ""}, "absent"),
        ({}, "absent"),
        ({"total": 0}, "absent"),
        (None, "absent"),
        ([], "absent"),
        ({"items": [], "error": None, "errors": []}, "absent"),
        ({"error": "try later"}, "unclear"),
        ({"items": [], "errors": [{"message": "denied"}]}, "unclear"),
        ({"items": [{"uuid": "u-7"}]}, "unclear"),
        ({"items": [{"id": None}]}, "unclear"),
        ({"items": [None]}, "unclear"),
        ({"items": [{"id": 0}]}, "unclear"),
        ({"items": {"0": {"id": 7}}}, "unclear"),
        ({"items": 5}, "unclear"),
        ({"items": "soon"}, "unclear"),
        ([{"id": 7}], "unclear"),
        ("soon", "unclear"),
        (7, "unclear"),
        (b'{"items": [], "items": [{"id": 7}]}', "unclear"),
        (b'{"items": []', "unclear"),
        (b"", "unclear"),
        (b"<html>no</html>", "unclear"),
        (b'{"items": [{"id": "\\ud800"}]}', "unclear"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "unclear"),
    ],
)
def test_what_a_search_finds(body: Any, verdict: str) -> None:
    assert said(body) == verdict


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        *[({"id": there}, "exists") for there in ("x", 7, True, ["a"])],
        *[({"id": nothing}, "absent") for nothing in (None, "", False)],
        ({"id": []}, "absent"),
        ({"id": {}}, "absent"),
        *[({"id": zero}, "unclear") for zero in (0, 0.0)],
        ({"Id": "x"}, "unclear"),
        ({"ID": None}, "unclear"),
    ],
)
def test_what_a_look_up_finds(body: Any, verdict: str) -> None:
    """0 may be an identifier, and may be a count."""
    assert said(body, found="body.id") == verdict


@pytest.mark.parametrize(
    ("status", "with_found", "without"),
    [
        *[(status, "absent", "exists") for status in (200, 204)],
        *[(status, "unclear", "exists") for status in (201, 202, 206, 207)],
        *[(status, "absent", "absent") for status in (404, 410)],
        *[(status, "unclear", "unclear") for status in (301, 302, 304, 400, 401, 403, 405, 429, 500, 501, 503)],
    ],
)
def test_what_a_status_says(status: int, with_found: str, without: str) -> None:
    body = b"" if status == 204 else b'{"items": []}'
    assert said(body, status) == with_found
    assert said(body, status, found=None) == without


def test_absence_out_of_a_cache_says_nothing() -> None:
    for status in (200, 404):
        assert said({"items": []}, status, JSON, ("Age", "30")) == "unclear"
        assert said({"items": []}, status, JSON, ("Age", "0")) == "absent"
        assert said({"items": []}, status, JSON, ("Age", "0"), ("Age", "9")) == "unclear"
    assert said({"items": [{"id": 7}]}, 200, JSON, ("Age", "30")) == "exists"


def test_a_body_is_read_as_it_is_coded_and_only_if_it_is_whole_and_json() -> None:
    body = gzip.compress(b'{"items": []}')
    assert said(body, 200, JSON, ("Content-Encoding", "gzip")) == "absent"
    assert said(body, 200, JSON, ("Content-Encoding", "br")) == "unclear"
    assert said(gzip.compress(b" " * (MAX_ANSWER + 1)), 200, JSON, ("Content-Encoding", "gzip")) == "unclear"
    assert said({"items": []}, 200, ("Content-Type", "text/html")) == "unclear"
    assert said({"items": []}, 200, ("X-No", "type")) == "absent"
    assert said({"items": []}, is_whole=False) == "unclear"
    assert said({"items": []}, is_whole=False, found=None) == "exists", "its status says it"


def test_the_link_is_read_from_the_answer() -> None:
    verify = asks(resource="/users/{body.items[0].id}")
    for body, link in ((b'{"items": [{"id": "a/b"}]}', "/users/a%2Fb"), (b'{"items": [{"id": true}]}', None)):
        found = read_answer(verify, 200, headers(JSON), body, is_whole=True)
        assert (found.verdict, found.resource) == (Verdict.EXISTS, link)


@given(values)
def test_no_answer_is_an_error_and_what_is_there_is_never_absent(body: Any) -> None:
    assert said(body) in {"exists", "absent", "unclear"}
    assert said({"items": [{"id": body}]}) != "absent"
