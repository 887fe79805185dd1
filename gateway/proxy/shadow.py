# Creates of rules in shadow: forwarded, whatever such a rule says. It claims as though it were enforced, so that it is
# known what it would have stopped: that is marked, counted, and stopped as soon as the rule is enforced.
#
# Nothing of it may break a request. It asks nothing of the client and, but for the create, nothing of the API. It waits
# for a body, for the store and for what an answer means only for so long as is said here, and for another create never.

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from gateway.errors import BodyTooLarge, IdentityError, Malformed, Overloaded, RepeatedItems, RequestBroken, StoreError
from gateway.guard.claims import claims, read_caller, with_items
from gateway.guard.decision import pick_conflict
from gateway.guard.exceptions import excepts_body, excepts_head
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.guard.rule import Rule
from gateway.guard.rules import Match, Refusal
from gateway.guard.when import body_limit, choose
from gateway.guard.would import would_be, would_be_unread
from gateway.model import FREE, Claim, Held, Reserved
from gateway.proxy.context import RequestContext
from gateway.proxy.create_ending import CreateEnding
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver
from gateway.proxy.in_flight import owner_tokens
from gateway.proxy.linking import link_maker
from gateway.proxy.sender import Sender
from gateway.proxy.stored_answers import AnswerCipher

BODY_WAIT = 2.0
"""Seconds for which a body is waited for; one that takes longer is sent as it comes."""
STORE_WAIT = 0.25
"""Seconds for which a create waits for the store; none while it has not answered one that has waited in vain."""
_NO_VARIABLES: Mapping[str, str] = defaultdict(str)
"""Those of a path that can be read in more than one way."""


class _Stopped(Exception):
    """A create for which nothing is claimed: what `match` says of it, and what `would` have become of it."""

    def __init__(self, match: Match, would: str) -> None:
        super().__init__(would)
        self.match = match
        self.would = would


class _Exempt(Exception):
    """A create that a rule leaves unguarded."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule.name)
        self.rule = rule


class ShadowHandler:
    """Answers what only rules in shadow match.

    Mutable state: the owner tokens it has given out; the settlements that are waited for; a reservation that was waited
    for in vain.
    """

    def __init__(self, deps: HandlerDependencies, sender: Sender) -> None:
        self._deps = deps
        self._sender = sender
        self._owners = owner_tokens()
        self._cipher = AnswerCipher(deps.fingerprinter.answer_key)
        self._settling: set[asyncio.Task[bool]] = set()
        self._late: asyncio.Future[Reserved | Held] | None = None

    def __repr__(self) -> str:
        return f"ShadowHandler({len(self._settling)} settling)"

    async def __call__(self, request: RequestContext, met: Match | Refusal) -> bool:
        """Forward a request; False when it was not, because no rule matches it after all."""
        if isinstance(met, Refusal):
            if met.rule is None:
                return False
            caller = self._caller(met.rule, _view(request, met.rule, _NO_VARIABLES))
            await self._forward(request, met.rule, met.slug, caller)
            return True
        try:
            match = await self._choose(request, met) if met.is_open else met
            if match is None:
                return False
            view, wanted = await self._read(request, match)
        except _Exempt as exempt:
            self.prepare(request, exempt.rule)
            await self._sender.forward_exempt(request)
        except _Stopped as stopped:
            rule, variables = stopped.match.rule, stopped.match.variables
            await self._forward(request, rule, stopped.would, self._caller(rule, _view(request, rule, variables)))
        else:
            await self._guard(request, match.rule, wanted, view)
        return True

    def prepare(self, request: RequestContext, rule: Rule) -> None:
        """Note under which rule a request is forwarded."""
        request.record.rule = rule.name

    async def _choose(self, request: RequestContext, match: Match) -> Match | None:
        """Say which rule matches a request whose body may decide that. Raises _Stopped."""
        limit = body_limit(match)
        if limit is not None:
            await self._read_body(request, match, limit, is_needed=True)
        chosen, error = choose(match, _view(request, match.rule, match.variables))
        if chosen is not None and error is not None:
            raise _Stopped(chosen, would_be_unread(chosen.rule, error))
        return chosen

    async def _read(self, request: RequestContext, match: Match) -> tuple[RequestView, tuple[Claim, ...]]:
        """What a rule reads of a create, and its claims. Raises _Exempt, and _Stopped."""
        rule = match.rule
        exceptions = rule.exceptions
        if exceptions is not None and excepts_head(exceptions, rule, _view(request, rule, match.variables)):
            raise _Exempt(rule)
        await self._read_body(request, match, rule.formats.limit, is_needed=rule.needs_body)
        view = _view(request, rule, match.variables)
        if exceptions is not None and request.is_read and excepts_body(exceptions, rule, view):
            raise _Exempt(rule)
        try:
            if rule.batch is not None:
                view = with_items(rule.batch, view, rule.formats)
            wanted = claims(rule, view, self._deps.fingerprinter)
        except (Malformed, BodyTooLarge, IdentityError, RepeatedItems) as error:
            raise _Stopped(match, would_be_unread(rule, error)) from None
        if not wanted:
            raise _Stopped(match, "unguarded")
        return view, wanted

    async def _read_body(self, request: RequestContext, match: Match, limit: int, *, is_needed: bool) -> None:
        """Read a body into memory, if it comes soon; whatever was read of it can be sent.

        Raises _Stopped when nothing can be said without it.
        """
        exchange, rule = request.exchange, match.rule
        would, is_missing = "unseen", False
        try:
            if exchange.has_spare_memory:  # the rest is for rules that are enforced
                async with asyncio.timeout(BODY_WAIT):
                    request.body = await exchange.read_body(limit)
        except (TimeoutError, Overloaded):
            is_missing = True
        except BodyTooLarge as error:
            is_missing = True
            if rule.spooling is None:  # nothing is written to a file for it
                would = would_be_unread(rule, error)
        except RequestBroken as error:
            raise _Stopped(match, would_be_unread(rule, error)) from None
        if is_needed and (is_missing or request.body is None):
            raise _Stopped(match, would)

    async def _guard(self, request: RequestContext, rule: Rule, wanted: tuple[Claim, ...], view: RequestView) -> None:
        """Claim and forward, or forward only."""
        deps = self._deps
        request.record.fingerprint = wanted[0].fingerprint.hex()[:12]
        now = deps.wall_clock()
        held = deps.store.find_held(wanted, now)
        if held is None:
            operation = Operation(rule, wanted, next(self._owners), now)
            deps.in_flight.begin(operation.owner)
            try:
                reserved = await self._reserve(operation)
                if isinstance(reserved, Reserved):
                    await self._send_and_settle(request, operation, view)
                    return
            finally:
                deps.in_flight.end(operation.owner)
            if reserved is None:
                would = "unguarded" if deps.forward_without_store else "store-unavailable"
                await self._forward(request, rule, would, self._caller(rule, view))
                return
            held = reserved
        found = pick_conflict(rule, held, now)
        request.record.fingerprint = found.record.fingerprint.hex()[:12]
        await self._forward(request, rule, would_be(rule, found, view), self._caller(rule, view), found.claim.entry)

    async def _reserve(self, operation: Operation) -> Reserved | Held | None:
        """Reserve an operation's claims, if the store does it soon; None when it does not, and nothing is reserved."""
        if self._late is not None:
            if not self._late.done():
                return None
            self._late = None
        deps, owner, wanted = self._deps, operation.owner, operation.claims
        try:
            reserving = asyncio.ensure_future(deps.store.reserve(wanted, owner, operation.reserved_at))
            done, _ = await asyncio.wait([reserving], timeout=STORE_WAIT)
            if done:
                return reserving.result()
        except StoreError as error:
            deps.telemetry.repeated("store-failure", "error", rule=operation.rule.name, reason=str(error))
            return None
        except asyncio.CancelledError:
            deps.store.settle(owner, wanted, FREE, deps.wall_clock())
            raise
        self._late = reserving
        deps.store.settle(owner, wanted, FREE, deps.wall_clock())  # it may be reserved yet; the store keeps the order
        return None

    async def _send_and_settle(self, request: RequestContext, operation: Operation, view: RequestView) -> None:
        rule, record = operation.rule, request.record
        self.prepare(request, rule)
        request.answer_is_read = (rule.outcomes is not None or rule.batch is not None) and rule.reads_answer
        request.status_fields = self._sender.status_fields
        link_of = link_maker(rule, operation.claims, request, self._deps.fingerprinter)
        ending = CreateEnding(operation, view, self._cipher, self._deps.telemetry, link_of)
        result, settled = await self._sender.send_operation(request, operation, view, ending, (), is_shadow=True)
        # Nobody waits for that; it has no span, because that of the create may be over by then.
        task = asyncio.create_task(Sender.is_written(self._sender, record, settled))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        record.outcome = ending.said
        request.fields = self._sender.status_fields[ending.marked]
        await deliver(request, result, self._deps.idle_timeouts)

    async def _forward(
        self, request: RequestContext, rule: Rule, would: str, caller: bytes | None, entry: str = ""
    ) -> None:
        """Forward a create that the rule would have treated otherwise, mark its answer, and count it."""
        self.prepare(request, rule)
        request.record.outcome = "shadow"
        request.record.would = would
        self._deps.telemetry.would(rule.name, entry, would, caller)
        await self._sender.pass_on(request, self._sender.status_fields[f"shadow; would={would}"])

    def _caller(self, rule: Rule, view: RequestView) -> bytes | None:
        """Who sends a create, also where the rule does not need to know; None for nobody in particular."""
        try:
            return read_caller(rule, view, self._deps.fingerprinter)
        except IdentityError:
            return None


def _view(request: RequestContext, rule: Rule, variables: Mapping[str, str]) -> RequestView:
    """What rules read of a request, as far as that was read."""
    exchange = request.exchange
    line = f"{exchange.head.method} {exchange.head.target}".encode() if rule.tells_retries else b""
    client = exchange.client_address() if rule.reads_client else None
    return RequestView(
        exchange.headers, request.target.query, variables, request.body or b"", line, client, request.spooled
    )
