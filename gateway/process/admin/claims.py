# The claims of the store, for operators: listed, shown, freed, and said to be created.

from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from gateway.audit import Audit
from gateway.config.compile import milliseconds
from gateway.config.schema_rule import RuleConfig
from gateway.config.units import parse_duration
from gateway.errors import StoreError
from gateway.guard.decision import later
from gateway.guard.fingerprint import Fingerprinter, is_origin
from gateway.guard.following import UNFOLLOWED, link_key
from gateway.model import FOREVER, FREE, Claim, Filter, Record, Settlement, State
from gateway.process.admin.access import Access
from gateway.process.admin.answers import MAX_BODY, Refused, answer, read_body, read_cursor, read_query
from gateway.process.admin.by_fingerprint import find_claim
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import (
    STATES,
    ClaimList,
    ClaimQuery,
    ClaimView,
    Release,
    Released,
    Settle,
    Settled,
    shown,
)
from gateway.process.assembly import Assembly, wall_clock
from gateway.stores.base import Store

MAX_LINK = 2048
"""Bytes."""
_SCHEMES = frozenset({"", "http", "https", "urn"})
_KEEP = next(field.default for field in msgspec.structs.fields(RuleConfig) if field.name == "keep")


class ClaimsApi:
    """Handlers."""

    def __init__(
        self, store: Store, assembly: Assembly, fingerprinter: Fingerprinter, audit: Audit, access: Access
    ) -> None:
        self._store = store
        self._assembly = assembly
        self._fingerprinter = fingerprinter
        self._audit = audit
        self._access = access

    def __repr__(self) -> str:
        return f"ClaimsApi({self._store!r})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="GET",
                path="/claims",
                handler=self._list,
                name="listClaims",
                summary="Claims that are held; in flight and unknown ones with the oldest first.",
                answers={200: ClaimList},
                query=ClaimQuery,
            ),
            Route(
                method="GET",
                path="/claims/{fingerprint}",
                handler=self._show,
                name="showClaim",
                summary="One claim.",
                answers={200: ClaimView},
            ),
            Route(
                method="POST",
                path="/claims/{fingerprint}/release",
                handler=self._release,
                name="releaseClaim",
                summary="Free a claim: the next create of its identity is forwarded, whatever became of the first.",
                answers={200: Released},
                body=Release,
                changes=True,
            ),
            Route(
                method="POST",
                path="/claims/{fingerprint}/settle",
                handler=self._settle,
                name="settleClaim",
                summary="Say that a create has happened, and where what it made lives.",
                answers={200: Settled},
                body=Settle,
                changes=True,
            ),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        query = read_query(request, ClaimQuery)
        now = wall_clock()
        only = Filter(
            query.rule,
            query.entry,
            None if query.state is None else STATES[query.state],
            None if query.older_than is None else now - _age(query.older_than),
        )
        page = await self._store.list_claims(only, read_cursor(query.cursor), query.limit, now)
        claims = [shown(record, now) for record in page.records]
        return answer(ClaimList(claims, None if page.next is None else page.next.hex()))

    async def _show(self, request: web.Request) -> web.Response:
        now = wall_clock()
        return answer(shown(await self._held(request, now), now))

    async def _release(self, request: web.Request) -> web.Response:
        asked = await read_body(request, Release, MAX_BODY)
        _require_printable("reason", asked.reason)
        now = wall_clock()
        record = await self._held(request, now)
        before = shown(record, now)
        _require_settled(record)
        if not asked.dry_run:
            await self._resettle(request, record, FREE, "release", asked.reason, now)
        return answer(Released(before, not asked.dry_run))

    async def _settle(self, request: web.Request) -> web.Response:
        asked = await read_body(request, Settle, MAX_BODY)
        _require_printable("reason", asked.reason)
        if asked.link is not None:
            _require_link(asked.link)
        now = wall_clock()
        record = await self._held(request, now)
        _require_settled(record)
        link = self._link(record, asked.link)
        settlement = Settlement(State.CREATED, later(now, self._keep(record.rule)), asked.link, link=link)
        after = msgspec.structs.replace(
            record, state=State.CREATED, expires_at=settlement.expires_at, resource=settlement.resource
        )
        if not asked.dry_run:
            await self._resettle(request, record, settlement, "settle", asked.reason, now)
        return answer(Settled(shown(after, now), not asked.dry_run))

    async def _held(self, request: web.Request, now: int) -> Record:
        """The claim that a path names. Raises Refused."""
        return await find_claim(self._store, request.match_info["fingerprint"].lower(), now)

    def _keep(self, rule: str) -> int:
        """Milliseconds for which a rule of the running configuration keeps what was created, or rules do by default."""
        found = [each.keep for each in self._assembly.config.rules if each.name == rule]
        return milliseconds(found[0] if found else _KEEP)

    def _link(self, record: Record, link: str | None) -> bytes | None:
        """What a claim is found by once its resource is known to live at a link; None for as it is."""
        if link is None or record.link is None:
            return None
        if not is_origin(record.link):  # that of the resource where it was said to live before
            return None if record.resource in {None, link} else UNFOLLOWED
        rule = self._assembly.admission.named(record.rule)
        if rule is None:
            return None
        hosts = self._assembly.upstreams.hosts
        return link_key(rule.followed, rule.namespace, self._fingerprinter, record.link, link, "/", hosts)

    async def _resettle(
        self,
        request: web.Request,
        record: Record,
        settlement: Settlement,
        action: str,
        reason: str,
        now: int,
    ) -> None:
        """Change how an operation ended, and write it down first. Raises Refused, AuditError and StoreError."""
        facts = {
            "rule": record.rule,
            "entry": record.entry,
            "fingerprint": record.fingerprint.hex()[:12],
            "reason": reason,
        }
        actor = self._access.actor(request)
        await self._audit.write(action, actor, "free" if settlement.state is None else "created", **facts)
        try:
            is_changed = await self._store.resettle(record.owner, (_claim(record),), record.state, settlement, now)
        except StoreError as error:
            await self._audit.write(action, actor, f"not done: {error}", **facts)
            raise
        if not is_changed:
            await self._audit.write(action, actor, "not done: the claim had changed", **facts)
            raise Refused(409, "The claim has changed meanwhile, and was left as it is. Look at it again.")


def _claim(record: Record) -> Claim:
    return Claim(record.fingerprint, record.rule, record.entry, record.unknown_hold, record.caller, record.payload)


def _age(text: str) -> int:
    """Milliseconds. Raises Refused."""
    try:
        age = milliseconds(parse_duration(text))
    except ValueError as error:
        raise Refused(400, f"older_than: {error}.") from None
    if age == FOREVER:
        raise Refused(400, 'older_than: write a time such as "10m".')
    return age


def _require_settled(record: Record) -> None:
    if record.state is State.IN_FLIGHT:
        raise Refused(
            409, "The create is in flight: it will settle by itself, or become unknown when its gateway has died."
        )


def _require_printable(name: str, text: str) -> None:
    if not text.isprintable() or not text.strip():
        raise Refused(400, f"{name}: write a text without line breaks and control characters.")


def _require_link(link: str) -> None:
    if not link.isprintable() or any(character.isspace() for character in link) or len(link.encode()) > MAX_LINK:
        raise Refused(400, f"link: write a URI reference of at most {MAX_LINK} bytes, without spaces.")
    try:
        scheme = urlsplit(link).scheme
    except ValueError:
        raise Refused(400, "link: the address in it is none.") from None
    if scheme not in _SCHEMES:
        raise Refused(400, 'link: write a path such as "/users/42", or a URL of http or https.')
