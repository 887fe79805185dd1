# What a rules file does to the claims of a store, in words and as an exit code.

from typing import Any

from gateway.config.against_store import HeldClaims, Judged, Verdict, judge
from gateway.config.schema import Config
from gateway.config.schema_changes import ReleaseConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import PreviousConfig, RuleConfig, UniqueConfig
from gateway.config.versions import BESIDE, IdentityConfig, present, version
from tests.support.unit import rule_config

UNTIL = "2026-11-29T10:00:00.000Z"
WHERE = 'rule "create-user", entry "email": '
LOST = "so they stop no create any more, and each of their things can be created once more; "


def entry(*fields: str, **changes: Any) -> UniqueConfig:
    return UniqueConfig(**{"name": "email", "fields": fields or ("body.email",), **changes})


def number(of: RuleConfig) -> int:
    return version(of, present(of, of.unique[0]))


def held(by: int | None, count: int = 1, rule: str = "create-user", entry: str = "email", **changes: Any) -> HeldClaims:
    return HeldClaims(**{"rule": rule, "entry": entry, "version": by, "count": count, "until": UNTIL, **changes})


def judged(of: RuleConfig, *claims: HeldClaims, in_force: dict[int, IdentityConfig] | None = None) -> Verdict:
    return judge(Config(rules=(of,)), claims, in_force or {})


def made(verdict: Verdict) -> list[tuple[str, int]]:
    return [(each.made_by, each.count) for each in verdict.claims]


PLAIN = rule_config()
FOLDED = rule_config(unique=(entry(normalize=("casefold",)),))


def test_claims_of_what_an_entry_is_are_no_problem() -> None:
    verdict = judged(PLAIN, held(number(PLAIN), 7))
    assert verdict == Verdict([Judged("create-user", "email", "this", number(PLAIN), 7, UNTIL, False)], [], [])
    longer = rule_config(unique=(entry("body.email | body.mail"),))
    assert made(judged(longer, held(number(PLAIN)))) == [("this", 1)]


def test_claims_of_another_identity_are_a_problem_that_says_what_to_write() -> None:
    claims = held(number(PLAIN), 412_330)
    (problem,) = judged(FOLDED, claims).problems
    assert problem == (
        f"{WHERE}412,330 claims in the store were made, the last of them to be held until {UNTIL}, "
        f"by another identity, {LOST}add previous = {{ fields = [...], normalize = [...] }}, with what the entry was"
    )
    verdict = judged(FOLDED, claims, in_force={number(PLAIN): present(PLAIN, PLAIN.unique[0])})
    (problem,) = verdict.problems
    assert problem.endswith('; add previous = { fields = ["body.email"], normalize = [] }')
    assert (made(verdict), verdict.hints) == ([("another", 412_330)], [])


def test_all_that_was_otherwise_is_said() -> None:
    was = rule_config(
        scope=("header.X-Tenant",),
        namespace="user",
        unique=(entry("body.mail", name="mail", normalize=("trim",), types=("string",), empty="missing"),),
    )
    now = rule_config(unique=(entry(),))
    identity = present(was, was.unique[0])
    (problem,) = judged(now, held(number(was)), in_force={number(was): identity}).problems
    assert problem.endswith(
        'previous = { fields = ["body.mail"], normalize = ["trim"], types = ["string"], empty = "missing", '
        'name = "mail", scope = ["header.X-Tenant"], namespace = "user" }'
    )


def test_previous_covers_them_until_they_have_expired() -> None:
    before = PreviousConfig(fields=("body.email",), normalize=())
    bridged = rule_config(unique=(entry(normalize=("casefold",), previous=before),))
    verdict = judged(bridged, held(number(PLAIN), 5), held(number(FOLDED), 2), held(number(PLAIN) | BESIDE, 2))
    assert sorted(made(verdict)) == [("beside", 2), ("previous", 5), ("this", 2)]
    assert verdict.problems == []
    (hint,) = verdict.hints
    assert hint.endswith(f"by the identity in previous, which is needed until {UNTIL}")
    after = judged(FOLDED, held(number(FOLDED), 2), held(number(PLAIN) | BESIDE, 2))
    assert (after.problems, after.hints) == ([], []), "previous may go: creates beside it hold the new identity, too"


def test_a_new_name_is_told_from_another_identity() -> None:
    renamed = rule_config(name="new-user")
    verdict = judged(renamed, held(number(PLAIN), 3))
    (problem,) = verdict.problems
    assert problem == (
        'rule "new-user", entry "email": 3 claims in the store were made, the last of them to be held until '
        f'{UNTIL}, with the namespace "create-user", {LOST}write namespace = "create-user" in the rule, or add '
        'previous = { fields = ["body.email"], normalize = [], namespace = "create-user" }'
    )
    (problem,) = judged(rule_config(unique=(entry(name="mail"),)), held(number(PLAIN))).problems
    assert "1 claim in the store was made" in problem
    assert 'with the name "email", ' in problem
    assert 'write name = "email" in the entry, or add previous' in problem
    assert made(judged(rule_config(name="new-user", namespace="create-user"), held(number(PLAIN)))) == [("this", 1)]


def test_what_the_file_has_no_more_and_what_is_not_known_are_hints() -> None:
    verdict = judged(PLAIN, held(4, rule="orders", entry="ref"), held(None, 9, until=None), held(None, entry="Other"))
    assert verdict.problems == []
    assert made(verdict) == [("removed", 1), ("earlier release", 9), ("removed", 1)]
    other, earlier, removed = verdict.hints
    assert other.startswith('rule "create-user", entry "Other": 1 claim in the store was made, ')
    assert earlier.startswith(f"{WHERE}9 claims in the store were made by a release that noted no identities; ")
    assert removed.endswith("by what the file does not have, so nothing in it is known to meet them")


def test_claims_of_keys_have_no_identity() -> None:
    keyed = rule_config(key=KeyConfig(header="Idempotency-Key"))
    verdict = judged(keyed, held(None, entry="Idempotency-Key"))
    assert (made(verdict), verdict.problems, verdict.hints) == ([("key", 1)], [], [])


def test_claims_of_changes_under_way_are_no_more_than_that() -> None:
    followed = rule_config(release=(ReleaseConfig(path="/users/{id}"),))
    verdict = judged(followed, held(None, entry="resource", until=None))
    assert (made(verdict), verdict.problems, verdict.hints) == ([("change", 1)], [], [])
    assert made(judged(PLAIN, held(None, entry="resource"))) == [("removed", 1)]


def test_it_is_said_when_claims_are_held_for_ever() -> None:
    (problem,) = judged(FOLDED, held(number(PLAIN), until=None, forever=True)).problems
    assert "1 claim in the store was made, some of them to be held for ever, by another identity" in problem
    before = PreviousConfig(fields=("body.email",), normalize=())
    bridged = rule_config(unique=(entry(normalize=("casefold",), previous=before),))
    (hint,) = judged(bridged, held(number(PLAIN), until=None, forever=True)).hints
    assert hint.endswith("which is needed for ever")
    (hint,) = judged(bridged, held(number(PLAIN), until=None)).hints
    assert hint.endswith("which is needed until they have settled")
