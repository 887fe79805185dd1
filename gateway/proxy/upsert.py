# A duplicate that is sent to the thing that exists, as a change of it. It is no create: it holds and settles no claims,
# and is sent once. Whoever sends it learns that the thing exists; whether it may be changed is for the API to say.

import enum
from collections.abc import Mapping

from gateway.errors import StoreError
from gateway.guard.decision import Found
from gateway.guard.link import own_target
from gateway.guard.rules import METHOD_OVERRIDES
from gateway.http.paths import named_hosts
from gateway.model import FREE, State
from gateway.proxy.context import refuse_without_store
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver, send
from gateway.proxy.held_create import HeldCreate
from gateway.proxy.status_field import without_field
from gateway.upstream.results import NoResponse, NotSent, UpstreamResponse

_NOT_FOUND, _GONE = 404, 410


class Upserted(enum.Enum):
    """What came of sending a duplicate to the thing that exists."""

    ANSWERED = "answered"
    FREED = "freed"
    """The thing is gone, and the claims that it held are free."""
    NOT_DONE = "not done"
    """There is no way to it, or nothing is certain: it is a duplicate like any other."""


class Upserts:
    """Sends duplicates to the things that exist."""

    def __init__(self, deps: HandlerDependencies, status_fields: Mapping[str, bytes]) -> None:
        self._deps = deps
        self._status_fields = status_fields
        self._status_name = deps.status_header.lower().encode()

    def __repr__(self) -> str:
        return "Upserts()"

    async def __call__(self, create: HeldCreate, found: Found) -> Upserted:
        """Send a duplicate to the thing whose claim it met."""
        request, rule, record = create.request, create.rule, found.record
        target = _target(create, record.resource)
        if target is None or record.owner == request.upserted:
            return Upserted.NOT_DONE
        request.upserted = record.owner
        result = await self._send(create, target)
        if isinstance(result, UpstreamResponse):
            if result.status in {_NOT_FOUND, _GONE}:
                result.abandon()
                # APIs answer 404, too, to those who may not see a thing: only its own caller can be sure.
                is_same_caller = record.caller == found.claim.caller and not rule.caller_is_unproven
                is_gone = result.status == _GONE or is_same_caller
                return await self._free(create, record.owner) if is_gone else Upserted.NOT_DONE
            request.record.outcome = "upserted"
            request.fields = self._status_fields["upserted"]
        await deliver(request, without_field(result, self._status_name), self._deps.idle_timeouts)
        return Upserted.ANSWERED

    async def _send(self, create: HeldCreate, target: str) -> UpstreamResponse | NotSent | NoResponse:
        # Headers that ask for another method made the request the create that it is no longer.
        return await send(
            create.request,
            self._deps.stopwatch,
            is_guarded=True,
            line=f"{create.rule.upsert_method} {target} HTTP/1.1\r\n".encode(),
            dropped=METHOD_OVERRIDES | create.rule.method_override,
        )

    async def _free(self, create: HeldCreate, owner: bytes) -> Upserted:
        """Free the claims of an operation that a create met, because what it made is gone."""
        deps, request = self._deps, create.request
        claims = [claim for claim, record in create.held.conflicts if record.owner == owner]
        try:
            is_freed = await deps.store.resettle(owner, claims, State.CREATED, FREE, deps.wall_clock())
        except StoreError as error:
            refuse_without_store(request, deps.telemetry, error)
            return Upserted.ANSWERED
        if is_freed:
            deps.telemetry.event("resource-gone", rule=create.rule.name, fingerprint=request.record.fingerprint)
        return Upserted.FREED


def _target(create: HeldCreate, link: str | None) -> str | None:
    """Where a link leads at the API of a create; None when there is no way, or nothing to send there."""
    request, exchange = create.request, create.request.exchange
    if link is None or not (create.view.body or create.view.spooled) or exchange.head.method == "HEAD":
        return None
    hosts = named_hosts(request.target, exchange.headers) | request.upstream.hosts
    return own_target(link, request.target.path, hosts)
