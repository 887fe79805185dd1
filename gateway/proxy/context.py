# What the steps of handling one request pass on to each other.

import msgspec

from gateway.front.exchange import Exchange
from gateway.http.paths import Target
from gateway.http.problem import Reply
from gateway.telemetry import RequestRecord
from gateway.upstream.client import Upstream


class RequestContext(msgspec.Struct):
    """A request that is admitted. `record` grows while it is handled.

    Tracked by the garbage collector: the traceback of a cancelled handler refers to it, and it to the connection.
    """

    exchange: Exchange
    record: RequestRecord
    upstream: Upstream
    target: Target

    def reply(self, reply: Reply) -> None:
        """Send an answer of the gateway's own, and record it."""
        answer(self.exchange, self.record, reply)


def answer(exchange: Exchange, record: RequestRecord, reply: Reply) -> None:
    """Send an answer of the gateway's own, and record it."""
    record.outcome = reply.slug
    record.status = reply.status
    exchange.reply(reply)
