# Finds a claim by its fingerprint, or by the first digits of one, as the log shows them.

import re
from collections.abc import Iterable

from gateway.model import Filter, Record, State
from gateway.process.admin.answers import Refused
from gateway.stores.base import Store

FEWEST = 12
"""Digits that are enough."""
_DIGITS = re.compile(r"[0-9a-f]{12,64}")
_ALL = 64
_PAGE, _PAGES = 500, 20
"""Where claims are not in the order of fingerprints: how many unknown ones are looked at, and as many in flight."""


async def find_claim(store: Store, digits: str, now: int) -> Record:
    """The claim whose fingerprint has these hex digits, or begins with them.

    Of a store on a server, where to look for them would take long, only claims that are unknown or in flight are found
    by less than all digits. Raises Refused, and StoreError.
    """
    if not _DIGITS.fullmatch(digits):
        raise Refused(400, f"A fingerprint has {_ALL} hexadecimal digits, of which the first {FEWEST} may do.")
    if len(digits) == _ALL:
        record = await store.get(bytes.fromhex(digits), now)
        found = [] if record is None else [record]
    elif store.is_shared:
        found = [
            record for state in (State.UNKNOWN, State.IN_FLIGHT) for record in await _among(store, digits, state, now)
        ]
    else:
        even = bytes.fromhex(digits[: len(digits) // 2 * 2])
        found = _beginning(await store.scan(even, 2 if len(digits) % 2 == 0 else _PAGE, now), digits)
    if len(found) > 1:
        raise Refused(400, "More than one fingerprint begins so: give more of its digits.")
    if not found:
        more = " All its digits may find it." if store.is_shared and len(digits) < _ALL else ""
        raise Refused(404, f"No claim is held under this fingerprint: a create of that identity is forwarded.{more}")
    return found[0]


async def _among(store: Store, digits: str, state: State, now: int) -> list[Record]:
    found, after = [], b""
    for _ in range(_PAGES):
        page = await store.list_claims(Filter(state=state), after, _PAGE, now)
        found += _beginning(page.records, digits)
        if page.next is None:
            break
        after = page.next
    return found


def _beginning(records: Iterable[Record], digits: str) -> list[Record]:
    return [record for record in records if record.fingerprint.hex().startswith(digits)]
