# Finds out what became of creates whose outcome is unknown, by asking the API: when another create meets one of them,
# and, where a rule has credentials of its own for it, without one.

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.errors import BodyTooLarge, IdentityError, StoreError
from gateway.guard.decision import Found
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import link_key
from gateway.guard.identity import RequestView, sent_values
from gateway.guard.operation import Operation
from gateway.guard.question import CREDENTIALS, Verify, fill
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.rule import Rule
from gateway.http.paths import named_host, named_hosts
from gateway.model import FOREVER, Claim, Record, Settlement, State
from gateway.proxy.asking import (
    ANOTHER_CALLER,
    NOTHING,
    SOON,
    Answered,
    Asker,
    Question,
    question_fields,
    unknown_since,
)
from gateway.proxy.context import RequestContext
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.in_flight import InFlightWait
from gateway.proxy.subrequest import ask, ask_alone
from gateway.proxy.unknown import MAX_DELAY, UnknownCreate, UnknownCreates
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_Answer = UpstreamResponse | NotSent | NoResponse

MAX_QUESTIONS = 4
"""Questions at once that the gateway asks by itself."""


class _Asking:
    """A question under way, and how many creates wait for its answer beside the one that asked."""

    def __init__(self, task: "asyncio.Task[Answered]") -> None:
        self.task = task
        self.waiting = 0


class Verifier:
    """Mutable state: the creates that are remembered, and the questions under way, one at most for each operation."""

    def __init__(
        self, store: Store, fingerprinter: Fingerprinter, telemetry: Telemetry, wall_clock: Callable[[], int]
    ) -> None:
        """`wall_clock` gives milliseconds since the epoch."""
        self._store = store
        self._fingerprinter = fingerprinter
        self._asker = Asker(store, telemetry, wall_clock)
        self._wall_clock = wall_clock
        self._unknown = UnknownCreates()
        self._asking: dict[bytes, _Asking] = {}

    def __repr__(self) -> str:
        return f"Verifier({self._unknown!r}, {len(self._asking)} questions)"

    # Creates that are sent

    def remember(
        self,
        operation: Operation,
        claims: Sequence[Claim],
        request: RequestContext,
        view: RequestView,
        settlement: Settlement,
    ) -> None:
        """Remember a create that was settled as unknown, with its values as sent, under a rule with `verify`.

        `claims` are those of the operation that the API can say something about.
        """
        rule, verify = operation.rule, operation.rule.verify
        if verify is None or settlement.state is not State.UNKNOWN:
            return
        try:
            values = sent_values(rule, view)
        except (IdentityError, BodyTooLarge):  # they were read before
            return
        target = fill(verify.question, values)
        if target is None:
            return
        since = self._wall_clock()
        now = asyncio.get_running_loop().time()
        hold = math.inf if settlement.expires_at == FOREVER else rule.unknown_hold / 1000
        delay = verify.absent_after / 1000
        create = UnknownCreate(
            operation.owner,
            rule,
            claims,
            values,
            target,
            request.exchange.headers.first(b"host"),
            request.upstream,
            max(since, operation.reserved_at),
            now + hold,
            delay,
        )
        self._unknown.remember(create, now + delay if verify.headers else math.inf)

    # Creates that meet one

    async def find_out(self, create: HeldCreate, found: Found, waiting: InFlightWait) -> Answered:
        """Ask the API about the operation that a create met, or wait for the answer to a question under way."""
        rule, record = create.rule, found.record
        verify = rule.verify
        is_asked = record.owner == waiting.asked
        if verify is None or record.rule != rule.name or is_asked or create.request.exchange.is_gone:
            return NOTHING
        waiting.asked = record.owner
        is_same_caller = bool(verify.headers) or (not rule.caller_is_unproven and _is_same_caller(create, found))
        with waiting.may_stop():
            while (asking := self._asking.get(record.owner)) is not None:
                answered = await self._join(asking, rule, waiting)
                if not (answered.doubts_caller and is_same_caller):
                    return answered
            try:
                question = self._question(create, verify, record, is_same_caller=is_same_caller)
            except (IdentityError, BodyTooLarge):  # not so: it was read before
                question = None
            if question is None:
                return NOTHING
            return await asyncio.shield(self._begin(question))

    async def _join(self, asking: _Asking, rule: Rule, waiting: InFlightWait) -> Answered:
        seconds = waiting.remaining()
        if seconds <= 0 or asking.waiting >= rule.max_waiting_clients:
            return SOON
        asking.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                answered = await asyncio.shield(asking.task)
        except TimeoutError:
            return SOON
        finally:
            asking.waiting -= 1
        if answered.is_settled:
            return answered
        return msgspec.structs.replace(answered, retry_after=answered.retry_after or 1)

    def _question(self, create: HeldCreate, verify: Verify, record: Record, *, is_same_caller: bool) -> Question | None:
        """The question of a create that meets one of unknown outcome; None when none can be asked about that."""
        rule, request, known = create.rule, create.request, self._unknown.get(record.owner)
        target, doubt, since = None, None if is_same_caller else ANOTHER_CALLER, unknown_since(record)
        claims: Sequence[Claim]
        if known is not None:
            values, claims, since = known.values, known.claims, max(since, known.since)
            target = fill(verify.question, values)  # None when the rules have changed
        if target is None:
            met = [(claim, holder) for claim, holder in create.held.conflicts if holder.owner == record.owner]
            about = [each for each in met if each[0].version in verify.covered]
            if not about:
                return None
            values, claims = sent_values(rule, create.view), [claim for claim, _ in met]
            target = fill(verify.question, values)
            if target is None:
                return None
            if not _is_spelt_alike(rule, about):
                doubt = "the unknown create may have spelt its values otherwise"
        fields, names = question_fields(rule, verify, values)

        def send() -> Awaitable[_Answer]:
            if verify.headers:
                return ask_alone(request.upstream, target, request.exchange.headers.first(b"host"), fields, MAX_ANSWER)
            return ask(request, target, MAX_ANSWER, fields, names)

        hosts = named_hosts(request.target, request.exchange.headers) | request.upstream.hosts
        link_of = self._link_maker(rule, record, target, hosts)
        return Question(rule, verify, record, claims, since, doubt, link_of, "create", send)

    # By itself

    async def run(self) -> None:
        """Ask about creates that are due, until cancelled; then no question is under way any more."""
        slots = asyncio.Semaphore(MAX_QUESTIONS)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await slots.acquire()
                    due = await self._unknown.next_due()
                    group.create_task(self._ask_by_itself(due)).add_done_callback(lambda _: slots.release())
        finally:
            tasks = [asking.task for asking in self._asking.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask_by_itself(self, create: UnknownCreate) -> None:
        answered = await self._find_out_alone(create)
        if answered is None or answered.is_settled:
            self._unknown.forget(create.owner)
            return
        delay, create.delay = create.delay, min(2 * create.delay, max(MAX_DELAY, create.delay))
        if answered.retry_after is not None:
            delay = answered.retry_after
        self._unknown.postpone(create, asyncio.get_running_loop().time() + delay)

    async def _find_out_alone(self, create: UnknownCreate) -> Answered | None:
        """Ask about a create, or wait for the answer to a question under way; None when its outcome is known by now."""
        asking = self._asking.get(create.owner)
        if asking is not None:
            return await asyncio.shield(asking.task)
        try:
            record = await self._store.get(create.claims[0].fingerprint, self._wall_clock())
        except StoreError:
            return NOTHING
        if record is None or record.owner != create.owner or record.state is State.CREATED:
            return None
        verify = create.rule.verify
        if record.state is not State.UNKNOWN or verify is None or create.owner in self._asking:
            return NOTHING
        fields, _ = question_fields(create.rule, verify, create.values)

        def send() -> Awaitable[_Answer]:
            return ask_alone(create.upstream, create.target, create.host, fields, MAX_ANSWER)

        since = max(create.since, unknown_since(record))
        hosts = create.upstream.hosts | ({named_host(create.host.decode("latin-1"))} if create.host else frozenset())
        link_of = self._link_maker(create.rule, record, create.target, hosts)
        question = Question(create.rule, verify, record, create.claims, since, None, link_of, "background", send)
        return await asyncio.shield(self._begin(question))

    # Asking

    def _link_maker(
        self, rule: Rule, record: Record, target: str, hosts: frozenset[str]
    ) -> Callable[[str | None], bytes | None]:
        """Say what the claims of a create are found by, from the link in an answer to a question on."""
        base = target.partition("?")[0]
        return lambda link: link_key(rule.followed, rule.namespace, self._fingerprinter, record.link, link, base, hosts)

    def _begin(self, question: Question) -> "asyncio.Task[Answered]":
        """Ask in a task of its own, so that a client that leaves takes the answer from nobody."""
        owner = question.record.owner
        task = asyncio.get_running_loop().create_task(self._asker.ask(question), name="verify")
        self._asking[owner] = _Asking(task)
        task.add_done_callback(lambda ended: self._end(owner, ended))
        return task

    def _end(self, owner: bytes, task: "asyncio.Task[Answered]") -> None:
        del self._asking[owner]
        if not task.cancelled() and task.result().is_settled:
            self._unknown.forget(owner)


def _is_same_caller(create: HeldCreate, found: Found) -> bool:
    """Whether a create has the credentials of the one of unknown outcome: another caller may not see what that made.

    Anonymous callers count as one, when they have none.
    """
    if found.record.caller != found.claim.caller:
        return False
    return found.claim.caller is not None or CREDENTIALS.isdisjoint(create.request.exchange.headers.names)


def _is_spelt_alike(rule: Rule, about: Sequence[tuple[Claim, Record]]) -> bool:
    """Whether a create has the values of the unknown one as they were sent: an API may search for just these.

    Those without normalisers are equal; for others the claim has a hash of them.
    """
    exact = {entry.version for entry in rule.all_entries if entry.keeps_spelling}
    return any(
        claim.version in exact
        or (rule.marks_spelling and claim.payload is not None and claim.payload == record.payload)
        for claim, record in about
    )
