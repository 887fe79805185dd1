# Brings the schema of a PostgreSQL store up to date.

from gateway.errors import StoreError
from gateway.stores.postgresql_link import Link

SCHEMA = 4
"""The version of the schema that this program knows."""
_FUNCTIONS = (
    *("record", "stored", "server", "tell", "period", "note", "gone", "linked", "is_current"),
    *("apply", "write", "write_3", "add", "restore", "abandon", "await", "count"),
)
"""Each may only change together with the version, and must serve gateways of the version before, too."""


async def migrate(link: Link) -> bool:
    """Bring the schema up to date in the transaction that has begun; whether there was none.

    Raises StoreError, and what a connection fails with.
    """
    if (version := await _version(link)) == SCHEMA:
        return False
    await link.run("migration_lock", {"schema": link.schema})
    ((is_there,),) = await link.run("schema_exists", {"schema": link.schema})
    if not is_there:
        await link.run("create_schema")
    await _bring_up_to_date(link)
    return version == 0


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
