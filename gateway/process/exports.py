# All that a store holds, as the lines of an export: in short steps, between which creates are served.

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import msgspec

from gateway.guard.decision import later
from gateway.model import Filter, Kept, Record, State
from gateway.stores.base import Store
from gateway.stores.exported import FORMAT, VERSION, Header, Summary, write_claim, write_end, write_header

_PAGE = 500
"""Claims that are asked for at once."""
_STEP = 100
"""Claims whose stored answers are asked for at once, and which are written without a pause: a millisecond or two."""


async def export(store: Store, rule: str | None, key_check: bytes, clock: Callable[[], int]) -> AsyncIterator[bytes]:
    """The lines, some at a time. `rule` is the only one whose claims are wanted. Raises StoreError.

    What is in flight is written as it would be if its gateway died: of unknown outcome, so that nobody who uses the
    export forwards such a create again. A claim that comes, goes or changes meanwhile may be missing or as it was.
    """
    now = clock()
    counts = (await store.overview(now)).claims
    header = Header(
        format=FORMAT,
        version=VERSION,
        key_check=key_check.hex(),
        at=datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        rule=rule,
        claims=sum([count for (name, _), count in counts.items() if rule in {None, name}]),
    )
    yield write_header(header)
    only, after, claims, in_flight = Filter(rule), b"", 0, 0
    while True:
        now = clock()
        page = await store.list_claims(only, after, _PAGE, now)
        for at in range(0, len(page.records), _STEP):
            step = page.records[at : at + _STEP]
            settled = await store.read_kept([record for record in step if record.state is not State.IN_FLIGHT])
            left = [Kept(_as_unknown(record, now)) for record in step if record.state is State.IN_FLIGHT]
            claims += len(step)
            in_flight += len(left)
            yield b"".join([write_claim(kept) for kept in (*settled, *left)])
            await asyncio.sleep(0)
        if page.next is None:
            break
        after = page.next
    yield write_end(Summary(claims, in_flight))


def _as_unknown(record: Record, now: int) -> Record:
    expires_at = later(max(now, record.first_seen), record.unknown_hold)
    return msgspec.structs.replace(record, state=State.UNKNOWN, expires_at=expires_at)
