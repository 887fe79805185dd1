# Rows that become claims, and claims that are moved from store to store: into each kind, and out of it.

import asyncio
from collections.abc import Sequence

from gateway.config.schema_rule import UniqueConfig
from gateway.guard.fingerprint import Fingerprinter
from gateway.model import FOREVER, Claim, Kept, Record, Settlement, State
from gateway.process.exports import export
from gateway.process.import_shapes import Asked, Part
from gateway.process.imports import Importer, make_plan
from gateway.stores.base import Store
from gateway.stores.exported import read_header
from gateway.stores.memory import MemoryStore
from tests.support.stores import HOUR, NOW, claim, claims, owner, take
from tests.support.unit import compiled, rule_config

FINGERPRINTER = Fingerprinter(b"k" * 32)
ENTRIES = (UniqueConfig(name="email", fields=("body.email",)), UniqueConfig(name="name", fields=("body.name",)))
MANY = 500
"""Rows of more claims than are added in one commit."""
RULES = compiled(rule_config(unique=ENTRIES))


def importer(store: Store, asked: Asked | None = None) -> Importer:
    plan = make_plan(asked or Asked(rule="create-user", link="/users/{body.id}"), RULES, FINGERPRINTER)
    return Importer(plan, store, lambda: NOW)


def rows(first: int, count: int) -> list[bytes]:
    return [b'{"id": %d, "email": "%d@x", "name": "n%d"}' % (at, at, at) for at in range(first, first + count)]


async def add(store: Store, first: int, lines: Sequence[bytes], *, skips: bool = False) -> Part:
    return await importer(store).add(first, lines, ["create-user"], skips=skips)


async def whole(store: Store) -> list[bytes]:
    """An export, without its header, in order of the fingerprints."""
    pieces = [piece async for piece in export(store, None, FINGERPRINTER.key_check, lambda: NOW)]
    header, *lines = b"".join(pieces).splitlines()
    assert read_header(header).key_check == FINGERPRINTER.key_check.hex()
    return sorted(lines)


async def test_rows_are_imported_once_however_often(store: Store) -> None:
    lines = rows(1, MANY)
    undisturbed = MemoryStore()
    await add(undisturbed, 1, lines)
    part = await add(store, 1, lines[:400])
    assert (part.lines, part.added, part.problems) == (400, 800, [])
    part = await add(store, 1, lines)
    assert (part.added, part.present, part.held, part.problems) == (2 * (MANY - 400), 800, 0, [])
    assert await whole(store) == await whole(undisturbed)
    assert {record.version is None for record in await store.scan(b"", 2 * MANY, NOW)} == {False}
    part = await add(store, 401, [*lines[400:], lines[0], b'{"id": 0, "email": "7@x", "name": "new"}'])
    assert (part.added, part.present, part.held) == (1, 2 * (MANY - 400), 3)
    assert [(each.line, each.entry, each.why) for each in part.problems] == [
        (MANY + 1, "email", "held already, by line 1 of an import"),
        (MANY + 1, "name", "held already, by line 1 of an import"),
        (MANY + 2, "email", "held already, created"),
    ]


async def test_what_creates_hold_stays(store: Store) -> None:
    found = importer(store)
    record = Record(b"f" * 32, owner(1), State.CREATED, "create-user", "email", NOW, NOW + HOUR, HOUR)
    assert not (await store.add([Kept(record)], NOW))[0]
    email = FINGERPRINTER.fingerprint("create-user", "email", (), ("1@x",))
    await store.reserve([Claim(email, "create-user", "email", HOUR)], owner(2), NOW)
    part = await found.add(1, rows(1, 1), ["create-user"], skips=False)
    assert (part.added, part.held, part.problems[0].why) == (1, 1, "held already, in flight")
    assert await store.settle(owner(2), [Claim(email, "create-user", "email", HOUR)], Settlement(None), NOW)
    assert (await found.add(1, rows(1, 1), ["create-user"], skips=False)).added == 1


async def test_a_wrong_line_ends_it_and_what_is_before_is_there(store: Store) -> None:
    lines = [*rows(1, 5), b"oops", *rows(7, 3)]
    part = await add(store, 1, lines)
    assert (part.lines, part.added, part.wrong, part.is_stopped) == (5, 10, 1, True)
    part = await add(store, 6, lines[5:], skips=True)
    assert (part.lines, part.added, part.wrong, part.is_stopped) == (4, 6, 1, False)


async def fill(store: Store) -> None:
    """Claims with all that a claim can have, and more of them than are written at once."""
    made = [
        Record(
            *(claim(at).fingerprint, owner(at), State.UNKNOWN if at % 3 else State.CREATED, "create-user", "email"),
            *(NOW - at, FOREVER if at % 5 == 0 else NOW + HOUR + at, FOREVER if at % 7 == 0 else HOUR),
            *(f"/users/ä{at}" if at % 2 else None, None if at % 4 else b"c" * 32, b"p" * 32 if at % 8 else None),
            *(at if at % 2 else None, at.to_bytes(16, "big") if at % 3 else None),
        )
        for at in range(1, 700)
    ]
    answers = [bytes([at % 256]) * at if record.state is State.CREATED else None for at, record in enumerate(made)]
    await store.add([Kept(record, answer) for record, answer in zip(made, answers, strict=True)], NOW)


async def test_a_store_is_moved_into_each_kind_and_out_of_it(store: Store) -> None:
    before = MemoryStore()
    await fill(before)
    text = await whole(before)
    header = b"".join([piece async for piece in export(before, None, FINGERPRINTER.key_check, lambda: NOW)])
    moving = importer(store, Asked(export=read_header(header.splitlines()[0])))
    lines = [line for line in text if not line.startswith(b'{"end"')]
    part = await moving.add(2, lines[:300], ["create-user"], skips=False)
    assert (part.added, part.problems, part.gone_rules) == (300, [], {})
    part = await moving.add(2, lines, [], skips=False)
    assert (part.added, part.present, part.held, part.gone_rules) == (399, 300, 0, {"create-user": 699})
    assert await whole(store) == text
    assert await store.read_answer(claims(3), owner(3)) == await before.read_answer(claims(3), owner(3)) is not None


async def test_what_is_in_flight_is_exported_as_if_its_gateway_had_died(store: Store) -> None:
    await take(store, ("a",), 1)
    lines = await whole(store)
    assert lines[0] == b'{"end":{"claims":1,"in_flight":1}}'
    assert b'"state":"unknown"' in lines[1]
    assert b'"expires_at":%d' % (NOW + HOUR) in lines[1]


async def test_creates_are_served_while_lines_are_read() -> None:
    """Whoever comes meanwhile is not held up until the end, even where the store has nothing to do."""
    turns = 0

    async def serve() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    serving = asyncio.create_task(serve())
    part = await add(MemoryStore(), 1, [b"oops"] * 20_000, skips=True)
    serving.cancel()
    assert (part.lines, part.wrong) == (20_000, 20_000)
    assert turns > 5
