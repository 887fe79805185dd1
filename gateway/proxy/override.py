# Duplicates that are forwarded because their callers want it so: which ones, and the line that says so before that.

import contextlib
from collections.abc import Sequence

import msgspec

from gateway.audit import Actor, AuditError
from gateway.guard.decision import Conflict, Found
from gateway.guard.exceptions import may_override
from gateway.guard.operation import Operation
from gateway.model import FREE, Claim, Held
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.held_create import HeldCreate

_OVER = frozenset({Conflict.DUPLICATE, Conflict.OUTCOME_UNKNOWN})
"""What may be overridden. One in flight may still fail, and then this create is the first."""
_CALLER = "caller"


def is_overridden(create: HeldCreate, found: Found) -> bool:
    """Whether a create passes although it met what was `found`. The retry of one that has a key never does."""
    override = create.rule.override
    if override is None or found.claim.is_key or found.conflict not in _OVER:
        return False
    return may_override(override, create.view)


def free_claims(create: HeldCreate) -> Sequence[Claim]:
    """Those claims of a create that are not known to be held: its key's, and those of other entries."""
    held = {claim.fingerprint for claim, _ in create.held.conflicts}
    return [claim for claim in create.wanted if claim.fingerprint not in held]


def also_held(create: HeldCreate, held: Held) -> HeldCreate:
    """The same create, with what else turned out to be held; a key first, as a store names it."""
    met = sorted((*held.conflicts, *create.held.conflicts), key=lambda each: not each[0].is_key)
    return msgspec.structs.replace(create, held=Held(tuple(met)))


class Overrides:
    """Writes down and counts what is overridden."""

    def __init__(self, deps: HandlerDependencies) -> None:
        self._deps = deps

    def __repr__(self) -> str:
        return "Overrides()"

    async def note(self, create: HeldCreate, found: Found, operation: Operation) -> bool:
        """Write down that a create is about to be forwarded; False when that fails: then it must not be.

        Whatever keeps it from being forwarded frees what it has reserved.
        """
        deps, claim = self._deps, found.claim
        try:
            await self._write(create, found, "forwarded")
        except BaseException as error:
            if operation.claims:
                deps.store.settle(operation.owner, operation.claims, FREE, deps.wall_clock())
            if not isinstance(error, AuditError):
                raise
            deps.telemetry.repeated("override-refused", "error", rule=claim.rule, reason=str(error))
            return False
        deps.telemetry.overridden[claim.rule, claim.entry] += 1
        create.request.record.fingerprint = found.record.fingerprint.hex()[:12]
        return True

    async def note_unsent(self, create: HeldCreate, found: Found) -> None:
        """Write down that a create was not forwarded after all, if that is so."""
        outcome = create.request.record.outcome
        if outcome == "upstream-unreachable":
            with contextlib.suppress(AuditError):
                await self._write(create, found, f"not done: {outcome}")

    async def _write(self, create: HeldCreate, found: Found, result: str) -> None:
        claim, record = found.claim, found.record
        await self._deps.audit.write(
            "override",
            Actor(_CALLER, request_id=create.request.record.request_id),
            result,
            rule=claim.rule,
            entry=claim.entry,
            fingerprint=record.fingerprint.hex()[:12],
            caller=None if claim.caller is None else claim.caller.hex()[:12],
        )
