# How a change of a resource ends: what the API's answer comes to, as far as it is known.

from gateway.guard.changes import BegunChange
from gateway.guard.decision import Outcome
from gateway.guard.resource import MAX_ANSWER, MAX_LINK
from gateway.guard.rule import Rule
from gateway.model import Settlement
from gateway.proxy.judgement import OUTCOMES, judge_answer
from gateway.proxy.relay import read_whole
from gateway.upstream.results import UpstreamResponse

_NOT_OVER = frozenset({202, 408, 499})
"""Statuses that an API, or a proxy in front of it, answers while the API may still be at work."""
SUCCEEDED = {"release": "released", "update": "updated"}
"""What logs and metrics call a change that has succeeded."""


class ChangeEnding:
    """The end of one change. Mutable state: what is known of it; at every moment it is what must be settled."""

    __slots__ = ("_begun", "_is_over", "_path", "_rule", "outcome")

    def __init__(self, rule: Rule, begun: BegunChange, path: str) -> None:
        """`path` is that of the target it was sent to."""
        self._rule = rule
        self._begun = begun
        self._path = path
        self._is_over = False
        self.outcome = Outcome.NO_RESPONSE

    def __repr__(self) -> str:
        return f"ChangeEnding({self.outcome.value})"

    async def judge(self, result: UpstreamResponse) -> UpstreamResponse:
        """Find out what an answer means, which may take its body; returns it as far as it was read then.

        It has succeeded only by one of its statuses, and where nothing else in the answer could still deny it.
        """
        rule, answer = self._rule, result
        self._is_over = answer.status < 500 and answer.status not in _NOT_OVER
        outcome, needs_body = judge_answer(rule, answer)
        if needs_body:
            self.outcome = Outcome.UNCERTAIN
            answer = await read_whole(answer, MAX_ANSWER)
            outcome, needs_body = judge_answer(rule, answer)
        is_done = answer.status in rule.success and not needs_body
        self.outcome = Outcome.UNCERTAIN if outcome is Outcome.SUCCEEDED and not is_done else outcome
        return answer

    @property
    def said(self) -> str:
        """What log and metrics say of it."""
        succeeded = self.outcome is Outcome.SUCCEEDED
        return SUCCEEDED[self._begun.change.action.kind] if succeeded else OUTCOMES[self.outcome]

    def settlement(self, now: int) -> Settlement:
        """What becomes of what it holds, and of the resource's other claims. `now` in milliseconds."""
        known = next((record.resource for record in self._begun.found if record.resource is not None), None)
        resource = known or (self._path if len(self._path) <= MAX_LINK else None)  # as the API said it first
        return self._begun.settlement(self.outcome, now, resource, is_over=self._is_over)
