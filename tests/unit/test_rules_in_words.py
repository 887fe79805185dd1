# The rules in force, in words.

from pathlib import Path
from typing import Any

import tomli_w

from gateway.config import load
from gateway.process.admin.rules_in_words import RuleWords, rule_words

ROOT = Path(__file__).parents[2]


def said(tmp_path: Path, **changes: Any) -> RuleWords:
    rule = {
        "name": "create-user",
        "match": {"path": "/users"},
        "unique": [{"name": "email", "fields": ["body.email"]}],
        **changes,
    }
    file = tmp_path / "gateway.toml"
    file.write_text(tomli_w.dumps({"upstream": {"url": "http://127.0.0.1:9000"}, "rules": [rule]}), encoding="utf-8")
    return rule_words(load(file, {}).rules[0])


def test_the_rules_of_the_sample() -> None:
    user, order = map(rule_words, load(ROOT / "config" / "gateway.toml").rules)
    assert (user.name, user.guards) == ("create-user", "POST /users")
    assert user.words == [
        "Unique by email: body.email, after trim, casefold.",
        "Unique by username: body.username.",
        "While a create is under way, the same one waits for up to 250ms, then gets 409.",
        "A duplicate of what was created gets 409 for 24h.",
        "When an outcome is unknown, the identity is blocked for 24h, or until an operator releases or settles it.",
        "The link is taken from header.Location, and shown to the caller who made it.",
    ]
    assert order.guards == "POST /tenants/{tenant}/orders"
    assert "Unique by order: path.tenant with body.customer.id with body.items[0].sku." in order.words
    assert "Counted apart for each header.X-Region." in order.words


def test_what_a_rule_asks_the_api(tmp_path: Path) -> None:
    words = said(
        tmp_path,
        verify={"path": "/users?email={body.email}&apikey=secret-1", "headers": {"Authorization": "secret-2"}},
        authorize={"path": "/me?apikey=secret-3"},
        match={
            "path": "/users",
            "when": [
                {"field": "header.X-Hook-Token", "equals": "secret-4"},
                {"field": "query.token", "equals": "secret-5"},
                {"field": "body.type", "one_of": ["user", "guest"]},
                {"field": "body.draft", "exists": False},
            ],
        },
    ).words
    text = "\n".join(words)
    assert "secret" not in text
    assert (
        "Only when header.X-Hook-Token has a certain value and query.token has a certain value and "
        'body.type is "user" or "guest" and body.draft is not there.'
    ) in words
    assert "the API is asked at /users, and believed 1m after the create when it knows of none" in text
    assert "Before an answer tells of another create, the API is asked at /me whether the caller may know." in words


def test_what_else_a_rule_may_do(tmp_path: Path) -> None:
    words = said(
        tmp_path,
        each="body.items",
        unique=[{"name": "email", "fields": ["item.email"], "missing": "skip"}],
        namespace="people",
        missing="forward",
        match={"path": "/users", "host": "api.example.com", "extensions": ["json"]},
        in_flight="wait",
        key={"required": True},
        retry="replay",
        retry_window="10m",
        duplicate="accept",
        keep="forever",
        failed="free",
        outcome=[{"when": [{"field": "answer.body.errors", "exists": True}], "is": "refused"}],
        answers={"in-progress": {"status": 400}},
    ).words
    for expected in (
        "Also with the suffixes .json.",
        "Each item of body.items is a create of its own, 500 at most in a request.",
        "Unique by email: item.email; left out where a field is absent.",
        "Its identities are shared with all rules of the namespace people.",
        "A create that lacks a field passes without a guard.",
        "While a create is under way, the same one waits for up to 10s, then gets 409.",
        "A duplicate of what was created gets 200 for ever.",
        "Each create must have a key in Idempotency-Key, by which its retries are known.",
        "Without a key, the same bytes of the same caller are a retry for 10m.",
        "A retry of what was created gets the answer of the API once more, if that has at most 64KiB.",
        "When the API fails with a status, the create may be sent again.",
        "An answer means refused when answer.body.errors is there.",
        "The answers in-progress have a form of their own.",
    ):
        assert expected in words, expected


def test_what_stops_nothing_or_lets_something_pass(tmp_path: Path) -> None:
    """Never a value that a header, or a claim of a token, is compared with."""
    words = said(
        tmp_path,
        mode="shadow",
        **{"except": [{"field": "body.email", "matches": "*@test"}, {"field": "header.X-Test", "equals": "hush"}]},
        override={"header": "Confirm", "callers": [{"field": "jwt.role", "equals": "hush"}]},
    ).words
    assert words[0] == "In shadow: it stops nothing, and counts what it would have stopped by what follows."
    assert 'Not guarded where body.email is like "*@test" or header.X-Test has a certain value.' in words
    assert "A duplicate passes all the same when it has Confirm, and jwt.role has a certain value." in words
    words = said(tmp_path, mode="off", override={"header": "Confirm", "callers": []}).words
    assert words[0] == "Off: nothing of what follows is done."
    assert "A duplicate passes all the same when it has Confirm." in words
