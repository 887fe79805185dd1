# Multipart uploads of any size, in pieces, and the files in which a gateway keeps them.

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.client import Client
from tests.support.program import GatewayProgram
from tests.support.tally import PATIENCE

MIB = 2**20


def part(disposition: str, boundary: str = "b0undary") -> bytes:
    """What stands before the content of a part."""
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()


class Upload:
    """A form with one file, and perhaps one field before it."""

    def __init__(
        self,
        size: int,
        content: Iterable[bytes],
        *,
        boundary: str = "b0undary",
        filename: str = "a.bin",
        album: str | None = None,
    ) -> None:
        """`content` has `size` bytes together."""
        field = b"" if album is None else part('name="album"', boundary) + f"{album}\r\n".encode()
        self.head = field + part(f'name="upload"; filename="{filename}"', boundary)
        self.tail = f"\r\n--{boundary}--\r\n".encode()
        self.content = content
        self.size = len(self.head) + size + len(self.tail)
        self.type = ("Content-Type", f"multipart/form-data; boundary={boundary}")

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Its type and length."""
        return [self.type, ("Content-Length", str(self.size))]

    def pieces(self) -> Iterator[bytes]:
        """Its bytes."""
        yield self.head
        yield from self.content
        yield self.tail


def upload(content: bytes, boundary: str = "b0undary", filename: str = "a.bin", album: str | None = None) -> Upload:
    """A form with one file whose content is here."""
    return Upload(len(content), [content], boundary=boundary, filename=filename, album=album)


def folder(program: GatewayProgram) -> Path:
    """Where a gateway over a SQLite file keeps what is too large for memory."""
    return program.directory / "gateway.db.spool"


def open_files(program: GatewayProgram, where: Path | None = None) -> list[str]:
    """The files in that folder that the gateway has open, whether they have a name or not."""
    return list(descriptors(program.pid, where or folder(program)).values())


def descriptors(pid: int, where: Path) -> dict[Path, str]:
    """The descriptors of a process for files in a directory, with their names as the kernel shows them."""
    found = {}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            name = str(descriptor.readlink())
            if name.startswith(f"{where}/"):
                found[descriptor] = name
    return found


async def until_open(program: GatewayProgram, count: int, where: Path | None = None) -> None:
    """Wait until the gateway has so many of them open."""
    async with asyncio.timeout(PATIENCE), Client(program.admin_port) as operator:
        while len(open_files(program, where)) != count:
            assert (await operator.request("GET", "/livez")).status == 200


async def expect_nothing_left(program: GatewayProgram) -> None:
    """Wait until no file is open, and see that none is there."""
    await until_open(program, 0)
    assert list(folder(program).iterdir()) == []
