# Identity versions: what gives equal values another fingerprint makes another one, and nothing else does.

from typing import Any

import pytest

from gateway.config.schema import Config
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import MatchConfig, PreviousConfig, RuleConfig, ScopeConfig, UniqueConfig
from gateway.config.versions import BESIDE, Lost, known_entries, lost_entries, present, version, versions_alike


def rule(path: str = "/tenants/{tenant}/users", extensions: tuple[str, ...] = (), **changes: Any) -> RuleConfig:
    match = MatchConfig(path=path, extensions=extensions)
    return RuleConfig(**{"name": "create-user", "match": match, "unique": (entry(),), **changes})


def entry(*fields: str, **changes: Any) -> UniqueConfig:
    return UniqueConfig(**{"name": "email", "fields": fields or ("body.email",), **changes})


def number(of: RuleConfig) -> int:
    """The version of its first entry."""
    return version(of, present(of, of.unique[0]))


PINNED = {
    "plain": (rule(), 471_874_328),
    "normalised": (rule(unique=(entry(normalize=("trim", "casefold")),)), 1_964_974_486),
    "scope": (rule(scope=("path.tenant", ScopeConfig(field="host", normalize=("casefold",)))), 243_403_254),
    "alternatives": (rule(unique=(entry("body.email | form.email", "jwt.sub", empty="missing"),)), 366_056_786),
    "batch": (rule(each="body.items", namespace="user", unique=(entry('item."e-mail"', "body.list[0]"),)), 21_948_574),
    "whole": (rule(unique=(entry("json | body", "file.photo.sha256", "xml.User.email"),)), 475_441_836),
}


@pytest.mark.parametrize("name", PINNED)
def test_the_numbers_are_those_of_every_release(name: str) -> None:
    """They are in stores. Another number here means that after an upgrade `gateway check --against-store` calls all
    claims those of another identity. Where fingerprints change, which they must not, that would be true: then raise
    gateway.guard.fingerprint.VERSION, say so in the changelog, and only then change these.
    """
    of, pinned = PINNED[name]
    assert number(of) == pinned


def test_a_number_has_31_bits_and_leaves_one_for_claims_beside_others() -> None:
    numbers = [number(rule(unique=(entry(f"body.field-{at}"),))) for at in range(500)]
    assert len(set(numbers)) == 500
    assert all(0 <= each < 2**31 and not each & BESIDE for each in numbers)
    assert max(numbers) > 2**30 > min(numbers)


OTHERS = {
    "a normaliser": rule(unique=(entry(normalize=("casefold",)),)),
    "its place": rule(unique=(entry(normalize=("casefold", "trim")),)),
    "another one": rule(unique=(entry(normalize=("trim", "casefold")),)),
    "the field": rule(unique=(entry("body.mail"),)),
    "the source": rule(unique=(entry("form.email"),)),
    "one more field": rule(unique=(entry("body.email", "body.name"),)),
    "their order": rule(unique=(entry("body.name", "body.email"),)),
    "an alternative": rule(unique=(entry("body.email | body.name"),)),
    "the order of alternatives": rule(unique=(entry("body.name | body.email"),)),
    "what is empty between alternatives": rule(unique=(entry("body.name | body.email", empty="missing"),)),
    "the entry": rule(unique=(entry(name="mail"),)),
    "the namespace": rule(namespace="user"),
    "the rule without one": rule(name="new-user"),
    "a scope": rule(scope=("header.X-Tenant",)),
    "a normaliser of it": rule(scope=(ScopeConfig(field="header.X-Tenant", normalize=("trim",)),)),
    "a variable": rule(scope=("path.tenant",)),
    "another variable": rule("/{a}/{b}", scope=("path.b",)),
    "what is cut off behind it": rule("/{tenant}", ("json",), scope=("path.tenant",)),
    "a key with a dot": rule(unique=(entry('body."email.address"'),)),
    "a way with two keys": rule(unique=(entry("body.email.address"),)),
    "a place in a list": rule(unique=(entry("body.email[1]"),)),
    "a key like it": rule(unique=(entry('body.email."1"'),)),
    "the items": rule(each="body.items", unique=(entry("item.email"),)),
}


def test_what_changes_fingerprints_changes_the_number() -> None:
    numbers = {name: number(of) for name, of in {"as it is": rule(), **OTHERS}.items()}
    assert len(set(numbers.values())) == len(numbers), sorted(numbers.items(), key=lambda item: item[1])


SAME = {
    "a pattern": (rule(), rule(unique=(entry(pattern="[a-z]+"),))),
    "types": (rule(), rule(unique=(entry(types=("string", "number")),))),
    "missing": (rule(), rule(unique=(entry(missing="skip"),), missing="forward")),
    "what is empty in a single field": (rule(), rule(unique=(entry(empty="missing"),))),
    "another entry": (rule(), rule(unique=(entry(), entry("body.name", name="name")))),
    "the path": (rule(), rule("/v2/users", ("json",))),
    "methods, times and answers": (rule(), rule(keep=1.0, duplicate="accept", caller=("cookie.session",))),
    "the rule's name, with a namespace": (rule(namespace="user"), rule(namespace="user", name="new-user")),
    "the namespace said": (rule(), rule(namespace="create-user")),
    "the case of a header": (rule(scope=("header.X-Tenant",)), rule(scope=("header.x-tenant",))),
    "the host as a header": (rule(scope=("host",)), rule(scope=("header.Host",))),
    "a key in quotes": (rule(), rule(unique=(entry("body.'email'"),))),
    "a scope as a table": (rule(scope=("path.tenant",)), rule(scope=(ScopeConfig(field="path.tenant"),))),
    "the name of a variable": (rule(scope=("path.tenant",)), rule("/tenants/{t}/users", scope=("path.t",))),
    "a suffix that is not behind it": (
        rule(scope=("path.tenant",)),
        rule(extensions=("json",), scope=("path.tenant",)),
    ),
    "the case of a suffix": (
        rule("/{tenant}", ("json", "xml"), scope=("path.tenant",)),
        rule("/{tenant}", ("XML", "JSON"), scope=("path.tenant",)),
    ),
    "a normaliser of a whole body": (
        rule(unique=(entry("json"),)),
        rule(unique=(entry("json", normalize=("trim",)),)),
    ),
    "a list in place of one thing": (rule(), rule(each="body", unique=(entry("item.email"),))),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_fingerprint_leaves_the_number(name: str) -> None:
    one, other = SAME[name]
    assert number(one) == number(other)


def test_an_alternative_at_the_end_leaves_all_earlier_claims_met() -> None:
    longer = rule(unique=(entry("body.email | form.email | query.email", "body.name | form.name"),))
    alike = versions_alike(longer, present(longer, longer.unique[0]))
    beginnings = (("body.email", "body.name"), ("body.email | form.email", "body.name | form.name"))
    for fields in beginnings:
        assert number(rule(unique=(entry(*fields),))) in alike
    for others in (("form.email", "body.name"), ("body.email | query.email", "body.name"), ("body.email",)):
        assert number(rule(unique=(entry(*others),))) not in alike
    assert len(alike) == 6
    shorter = rule(unique=(entry("body.email", "body.name"),))
    assert versions_alike(shorter, present(shorter, shorter.unique[0])) == {number(shorter)}


def lost(before: RuleConfig, after: RuleConfig) -> list[tuple[str, str, bool]]:
    found = lost_entries(Config(rules=(before,)), Config(rules=(after,)))
    assert all(isinstance(each, Lost) for each in found)
    return [(each.rule, each.entry, not each.removed) for each in found]


def test_a_change_without_previous_loses_what_there_was() -> None:
    folded = entry(normalize=("casefold",))
    assert lost(rule(), rule(unique=(folded,))) == [("create-user", "email", True)]
    before = PreviousConfig(fields=("body.email",), normalize=())
    bridged = entry(normalize=("casefold",), previous=before)
    assert lost(rule(), rule(unique=(bridged,))) == []
    assert lost(rule(unique=(bridged,)), rule(unique=(folded,))) == []
    assert lost(rule(), rule(unique=(entry("body.email | body.mail"),))) == []
    assert lost(rule(), rule(name="new-user")) == [("create-user", "email", False)]
    assert lost(rule(), rule(name="new-user", namespace="create-user")) == []
    assert lost(rule(), rule(unique=(entry("body.name", name="name"),))) == [("create-user", "email", False)]


def test_what_is_left_out_of_previous_was_as_it_is() -> None:
    before = PreviousConfig(
        fields=("body.mail",),
        normalize=("trim",),
        types=("string",),
        empty="missing",
        name="mail",
        scope=(),
        namespace="u",
    )
    now = rule(scope=("host",), unique=(entry(normalize=("casefold",), previous=before),))
    was = rule(namespace="u", unique=(entry("body.mail", normalize=("trim",), name="mail", empty="missing"),))
    assert known_entries(Config(rules=(now,)))[0].previous == {number(was)}
    short = PreviousConfig(fields=("body.email",), normalize=())
    now = rule(scope=("host",), unique=(entry(normalize=("casefold",), previous=short),))
    assert known_entries(Config(rules=(now,)))[0].previous == {number(rule(scope=("host",)))}


def test_keys_are_lost_with_the_name_of_their_rule_and_with_what_tells_callers() -> None:
    key = KeyConfig(header="Idempotency-Key")
    keyed = rule(key=key, unique=())
    assert lost(keyed, rule(key=KeyConfig(header="X-Key"), unique=(), caller=("header.authorization",))) == []
    assert lost(keyed, rule(key=key, unique=(), caller=("jwt.sub",))) == [("create-user", "Idempotency-Key", True)]
    assert lost(keyed, rule(key=key, unique=(), name="other")) == [("create-user", "Idempotency-Key", False)]
