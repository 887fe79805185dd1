# What the steps of handling one request pass on to each other.

from collections.abc import Mapping

import msgspec

from gateway.errors import StoreError
from gateway.front.exchange import Exchange
from gateway.guard.answer_shapes import AnswerShape, shape_reply
from gateway.guard.authorize import Verdict
from gateway.guard.spooled import SpooledBody
from gateway.http.paths import Target
from gateway.http.problem import Reply, problem
from gateway.proxy.answers import NOT_FORWARDED
from gateway.telemetry import RequestRecord, Telemetry
from gateway.upstream.client import Upstream

_NONE: Mapping[str, bytes] = {}
_AS_THEY_ARE: Mapping[str, AnswerShape] = {}


class RequestContext(msgspec.Struct):
    """A request that is admitted. `record` grows while it is handled.

    Tracked by the garbage collector: the traceback of a cancelled handler refers to it, and it to the connection.
    """

    exchange: Exchange
    record: RequestRecord
    upstream: Upstream
    target: Target
    body: bytes | None = None
    """Its whole body; None where that has not been read, and is sent as it comes, or from a file."""
    spooled: SpooledBody | None = None
    """What was read of a body that is in a file."""
    status_fields: Mapping[str, bytes] = _NONE
    """The lines that say what became of a guarded create, by what happened."""
    shapes: Mapping[str, AnswerShape] = _AS_THEY_ARE
    """The answers of the gateway's own that the rule shapes, by slug."""
    fields: bytes = b""
    """More field lines for the API's answer."""
    answer_is_read: bool = False
    """Whether something in the body of the API's answer decides, so that no coding is asked for that hides it."""
    verdict: Verdict | None = None
    """What the API said of its caller; None where it was not asked."""
    upserted: bytes = b""
    """The owner token of the operation whose thing the request was sent to last; see Upserts."""

    @property
    def is_read(self) -> bool:
        """Whether its body, if it has one, was read."""
        return self.body is not None or self.spooled is not None

    def reply(self, reply: Reply, fields: bytes = b"") -> None:
        """Send an answer of the gateway's own, shaped as the rule wants it, with more field lines, and record it."""
        if reply.slug in self.shapes:
            reply = shape_reply(self.shapes[reply.slug], reply)
        answer(self.exchange, self.record, reply, fields + self.status_fields.get(reply.slug, b""))


def answer(exchange: Exchange, record: RequestRecord, reply: Reply, fields: bytes = b"") -> None:
    """Send an answer of the gateway's own, with more field lines, and record it."""
    record.outcome = reply.slug
    record.status = reply.status
    exchange.reply(reply, fields)


def refuse_without_store(request: RequestContext, telemetry: Telemetry, error: StoreError) -> None:
    """Answer a create for which the store could not do what it needs. Nothing was forwarded."""
    rule = request.record.rule
    telemetry.repeated("store-failure", "error", rule=rule, reason=str(error))
    request.reply(problem("store-unavailable", NOT_FORWARDED, rule))
