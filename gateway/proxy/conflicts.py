# What a create gets whose claims are held: an answer of the gateway's own, the API's answer to it once more, or what
# the API answers to a change of what exists.

from collections.abc import Mapping, Sequence

import msgspec

from gateway.errors import StoreError
from gateway.guard.authorize import Verdict
from gateway.guard.decision import Conflict, Found
from gateway.guard.rule import Rule
from gateway.model import Claim, Record, State
from gateway.proxy import answers
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.stored_answers import AnswerCipher, RecentAnswers
from gateway.proxy.upsert import Upserted, Upserts
from gateway.upstream.results import UpstreamResponse

_REPLAYED = b"Idempotent-Replayed: true\r\n"


class ConflictAnswers:
    """Answers creates that were not let through."""

    def __init__(
        self,
        deps: HandlerDependencies,
        cipher: AnswerCipher,
        recent: RecentAnswers,
        status_fields: Mapping[str, bytes],
    ) -> None:
        self._deps = deps
        self._cipher = cipher
        self._recent = recent
        self._status_fields = status_fields
        self._upserts = Upserts(deps, status_fields)

    def __repr__(self) -> str:
        return "ConflictAnswers()"

    async def answer(self, create: HeldCreate, found: Found) -> bool:
        """Answer a create for the conflict that was `found`; True when it was not, because its claims may be free."""
        request, rule = create.request, create.rule
        request.record.fingerprint = found.record.fingerprint.hex()[:12]
        if request.verdict is Verdict.UNCLEAR:
            self._count(rule, found)
            request.reply(answers.bare_conflict(found.conflict, found.claim))
            return False
        if found.is_retry and found.conflict is Conflict.DUPLICATE and rule.replay_limit:
            stored = await self._stored_answer(rule, create.wanted, found.record.owner)
            if stored is not None:
                self._deps.telemetry.retries[rule.name, "replayed"] += 1
                request.record.outcome = "replayed"
                request.fields = _REPLAYED + self._status_fields["replayed"]
                if (cors := request.exchange.cors) is not None:
                    readable = cors.for_replay(request.exchange.headers, stored.headers)
                    stored = msgspec.structs.replace(stored, headers=readable)
                await deliver(request, stored, self._deps.idle_timeouts)
                return False
        shows_link = _shows_link(rule, found.claim, found.record)
        if found.conflict is Conflict.DUPLICATE and rule.duplicate != "reject" and create.is_all_created:
            link = found.record.resource if shows_link else None
            match rule.duplicate:
                case "accept":
                    self._count(rule, found, "accepted")
                    request.reply(answers.accepted(rule.accept_status, found.claim, link))
                    return False
                case "redirect" if link:
                    self._count(rule, found, "redirected")
                    request.reply(answers.redirected(found.claim, link))
                    return False
                case "upsert":
                    upserted = await self._upserts(create, found)
                    if upserted is Upserted.ANSWERED:
                        self._count(rule, found, "upserted")
                    if upserted is not Upserted.NOT_DONE:
                        return upserted is Upserted.FREED
        self._count(rule, found)
        answer = answers.conflict(
            found.conflict,
            found.claim,
            found.record,
            create.now,
            shows_link=shows_link,
            retry_after=create.retry_after,
        )
        if rule.batch is not None:
            answer = answers.batch_conflict(
                answer,
                create.held,
                len(create.view.items),
                lambda claim, record: record.state is State.CREATED and _shows_link(rule, claim, record),
            )
        request.reply(answer)
        return False

    def _count(self, rule: Rule, found: Found, how: str | None = None) -> None:
        """Count a create that is not let through; `how` it is answered if not for the conflict as such."""
        telemetry, claim, kind = self._deps.telemetry, found.claim, found.conflict
        telemetry.conflicts[claim.rule, claim.entry, kind] += 1
        if rule.needs_caller:
            telemetry.rules.note_caller(claim.rule, claim.entry, claim.caller)
        if found.is_retry:
            telemetry.retries[claim.rule, how or ("rejected" if kind is Conflict.DUPLICATE else kind)] += 1

    async def _stored_answer(self, rule: Rule, wanted: Sequence[Claim], owner: bytes) -> UpstreamResponse | None:
        """Read the answer that the caller of an operation got or missed; None when it cannot be given again."""
        recent = self._recent.get(owner)
        if recent is not None:
            return recent
        telemetry = self._deps.telemetry
        try:
            stored = await self._deps.store.read_answer(wanted, owner)
        except StoreError as error:
            telemetry.repeated("store-failure", "error", rule=rule.name, reason=str(error))
            return None
        if stored is None:
            return None
        answer = self._cipher.decrypt(owner, stored)
        if answer is None:
            telemetry.repeated("answer-unreadable", "error", rule=rule.name)
        else:
            self._recent.remember(owner, answer)
        return answer


def _shows_link(rule: Rule, claim: Claim, record: Record) -> bool:
    """Whether who sends `claim` may see where the thing lives that another create made."""
    return rule.link == "anyone" or (rule.link == "caller" and record.caller == claim.caller)
