# The templates of docs/answers.md: each is taken by `gateway check`, and once filled is an answer of its kind.

import json
import re
import tomllib
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from gateway.config.problems import Problems
from gateway.config.reader import read
from gateway.config.validate import validate
from gateway.guard.answer_shapes import make_shape, shape_reply
from gateway.guard.decision import Conflict
from gateway.http.existing import ACCEPTED
from gateway.http.problem import Reply
from gateway.model import Claim, Record, State
from gateway.proxy.answers import accepted, conflict
from tests.support import wire
from tests.support.config import ROOT, RULE, UPSTREAM

PAGE = (ROOT / "docs" / "answers.md").read_text(encoding="utf-8")
PART = PAGE.partition("\n## In the API's own language\n")[2]
_BLOCK = r"^\*\*(.+?)\*\*(?:.|\n)*?^```toml\n(.*?)^```"
TEMPLATES: dict[str, str] = dict(re.findall(_BLOCK, PART, re.MULTILINE | re.DOTALL))
ENTRY = 'the "e-mail" <&>\\'
DETAIL = f'A resource with the same "{ENTRY}" was created before.'


def filled(name: str) -> Reply:
    text = UPSTREAM + RULE + TEMPLATES[name]
    problems = Problems(tomllib.loads(text))
    config = read(problems, {})
    validate(config, problems)
    assert problems.lines() == []
    ((slug, answer),) = config.rules[0].answers.items()
    shape = make_shape(answer.status, answer.content_type, answer.headers, answer.body)
    claim = Claim(b"f" * 32, "create-user", ENTRY, 0)
    record = Record(b"f" * 32, b"o", State.CREATED, "create-user", ENTRY, 0, 1000, 0, "/users/1")
    if slug == ACCEPTED:
        return shape_reply(shape, accepted(200, claim, record.resource))
    return shape_reply(shape, conflict(Conflict.DUPLICATE, claim, record, 0, shows_link=True))


def json_of(name: str, status: int, kind: str) -> Any:
    answer = filled(name)
    assert (answer.status, content_type(answer)) == (status, kind)
    return json.loads(answer.body)


def content_type(answer: Reply) -> str:
    _, headers = wire.parse_head(answer.head + b"\r\n")
    return wire.values(headers, "Content-Type")[0]


def test_scim() -> None:
    """RFC 7644 3.12."""
    assert json_of("SCIM", 409, "application/scim+json") == {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "scimType": "uniqueness",
        "status": "409",
        "detail": DETAIL,
    }


def test_stripe() -> None:
    error = json_of("Stripe", 400, "application/json")["error"]
    assert (error["type"], error["param"], error["message"]) == ("invalid_request_error", ENTRY, DETAIL)


def test_adyen() -> None:
    answer = filled("Adyen")
    assert (answer.status, content_type(answer), answer.body) == (200, "text/plain", b"[accepted]")


def test_graphql() -> None:
    document = json_of("GraphQL", 409, "application/graphql-response+json")
    assert document == {"errors": [{"message": DETAIL, "extensions": {"code": "duplicate", "field": ENTRY}}]}


def test_json_api() -> None:
    (error,) = json_of("JSON:API", 409, "application/vnd.api+json")["errors"]
    assert (error["status"], error["code"], error["detail"]) == ("409", "duplicate", DETAIL)
    assert error["links"] == {"about": "/users/1"}


def test_odata() -> None:
    error = json_of("OData", 409, "application/json;odata.metadata=minimal")["error"]
    assert error == {"code": "duplicate", "message": DETAIL, "target": ENTRY}


def test_soap() -> None:
    answer = filled("SOAP")
    assert (answer.status, content_type(answer)) == (500, "text/xml")
    soap = "{http://schemas.xmlsoap.org/soap/envelope/}"
    fault = ET.fromstring(answer.body).find(f"{soap}Body/{soap}Fault")
    assert fault is not None
    assert fault.findtext("faultstring") == DETAIL
    assert fault.findtext("faultcode") == "soap:Client"


def test_every_template_on_the_page_has_its_test() -> None:
    assert list(TEMPLATES) == ["SCIM", "Stripe", "Adyen", "GraphQL", "JSON:API", "OData", "SOAP"]
    assert PART.count("```toml") == len(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_what_it_is_for_before_it(name: str) -> None:
    assert re.search(rf"^\*\*{re.escape(name)}\*\*.*\n(?:.+\n)*\n```toml", PART, re.MULTILINE)
