# Who may know: asks the API, with a caller's own credentials, before an answer tells of another create, or before
# anything is claimed. Nothing is reserved or sent while it is asked.

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gateway.guard.authorize import Authorize, Verdict, judge
from gateway.guard.rule import Rule
from gateway.model import Claim
from gateway.proxy.context import RequestContext
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver
from gateway.proxy.relay import read_whole
from gateway.proxy.status_field import without_field
from gateway.proxy.subrequest import ask_as_sent
from gateway.telemetry import milliseconds
from gateway.upstream.client import Upstream
from gateway.upstream.results import UpstreamResponse

MAX_REMEMBERED = 10_000
"""Callers that may know, at most: a few hundred bytes each."""
_READ = 64 * 1024
"""Bytes of an answer that are read so that its connection can be kept."""

_Caller = tuple[str, Upstream, bytes | None, bytes]
"""The rule's name, the API, the host that was named, and the keyed hash of who asks."""


class Authorizer:
    """Asks whether callers may know.

    Only those that may are remembered: a refusal given again would differ from a fresh one (Date, cookies, counters),
    and tell the caller that he was not the first to ask. Mutable state: until when each caller may know, those who
    were asked about last at the end; the questions under way, each with what others wait for.
    """

    def __init__(self, deps: HandlerDependencies, status_fields: Mapping[str, bytes]) -> None:
        self._deps = deps
        self._status_fields = status_fields
        self._status_name = deps.status_header.lower().encode()
        self._allowed: OrderedDict[_Caller, float] = OrderedDict()
        self._asked: dict[_Caller, asyncio.Future[Verdict | None]] = {}

    def __repr__(self) -> str:
        return f"Authorizer({len(self._allowed)} allowed, {len(self._asked)} asked)"

    async def refuses(self, request: RequestContext, rule: Rule, wanted: Sequence[Claim]) -> bool:
        """Whether the API refused the caller of a create; then the API's answer was passed on.

        A request is asked about once. `wanted` are its claims.
        """
        authorize, exchange = rule.authorize, request.exchange
        if authorize is None or request.verdict is not None:
            return False
        exchange.may_stop = exchange.stops_at_eof = True  # nothing is reserved or sent
        try:
            verdict = await self._find_out(request, rule, authorize, wanted[0].caller)
        finally:
            exchange.may_stop = exchange.stops_at_eof = False
        if isinstance(verdict, Verdict):
            request.verdict = verdict
            return False
        request.verdict = Verdict.REFUSED
        request.record.outcome = "unauthorized"
        request.fields = self._status_fields["refused"]
        exchange.may_stop = True
        await deliver(request, without_field(verdict, self._status_name), self._deps.idle_timeouts)
        return True

    async def _find_out(
        self, request: RequestContext, rule: Rule, authorize: Authorize, caller: bytes | None
    ) -> Verdict | UpstreamResponse:
        """Say whether a caller may know; the answer of the API that refuses him."""
        if caller is None or not authorize.cache:  # the anonymous are not one: something else may tell them apart
            return await self._ask(request, rule, authorize)
        who = (rule.name, request.upstream, request.exchange.head.host, caller)
        while True:
            if self._allowed.get(who, 0.0) > self._deps.stopwatch():
                return Verdict.ALLOWED
            asked = self._asked.get(who)
            if asked is None:
                return await self._ask_for_all(request, rule, authorize, who)
            verdict = await asyncio.shield(asked)
            if verdict is Verdict.REFUSED:
                return await self._ask(request, rule, authorize)  # what the other one was told is not for this one
            if verdict is not None:
                return verdict

    async def _ask_for_all(
        self, request: RequestContext, rule: Rule, authorize: Authorize, who: _Caller
    ) -> Verdict | UpstreamResponse:
        """Ask on behalf of all that come meanwhile. When it is cancelled, one of them asks in its place."""
        asked = self._asked[who] = asyncio.get_running_loop().create_future()
        verdict = None
        started = self._deps.stopwatch()
        try:
            answer = await self._ask(request, rule, authorize)
            verdict = answer if isinstance(answer, Verdict) else Verdict.REFUSED
        finally:
            del self._asked[who]
            self._allowed.pop(who, None)
            if verdict is Verdict.ALLOWED:
                self._allowed[who] = started + authorize.cache
                if len(self._allowed) > MAX_REMEMBERED:
                    self._allowed.popitem(last=False)
            asked.set_result(verdict)
        return answer

    async def _ask(self, request: RequestContext, rule: Rule, authorize: Authorize) -> Verdict | UpstreamResponse:
        """Ask the API; the answer if it refuses, not read yet."""
        started = self._deps.stopwatch()
        result = await ask_as_sent(request, authorize.path, authorize.left_out)
        reason = f"status {result.status}" if isinstance(result, UpstreamResponse) else result.error
        if isinstance(result, UpstreamResponse):
            verdict = judge(result.status)
            if verdict is Verdict.REFUSED:
                request.record.upstream_status = result.status
                request.record.upstream_ms = milliseconds(self._deps.stopwatch() - started)
                return result
            if verdict is Verdict.ALLOWED:
                result = await read_whole(result, _READ)
                if result.rest is None or len(result.body) > _READ:
                    result.abandon()
                    return verdict
                reason = "broken off"
            result.abandon()
        self._deps.telemetry.repeated("authorize-unclear", "warning", rule=rule.name, reason=reason)
        return Verdict.UNCLEAR
