# What an answer of the API means for each item of a batch.

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

from gateway.errors import IdentityError
from gateway.guard.batch import Batch
from gateway.guard.decision import ItemOutcome, Outcome, classify_status, of_all
from gateway.guard.item_answers import locate_each, read_statuses
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.rule import Rule
from gateway.http.headers import Headers
from gateway.proxy.judgement import judge_answer, judge_whole
from gateway.proxy.relay import read_whole
from gateway.upstream.results import UpstreamResponse

_NOTHING_ELSE = Headers(b"")


class JudgedBatch(NamedTuple):
    """What an answer means for a batch."""

    answer: UpstreamResponse
    """The same, as far as it was read."""
    outcome: Outcome
    """What became of all of it."""
    items: Sequence[ItemOutcome] | None
    """What became of each item; None where the answer is about all of them."""


async def judge_batch(rule: Rule, batch: Batch, answer: UpstreamResponse, count: int) -> JudgedBatch:
    """Say what became of each of `count` items, as far as an answer says so.

    Reads on in it where that takes its body, up to MAX_ANSWER bytes.
    """
    outcome, needs_body = judge_answer(rule, answer)
    if needs_body:
        answer, outcome = await judge_whole(rule, answer)
    if batch.status is not None or (rule.resource is not None and rule.resource.reads_body):
        answer = await read_whole(answer, MAX_ANSWER)
    body = answer.body if answer.rest is None else None
    outcomes: Sequence[Outcome]
    try:
        outcomes = [_outcome(rule, status) for status in read_statuses(batch, answer.headers, body, count)]
    except IdentityError as error:
        # "Exists" is true of one of them, and nobody knows of which.
        is_mixed = answer.status == HTTPStatus.MULTI_STATUS or not error.is_absent
        if outcome is Outcome.EXISTS or (outcome is Outcome.SUCCEEDED and is_mixed):
            outcome = Outcome.UNCERTAIN
        if outcome is not Outcome.SUCCEEDED:
            return JudgedBatch(answer, outcome, None)
        outcomes = [outcome] * count
    links = [None] * count if rule.resource is None else locate_each(rule.resource, answer.headers, body, count)
    return JudgedBatch(answer, of_all(outcomes), [ItemOutcome(*each) for each in zip(outcomes, links, strict=True)])


def _outcome(rule: Rule, status: int | None) -> Outcome:
    return Outcome.UNCERTAIN if status is None else classify_status(rule, status, _NOTHING_ELSE)
