# A request that deletes what was created: once the API says that it is gone, its identities are free. It is never held
# back for that: where anything is in doubt it passes, and frees nothing.

from gateway.errors import BodyTooLarge, Overloaded, RequestBroken, StoreError
from gateway.guard.changes import ResourceChange, read_change
from gateway.guard.decision import Conflict, Found
from gateway.guard.identity import RequestView
from gateway.guard.rules import Match
from gateway.model import State
from gateway.proxy import answers
from gateway.proxy.changes import Busy, ResourceChanges
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import pass_on
from gateway.proxy.in_flight import InFlightWait


class ReleaseHandler:
    """Answers requests that delete, one call each."""

    def __init__(self, deps: HandlerDependencies, steps: CreateHandler) -> None:
        """`steps` are those that changes have in common with creates."""
        self._deps = deps
        self._steps = steps
        self._changes = ResourceChanges(deps, steps)

    def __repr__(self) -> str:
        return "ReleaseHandler()"

    async def __call__(self, request: RequestContext, match: Match) -> None:
        """Answer one."""
        rule, exchange, deps = match.rule, request.exchange, self._deps
        client = exchange.client_address() if rule.reads_client else None
        view = RequestView(exchange.headers, request.target.query, match.variables, b"", client=client)
        change = read_change(rule, exchange.head.method, request.target.path, view, deps.fingerprinter)
        try:
            if change is None or not await deps.store.find_linked(change.link, deps.wall_clock()):
                await pass_on(request, deps.stopwatch, deps.idle_timeouts)
                return
        except StoreError as error:
            await self._skip(request, rule.name, str(error))
            return
        self._steps.prepare(request, rule)
        try:
            request.body = await exchange.read_short_body(rule.formats.limit)
        except (RequestBroken, BodyTooLarge, Overloaded) as failure:
            request.reply(answers.unreadable(failure, rule.name))
            return
        await self._carry_out(request, change, view)

    async def _carry_out(self, request: RequestContext, change: ResourceChange, view: RequestView) -> None:
        deps, rule = self._deps, change.rule
        waiting = InFlightWait(deps.in_flight, deps.stopwatch, request.exchange, rule)
        while True:
            met = await self._changes.carry_out(change, request, view)
            if met is None:
                return
            if not isinstance(met, Busy):
                await self._skip(request, rule.name, str(met))
                return
            if met.record.state is not State.IN_FLIGHT:
                await self._skip(request, rule.name, "the outcome of an earlier change is not known")
                return
            if not await waiting.ended(Found(Conflict.IN_PROGRESS, met.slot, met.record)):
                await self._skip(request, rule.name, "another change of it is under way")
                return

    async def _skip(self, request: RequestContext, rule: str, reason: str) -> None:
        """Pass a request on without freeing anything, and say why."""
        self._deps.telemetry.repeated("release-skipped", "warning", rule=rule, reason=reason)
        await pass_on(request, self._deps.stopwatch, self._deps.idle_timeouts)
