# What an answer means under the `outcome` of its rule, and beyond that its statuses. Pure.

from collections.abc import Mapping

from gateway.guard import decision
from gateway.guard.answer import Outcomes, Verdict
from gateway.guard.answer_view import AnswerView
from gateway.guard.condition import all_hold
from gateway.guard.decision import Outcome
from gateway.guard.rule import Rule
from gateway.http.headers import Headers

_VERDICTS: Mapping[Verdict, Outcome] = {
    "created": Outcome.SUCCEEDED,
    "refused": Outcome.REFUSED,
    "unknown": Outcome.UNCERTAIN,
}


def judge(rule: Rule, outcomes: Outcomes, status: int, headers: Headers, body: bytes | None) -> tuple[Outcome, bool]:
    """Say what an answer means; `body` is the whole of it, None while it has not come, or when it never will.

    Also says whether it may mean something else once its body has come.

    The first entry whose conditions all hold decides, otherwise the status does. An entry of which that cannot be told
    is passed over, but what it could have said is not forgotten: where it is anything but "refused", nothing is freed.
    """
    answer = AnswerView(outcomes, status, headers, body)
    passed_over = set()
    for entry in outcomes.entries:
        does_hold = all_hold(entry.when, answer.read)
        if does_hold:
            outcome = _VERDICTS[entry.verdict]
            break
        if does_hold is None:
            passed_over.add(_VERDICTS[entry.verdict])
    else:
        outcome = decision.classify_status(rule, status, headers)
    others = passed_over - {outcome}
    if others - {Outcome.REFUSED} and decision.state_after(rule, outcome) is None:
        return Outcome.UNCERTAIN, answer.needs_body
    return outcome, answer.needs_body and bool(others)
