# Brings the schema of a PostgreSQL store up to date.

import asyncio

import psycopg

from gateway.errors import StoreError
from gateway.stores.postgresql_link import Link

SCHEMA = 4
"""The version of the schema that this program knows."""
_FUNCTIONS = (
    *("record", "stored", "server", "tell", "period", "note", "gone", "linked", "is_current"),
    *("apply", "write", "write_3", "add", "restore", "abandon", "await", "count"),
)
"""Each may only change together with the version, and must serve gateways of the version before, too."""
_ATTEMPTS, _PAUSE = 60, 0.3
"""How often the table of claims is tried to be locked, with so many seconds in between, in which creates go on."""


async def migrate(link: Link) -> bool:
    """Bring the schema up to date in the transaction that has begun; whether there was none.

    Raises StoreError, and what a connection fails with.
    """
    if (version := await _version(link)) == SCHEMA:
        return False
    if 0 < version < SCHEMA:
        await _hold_claims(link)
    await link.run("migration_lock", {"schema": link.schema})
    ((is_there,),) = await link.run("schema_exists", {"schema": link.schema})
    if not is_there:
        await link.run("create_schema")
    await _bring_up_to_date(link)
    return version == 0


async def _hold_claims(link: Link) -> None:
    """Lock the table of claims. Who waits for that keeps all others waiting, a vacuum or a dump keeps it for long."""
    for _ in range(_ATTEMPTS):
        await link.ask("SAVEPOINT before")
        try:
            await link.run("hold_claims")
        except psycopg.errors.LockNotAvailable:
            await link.ask("ROLLBACK TO before")
            await asyncio.sleep(_PAUSE)
        else:
            await link.run("lock_timeout", {"wait": link.lock_timeout})
            return
    raise StoreError(
        "its schema is an older gateway's, and somebody holds the table of claims, as a vacuum or a dump of it does; "
        "start this gateway once that has ended"
    )


async def _bring_up_to_date(link: Link) -> None:
    version = await _version(link)  # another gateway may have done it meanwhile
    if version > SCHEMA:
        raise StoreError(f"its schema was written by a newer gateway (version {version}; this one knows {SCHEMA})")
    if version == SCHEMA:
        return
    for step in range(version + 1, SCHEMA + 1):
        await link.run(f"schema_{step}")
    for name in _FUNCTIONS:
        await link.run(name)
    await link.run("set_version", {"version": str(SCHEMA)})


async def _version(link: Link) -> int:
    ((is_there,),) = await link.run("store_exists", {"schema": link.schema})
    found = await link.run("version") if is_there else []
    return int(found[0][0]) if found else 0
