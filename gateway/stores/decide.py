# Decides the calls of one batch for the SQLite store, in order, with the same functions as the memory store. Pure.

from collections.abc import Collection, Sequence
from typing import Any

from gateway.model import Held, Record, Reserved
from gateway.stores.base import change_in, reserve_in, settle_in
from gateway.stores.rows import Row, changing, reserving, settling
from gateway.stores.write_queue import Call

CallResult = Reserved | Held | bool


def decide(
    batch: Sequence[Call[Any]],
    found: dict[bytes, Record],
    in_flight: Collection[bytes],
    answers: dict[Call[Any], CallResult],
) -> list[Row]:
    """Fill in `answers`, which are valid once the returned rows are committed.

    `found` has the records of all claims that are to be reserved, and becomes what they are after each call; the owners
    `in_flight` are those whose claims are.
    """
    rows: list[Row] = []
    settled: set[bytes] = set()
    for call in batch:
        answer: CallResult
        if call.settlement is None:
            answer = reserve_in(found, call.claims, call.owner, call.now)
            if isinstance(answer, Reserved):
                rows.extend(reserving(call.claims, call.owner, call.now))
        else:
            answer = bool(call.claims) and call.owner in in_flight and call.owner not in settled
            if answer:
                settled.add(call.owner)
                settle_in(found, call.claims, call.owner, call.settlement)
                rows.extend(settling(call.claims, call.owner, call.settlement))
            if call.settlement.others and (answer or not call.claims):
                change_in(found, call.settlement.others)
                rows.extend(changing(call.settlement.others))
        answers[call] = answer
    return rows
