# A change of a resource on its way to the API and back: what the answer means, and what is settled by it.

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never

import msgspec

from gateway.guard.changes import BegunChange
from gateway.guard.decision import Outcome
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.guard.resource import MAX_ANSWER, MAX_LINK
from gateway.guard.rule import Rule
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver
from gateway.proxy.judgement import OUTCOMES, judge_answer
from gateway.proxy.relay import read_whole
from gateway.upstream.client import CancelledUnsent
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_NOT_OVER = frozenset({202, 408, 499})
"""Statuses that an API, or a proxy in front of it, answers while the API may still be at work."""
SUCCEEDED = {"release": "released", "update": "updated"}
"""What logs and metrics call a change that has succeeded."""


class _Ending(msgspec.Struct):
    """What is known of how a change ends. Mutable: at every moment it is what must be settled."""

    outcome: Outcome = Outcome.NO_RESPONSE
    is_over: bool = False
    """Whether the API is certainly not at work on it any more."""

    async def judge(self, rule: Rule, answer: UpstreamResponse) -> UpstreamResponse:
        """Find out what an answer means, which may take its body; returns it as far as it was read then.

        It has succeeded only by one of its statuses, and where nothing else in the answer could still deny it.
        """
        self.is_over = answer.status < 500 and answer.status not in _NOT_OVER
        outcome, needs_body = judge_answer(rule, answer)
        if needs_body:
            self.outcome = Outcome.UNCERTAIN
            answer = await read_whole(answer, MAX_ANSWER)
            outcome, needs_body = judge_answer(rule, answer)
        is_done = answer.status in rule.success and not needs_body
        self.outcome = Outcome.UNCERTAIN if outcome is Outcome.SUCCEEDED and not is_done else outcome
        return answer


class ChangeSender:
    """Sends changes that hold what they must hold, and settles them."""

    def __init__(self, deps: HandlerDependencies, steps: CreateHandler) -> None:
        """`steps` are those that changes have in common with creates."""
        self._deps = deps
        self._steps = steps

    def __repr__(self) -> str:
        return "ChangeSender()"

    def of(self, request: RequestContext, view: RequestView) -> Callable[[Operation, BegunChange], Awaitable[None]]:
        """Return what sends one request's change, once that holds what it must hold."""

        async def send(operation: Operation, begun: BegunChange) -> None:
            await self._send(request, view, operation, begun)

        return send

    async def _send(self, request: RequestContext, view: RequestView, operation: Operation, begun: BegunChange) -> None:
        """Send a change, settle it whatever happens, and pass the answer on once that is written."""
        deps, rule = self._deps, operation.rule
        ending = _Ending()
        try:
            result = await self._steps.sender.send(request)
            match result:
                case UpstreamResponse():
                    result = await ending.judge(rule, result)
                case NotSent():
                    ending.outcome = Outcome.NOT_SENT
                case NoResponse():
                    pass
                case _:
                    assert_never(result)
        except CancelledUnsent:
            ending.outcome = Outcome.NOT_SENT
            raise
        finally:
            # A clock that was set back must not shorten what is kept.
            now = max(deps.wall_clock(), operation.reserved_at)
            resource = _resource(request, begun)
            settlement = begun.settlement(ending.outcome, now, resource, is_over=ending.is_over)
            settled = deps.store.settle(operation.owner, operation.claims, settlement, now)
            if identities := operation.claims[1:]:
                created = msgspec.structs.replace(operation, claims=identities)
                deps.verifier.remember(created, request, view, settlement)
            deps.in_flight.end(operation.owner)
        try:
            is_written = await self._steps.sender.is_written(request.record, settled)
        except asyncio.CancelledError:
            if isinstance(result, UpstreamResponse):
                result.abandon()
            raise
        request.record.outcome = outcome = _outcome(begun, ending.outcome)
        is_unknown = ending.outcome is Outcome.FAILED and not rule.failed_is_free
        # What is not written yet is not so yet: what it no longer has is still held.
        is_unknown = is_unknown or (ending.outcome is Outcome.SUCCEEDED and not is_written)
        request.fields = self._steps.sender.status_fields["unknown" if is_unknown else outcome]
        await deliver(request, result, deps.idle_timeouts)


def _outcome(begun: BegunChange, outcome: Outcome) -> str:
    """What logs and metrics call it."""
    return SUCCEEDED[begun.change.action.kind] if outcome is Outcome.SUCCEEDED else OUTCOMES[outcome]


def _resource(request: RequestContext, begun: BegunChange) -> str | None:
    """Where the resource lives: as the API said it first, or where the change was sent."""
    path = request.target.path
    known = next((record.resource for record in begun.found if record.resource is not None), None)
    return known or (path if len(path) <= MAX_LINK else None)
