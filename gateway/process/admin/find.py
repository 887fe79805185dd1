# Which claims a create has, and what would become of it now: judged by the rules of the running gateway, as it judges
# one that comes. What was sent is neither kept, nor logged, nor answered.

import base64
import binascii
import re
from collections.abc import Sequence
from ipaddress import ip_address

import msgspec
from aiohttp import web

from gateway.config.versions import BESIDE
from gateway.guard.changes import ResourceChange
from gateway.guard.content import JSON_TYPE
from gateway.guard.decision import Conflict, pick_conflict
from gateway.guard.decision import Found as Met
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.rule import Rule
from gateway.guard.sample import Sample, judge
from gateway.http.headers import Headers
from gateway.http.problem import KINDS
from gateway.http.write import end_to_end
from gateway.model import Claim, Held, Record
from gateway.process.admin.answers import Refused, answer, read_body, too_large
from gateway.process.admin.routes import Route
from gateway.process.admin.shapes import Found, FoundClaim, SampleRequest, shown
from gateway.process.assembly import Assembly, wall_clock
from gateway.stores.base import Store

LEAST_LIMIT = 1024 * 1024
"""Bytes that a body may have in any case; more, where a rule reads more."""
_ENVELOPE = 64 * 1024
_MOST_ESCAPED = 2
"""By how much a body may grow as a text in JSON, before it is refused; base64 takes less."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class FindApi:
    """A handler."""

    def __init__(self, store: Store, assembly: Assembly, fingerprinter: Fingerprinter) -> None:
        self._store = store
        self._assembly = assembly
        self._fingerprinter = fingerprinter

    def __repr__(self) -> str:
        return f"FindApi({self._store!r})"

    @property
    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                method="POST",
                path="/claims/find",
                handler=self._find,
                name="findClaims",
                summary="The claims of a create, and what would become of it now. Nothing of what is sent is kept.",
                answers={200: Found},
                body=SampleRequest,
            )
        ]

    async def _find(self, request: web.Request) -> web.Response:
        limit = max([LEAST_LIMIT, *[rule.body_limit for rule in self._assembly.config.rules]])
        asked = await read_body(request, SampleRequest, _MOST_ESCAPED * limit + _ENVELOPE)
        body = _body(asked)
        if len(body) > limit:
            raise too_large(limit)
        headers = _headers(asked, has_body=bool(body))
        peer = self._assembly.forwarding.peer(_address(asked.client), is_tls=False)
        sample = Sample(asked.method, asked.path, headers, body, peer.client_address(end_to_end(headers)))
        judged = judge(self._assembly.admission, sample, self._fingerprinter)
        if judged.rule is None or judged.happens is not None:
            name = None if judged.rule is None else judged.rule.name
            return answer(Found(name, judged.happens or "", []))
        now = wall_clock()
        if judged.change is not None:
            return answer(await self._find_changed(judged.change, judged.rule, now))
        met = [(claim, await self._store.get(claim.fingerprint, now)) for claim in judged.claims]
        held = tuple([(claim, record) for claim, record in met if record is not None])
        happens = _happens(judged.rule, pick_conflict(judged.rule, Held(held), now) if held else None)
        if judged.is_shadow:
            happens = f"forwarded, as the rule is in shadow; enforced: {happens}"
        return answer(Found(judged.rule.name, happens, _claims(met, now)))

    async def _find_changed(self, change: ResourceChange, rule: Rule, now: int) -> Found:
        """The claims of what a sample deletes, or of the identities that it gives to what it changes."""
        if change.action.kind == "release":
            linked = [each for each in await self._store.find_linked(change.link, now) if change.is_identity(each)]
            views = [shown(each, now) for each in linked]
            held = [FoundClaim(view.entry, view.fingerprint, view.state, view) for view in views]
            return Found(rule.name, "it is forwarded; these claims are free once the API has done it", held)
        met = [(claim, await self._store.get(claim.fingerprint, now)) for claim in change.wanted]
        others = [(claim, record) for claim, record in met if record is not None and not change.is_own(record)]
        happens = "it would be forwarded: no other thing has its identities"
        if others:
            happens = _happens(rule, pick_conflict(rule, Held(tuple(others)), now))
        return Found(rule.name, happens, _claims(met, now))


def _claims(met: Sequence[tuple[Claim, Record | None]], now: int) -> list[FoundClaim]:
    found = []
    for claim, record in met:
        view = None if record is None else shown(record, now)
        state = "free" if view is None else view.state
        is_earlier = claim.version is not None and bool(claim.version & BESIDE)
        found.append(FoundClaim(claim.entry, claim.fingerprint.hex(), state, view, claim.item, is_earlier))
    return found


def _happens(rule: Rule, found: Met | None) -> str:
    if found is None:
        return "all its claims are free: it would be forwarded"
    shape = rule.answers.get(found.conflict)
    status = KINDS[found.conflict].status if shape is None or shape.status is None else shape.status
    text = f"{status} {found.conflict}"
    match found.conflict:
        case Conflict.KEY_REUSED:
            return f"{text}: its key was sent with another request"
        case Conflict.IN_PROGRESS:
            return f"it waits for the create that is in flight, or gets {text}"
        case Conflict.OUTCOME_UNKNOWN:
            return f"the API is asked what became of the earlier one, or it gets {text}" if rule.verify else text
    if found.is_retry and rule.replay_limit:
        return f"it is a retry: it gets the API's answer once more, where that is stored, or {text}"
    others = {
        "accept": f"it gets {rule.accept_status}",
        "redirect": "it gets 303 to what exists, where the link is known and may be shown",
        "upsert": f"it is sent to what exists by {rule.upsert_method}, where the link is known and may be shown",
    }
    return f"{others[rule.duplicate]}, or {text}" if rule.duplicate in others else text


def _body(asked: SampleRequest) -> bytes:
    """Raises Refused."""
    if sum([bool(asked.json), asked.body is not msgspec.UNSET, asked.body_base64 is not msgspec.UNSET]) > 1:
        raise Refused(400, "Of body, json and body_base64, send one.")
    if isinstance(asked.body_base64, str):
        try:
            return base64.b64decode(asked.body_base64, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(400, "body_base64 is not base64.") from None
    return asked.body.encode() if isinstance(asked.body, str) else bytes(asked.json)


def _headers(asked: SampleRequest, *, has_body: bool) -> Headers:
    """Raises Refused."""
    lines = []
    for name, values in asked.headers.items():
        for value in [values] if isinstance(values, str) else values:
            line = name.encode(), value.strip(" \t").encode()
            if not _TOKEN.fullmatch(line[0]) or _NOT_IN_VALUES.search(line[1]):
                raise Refused(400, "headers: a name or a value of them can stand in no request.")
            lines.append(line)
    if has_body and not any(name.lower() == b"content-type" for name, _ in lines):
        lines.append((b"Content-Type", JSON_TYPE.encode()))
    return Headers.of(lines)


def _address(text: str) -> str:
    """Raises Refused."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise Refused(400, 'client is no address: write "192.0.2.1".') from None
