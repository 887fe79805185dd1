# A request that changes what was created: its new identities are claimed first, and its old ones are free once the API
# says that it has changed it.

from gateway.errors import BodyTooLarge, IdentityError, Overloaded, RequestBroken, SpoolError, StoreError
from gateway.guard.changes import ResourceChange, read_change
from gateway.guard.decision import Conflict, Found
from gateway.guard.exceptions import excepts
from gateway.guard.identity import RequestView
from gateway.guard.rules import Match
from gateway.http.paths import named_hosts
from gateway.model import Held, State
from gateway.proxy import answers
from gateway.proxy.changes import Busy, ResourceChanges
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import pass_on
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.in_flight import InFlightWait


class UpdateHandler:
    """Answers requests that change, one call each."""

    def __init__(self, deps: HandlerDependencies, steps: CreateHandler) -> None:
        """`steps` are those that changes have in common with creates."""
        self._deps = deps
        self._steps = steps
        self._changes = ResourceChanges(deps, steps)

    def __repr__(self) -> str:
        return "UpdateHandler()"

    async def __call__(self, request: RequestContext, match: Match) -> None:
        """Answer one."""
        rule, exchange, deps = match.rule, request.exchange, self._deps
        request.answer_is_read = rule.outcomes is not None and rule.reads_answer
        client = exchange.client_address() if rule.reads_client else None
        try:
            if rule.spooling is not None:
                await deps.spooler.read(request, rule)
            else:
                request.body = await exchange.read_body(rule.formats.limit)
            body, query = request.body or b"", request.target.query
            view = RequestView(exchange.headers, query, match.variables, body, b"", client, request.spooled)
            if rule.exceptions is not None and excepts(rule.exceptions, rule, view):
                self._steps.prepare(request, rule)
                await self._steps.sender.forward_exempt(request)
                return
            hosts = named_hosts(request.target, exchange.headers) | request.upstream.hosts
            target = request.target.path
            change = read_change(rule, exchange.head.method, target, view, deps.fingerprinter, hosts)
        except (RequestBroken, BodyTooLarge, Overloaded, SpoolError) as failure:
            self._steps.prepare(request, rule)
            request.reply(answers.unreadable(failure, rule.name))
            return
        except IdentityError as error:
            self._steps.prepare(request, rule)
            await self._steps.unreadable(request, rule, error)
            return
        if change is None:
            await pass_on(request, deps.stopwatch, deps.idle_timeouts)
            return
        self._steps.prepare(request, rule)
        request.record.fingerprint = change.wanted[0].fingerprint.hex()[:12]
        if rule.authorize is not None and await self._steps.refuses_first(request, rule, change.wanted):
            return
        await self._carry_out(request, change, view)

    async def _carry_out(self, request: RequestContext, change: ResourceChange, view: RequestView) -> None:
        deps, rule = self._deps, change.rule
        waiting = InFlightWait(deps.in_flight, deps.stopwatch, request.exchange, rule)
        while True:
            met = await self._changes.carry_out(change, request, view)
            match met:
                case None:
                    return
                case Held():
                    held = HeldCreate(request, rule, view, change.wanted, met, deps.wall_clock())
                    may_be_free = await self._steps.look_again(held, waiting)
                case Busy():
                    may_be_free = await self._wait_or_refuse(request, met, waiting)
                case StoreError():
                    await self._steps.go_without_store(request, rule, met)
                    return
            if not may_be_free:
                return

    async def _wait_or_refuse(self, request: RequestContext, met: Busy, waiting: InFlightWait) -> bool:
        """Wait for the end of another change of the resource, or answer; whether to try again."""
        is_under_way = met.record.state is State.IN_FLIGHT
        kind = Conflict.IN_PROGRESS if is_under_way else Conflict.OUTCOME_UNKNOWN
        if is_under_way and await waiting.ended(Found(Conflict.IN_PROGRESS, met.slot, met.record)):
            return True
        self._deps.telemetry.conflicts[met.slot.rule, met.slot.entry, kind] += 1
        request.reply(answers.busy_resource(kind, met.slot, met.record, self._deps.wall_clock()))
        return False
