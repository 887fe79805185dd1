# What the steps of handling one request pass on to each other.

from collections.abc import Mapping

import msgspec

from gateway.front.exchange import Exchange
from gateway.guard.answer_shapes import AnswerShape, shape_reply
from gateway.http.paths import Target
from gateway.http.problem import Reply
from gateway.telemetry import RequestRecord
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
    status_fields: Mapping[str, bytes] = _NONE
    """The lines that say what became of a guarded create, by what happened."""
    shapes: Mapping[str, AnswerShape] = _AS_THEY_ARE
    """The answers of the gateway's own that the rule shapes, by slug."""
    fields: bytes = b""
    """More field lines for the API's answer."""

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
