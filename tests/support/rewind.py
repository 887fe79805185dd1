# A store on a server that goes back in time: what a failover, or a restart, makes of it.

import asyncio

from tests.support import postgresql, valkey
from tests.support.shared import Backend

_TABLES = ("claims", "counts", "unknown_claims", "linked_claims")


class Saved:
    """A store as it is now: for `rewind`."""

    def __init__(self, backend: Backend, prefix: str) -> None:
        self._backend = backend
        self._prefix = prefix
        self._values: dict[bytes, bytes] = {}

    async def save(self) -> None:
        """Keep what is there."""
        if self._backend == "valkey":
            with valkey.server().client(decode_responses=False) as client:
                self._values = {key: client.dump(key) for key in client.scan_iter(f"{{{self._prefix}}}:*")}
            return
        copies = [
            f'CREATE TABLE "{self._prefix}".saved_{table} AS TABLE "{self._prefix}".{table};' for table in _TABLES
        ]
        await asyncio.to_thread(postgresql.server().ask, " ".join(copies))

    async def rewind(self) -> None:
        """Have the server lose all that was written since then, and be another one."""
        if self._backend == "valkey":
            with valkey.server().client(decode_responses=False) as client:
                base = f"{{{self._prefix}}}:"
                nodes = client.dump(f"{base}nodes")
                client.delete(*client.scan_iter(f"{base}*"))
                for key, value in {**self._values, f"{base}nodes".encode(): nodes}.items():
                    client.restore(key, 0, value)
                client.set(f"{base}server", b"")
            return
        schema = f'"{self._prefix}"'
        lines = ["BEGIN; SET LOCAL session_replication_role = replica;"]
        for table in _TABLES:
            lines.append(f"TRUNCATE {schema}.{table}; INSERT INTO {schema}.{table} TABLE {schema}.saved_{table};")
            lines.append(f"DROP TABLE {schema}.saved_{table};")
        lines.append(f"UPDATE {schema}.facts SET value = '' WHERE name = 'server'; COMMIT")
        await asyncio.to_thread(postgresql.server().ask, " ".join(lines))
