# What an entry was before a change: claimed beside what it is, where it can be read and is something else.

import json
from typing import Any

import pytest

from gateway.config.schema_rule import PreviousConfig, ScopeConfig, UniqueConfig
from gateway.config.versions import BESIDE
from gateway.errors import IdentityError, RepeatedItems
from gateway.guard.claims import claims, with_items
from gateway.guard.decision import each_entry
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView
from gateway.guard.rule import Rule
from gateway.model import Claim, Held, Record, State
from tests.support.unit import request, rule

HASHES = Fingerprinter(b"s" * 32)


def changed(*fields: str, previous: dict[str, Any], **changes: Any) -> UniqueConfig:
    before = PreviousConfig(**{"fields": fields, "normalize": (), **previous})
    return UniqueConfig(**{"name": "email", "fields": fields, "previous": before, **changes})


def made(of: Rule, view: RequestView) -> tuple[Claim, ...]:
    if of.batch is not None:
        view = with_items(of.batch, view, of.formats)
    return claims(of, view, HASHES)


def of_body(of: Rule, *lines: tuple[str, str], **body: Any) -> tuple[Claim, ...]:
    return made(of, request(json.dumps(body), *lines))


def alike(found: tuple[Claim, ...], other: tuple[Claim, ...]) -> bool:
    """Whether they are the same but for what they are by."""
    return [claim.fingerprint for claim in found] == [claim.fingerprint for claim in other]


FOLDED = rule(unique=(changed("body.email", normalize=("casefold",), previous={}),))
FOLDED_ALONE = rule(unique=(UniqueConfig(name="email", fields=("body.email",), normalize=("casefold",)),))
PLAIN = rule()


def test_both_identities_are_claimed_each_as_by_its_own_rules() -> None:
    now, before = of_body(FOLDED, email="Ada@x")
    assert alike((now,), of_body(FOLDED_ALONE, email="Ada@x"))
    assert alike((before,), of_body(PLAIN, email="Ada@x"))
    assert (now.entry, before.entry) == ("email", "email")
    (alone,), (plain,) = of_body(FOLDED_ALONE, email="Ada@x"), of_body(PLAIN, email="Ada@x")
    assert (now.version, before.version) == (alone.version, (plain.version or 0) | BESIDE)


def test_what_comes_to_the_same_is_claimed_once() -> None:
    assert of_body(FOLDED, email="ada@x") == of_body(FOLDED_ALONE, email="ada@x")


def test_everything_that_an_entry_took_from_its_rule_can_have_been_otherwise() -> None:
    previous = {
        "fields": ("body.mail",),
        "normalize": ("trim",),
        "name": "mail",
        "namespace": "people",
        "scope": ("header.X-Tenant", ScopeConfig(field="header.X-Region", normalize=("casefold",))),
    }
    now = rule(unique=(changed("body.email", previous=previous),), scope=("header.X-Site",))
    mail = UniqueConfig(name="mail", fields=("body.mail",), normalize=("trim",))
    was = rule(unique=(mail,), namespace="people", scope=previous["scope"])
    lines = (("X-Tenant", "a"), ("X-Region", "EU"), ("X-Site", "s"))
    _, before = of_body(now, *lines, email="ada@x", mail=" ada@x ")
    assert alike((before,), of_body(was, *lines, mail="ada@x"))
    assert before.entry == "email"
    assert b"x-tenant" in now.headers, "what decides must not reach the API otherwise"


@pytest.mark.parametrize(
    ("previous", "body"),
    [
        ({"fields": ("body.email", "body.tenant")}, {}),
        ({"fields": ("body.email", "body.tenant")}, {"tenant": 1.5}),
        ({"fields": ("body.email", "body.tenant")}, {"tenant": 7, "Tenant": 8}),
        ({"fields": ("form.email",)}, {}),
        ({"normalize": ("integer",)}, {}),
        ({"scope": ("header.X-Tenant",)}, {}),
        ({"fields": ("body.nick",), "empty": "missing"}, {"nick": ""}),
        ({"fields": ("body.nick",), "types": ("string",)}, {"nick": None}),
    ],
)
def test_an_identity_that_nothing_could_have_had_before_is_not_claimed(
    previous: dict[str, Any], body: dict[str, Any]
) -> None:
    """It was refused, or passed without a guard, so no claim of it is there; and the rule takes it now."""
    now = rule(unique=(changed("body.email", previous=previous),))
    (claim,) = of_body(now, email="ada@x", **body)
    assert alike((claim,), of_body(PLAIN, email="ada@x"))


def test_an_entry_that_is_skipped_now_is_still_known_by_what_it_was() -> None:
    before = changed("body.email", missing="skip", previous={"fields": ("body.mail",)})
    login = UniqueConfig(name="login", fields=("body.login",))
    found = of_body(rule(unique=(before, login)), login="ada", mail="ada@x")
    assert [claim.entry for claim in found] == ["login", "email"], "what there was comes last"
    with pytest.raises(IdentityError, match="no entry has all its fields"):
        of_body(rule(unique=(before,)), mail="ada@x")


def test_items_of_a_batch_that_were_one_are_refused_as_such() -> None:
    """As two creates would be, one after the other."""
    entry = changed("item.email", previous={"normalize": ("casefold",)})
    batch = rule(unique=(entry,), each="body")
    view = request(json.dumps([{"email": "Ada"}, {"email": "Bob"}, {"email": "ada"}]))
    with pytest.raises(RepeatedItems) as raised:
        made(batch, view)
    assert raised.value.repeats == ((2, "email"),)
    found = made(batch, request(json.dumps([{"email": "Ada"}, {"email": "bob"}])))
    assert [(claim.item, bool((claim.version or 0) & BESIDE)) for claim in found] == [(0, False), (0, True), (1, False)]


def test_of_two_conflicts_for_one_entry_a_caller_is_told_one() -> None:
    now, before = of_body(FOLDED, email="Ada@x")
    other = Claim(b"o" * 32, "create-user", "name", 1)

    def held(claim: Claim, state: State) -> tuple[Claim, Record]:
        return claim, Record(claim.fingerprint, b"o" * 16, state, claim.rule, claim.entry, 1, None, 1)

    for first, second, told in (
        (State.CREATED, State.IN_FLIGHT, State.IN_FLIGHT),
        (State.UNKNOWN, State.CREATED, State.CREATED),
        (State.CREATED, State.CREATED, State.CREATED),
    ):
        conflicts = Held((held(now, first), held(other, State.CREATED), held(before, second)))
        assert [(claim.entry, record.state) for claim, record in each_entry(conflicts)] == [
            ("email", told),
            ("name", State.CREATED),
        ]


def test_rules_without_it_are_read_the_quick_way() -> None:
    assert PLAIN.entries[0].is_plain
    assert not FOLDED.entries[0].is_plain
