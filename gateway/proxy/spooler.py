# Bodies that are too large for memory: which of them go to a file, and what is read of them on the way there.

from collections.abc import Sequence

from gateway.errors import BodyTooLarge
from gateway.guard.begin_spooled import begin_spooled
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.rule import Rule
from gateway.guard.when import takers
from gateway.proxy.context import RequestContext
from gateway.transport.spool import Spool, SpoolFolder


class Spooler:
    """Reads the bodies of creates under rules that take large ones."""

    def __init__(self, folder: SpoolFolder, fingerprinter: Fingerprinter) -> None:
        self._folder = folder
        self._fingerprinter = fingerprinter

    def __repr__(self) -> str:
        return f"Spooler({self._folder!r})"

    async def read(self, request: RequestContext, rule: Rule) -> None:
        """Read a body under its rule: into memory, or beyond `body_limit` into a file.

        Raises BodyTooLarge, Overloaded, SpoolError, RequestBroken, and IdentityError.
        """
        if request.spooled is None:
            await self._read_for(request, (rule,), rule.formats.limit, stops=not rule.forwards_missing)
        elif rule.spooling is None or not takers((rule,), request.exchange.headers):
            raise BodyTooLarge(rule.formats.limit)
        else:
            request.spooled.require_size(rule.spooling.limit)

    async def read_for(self, request: RequestContext, rules: Sequence[Rule], limit: int) -> None:
        """Read a body that one of several rules may guard: up to `limit` bytes into memory.

        Raises BodyTooLarge, Overloaded, SpoolError and RequestBroken.
        """
        await self._read_for(request, rules, limit, stops=False)

    async def _read_for(self, request: RequestContext, rules: Sequence[Rule], limit: int, *, stops: bool) -> None:
        """`stops` says that what cannot be read is not needed any more: then IdentityError is raised, too."""
        exchange = request.exchange
        try:
            request.body = await exchange.read_body(limit)
        except BodyTooLarge:
            if not (taking := takers(rules, exchange.headers)):
                raise
        else:
            return
        line = f"{exchange.head.method} {exchange.head.target}".encode()
        body = begin_spooled(taking, exchange.headers, line, self._fingerprinter, stops=stops)
        spool = Spool(self._folder, body.feed)
        await exchange.spool_body(spool, max(rule.spooling.limit for rule in taking if rule.spooling is not None))
        body.end()
        request.spooled = body
