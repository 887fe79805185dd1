# Detects that an open SQLite file was deleted, moved or replaced. SQLite keeps writing to the open descriptor, and
# everything committed there would be lost at the next start.

import os


class FileIdentity:
    """The device and inode of a store's file and of its write-ahead log at the time they were opened."""

    __slots__ = ("_opened",)

    def __init__(self, path: str) -> None:
        """Raises OSError when they cannot be found. The log is beside the real file, not beside a symlink to it."""
        names = (path, f"{os.path.realpath(path)}-wal")
        self._opened = [(name, os.stat(name)) for name in names]  # noqa: PTH116 as below

    def __repr__(self) -> str:
        return f"FileIdentity({self._opened[0][0]!r})"

    def check(self) -> str | None:
        """Describe what happened to the files, and how to recover; None when both are unchanged."""
        for name, before in self._opened:
            try:
                now = os.stat(name)  # noqa: PTH116 called per batch; Path.stat takes twice the time
            except FileNotFoundError:
                return f"{name} was removed or moved while it was open; put it back, or restart the gateway"
            except OSError as error:
                return f"{name} cannot be reached any more: {error.strerror}"
            if now.st_ino != before.st_ino or now.st_dev != before.st_dev:
                return (
                    f"{name} was replaced by another file while it was open; put the first one back, or restart the "
                    "gateway"
                )
        return None

    def size(self) -> int | None:
        """The bytes of both files; None when one is gone."""
        try:
            return sum(os.stat(name).st_size for name, _ in self._opened)  # noqa: PTH116 as above
        except OSError:
            return None
