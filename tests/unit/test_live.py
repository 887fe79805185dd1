# What the operator's page shows live, also of a store that fails.

import asyncio
import io

import pytest
from typing_extensions import override

from gateway.errors import StoreError
from gateway.model import Claim, Overview, Settlement, State
from gateway.process.admin import live
from gateway.process.admin.live import Live
from gateway.stores.memory import MemoryStore
from gateway.telemetry import Telemetry

AUDIT = [{"action": "release"}]


class Failing(MemoryStore):
    """A store that cannot count."""

    @override
    async def overview(self, now: int) -> Overview:
        raise StoreError("disk I/O error")


class Hanging(MemoryStore):
    """A store that does not answer."""

    @override
    async def overview(self, now: int) -> Overview:
        return await asyncio.Future()


async def test_claims_are_counted_by_state() -> None:
    store = MemoryStore()
    for number, state in enumerate((State.UNKNOWN, State.UNKNOWN, State.CREATED, None)):
        claim = Claim(bytes([number]) * 32, f"rule-{number}", "entry", 10**15)
        await store.reserve([claim], claim.fingerprint, 0)
        if state is not None:
            await store.settle(claim.fingerprint, [claim], Settlement(state, 10**15), 0)
    seen = await Live(store, Telemetry(io.StringIO()), lambda: True, AUDIT).look()
    assert list(seen) == ["minutes", "now", "state", "audit"]
    assert seen["state"] == {
        "ready": True,
        "reason": None,
        "claims": {"unknown": 2, "created": 1, "in_flight": 1},
    }
    assert seen["audit"] == AUDIT


@pytest.mark.parametrize(
    ("store", "is_ready", "reason"),
    [
        (MemoryStore(), False, "starting or draining"),
        (Failing(), True, "the store cannot be read: disk I/O error"),
        (Failing(), False, "starting or draining"),
        (Hanging(), True, "the store does not answer"),
    ],
)
async def test_why_it_takes_no_creates(
    store: MemoryStore, is_ready: bool, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STORE_TIMEOUT", 0.01)
    seen = await Live(store, Telemetry(io.StringIO()), lambda: is_ready, AUDIT).look()
    assert seen["state"] == {"ready": False, "reason": reason, "claims": {}}
