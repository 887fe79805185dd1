# Templates of the gateway's own answers: no value leaves its place, whatever it is.

import html
import json
import xml.etree.ElementTree as ET
from http import HTTPStatus
from typing import Any

import httptools
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.answer_shapes import (
    MEMBERS,
    SLUGS,
    AnswerShape,
    check_template,
    language_of,
    make_shape,
    shape_reply,
    split_template,
)
from gateway.http import existing
from gateway.http.problem import KINDS, TYPE, Problem, Reply, problem, reply
from gateway.proxy.status_field import STATUSES
from tests.support import wire

SENT = Problem(
    type=TYPE + "duplicate",
    title="Already created",
    status=409,
    detail='A resource with the same "email" was created before.',
    rule="create-user",
    conflict_field="email",
    existing_resource_link="/users/1",
    suggested_next_step="Use it.",
    first_seen="2026-11-22T16:02:02.025Z",
    expires_at="2026-11-23T16:02:02.529Z",
)


def made(document: Problem = SENT) -> Reply:
    return reply(document, "http_request_denied", 5)


def shaped(body: str | None, content_type: str | None, sent: Reply | None = None, **changes: Any) -> Reply:
    shape = make_shape(changes.get("status"), content_type, changes.get("headers", {}), body)
    return shape_reply(shape, made() if sent is None else sent)


def fields_of(answer: Reply) -> wire.Headers:
    return wire.parse_head(answer.render(None, b"", head_only=True))[1]


def test_every_member_has_a_place() -> None:
    body = "{" + ", ".join([f'"{member}": "{{{member}}}"' for member in MEMBERS]) + "}"
    expected = {**msgspec.to_builtins(SENT), "status": "409", "slug": "duplicate"}
    assert json.loads(shaped(body, "application/json").body) == expected


def test_a_member_that_the_problem_does_not_have_is_empty() -> None:
    answer = shaped('{"at": "{expiresAt}", "code": {status}}', "application/json", problem("missing-identity", "No."))
    assert json.loads(answer.body) == {"at": "", "code": 422}


@pytest.mark.parametrize("text", ["{", "{}", "{ detail }", "{1}", "{{}}", '{"a": 1}', "p { color: red; }", "{a:b}"])
def test_other_braces_are_literal(text: str) -> None:
    assert shaped(text, "text/plain").body.decode() == text


@pytest.mark.parametrize("name", ["details", "first_seen", "DETAIL", "rule-name", "x"])
def test_a_name_that_is_no_member_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match="expiresAt, slug") as raised:
        split_template(f"{{detail}} {{{name}}}")
    assert f"{{{name}}}" in str(raised.value)


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ['"', "\\", "]]>", "-->", "</a>", "{detail}", "\r\nX: y", "&amp;", "'"]
)


@given(VALUES)
def test_in_json_any_value_is_a_string_and_nothing_more(value: str) -> None:
    answer = shaped('{"a":"{detail}","b":["x{title}"]}', "application/vnd.x+json", made(_saying(value)))
    assert json.loads(answer.body) == {"a": value, "b": ["x" + value]}


@given(VALUES)
def test_in_xml_any_value_is_text_and_nothing_more(value: str) -> None:
    answer = shaped('<a b="{title}"><c>{detail}</c></a>', "application/soap+xml", made(_saying(value)))
    root = ET.fromstring(answer.body)
    assert [element.tag for element in root.iter()] == ["a", "c"]
    assert (root[0].text or "") == _fit_for_xml(value).replace("\r\n", "\n").replace("\r", "\n")
    assert list(root.attrib) == ["b"]


@given(VALUES)
def test_in_html_any_value_is_text_and_nothing_more(value: str) -> None:
    text = shaped("<p title='{title}'>{detail}</p>", "text/html", made(_saying(value))).body.decode()
    inner = text.removeprefix("<p title='").removesuffix("</p>")
    assert not set('<"') & set(inner)
    title, _, detail = inner.partition("'>")
    assert "'" not in title
    assert ">" not in detail
    assert html.unescape(detail) == _fit_for_xml(value)


@given(VALUES)
def test_in_plain_text_no_value_holds_a_control_character(value: str) -> None:
    text = shaped("[{detail}]\n", "text/plain", made(_saying(value))).body.decode()
    assert text == f"[{''.join([c for c in value if c.isprintable() or ord(c) > 0x9F or c == ' '])}]\n"


def _fit_for_xml(value: str) -> str:
    return "".join([c for c in value if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff")])


def _saying(value: str) -> Problem:
    return msgspec.structs.replace(SENT, detail=value, title=value)


@pytest.mark.parametrize("kind", ["text/html", "application/xhtml+xml"])
@pytest.mark.parametrize(
    ("link", "shown"), [("/users/1", "/users/1"), ("javascript:alert(1)", ""), ("java\tscript:x", "")]
)
def test_a_page_of_the_rules_own_links_to_pages_only(kind: str, link: str, shown: str) -> None:
    sent = made(msgspec.structs.replace(SENT, existing_resource_link=link))
    assert shaped('<a href="{existingResourceLink}"></a>', kind, sent).body.decode() == f'<a href="{shown}"></a>'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", '{"a": {detail}}'),
        ("application/json", '{"a": {expiresAt}, "b": 1}'),
        ("application/json", '{"a": "{detail}"'),
        ("application/json", '"\\{detail}"'),
        ("application/json", ""),
        ("application/json", "[accepted]"),
        ("application/problem+json", "NaN"),
        ("text/xml", "<a>{detail}"),
        ("text/xml", "<{rule}/>"),
        ("text/xml", "<a b={detail}/>"),
        ("text/xml", "<a><!-- {detail} --></a>"),
        ("text/xml", "<s:a/>"),
        ("text/xml", "<a>&nbsp;</a>"),
        ("text/xml", '<?xml version="1.0" encoding="ISO-8859-1"?><a/>'),
        ("text/xml", ""),
    ],
)
def test_a_body_that_breaks_when_it_is_filled_is_refused(kind: str, body: str) -> None:
    with pytest.raises(ValueError, match=r"once its members are filled in|is sent in UTF-8"):
        check_template(split_template(body), language_of(kind))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", "null"),
        ("application/json", '{"a": {status}, "b": "{detail}", "é": "\\u00e9"}'),
        ("text/xml", '<?xml version="1.0" encoding="utf-8"?>\n<a b="{rule}"><![CDATA[{detail}]]></a>'),
        ("text/html", "<p>{detail}"),
        ("text/plain", ""),
        ("text/plain", "[accepted]"),
    ],
)
def test_a_body_that_holds_is_taken(kind: str, body: str) -> None:
    check_template(split_template(body), language_of(kind))


@pytest.mark.parametrize(
    "kind",
    [
        *("application/json", "Application/SCIM+JSON", "application/vnd.api+json; charset=utf-8", "text/xml"),
        *('application/json;odata.metadata=minimal;charset="UTF-8"', "application/soap+xml", "image/svg+xml"),
        *("text/html", "text/plain", "text/plain;charset=utf-8", "application/xhtml+xml"),
    ],
)
def test_a_type_whose_bodies_can_be_filled(kind: str) -> None:
    assert language_of(kind)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("text/csv", "known are application/json"),
        ("application/octet-stream", "known are"),
        ("+json", "no media type"),
        ("json", "no media type"),
        ("", "no media type"),
        ("text/html\r\nX: y", "no media type"),
        ("text/html; charset=iso-8859-1", "UTF-8"),
        ("text/html;", "no media type"),
        ("application/x+yaml", "known are"),
    ],
)
def test_a_type_whose_bodies_cannot(kind: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        language_of(kind)


@pytest.mark.parametrize("status", [200, 202, 204, 205, 299, 303, 304, 409, 418, 599])
@pytest.mark.parametrize("body", [None, "[{status}]"])
def test_any_status_makes_a_whole_answer(status: int, body: str | None) -> None:
    answer = shaped(body, None if body is None else "text/plain", status=status, headers={"X-Code": "dup"})
    fields = fields_of(answer)
    seen: list[bytes] = []
    parser = httptools.HttpResponseParser(_Told(seen))
    parser.feed_data(answer.render(None, b"") + answer.render(None, b""))
    has_content = status not in {204, 205, 304}
    assert seen == [b"end", b"end"] if not has_content else len(seen) >= 4
    assert parser.get_status_code() == answer.status == status
    if has_content:
        assert wire.values(fields, "Content-Length") == [str(len(answer.body))]
        assert str(status) in answer.body.decode()
    else:
        assert (answer.body, wire.values(fields, "Content-Type")) == (b"", [])
        assert wire.values(fields, "Content-Length") == (["0"] if status == HTTPStatus.RESET_CONTENT else [])
    assert wire.values(fields, "X-Code") == ["dup"]
    assert wire.values(fields, "Retry-After") == ["5"]
    assert wire.values(fields, "Cache-Control") == ["no-store"]
    assert len(wire.values(fields, "Proxy-Status")) == 1


class _Told:
    """What a parser of answers tells."""

    def __init__(self, seen: list[bytes]) -> None:
        self.seen = seen

    def on_body(self, piece: bytes) -> None:
        self.seen.append(piece)

    def on_message_complete(self) -> None:
        self.seen.append(b"end")


def test_without_a_body_the_problem_stays_and_may_have_other_forms() -> None:
    answer = shaped(None, None, status=422, headers={"X-Code": "dup"})
    assert json.loads(answer.body) == {**msgspec.to_builtins(SENT), "status": 422}
    assert answer.document is not None
    named = shaped(None, "application/json")
    assert wire.values(fields_of(named), "Content-Type") == ["application/json"]
    assert (json.loads(named.body), named.document) == (msgspec.to_builtins(SENT), None)


def test_the_same_answer_is_shaped_once() -> None:
    shape, sent = AnswerShape(status=200), made()
    assert shape_reply(shape, sent) is shape_reply(shape, made())


def test_an_answer_of_one_form_stays_as_it_is() -> None:
    only = existing.redirected(msgspec.structs.replace(SENT, status=303), "/users/1")
    assert shape_reply(AnswerShape(status=500), only) is only


def test_an_accepted_duplicate_has_the_members_of_the_problem_that_it_is() -> None:
    sent = existing.accepted(msgspec.structs.replace(SENT, status=202))
    answer = shaped('{"a": "{title}", "b": "{slug}", "c": {status}}', "application/json", sent)
    assert json.loads(answer.body) == {"a": "Already created", "b": "accepted", "c": 202}
    assert wire.values(fields_of(answer), "Link") == ['</users/1>; rel="related"']


def test_an_accepted_duplicate_without_a_body_of_the_rule_keeps_its_own() -> None:
    sent = existing.accepted(msgspec.structs.replace(SENT, status=200))
    answer = shaped(None, None, sent, headers={"X-Code": "dup"})
    assert (answer.body, answer.content_type) == (sent.body, "application/json")
    assert wire.values(fields_of(answer), "X-Code") == ["dup"]
    assert "title" not in json.loads(answer.body)


def test_the_slugs_of_shapes_are_those_of_problems_and_of_accepted_duplicates() -> None:
    assert set(SLUGS) == {slug for slug in STATUSES if slug in {*KINDS, "upstream-unreachable", existing.ACCEPTED}}
