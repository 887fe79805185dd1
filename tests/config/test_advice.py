# The hints of `gateway check`.

import re
import tomllib
from typing import Any

import msgspec
import pytest

from gateway.config.advice import advise
from gateway.config.problems import Problems
from gateway.config.reader import read
from gateway.config.schema import Config
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_outcome import ConditionConfig
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_rule import UniqueConfig
from gateway.config.table import Duration
from gateway.config.validate import validate
from tests.support.config import RULE, UPSTREAM
from tests.support.unit import rule_config


def hints(path: str, **changes: Any) -> list[str]:
    return advise(Config(rules=(rule_config(path, **changes),)))


@pytest.mark.parametrize(
    "path",
    ["/signup", "/Sign-Up", "/users/new", "/checkout/{cart}/place", "/contact_us", "/register.php", "/a/Form.aspx"],
)
def test_a_rule_for_a_web_page_that_says_nothing_of_302_gets_a_hint(path: str) -> None:
    """Such pages often answer a success with 302, which leaves the outcome unknown by default."""
    (hint,) = hints(path)
    assert hint.startswith(f'rule "create-user": "{path}" looks like a web page')


@pytest.mark.parametrize(
    "path", ["/users", "/api/register", "/v1/signup", "/v2.1/checkout", "/{new}", "/news", "/users.json", "/graphql"]
)
def test_an_api_gets_none(path: str) -> None:
    """Segments such as "api" and "v1" say that a program is answered."""
    assert hints(path) == []


def test_a_type_that_is_always_read_gets_a_hint_where_it_is_listed() -> None:
    """It does no harm, so it is no problem."""
    assert hints(
        "/users", json_types=("text/plain", "application/json", "text/json", "application/vnd.api+json", "")
    ) == [
        f'rule "create-user": "{kind}" need not be in json_types, because bodies of that type are always read'
        for kind in ("application/json", "text/json", "application/vnd.api+json")
    ]


def test_an_entry_that_is_never_skipped_gets_a_hint() -> None:
    ids = UniqueConfig(name="id", fields=("path.id", "host"), missing="skip")
    assert hints(
        "/users/{id}", unique=(ids, msgspec.structs.replace(ids, name="other", fields=("path.id", "body.x")))
    ) == ['rule "create-user": entry "id" is never skipped, because its fields are always there']
    assert hints("/users/{id}", unique=(msgspec.structs.replace(ids, empty="missing"),)) == []


def test_a_caller_whom_nobody_verifies_gets_a_hint_where_something_is_shown_to_him() -> None:
    (hint,) = hints("/users", caller=("jwt.sub",), resource="header.Location")
    assert hint.startswith(
        'rule "create-user": who writes a token with another caller\'s "jwt.sub" is shown the link for '
    )
    (hint,) = hints("/users", caller=("jwt.sub",), retry="replay")
    assert "is shown the stored answer for that caller" in hint
    asked = AuthorizeConfig(path="/me", cache=Duration(0))
    for changes in (
        {"resource": None},
        {"resource": "header.Location", "link": "nobody"},
        {"retry": "replay", "authorize": asked},
        {"retry": "replay", "caller": ("jwt.sub", "header.Authorization")},
    ):
        assert hints("/users", **{"caller": ("jwt.sub",), **changes}) == []


@pytest.mark.parametrize(
    "said", [{"success": ("2xx", "302")}, {"success": ("3xx",)}, {"refused": ("302",)}, {"refused": ("3xx", "4xx")}]
)
def test_a_rule_that_says_what_302_means_gets_none(said: dict[str, tuple[str, ...]]) -> None:
    """Either list may say it, by status or by class."""
    assert hints("/signup", **said) == []


def test_each_list_that_the_hint_says_to_write_is_right_and_ends_the_hint() -> None:
    """Each loads without a problem, and the hint is gone with it."""
    (hint,) = hints("/signup")
    lists = re.findall(r"(?:success|refused) = \[[^]]*\]", hint)
    assert len(lists) == 3
    for line in lists:
        found = Problems(tomllib.loads(f"{UPSTREAM}{RULE}{line}\n".replace("/users", "/signup")))
        config = read(found, {})
        validate(config, found)
        assert found.lines() == []
        assert advise(config) == []


def test_statuses_by_which_nothing_may_be_gone_or_done_get_a_hint() -> None:
    release = (ReleaseConfig(path="/users/{id}", statuses=("2xx", "404")), ReleaseConfig(path="/people/{id}"))
    update = (UpdateConfig(path="/users/{id}", statuses=("202",)),)
    found = hints("/users", resource="header.Location", release=release, update=update)
    assert [hint.partition(" ")[0] + hint.partition(",")[2][:26] for hint in found] == [
        "rule release[0].statuses: many",
        "rule release[0].statuses: 202 ",
        "rule update[0].statuses: 202 s",
    ]


def test_an_override_for_everybody_or_by_a_token_that_nobody_verifies_gets_a_hint() -> None:
    role, header = (ConditionConfig(field=field, equals="support") for field in ("jwt.role", "header.X-Role"))
    (hint,) = hints("/users", override=OverrideConfig(header="Confirm", callers=()))
    assert "everybody who sends Confirm has duplicates created" in hint
    (hint,) = hints("/users", override=OverrideConfig(header="Confirm", callers=(role, header)))
    assert '"jwt.role" in override is read, and not verified' in hint
    assert hints("/users", override=OverrideConfig(header="Confirm", callers=(header,))) == []


def test_a_rule_in_shadow_that_sees_nothing_or_stops_something_gets_a_hint() -> None:
    """Wherever in the file it stands: enforced rules go before it. What is off does not count."""
    watching = rule_config("/users", name="watching", mode="shadow")
    for rules in ((watching, rule_config("/users")), (rule_config("/{any}"), watching)):
        (hint,) = advise(Config(rules=rules))
        assert hint.startswith('rule "watching": sees nothing, because rule "create-user" guards all that it matches')
    assert advise(Config(rules=(watching, rule_config("/users", mode="off")))) == []
    (hint,) = advise(Config(rules=(watching, rule_config("/orders", namespace="watching"))))
    assert hint.startswith('rule "watching": is in shadow and shares a namespace with rule "create-user"')
