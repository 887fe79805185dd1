# The items of a batch, and what an answer says of them: read, or not at all.

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import IdentityError, Malformed
from gateway.guard.batch import Batch, read_items
from gateway.guard.body import find, want
from gateway.guard.content import JSON_TYPE, BodyFormats
from gateway.guard.decision import ItemOutcome, Outcome, settle_items
from gateway.guard.item_answers import each_value, locate_each, read_statuses
from gateway.guard.resource import MAX_ANSWER, parse_resource
from gateway.model import Claim, State
from tests.support.handler import NOW
from tests.support.unit import headers, rule

FORMATS = BodyFormats(2**20)
ID = want([("id",)])
HOUR = 3600_000
JSON = ("Content-Type", "application/json")


def items(body: str | bytes, *keys: str | int, kind: str = JSON_TYPE, most: int = 5) -> list[Any]:
    batch = Batch("body.items", keys, ID, most)
    return read_items(batch, body.encode() if isinstance(body, str) else body, kind, None, FORMATS)


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ('[{"id": 1}, {"id": "a", "x": [[]]}]', ()),
        (' \n[ {"id":1} ,\t{"id":"a"} ] ', ()),
        ('\ufeff[{"id": 1}, {"id": "a"}]', ()),
        ('{"items": [{"id": 1}, {"id": "a"}], "other": {"items": 1}}', ("items",)),
        ('[0, {"it": [{"id": 1}, {"id": "a"}]}]', (1, "it")),
        ('{"x": "%s", "items": [{"id": 1}, {"id": "a"}]}' % ("y" * 100_000), ("items",)),
    ],
)
def test_each_element_of_the_list_is_an_item(body: str, keys: tuple[str | int, ...]) -> None:
    assert [item["id"] for item in items(body, *keys)] == [1, "a"]


def test_a_body_that_is_no_list_is_one_item_and_what_is_within_it_is_none() -> None:
    """PHP goes through an object's members as through a list."""
    assert items('{"id": 1}') == [{"id": 1}]
    for within in ('{"items": {"id": 1}}', '{"items": {"0": {"id": 1}}}', '{"items": null}'):
        with pytest.raises(IdentityError, match=r"body\.items is no list"):
            items(within, "items")


@pytest.mark.parametrize(("keys", "document"), [((), lambda items: items), (("a", 0), lambda items: {"a": [items]})])
def test_a_batch_may_be_messagepack(keys: tuple[str | int, ...], document: Any) -> None:
    formats = BodyFormats(2**20, msgpack=True)

    def read(*items: Any) -> list[Any]:
        batch = Batch("body.a[0]", keys, ID, 5)
        return read_items(batch, msgspec.msgpack.encode(document(items)), "application/msgpack", None, formats)

    assert [item["id"] for item in read({"id": 1, "x": [2]}, {"id": "a"})] == [1, "a"]
    assert len(read(*[{}] * 5)) == 5
    with pytest.raises(Malformed, match="more than 5 items"):
        read(*[{}] * 6)
    one = msgspec.msgpack.encode(document({"id": 1}))
    batch = Batch("body.a[0]", keys, ID, 5)
    if keys:
        with pytest.raises(IdentityError, match="is no list"):
            read_items(batch, one, "application/msgpack", None, formats)
    else:
        assert read_items(batch, one, "application/msgpack", None, formats) == [{"id": 1}]
    with pytest.raises(IdentityError, match="Content-Type is not JSON"):
        read_items(batch, one, "application/msgpack", None, FORMATS)


def test_no_more_items_are_read_than_the_rule_says() -> None:
    assert len(items(json.dumps([{"id": at} for at in range(5)]))) == 5
    for body, kind in ((json.dumps([{}] * 6), JSON_TYPE), ("{}\n" * 6, "application/jsonl")):
        with pytest.raises(Malformed, match="more than 5 items") as told:
            items(body, kind=kind)
        assert told.value.slug == "too-many-items"


@pytest.mark.parametrize(
    "body",
    ['[{"id": 1},]', '[{"id": 1} {}]', "[,{}]", "[{}, NaN]", '[{"x": "\\ud800"}]', "[{}", "[" * 200_000, "[{}] []"],
)
def test_a_list_that_is_no_json_is_unreadable_like_any_body(body: str) -> None:
    for text, keys in ((body, ()), (f'{{"items": {body}}}', ("items",))):
        with pytest.raises(IdentityError, match=r"not valid JSON|deeper than 64 levels"):
            items(text, *keys)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_a_list_holds_is_read_as_a_whole_body_is(value: Any) -> None:
    document = [value, value]
    assert items(json.dumps(document, ensure_ascii=False)) == document


def test_what_an_answer_says_of_items_is_in_their_order() -> None:
    batch = Batch("body", (), ID, 5, ("results", "code"), "body.results.code")
    body = json.dumps({"results": [{"code": code} for code in (201, "409", "2x1", 99, 201.0, True, None, "٢٠١", 600)]})
    assert read_statuses(batch, headers(JSON), body.encode(), 9) == [201, 409, *[None] * 7]
    for wrong, count in ((body, 8), (body, 10), ('{"results": 1, "results": []}', 0), ("{", 1), ("[" * 100, 1)):
        with pytest.raises(IdentityError) as told:
            read_statuses(batch, headers(JSON), wrong.encode(), count)
        assert not told.value.is_absent
    for wrong, count in (("{}", 1), ('{"results": {"code": 201}}', 1), ("", 1)):
        with pytest.raises(IdentityError) as told:
            read_statuses(batch, headers(JSON), wrong.encode(), count)
        assert told.value.is_absent
    for unknown in (None, b" " * MAX_ANSWER + body.encode()):
        with pytest.raises(IdentityError) as told:
            read_statuses(batch, headers(JSON), unknown, 9)
        assert not told.value.is_absent


def test_the_first_list_on_the_way_is_that_of_the_items() -> None:
    assert each_value([[1], [2]], (), 2, "body") == [[1], [2]]
    assert each_value([{"codes": [1]}, {"codes": [2]}], ("codes", 0), 2, "body.codes[0]") == [1, 2]
    assert each_value({"a": [[{"b": 1}, {}]]}, ("a", 0, "b"), 2, "body.a[0].b") == [1, None]


def test_a_link_is_of_its_item() -> None:
    body = b'{"results": [{"id": 1}, {"id": ""}, {}, {"id": ".."}, {"id": "a/b"}], "all": 7}'
    of_item = parse_resource("/things/{body.results.id}")
    assert locate_each(of_item, headers(JSON), body, 5) == ["/things/1", None, None, None, "/things/a%2Fb"]
    assert locate_each(of_item, headers(JSON), body, 4) == [None] * 4
    assert locate_each(of_item, headers(JSON), None, 2) == [None] * 2
    of_all = parse_resource("/jobs/{body.all}/{body.results.id}")
    assert locate_each(of_all, headers(JSON), body, 5)[0] == "/jobs/7/1"
    assert locate_each(parse_resource("header.Location"), headers(("Location", "/j/1")), None, 2) == ["/j/1"] * 2


OUTCOMES = st.sampled_from([Outcome.SUCCEEDED, Outcome.EXISTS, Outcome.REFUSED, Outcome.FAILED, Outcome.UNCERTAIN])


@given(st.lists(st.tuples(OUTCOMES, st.booleans()), min_size=1, max_size=6), st.booleans())
def test_each_claim_ends_as_its_item_does_and_that_of_the_key_by_all(
    became: list[tuple[Outcome, bool]], has_key: bool
) -> None:
    """An item without claims (its flag) changes nothing for the others."""
    under = rule(keep=24 * 3600, unknown_hold=3600, exists=("409",))
    entry = under.entries[0].name
    key = Claim(b"key", under.name, "Idempotency-Key", HOUR, is_key=True)
    claims = [key] * has_key
    claims += [Claim(b"%d" % at, under.name, entry, HOUR, item=at) for at, (_, is_read) in enumerate(became) if is_read]
    told = settle_items(
        under, [ItemOutcome(outcome, f"/{at}") for at, (outcome, _) in enumerate(became)], NOW, claims, b"a"
    )
    expected = {
        Outcome.SUCCEEDED: State.CREATED,
        Outcome.EXISTS: State.CREATED,
        Outcome.REFUSED: None,
        Outcome.FAILED: State.UNKNOWN,
        Outcome.UNCERTAIN: State.UNKNOWN,
    }
    for claim in claims:
        ended = told.of(claim)
        if claim.item is not None:
            assert ended.state is expected[became[claim.item][0]]
            assert ended.resource == (f"/{claim.item}" if ended.state is State.CREATED else None)
        else:
            outcomes = {outcome for outcome, _ in became}
            if Outcome.SUCCEEDED in outcomes:
                assert ended.state is State.CREATED
            elif outcomes <= {Outcome.REFUSED, Outcome.EXISTS}:
                assert ended.state is None
            else:
                assert ended.state is State.UNKNOWN


def test_a_key_twice_beside_what_is_wanted_of_an_item_is_read_alike_in_json_and_in_msgpack() -> None:
    formats = BodyFormats(2**20, msgpack=True)
    batch = Batch("body.items", ("items",), ID, 5)
    packed = b"\x81\xa5items\x91\x83\xa2id\x01\xa1a\x01\xa1a\x02"
    (item,) = read_items(batch, packed, "application/msgpack", None, formats)
    (same,) = items('{"items": [{"id": 1, "a": 1, "a": 2}]}', "items")
    assert find(item, ("id",), "") == find(same, ("id",), "") == 1
