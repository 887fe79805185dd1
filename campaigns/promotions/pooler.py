# PgBouncer in transaction mode, in front of a server. Debian has it in the package pgbouncer; pip has none.

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.support.postgresql import NOBODY, free_port
from tests.support.tally import PATIENCE

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def lacks_pooler() -> str | None:
    """What is missing; None when nothing is."""
    return None if _PROGRAM else "no pgbouncer"


class Pooler:
    """Two sessions of the server for all connections, so that transactions of a gateway get now this one, now that one.

    Mutable state: its process.
    """

    def __init__(self, folder: Path, server: int) -> None:
        """`server` is a port of this machine."""
        self.port = free_port()
        self._file = folder / "pgbouncer.ini"
        users = folder / "users"
        users.write_text('"postgres" ""\n', encoding="ascii")
        self._file.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server} pool_size=2\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {users}\npool_mode = transaction\nserver_login_retry = 0.2\n",
            encoding="ascii",
        )
        for path in (folder, self._file, users):
            path.chmod(0o755 if path is folder else 0o644)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it takes connections. TimeoutError when it does not."""
        assert _PROGRAM is not None
        as_nobody: dict[str, Any] = {}
        if os.geteuid() == 0:  # as whom it does not run
            as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._process = subprocess.Popen(  # noqa: ASYNC220 as quick as any
            [_PROGRAM, "-q", self._file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_nobody,
        )
        async with asyncio.timeout(PATIENCE):
            while not await self._listens():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def stop(self, signum: int = signal.SIGKILL) -> None:
        """End it: SIGINT lets transactions end, SIGTERM does not."""
        if self._process is not None:
            self._process.send_signal(signum)
            await asyncio.to_thread(self._process.wait, PATIENCE)
            self._process = None

    async def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.close()
            return True
        return False
