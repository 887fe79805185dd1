import contextlib
import gzip
import json
import re
import zlib
from typing import Any

import pytest

from gateway.errors import IdentityError
from gateway.guard.answer import AnswerSource, OutcomeEntry, make_outcomes, parse_answer_field
from gateway.guard.answer_view import AnswerView
from gateway.guard.condition import Condition, Found, ValueKind
from gateway.guard.resource import MAX_ANSWER
from gateway.http.headers import Headers

JSON = b"application/json"
XML = b"text/xml"


@pytest.mark.parametrize(
    ("text", "source", "keys", "kind"),
    [
        ("answer.status", AnswerSource.STATUS, (), ValueKind.STATUS),
        ("answer.header.Content-Type", AnswerSource.HEADER, ("Content-Type",), ValueKind.TEXT),
        ("answer.body.errors[0].code", AnswerSource.BODY, ("errors", 0, "code"), ValueKind.JSON),
        ('answer.body."odd.key"', AnswerSource.BODY, ("odd.key",), ValueKind.JSON),
        ("answer.body[0]", AnswerSource.BODY, (0,), ValueKind.JSON),
        ("answer.xml.Envelope.Body.Fault", AnswerSource.XML, ("Envelope", "Body", "Fault"), ValueKind.TEXT),
    ],
)
def test_a_field_of_an_answer_is_read(
    text: str, source: AnswerSource, keys: tuple[str | int, ...], kind: ValueKind
) -> None:
    field = parse_answer_field(text)
    assert (field.text, field.source, field.keys, field.kind) == (text, source, keys, kind)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("body.errors", 'write "answer.body.errors"'),
        ("header.X", 'write "answer.header.X"'),
        ("status", 'write "answer.status"'),
        ("answer.query.ref", 'write "answer.status", "answer.header.NAME"'),
        ("answer", 'write "answer.status", "answer.header.NAME"'),
        ("answer.", 'write "answer.status", "answer.header.NAME"'),
        ("answer.statuses", 'write "answer.status", "answer.header.NAME"'),
        ("", 'write "answer.status", "answer.header.NAME"'),
        ("answer.status.code", 'goes too deep; write "answer.status"'),
        ("answer.header", 'write "answer.header.NAME"'),
        ("answer.header.a.b", 'goes too deep; write "answer.header.NAME"'),
        ("answer.header[0]", 'goes too deep; write "answer.header.NAME"'),
        ("answer.body", 'write "answer.body.NAME"'),
        ("answer.body.", "cannot be read from"),
        ("answer.body.a b", "is quoted"),
        ("answer.xml", 'write "answer.xml.NAME"'),
        ("answer.xml.a[0]", "write their names alone"),
    ],
)
def test_a_field_that_is_in_no_answer_is_refused_with_what_would_be_right(text: str, right: str) -> None:
    with pytest.raises(ValueError, match=re.escape(right)):
        parse_answer_field(text)


def view(
    *fields: str, body: bytes | None, content_type: bytes | None = JSON, status: int = 200, **more: bytes
) -> AnswerView:
    """An answer, seen by a rule that reads `fields`."""
    lines = [] if content_type is None else [(b"Content-Type", content_type)]
    lines += [(name.replace("_", "-").encode(), value) for name, value in more.items()]
    entry = OutcomeEntry(tuple([Condition(parse_answer_field(field), exists=True) for field in fields]), "refused")
    outcomes = make_outcomes([entry])
    assert outcomes is not None
    return AnswerView(outcomes, status, Headers.of(lines), body)


def read(field: str, body: bytes | None, **more: Any) -> Any:
    return view(field, body=body, **more).read(parse_answer_field(field))


def reason(field: str, body: bytes | None, **more: Any) -> tuple[str, bool]:
    with pytest.raises(IdentityError) as raised:
        read(field, body, **more)
    return str(raised.value), raised.value.is_absent


def test_status_and_header_are_read_from_the_head() -> None:
    assert read("answer.status", None, status=418) == 418
    assert read("answer.header.x-code", None, X_Code=b"E1") == "E1"
    assert read("answer.header.X-Code", None, X_Code=b"E1", x_code=b"E2") == "E1, E2"
    assert read("answer.header.X-Code", None, X_Code="é".encode()) == "é"
    assert read("answer.header.X-Code", None, X_Code=b"\xff") == "\udcff"
    assert reason("answer.header.X-Code", None) == ("answer.header.X-Code is absent", True)


def test_values_of_a_body_keep_their_types() -> None:
    body = b'{"a": [1, true, null, "x", 1.5, {"b": {}}]}'
    assert [read(f"answer.body.a[{at}]", body) for at in range(5)] == [1, True, None, "x", 1.5]
    assert read("answer.body.a[5].b", body) == {}
    for absent in ("answer.body.a[6]", "answer.body.b", "answer.body.a.b", "answer.body[0]", "answer.body.a[5].b.c"):
        assert reason(absent, body) == (f"{absent} is absent", True)


def test_what_is_large_beside_a_value_makes_no_difference_and_a_large_value_is_there() -> None:
    errors = [{"message": "x" * 20_000}]
    body = json.dumps({"data": {"id": 7}, "errors": errors, "none": None}).encode()
    assert read("answer.body.data.id", body) == 7
    assert read("answer.body.none", body) is None
    assert len(read("answer.body.errors[0].message", body)) > 16 * 1024
    assert read("answer.body.errors", body) is not None
    assert reason("answer.body.errors[1]", body)[1]


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"<html>", {}),
        (b'{"a": 1', {}),
        (b'{"a": 1}}', {}),
        (b'{"a": 1, "a": 2}', {}),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}', {}),
        (b'{"a": "\\ud800"}', {}),
        (b'{"a": NaN}', {}),
        (b'{"a": 1}', {"content_type": b"text/html"}),
        (b'{"a": 1}', {"content_type": b"application/json; charset=utf-16"}),
        (b'{"a": 1}', {"content_type": JSON, "content_Type": XML}),
        (b'{"a": 1}', {"Content_Encoding": b"br"}),
        (b'{"a": 1}', {"Content_Encoding": b"gzip"}),
        (b'{"a": 1}', {"Content_Encoding": b"gzip", "content_encoding": b"gzip"}),
        (gzip.compress(b'{"a": 1}', mtime=0)[:-1], {"Content_Encoding": b"gzip"}),
        (gzip.compress(b" " * MAX_ANSWER + b'{"a": 1}', mtime=0), {"Content_Encoding": b"gzip"}),
        (b" " * MAX_ANSWER + b'{"a": 1}', {}),
        (b"[" * 65 + b"]" * 65, {}),
        (None, {}),
    ],
)
def test_what_cannot_be_read_is_not_absent(body: bytes | None, more: dict[str, Any]) -> None:
    _, is_absent = reason("answer.body.a", body, **more)
    assert not is_absent


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b'{"a": 1}', {}),
        (b'{"a": 1}', {"content_type": None}),
        (b'{"a": 1}', {"content_type": b"application/graphql-response+json; charset=utf-8"}),
        (b'{"a": 1, "b": 2, "b": 3}', {}),
        (gzip.compress(b'{"a": 1}', mtime=0), {"Content_Encoding": b"gzip"}),
        (zlib.compress(b'{"a": 1}'), {"Content_Encoding": b"deflate"}),
        (b'{"a": 1}', {"Content_Encoding": b"identity"}),
        (b" " * (MAX_ANSWER - 8) + b'{"a": 1}', {}),
    ],
)
def test_a_body_of_json_is_read(body: bytes, more: dict[str, Any]) -> None:
    assert read("answer.body.a", body, **more) == 1


@pytest.mark.parametrize(
    ("more", "is_absent"),
    [
        ({"status": 204, "content_type": None}, True),
        ({"Content_Length": b"0"}, True),
        ({"Content_Length": b"0", "content_type": b"text/html"}, True),
        ({"Transfer_Encoding": b"chunked"}, True),
        ({}, False),
        ({"Content_Length": b"17"}, False),
    ],
    ids=["204", "length-0", "of-another-type", "chunked", "ended-by-the-connection", "in-answer-to-head"],
)
@pytest.mark.parametrize("field", ["answer.body.a", "answer.xml.a"])
def test_a_body_that_is_empty_for_certain_has_no_values(field: str, more: dict[str, Any], *, is_absent: bool) -> None:
    assert reason(field, b"", **more) == ("the body is empty", is_absent)


def test_elements_of_xml_are_read_as_text() -> None:
    body = b"<a><b> 1 </b><c/><d/><d/></a>"
    assert read("answer.xml.a.b", body, content_type=XML) == "1"
    assert read("answer.xml.a.c", body, content_type=XML) == ""
    assert read("answer.xml.a.d", body, content_type=XML) is Found.THERE, "which of the two?"
    assert reason("answer.xml.a.e", body, content_type=XML) == ("answer.xml.a.e is absent", True)
    assert read("answer.xml.a.b", gzip.compress(body, mtime=0), content_type=XML, Content_Encoding=b"gzip") == "1"
    assert read("answer.xml.a", "<a>é</a>".encode("latin-1"), content_type=b"text/xml; charset=iso-8859-1") == "é"


@pytest.mark.parametrize("body", [b"<a", b"<!DOCTYPE a><a/>", b"{}", None, b"<a/>" + b" " * MAX_ANSWER])
def test_xml_that_cannot_be_read_is_not_absent(body: bytes | None) -> None:
    assert not reason("answer.xml.a", body, content_type=XML)[1]
    assert not reason("answer.xml.a", b"<a/>", content_type=JSON)[1]


@pytest.mark.parametrize(
    ("field", "more", "expected"),
    [
        ("answer.body.a", {}, True),
        ("answer.body.a", {"content_type": None}, True),
        ("answer.body.a", {"Content_Encoding": b"GZIP"}, True),
        ("answer.body.a", {"Content_Length": str(MAX_ANSWER).encode()}, True),
        ("answer.body.a", {"Content_Length": str(MAX_ANSWER + 1).encode()}, False),
        ("answer.body.a", {"Content_Encoding": b"br"}, False),
        ("answer.body.a", {"content_type": b"text/html"}, False),
        ("answer.body.a", {"content_type": b"text/event-stream"}, False),
        ("answer.body.a", {"content_type": XML}, False),
        ("answer.xml.a", {}, False),
        ("answer.xml.a", {"content_type": XML}, True),
        ("answer.status", {}, False),
        ("answer.header.Content-Type", {}, False),
    ],
)
def test_a_body_is_waited_for_only_where_it_could_be_read(field: str, more: dict[str, Any], *, expected: bool) -> None:
    seen = view(field, body=None, **more)
    with contextlib.suppress(IdentityError):
        seen.read(parse_answer_field(field))
    assert seen.needs_body is expected


def test_a_body_is_read_once_and_only_for_the_fields_of_the_rule() -> None:
    seen = view("answer.body.a", "answer.body.b", body=b'{"a": {"c": 1}, "b": 2}')
    document = seen.read(parse_answer_field("answer.body.a"))
    assert seen.read(parse_answer_field("answer.body.a")) is document
    assert seen.read(parse_answer_field("answer.body.b")) == 2


def test_without_entries_there_is_nothing_to_judge() -> None:
    assert make_outcomes([]) is None


@pytest.mark.parametrize(
    ("field", "expected"), [("answer.status", False), ("answer.body.a", True), ("answer.xml.a", True)]
)
def test_a_rule_reads_bodies_where_a_condition_is_about_one(field: str, *, expected: bool) -> None:
    outcomes = make_outcomes([OutcomeEntry((Condition(parse_answer_field(field), exists=True),), "refused")])
    assert outcomes is not None
    assert outcomes.reads_body is expected
