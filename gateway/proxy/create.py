# One create that a rule guards: THE order of its steps. What each step decides is decided elsewhere.
#
# Read body -> claims -> reserve -> send -> settle -> answer. From the moment it is reserved, anything that happens here
# (an error, a cancellation, a client that leaves) ends in a settlement, made before anything else is awaited.

import asyncio
from collections.abc import Sequence

import msgspec

from gateway.errors import (
    BodyTooLarge,
    IdentityError,
    Malformed,
    Overloaded,
    RepeatedItems,
    RequestBroken,
    SpoolError,
    StoreBusy,
    StoreError,
)
from gateway.guard import decision
from gateway.guard.claims import claims, with_items
from gateway.guard.decision import Conflict, Found
from gateway.guard.exceptions import excepts_body, excepts_head
from gateway.guard.following import RESOURCE
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.guard.rule import Rule
from gateway.guard.rules import Match
from gateway.http.problem import problem
from gateway.model import FREE, Claim, Held, Reserved
from gateway.proxy import answers
from gateway.proxy.authorize import Authorizer
from gateway.proxy.conflicts import ConflictAnswers
from gateway.proxy.context import RequestContext, refuse_without_store
from gateway.proxy.create_ending import CreateEnding
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.in_flight import InFlightWait, owner_tokens
from gateway.proxy.linking import link_maker
from gateway.proxy.override import Overrides, also_held, free_claims, is_overridden
from gateway.proxy.sender import Sender
from gateway.proxy.stored_answers import AnswerCipher, RecentAnswers


class CreateHandler:
    """Answers creates, one call each. Mutable state: the owner tokens it has given out."""

    def __init__(self, deps: HandlerDependencies, sender: Sender) -> None:
        self._deps = deps
        self.owners = owner_tokens()
        self._cipher = AnswerCipher(deps.fingerprinter.answer_key)
        self.sender = sender
        self._recent = RecentAnswers()
        self._conflicts = ConflictAnswers(deps, self._cipher, self._recent, sender.status_fields)
        self._authorizer = Authorizer(deps, sender.status_fields)
        self._overrides = Overrides(deps)

    def __repr__(self) -> str:
        return "CreateHandler()"

    async def __call__(self, request: RequestContext, match: Match) -> None:
        """Answer one create."""
        rule, exchange = match.rule, request.exchange
        self.prepare(request, rule)
        request.answer_is_read = (rule.outcomes is not None or rule.batch is not None) and rule.reads_answer
        head = exchange.head
        line = f"{head.method} {head.target}".encode() if rule.tells_retries else b""
        client = exchange.client_address() if rule.reads_client else None
        waiting = InFlightWait(self._deps.in_flight, self._deps.stopwatch, exchange, rule)
        if rule.exceptions is not None and await self._exempts(request, match, client):
            return
        try:
            # Where not everybody may know, a body that is wanted, or not, must not tell whether a claim is held.
            if exchange.expects_continue and rule.answers_before_body:
                view = RequestView(exchange.headers, request.target.query, match.variables, b"", client=client)
                if await self._answer_before_body(request, rule, view, waiting):
                    return
            if rule.spooling is not None:
                await self._deps.spooler.read(request, rule)
            else:
                read = exchange.read_body if rule.needs_body else exchange.read_short_body
                request.body = await read(rule.formats.limit)
            body, query = request.body or b"", request.target.query
            view = RequestView(exchange.headers, query, match.variables, body, line, client, request.spooled)
            if rule.exceptions is not None and await self._exempts(request, match, client, view):
                return
            if rule.batch is not None:
                view = with_items(rule.batch, view, rule.formats)
            wanted = claims(rule, view, self._deps.fingerprinter)
        except Malformed as error:
            described_by = rule.key and rule.key.described_by
            link = f'Link: <{described_by}>; rel="describedby"\r\n'.encode() if described_by else b""
            request.reply(problem(error.slug, error.detail, rule.name), link)
            return
        except (RequestBroken, BodyTooLarge, Overloaded, RepeatedItems, SpoolError) as error:
            request.reply(answers.unreadable(error, rule.name))
            return
        except IdentityError as error:
            await self.unreadable(request, rule, error)
            return
        if not wanted:
            await self.sender.forward_unguarded(request, "no-key")
            return
        request.record.fingerprint = wanted[0].fingerprint.hex()[:12]
        if rule.authorize is not None and await self.refuses_first(request, rule, wanted):
            return
        await self._reserve(request, rule, wanted, view, waiting)

    async def _exempts(
        self, request: RequestContext, match: Match, client: str | None, view: RequestView | None = None
    ) -> bool:
        """Whether a request is left unguarded; then it was forwarded. `view` is given once its body has been read."""
        rule, exceptions = match.rule, match.rule.exceptions
        if exceptions is None:
            return False
        if view is None:
            view = RequestView(request.exchange.headers, request.target.query, match.variables, b"", client=client)
            is_exempt = excepts_head(exceptions, rule, view)
        else:
            is_exempt = request.is_read and excepts_body(exceptions, rule, view)
        if is_exempt:
            await self.sender.forward_exempt(request)
        return is_exempt

    def prepare(self, request: RequestContext, rule: Rule) -> None:
        """Have the answers to a request be those of a rule."""
        request.record.rule = rule.name
        request.status_fields = self.sender.status_fields
        request.shapes = rule.answers

    async def refuses_first(self, request: RequestContext, rule: Rule, wanted: Sequence[Claim]) -> bool:
        """Whether the API refused the caller before anything was claimed, where the rule asks then; see Authorizer."""
        asks_first = rule.authorize is not None and rule.authorize.before_claim
        return asks_first and await self._authorizer.refuses(request, rule, wanted)

    async def unreadable(self, request: RequestContext, rule: Rule, error: IdentityError) -> None:
        """Do what a rule says about a create that cannot be read."""
        if rule.forwards_missing:
            await self.sender.forward_unguarded(request, "missing-identity")
        else:
            request.reply(*answers.missing_identity(error, rule.name))

    async def _answer_before_body(
        self, request: RequestContext, rule: Rule, view: RequestView, waiting: InFlightWait
    ) -> bool:
        """Answer a create whose claims are held already, while its client still keeps the body back."""
        deps = self._deps
        try:
            wanted = claims(rule, view, deps.fingerprinter)
            while True:
                now = deps.wall_clock()
                found = [(claim, await deps.store.get(claim.fingerprint, now)) for claim in wanted]
                held = [(claim, holder) for claim, holder in found if holder is not None]
                if not held:
                    return False
                if not await self.look_again(HeldCreate(request, rule, view, wanted, Held(tuple(held)), now), waiting):
                    return True
        except IdentityError:
            return False  # the answer to that comes once the body has been read
        except StoreError as error:
            if deps.forward_without_store:
                return False
            refuse_without_store(request, deps.telemetry, error)
            return True

    async def _reserve(
        self, request: RequestContext, rule: Rule, wanted: Sequence[Claim], view: RequestView, waiting: InFlightWait
    ) -> None:
        """Reserve the claims and forward, or answer why not, after a wait for what holds them."""
        deps = self._deps
        while True:
            now = deps.wall_clock()
            held = deps.store.find_held(wanted, now)
            if held is None:
                operation = Operation(rule, wanted, next(self.owners), now)
                deps.in_flight.begin(operation.owner)
                try:
                    reserved = await self._ask_store(request, operation)
                    if isinstance(reserved, Reserved):
                        await self._send_and_settle(request, operation, view)
                        return
                finally:
                    deps.in_flight.end(operation.owner)
                if reserved is None:
                    return
                held = reserved
            if not await self.look_again(HeldCreate(request, rule, view, wanted, held, now), waiting):
                return

    async def look_again(self, create: HeldCreate, waiting: InFlightWait) -> bool:
        """Wait for the end of what holds a create's claims, or answer it; whether its claims may be free now."""
        if create.rule.authorize is not None and await self._authorizer.refuses(
            create.request, create.rule, create.wanted
        ):
            return False
        found = decision.pick_conflict(create.rule, create.held, create.now)
        if found.conflict is Conflict.IN_PROGRESS and await waiting.ended(found):
            return True
        if create.rule.verify is not None and found.conflict is Conflict.OUTCOME_UNKNOWN:
            answered = await self._deps.verifier.find_out(create, found, waiting)
            if answered.is_settled:
                return True
            create = msgspec.structs.replace(create, retry_after=answered.retry_after)
        if create.rule.override is not None and is_overridden(create, found):
            return await self._override(create, found, waiting)
        return await self._conflicts.answer(create, found)

    async def _override(self, create: HeldCreate, found: Found, waiting: InFlightWait) -> bool:
        """Forward a duplicate all the same, with what is free of its claims; whether to look again, as it was not."""
        deps, request = self._deps, create.request
        operation = Operation(create.rule, free_claims(create), next(self.owners), deps.wall_clock(), create.wanted)
        deps.in_flight.begin(operation.owner)
        try:
            reserved = await self._ask_store(request, operation) if operation.claims else Reserved()
            if isinstance(reserved, Reserved):
                if not await self._overrides.note(create, found, operation):
                    return await self._conflicts.answer(create, found)
                if operation.claims:
                    await self._send_and_settle(request, operation, create.view, "overridden")
                else:
                    await self.sender.forward_overridden(request)
                await self._overrides.note_unsent(create, found)
                return False
        finally:
            deps.in_flight.end(operation.owner)
        return reserved is not None and await self.look_again(also_held(create, reserved), waiting)

    async def _ask_store(self, request: RequestContext, operation: Operation) -> Reserved | Held | None:
        """Reserve an operation's claims; None when the store could not, and the request was answered."""
        try:
            return await self.reserve(operation)
        except StoreError as error:
            await self.go_without_store(request, operation.rule, error)
            return None

    async def go_without_store(self, request: RequestContext, rule: Rule, error: StoreError) -> None:
        """Answer, or forward without a guard, what could not be reserved. Nothing was sent."""
        deps = self._deps
        if isinstance(error, StoreBusy) or not deps.forward_without_store:
            refuse_without_store(request, deps.telemetry, error)
            return
        deps.telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
        await self.sender.forward_unguarded(request, "store-unavailable")

    async def reserve(self, operation: Operation) -> Reserved | Held:
        """Reserve an operation's claims. Raises StoreError."""
        deps, claims = self._deps, operation.claims
        try:
            reserved = await deps.store.reserve(claims, operation.owner, operation.reserved_at)
        except asyncio.CancelledError:
            # It may have been reserved all the same. Nothing was sent, so it is free; the store keeps the order.
            deps.store.settle(operation.owner, claims, FREE, deps.wall_clock())
            raise
        if isinstance(reserved, Reserved):
            for lapsed in reserved.lapsed:
                if lapsed.entry == RESOURCE and operation.rule.action is not None:
                    continue  # an identity of it that is unknown is held for longer
                deps.telemetry.event(
                    "unknown-lapsed", "warning", rule=lapsed.rule, fingerprint=lapsed.fingerprint.hex()[:12]
                )
        return reserved

    async def _send_and_settle(
        self, request: RequestContext, operation: Operation, view: RequestView, mark: str | None = None
    ) -> None:
        """Forward a create that holds its claims. `mark` is what is said of it in place of how it ended."""
        sender, record = self.sender, request.record
        link_of = link_maker(operation.rule, operation.claims, request, self._deps.fingerprinter)
        ending = CreateEnding(operation, view, self._cipher, self._deps.telemetry, link_of)
        result, settled = await sender.send_operation(request, operation, view, ending, operation.claims)
        is_written = await sender.is_written(record, settled, result)
        if is_written and ending.kept is not None and ending.answer is not None:
            self._recent.remember(operation.owner, ending.kept)
        record.outcome = mark or ending.said
        request.fields = sender.status_fields[mark or ending.marked]
        await deliver(request, result, self._deps.idle_timeouts)
