# Whether an open SQLite file can still be found where it was opened. SQLite goes on writing into one that cannot, and
# all that it commits there would be forgotten at the next start.

import os


class FileIdentity:
    """A store's file and its write-ahead log, as they were found when they were opened."""

    __slots__ = ("_found",)

    def __init__(self, path: str) -> None:
        """Raises OSError when they cannot be found. The log lies beside the file, not beside a link to it."""
        names = (path, f"{os.path.realpath(path)}-wal")
        self._found = [(name, os.stat(name)) for name in names]  # noqa: PTH116 as below

    def __repr__(self) -> str:
        return f"FileIdentity({self._found[0][0]!r})"

    def check(self) -> str | None:
        """What has become of them, for a person who can mend it; None when they are where they were."""
        for name, before in self._found:
            try:
                now = os.stat(name)  # noqa: PTH116 for each turn, and a Path's takes twice the time
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
