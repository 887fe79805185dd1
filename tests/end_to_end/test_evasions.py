# A slice of `make evasions` that needs none of its packages: the judge of the standard library, which is tolerant.

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from campaigns.evasions.judge import JUDGES, PLAIN
from campaigns.evasions.message import ADA, JSON, Attempt, Message
from campaigns.evasions.rules import ORDINARY, RULES, normalised
from campaigns.evasions.run import run
from campaigns.evasions.table import SECOND_CREATES, STRANGERS
from campaigns.evasions.table.browsers import BROWSERS
from tests.support.program import Table

EACH = 25
"""Every twenty-fifth attempt of the table."""


def of_kind(kind: str, **changes: object) -> Sequence[Table]:
    """The rules, with changes to one."""
    return [{**rule, **(changes if rule["name"] == kind else {})} for rule in RULES]


def test_every_attempt_has_a_name_of_its_own_and_bytes_of_its_own() -> None:
    for table in (SECOND_CREATES, STRANGERS):
        names = Counter((attempt.group, attempt.name) for attempt in table)
        assert [name for name, count in names.items() if count > 1] == []
        assert {attempt.kind for attempt in table} == set(ORDINARY)
    assert len(SECOND_CREATES) > 3000
    assert len(STRANGERS) > 1000
    renders = [[attempt.message.render(number) for number in (1_234_567, 7_654_321)] for attempt in SECOND_CREATES]
    assert [one for one, other in renders if one == other] == [], "they would be told from one another by nothing"
    assert len({message for _, message in BROWSERS}) == len(BROWSERS)


def test_only_strangers_have_no_credentials() -> None:
    assert all(attempt.message.is_stranger for attempt in STRANGERS)
    assert not any(attempt.message.is_stranger for attempt in SECOND_CREATES)


def test_values_are_compared_as_their_rule_compares_them() -> None:
    assert normalised("users", " Jose\u0301@Example.org ") == normalised("users", "JOS\u00c9@example.org")
    assert normalised("users", "\ufeffL\u0130SA@example.org\x00") == normalised("users", "lisa@example.org")
    assert normalised("seats", ["t", "t", "t", "A@x"]) == normalised("seats", ["t", "t", "t", "a@x"])
    assert normalised("orders", "R") != normalised("orders", "r")
    assert normalised("notes", 1) == normalised("notes", 1.0)
    assert normalised("notes", 1) != normalised("notes", "1")


async def test_nothing_slips_by_and_nobody_is_blocked(tmp_path: Path) -> None:
    trial = await run(PLAIN, tmp_path, SECOND_CREATES[::EACH], STRANGERS[::EACH])
    assert [(what, sent.attempt.name) for what, sent in trial.breaches()] == []
    assert len([sent for sent in trial.second if sent.first == "201"]) > 70
    assert sum(sent.has_second for sent in trial.direct) > 20, "the judge is not tolerant, and judges nothing"
    assert {sent.answer for sent in trial.answered} >= {"401"}


async def test_a_second_create_that_a_rule_lets_by_is_found(tmp_path: Path) -> None:
    twice = Attempt("keys", "Email", Message(body=b'{"Email": "ada<n>@example.org"}'))
    trial = await run(PLAIN, tmp_path, [twice], [], of_kind("users", missing="forward"))
    ((what, sent),) = trial.breaches()
    assert (what, sent.attempt.name, sent.answer) == ("created twice", "Email", "201")


async def test_a_create_that_a_stranger_blocks_is_found(tmp_path: Path) -> None:
    """With a rule that takes 401 for no refusal."""
    stranger = Attempt("ordinary", "users", Message("/users", (JSON,), ADA, is_stranger=True))
    trial = await run(PLAIN, tmp_path, [], [stranger], of_kind("users", refused=["404"]))
    ((what, sent),) = trial.breaches()
    assert (what, sent.answer) == ("blocked: the ordinary create got 409 outcome-unknown", "401")


def test_every_judge_is_a_program_on_a_port_of_its_own() -> None:
    assert all(any("{port}" in part for part in command) for command in JUDGES.values())
