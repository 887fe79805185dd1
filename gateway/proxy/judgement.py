# What an answer of the API means, which may take its body to say.

from gateway.guard import decision
from gateway.guard.decision import Outcome
from gateway.guard.outcome import judge
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.rule import Rule
from gateway.proxy.relay import read_whole
from gateway.upstream.results import UpstreamResponse

OUTCOMES = {
    Outcome.SUCCEEDED: "created",
    Outcome.EXISTS: "exists",
    Outcome.REFUSED: "refused",
    Outcome.FAILED: "failed",
    Outcome.UNCERTAIN: "unknown",
    Outcome.NOT_SENT: "upstream-unreachable",
    Outcome.NO_RESPONSE: "outcome-unknown",
}
"""What logs and metrics call each outcome."""


def judge_answer(rule: Rule, answer: UpstreamResponse) -> tuple[Outcome, bool]:
    """Say what an answer means as far as it has come, and whether the rest of it may mean something else."""
    if rule.outcomes is None:
        return decision.classify_status(rule, answer.status, answer.headers), False
    return judge(rule, rule.outcomes, answer.status, answer.headers, answer.body if answer.rest is None else None)


async def judge_whole(rule: Rule, answer: UpstreamResponse) -> tuple[UpstreamResponse, Outcome]:
    """Read on in an answer, up to MAX_ANSWER bytes, and say what it means then."""
    answer = await read_whole(answer, MAX_ANSWER)
    return answer, judge_answer(rule, answer)[0]


async def read_ahead(rule: Rule, answer: UpstreamResponse, limit: int) -> UpstreamResponse:
    """Read as much of a success as its link needs, and at least `limit` bytes."""
    if rule.resource is not None and rule.resource.reads_body:
        limit = max(limit, MAX_ANSWER)
    return await read_whole(answer, limit) if limit else answer
