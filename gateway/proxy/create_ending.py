# How a create ends: what the API's answer comes to, as far as it is known.

from collections.abc import Callable, Sequence

from gateway.guard import decision
from gateway.guard.decision import ItemOutcome, Outcome
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.guard.resource import locate
from gateway.model import Settlement, State
from gateway.proxy.batch import judge_batch
from gateway.proxy.judgement import OUTCOMES, judge_answer, judge_whole, read_ahead
from gateway.proxy.stored_answers import AnswerCipher, for_retries, may_be_stored
from gateway.telemetry import Telemetry
from gateway.upstream.results import UpstreamResponse


class CreateEnding:
    """The end of one create.

    Mutable state: all that is known of it. At every moment it is what must be settled if nothing more becomes known.
    """

    __slots__ = (
        "_cipher", "_link_of", "_operation", "_telemetry", "_view", "answer", "items", "kept", "link", "outcome",
        "resource",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        view: RequestView,
        cipher: AnswerCipher,
        telemetry: Telemetry,
        link_of: Callable[[str | None], bytes | None] | None,
    ) -> None:
        """`link_of` says what claims are found by from a link on; None where the rule does not follow resources."""
        self._operation = operation
        self._link_of = link_of
        self._view = view
        self._cipher = cipher
        self._telemetry = telemetry
        self.outcome = Outcome.NO_RESPONSE
        self.items: Sequence[ItemOutcome] | None = None
        """What became of each item of a batch; None where the outcome is that of all."""
        self.resource: str | None = None
        """Where the created thing lives."""
        self.link: bytes | None = None
        """What its claims are found by from now on."""
        self.kept: UpstreamResponse | None = None
        """The answer that retries get."""
        self.answer: bytes | None = None
        """The same, encrypted."""

    def __repr__(self) -> str:
        return f"CreateEnding({self.outcome.value})"

    async def judge(self, result: UpstreamResponse) -> UpstreamResponse:
        """Find out what an answer means, which may take its body; returns it as far as it was read then."""
        rule = self._operation.rule
        if rule.batch is not None:
            self.outcome = Outcome.UNCERTAIN  # until it is known what became of each item
            result, self.outcome, self.items = await judge_batch(rule, rule.batch, result, len(self._view.items))
        else:
            self.outcome, needs_body = judge_answer(rule, result)
            if needs_body:  # until it has come, what its head says stands
                result, self.outcome = await judge_whole(rule, result)
            asked_for = self._operation.wanted or self._operation.claims
            self.outcome = decision.about_claims(rule, self.outcome, asked_for)
        if decision.ON_OUTCOME[self.outcome] is not State.CREATED:
            return result
        limit = rule.replay_limit if self.outcome is Outcome.SUCCEEDED else 0
        if limit and not may_be_stored(result, limit):
            limit = 0
        if rule.resource is not None or limit:
            result = await read_ahead(rule, result, limit)
        if rule.resource is not None and rule.batch is None:
            self.resource = locate(rule.resource, result.headers, result.body)
        if self._link_of is not None:
            self.link = self._link_of(self.resource)
            if self.items is not None:
                self.items = [item._replace(link=self._link_of(item.resource)) for item in self.items]
        if limit and result.rest is None and len(result.body) <= limit:
            self.kept = for_retries(result)
            self.answer = self._encrypt(self.kept)
        return result

    @property
    def said(self) -> str:
        """What log and metrics say of it."""
        return OUTCOMES[self.outcome]

    @property
    def marked(self) -> str:
        """The key of what its answer is marked with; see status_fields."""
        is_unknown = self.outcome is Outcome.FAILED and not self._operation.rule.failed_is_free
        return "unknown" if is_unknown else OUTCOMES[self.outcome]

    def settlement(self, now: int) -> Settlement:
        """What becomes of the operation's claims. `now` in milliseconds."""
        rule, claims = self._operation.rule, self._operation.claims
        if self.items is not None:
            return decision.settle_items(rule, self.items, now, claims, self.answer)
        return decision.settle(rule, self.outcome, now, self.resource, self.answer, claims, self.link)

    def _encrypt(self, answer: UpstreamResponse) -> bytes | None:
        """Encrypt an answer; None when that fails: the create succeeded all the same, and its client is told so."""
        try:
            return self._cipher.encrypt(self._operation.owner, answer)
        except Exception as error:  # noqa: BLE001 whatever the library raises
            name, reason = self._operation.rule.name, type(error).__name__
            self._telemetry.repeated("answer-not-stored", "error", rule=name, reason=reason)
            return None
