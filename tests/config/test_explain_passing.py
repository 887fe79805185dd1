# `gateway explain` on what passes although a rule matches it: rules in shadow or off, exceptions, overrides.

from typing import Any

from gateway.commands.explain import explain
from gateway.commands.explain_lines import lines
from gateway.config.schema import Config
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Size
from tests.support.token import bearer
from tests.support.unit import headers

WHEN = (ConditionConfig(field="body.type", equals="user"),)


def rule(name: str, path: str, field: str = "body.email", **changes: Any) -> RuleConfig:
    unique = (UniqueConfig(name="it", fields=(field,)),)
    return RuleConfig(**{"name": name, "match": MatchConfig(path=path), "unique": unique, **changes})


CONFIG = Config(
    upstream=UpstreamConfig(url="http://127.0.0.1:9000"),
    rules=(
        rule("watching", "/a", mode="shadow", body_limit=Size(1000)),
        rule("guarding", "/a", match=MatchConfig(path="/a", when=WHEN)),
        rule("gone", "/b", mode="off"),
        rule("files", "/f", "body", mode="shadow", body_limit=Size(10), spool_limit=Size(1000)),
        rule(
            "passing",
            "/c",
            exceptions=(
                ConditionConfig(field="body.email", matches="*@test"),
                ConditionConfig(field="header.X-Test", exists=True),
            ),
            override=OverrideConfig(header="Confirm", callers=(ConditionConfig(field="jwt.role", equals="support"),)),
        ),
    ),
)


def ask(target: str, body: str, *fields: tuple[str, str]) -> dict[str, Any]:
    return explain(CONFIG, "POST", target, headers(("Content-Type", "application/json"), *fields), body.encode())


def test_a_rule_in_shadow_forwards_what_it_would_refuse_and_says_so() -> None:
    found = ask("/a", '{"email": "ada"}')
    assert (found["rule"], found["mode"], found["forwarded"]) == ("watching", "shadow", True)
    assert found["happens"].startswith("forwarded, as the rule is in shadow; enforced: forwarded when all its claims")
    assert "mode           shadow" in lines(found)
    for target, body, would in [
        ("/a", "{}", "422 missing-identity: "),
        ("/a", '{"email": "' + "x" * 1000 + '"}', "413 body-too-large: "),
        ("//f", "x", "400 ambiguous-path: "),
        ("/f", "x" * 20, "the body would go to a file"),
    ]:
        found = ask(target, body)
        assert found["forwarded"], target
        assert found["happens"].startswith(f"forwarded, as the rule is in shadow; enforced: {would}"), found["happens"]


def test_an_enforced_rule_goes_before_it_and_one_that_is_off_is_not_there() -> None:
    assert ask("/a", '{"type": "user", "email": "ada"}')["rule"] == "guarding"
    assert ask("/b", '{"email": "ada"}')["happens"] == "passes untouched: no rule guards it"


def test_exceptions_and_overrides_are_shown_with_whether_they_hold() -> None:
    found = ask("/c", '{"email": "a@test"}')
    assert (found["happens"], found["except"]["holds"]) == (
        "forwarded without a guard: a condition of except holds",
        True,
    )
    assert ask("/c", "no JSON", ("X-Test", "1"))["except"]["holds"]
    found = ask("/c", '{"email": "ada"}', ("Confirm", "yes"), bearer({"role": "support"}))
    assert (found["except"]["holds"], found["override"]["holds"]) == (False, True)
    shown = lines(found)
    assert 'except         header.X-Test exists or body.email matches "*@test": does not hold' in shown
    assert 'override       confirm, jwt.role equals "support": holds' in shown
    assert "a duplicate of which override holds is forwarded all the same" in found["happens"]
    assert not ask("/c", '{"email": "ada"}', ("Confirm", "no"), bearer({"role": "support"}))["override"]["holds"]
