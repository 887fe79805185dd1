# Answers of an API whose rule asks what is in them: of every shape that requests have, and of XML as odd as can be.

import gzip
import itertools
from collections.abc import Callable, Iterator

from campaigns.loop_holds.shapes import JSON, Shape, bodies, filled, numbered
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.strict_xml import MAX_MARKS
from tests.support.program import Table

RULE: Table = {
    "name": "judged",
    "match": {"path": "/judged"},
    "unique": [{"name": "number", "fields": ["body.number", "query.round"]}],
    "resource": "/things/{body.z}",
    "outcome": [
        {"when": [{"field": "answer.body.email", "matches": "*?a?*b*"}], "is": "refused"},
        {"when": [{"field": "answer.body.list[0].a", "equals": 7}], "is": "refused"},
        {"when": [{"field": "answer.body.one.two", "one_of": ["a", 1.5, True]}], "is": "refused"},
        {"when": [{"field": "answer.xml.a.b", "matches": "*?a?*b*"}], "is": "refused"},
        {"when": [{"field": "answer.xml.a.a.a", "exists": True}], "is": "refused"},
    ],
}
XML = "text/xml"
ELEMENTS: dict[str, Callable[[int], bytes]] = {
    "empty elements": lambda _: b"<b/>",
    "elements": lambda _: b"<b></b>",
    "different elements": lambda number: b"<b%x/>" % number,
    "elements of an attribute": lambda _: b'<b c=""/>',
    "elements of many attributes": lambda _: b'<b c="" d="" e="" f="" g="" h=""/>',
    "elements of long names": lambda number: b"<%s%x/>" % (b"b" * 200, number),
    "elements with namespaces": lambda number: b'<x:b xmlns:x="u%x" x:c=""/>' % number,
    "comments": lambda _: b"<!---->",
    "instructions": lambda _: b"<?b?>",
    "pieces of CDATA": lambda _: b"<![CDATA[b]]>",
    "entities": lambda _: b"&amp;",
    "escaped characters": lambda _: b"&#65;",
    "lines": lambda _: b"b\n",
    "letters above ASCII": lambda _: "é".encode(),
}
BROKEN: dict[str, bytes] = {
    "elements too deep": b"<a>" * (MAX_ANSWER // 7) + b"</a>" * (MAX_ANSWER // 7),
    "elements never closed": b"<a>" * (MAX_MARKS - 1),
    "namespaces, each within the last": b"".join([b'<a xmlns:a%d="b">' % at for at in range(60)]) + b"</a>" * 60,
    "one long name": b"<" + b"a" * (MAX_ANSWER - 20) + b"/>",
    "one long attribute": b'<a b="' + b"c" * (MAX_ANSWER - 20) + b'"/>',
    "quotes": b"<a " + b'"' * (MAX_ANSWER - 20),
    "entities of entities": b'<!DOCTYPE a [<!ENTITY b "%b"><!ENTITY c "%b">]><a>%b</a>'
    % (b"ha" * 1000, b"&b;" * 1000, b"&c;" * 50_000),
}


def _xml() -> Iterator[tuple[str, bytes]]:
    for name, part in ELEMENTS.items():
        yield name, numbered(b"<a>", part, b"</a>", MAX_ANSWER)
        yield f"{name} in an element that is compared", numbered(b"<a><b>", part, b"</b></a>", MAX_ANSWER)
        size, marks = len(part(0)) + 4, part(0).count(b"<") + part(0).count(b"=")
        if marks:
            most = min(MAX_ANSWER, (MAX_MARKS - 10) // marks * size)
            yield f"as many {name} as are read", numbered(b"<a>", part, b"</a>", most)
    attributes = numbered(b"<a", lambda number: b' b%x=""' % number, b"/>", (MAX_MARKS - 10) * 9)
    yield "one element of as many attributes as are read", attributes
    yield from BROKEN.items()


def all_answers() -> Iterator[Shape]:
    """A create for each answer."""
    numbers = (b'{"number": %d}' % number for number in itertools.count())
    for name, body in bodies((16 * 1024, MAX_ANSWER)):
        yield Shape(f"an answer, {name}", "/judged", (JSON,), next(numbers), answer=(JSON[1], body))
    for name, body in _xml():
        yield Shape(f"an answer of XML: {name}", "/judged", (JSON,), next(numbers), answer=(XML, body))
    for name, kind, body in (
        ("small lists", JSON[1], filled(b'{"email":"a","list":[', b"[],", b"0]}", 64 * MAX_ANSWER)),
        ("elements", XML, filled(b"<a>", b"<b/>", b"</a>", 64 * MAX_ANSWER)),
    ):
        packed = gzip.compress(body, 9)
        yield Shape(
            f"an answer, a gzip bomb of {name}",
            "/judged",
            (JSON,),
            next(numbers),
            answer=(kind, packed),
            is_packed=True,
        )
