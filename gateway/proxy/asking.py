# One question to the API about a create of unknown outcome: what its answer is worth, and what is settled by it.
#
# It may end at any time without harm: nothing is reserved for it, and what it finds out is written in one commit that
# changes only claims which the same operation still holds as unknown.

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from gateway.errors import StoreError
from gateway.guard.decision import later
from gateway.guard.question import Values, Verify, lines_along
from gateway.guard.resource import MAX_ANSWER
from gateway.guard.rule import Rule
from gateway.guard.rules import METHOD_OVERRIDES
from gateway.guard.verdict import Finding, Verdict, read_answer
from gateway.model import FOREVER, FREE, Claim, Record, Settlement, State
from gateway.stores.base import Store
from gateway.telemetry import Telemetry
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_FRESH = b"Cache-Control: no-cache\r\n"  # RFC 9111 5.2.1.4: an old answer would say what was so before the create
_NOT_ASKED = METHOD_OVERRIDES | {b"cache-control"}


class Answered(msgspec.Struct, frozen=True):
    """What came of a question."""

    is_settled: bool
    """Whether the claims may have another state now."""
    retry_after: int | None = None
    """Seconds after which asking again may find out more; None when that is not known."""
    doubts_caller: bool = False
    """Whether the answer would have been believed, had the caller of the unknown create asked."""


NOTHING = Answered(is_settled=False)
SOON = Answered(is_settled=False, retry_after=1)
ANOTHER_CALLER = "another caller asked, who may not see it"
"""A reason not to believe that something does not exist."""


class Question(msgspec.Struct, frozen=True):
    """One question about the operation that holds a record."""

    rule: Rule
    verify: Verify
    record: Record
    claims: Sequence[Claim]
    """What is settled together."""
    since: int
    """The later of when it was sent and when its outcome became unknown, in milliseconds since the epoch."""
    doubt: str | None
    """Why an answer that it did not happen is not believed, whenever it comes; None for no such reason."""
    link_of: Callable[[str | None], bytes | None]
    """What the claims are found by from a link on; None for as they are."""
    by: Literal["create", "background"]
    send: Callable[[], Awaitable[UpstreamResponse | NotSent | NoResponse]]


class Asker:
    """Asks, one call for each question."""

    def __init__(self, store: Store, telemetry: Telemetry, wall_clock: Callable[[], int]) -> None:
        """`wall_clock` gives milliseconds since the epoch."""
        self._store = store
        self._telemetry = telemetry
        self._wall_clock = wall_clock

    def __repr__(self) -> str:
        return "Asker()"

    async def ask(self, question: Question) -> Answered:
        """Ask, settle what is found out, and tell of it."""
        asked_at = self._wall_clock()
        try:
            result = await question.send()
            finding, answered = self._judge(question, asked_at, _read(question.verify, result))
            settlement = self._settlement(question, finding)
            if settlement is not None:
                record = question.record
                is_changed = await self._store.resettle(
                    record.owner, question.claims, State.UNKNOWN, settlement, self._wall_clock()
                )
                if not is_changed:  # an operator or the clock was faster
                    return Answered(is_settled=True)
        except StoreError as error:
            self._telemetry.repeated("store-failure", "error", rule=question.rule.name, reason=str(error))
            return SOON
        except Exception as error:  # noqa: BLE001 - creates that wait for the answer must get theirs
            self._telemetry.event("handler-failed", "error", reason=type(error).__name__, where="asking.py")
            return NOTHING
        self._tell(question, finding)
        return answered

    def _judge(self, question: Question, asked_at: int, finding: Finding) -> tuple[Finding, Answered]:
        """Decide whether a finding is believed."""
        match finding.verdict:
            case Verdict.UNCLEAR:
                return finding, NOTHING
            case Verdict.EXISTS:
                return finding, Answered(is_settled=True)
        left = question.since + question.verify.absent_after - asked_at
        if left > 0:
            answered = Answered(is_settled=False, retry_after=math.ceil(left / 1000))  # at least 1
            return Finding(Verdict.UNCLEAR, "absent, and too early to believe it"), answered
        if question.doubt is not None:
            answered = Answered(is_settled=False, doubts_caller=question.doubt is ANOTHER_CALLER)
            return Finding(Verdict.UNCLEAR, f"absent, but {question.doubt}"), answered
        return finding, Answered(is_settled=True)

    def _settlement(self, question: Question, finding: Finding) -> Settlement | None:
        match finding.verdict:
            case Verdict.EXISTS:
                now = max(self._wall_clock(), question.since)
                link = question.link_of(finding.resource)
                return Settlement(State.CREATED, later(now, question.rule.keep), finding.resource, link=link)
            case Verdict.ABSENT:
                return FREE
            case _:
                return None

    def _tell(self, question: Question, finding: Finding) -> None:
        rule, verdict = question.rule.name, finding.verdict
        self._telemetry.verdicts[rule, verdict] += 1
        self._telemetry.repeated(
            "verified",
            "info",
            rule=rule,
            fingerprint=question.record.fingerprint.hex()[:12],
            verdict=str(verdict),
            by=question.by,
            reason=finding.reason,
        )


def _read(verify: Verify, result: UpstreamResponse | NotSent | NoResponse) -> Finding:
    if isinstance(result, UpstreamResponse):
        is_whole = result.rest is None and len(result.body) <= MAX_ANSWER
        return read_answer(verify, result.status, result.headers, result.body, is_whole=is_whole)
    return Finding(Verdict.UNCLEAR, f"no answer: {result.error}")


def question_fields(rule: Rule, verify: Verify, values: Values) -> tuple[bytes, frozenset[bytes]]:
    """The field lines of a question, and the names of those of the sender's that must not be sent beside them."""
    along, names = lines_along([part.field for part in rule.scope], values)
    fields = b"Accept: application/json\r\n%b%b%b" % (_FRESH, along, verify.headers)
    return fields, names | _NOT_ASKED | rule.method_override


def unknown_since(record: Record) -> int:
    """The later of when an operation was sent and when its outcome became unknown, as far as its record says it."""
    if record.expires_at is None or record.expires_at == FOREVER:
        return record.first_seen
    return max(record.first_seen, record.expires_at - record.unknown_hold)
