# The fingerprint secret: from the configuration, or made once beside the store.

import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from gateway.errors import StoreOpenError
from gateway.guard.fingerprint import MIN_SECRET


class Secret(msgspec.Struct, frozen=True):
    """The secret, and the file that was made for it just now, if one was."""

    value: bytes
    made: Path | None = None

    def __repr__(self) -> str:
        return "Secret(hidden)"


def key_path(store: str) -> Path:
    """Where the generated secret of a SQLite store lives."""
    return Path(f"{store}.key")


def beside(store: str) -> Secret:
    """Read the secret beside a SQLite store, or make it (mode 0600) when the store is new too.

    Raises StoreOpenError as `existing` does, and when it cannot be written.
    """
    kept = existing(store)
    if kept is not None:
        return kept
    path = key_path(store)
    value = secrets.token_hex(MIN_SECRET).encode()
    try:
        _write_once(path, value + b"\n")
    except FileExistsError:  # another process starts at this moment, and was first
        return beside(store)
    except OSError as error:
        raise StoreOpenError(f"the fingerprint key {path} cannot be written: {error.strerror}") from error
    return Secret(value, path)


def existing(store: str) -> Secret | None:
    """Read the secret beside a SQLite store; None when neither of the two is there yet.

    Raises StoreOpenError when it is cut off, or when a store that holds claims has lost it: with a new one, each of its
    creates would be let through again.
    """
    path = key_path(store)
    try:
        if path.exists():
            value = path.read_bytes().strip()
            if len(value) < MIN_SECRET:
                raise StoreOpenError(f"the fingerprint key in {path} is cut off; restore it")
            return Secret(value)
        if Path(store).exists() and Path(store).stat().st_size > 0:
            raise StoreOpenError(
                f"the store {store} is there, and its fingerprint key {path} is not; restore the key, set "
                "fingerprint.key_file, or move the store away to start with an empty one"
            )
    except OSError as error:
        raise StoreOpenError(f"the fingerprint key {path} cannot be read: {error.strerror}") from error
    return None


def ephemeral() -> Secret:
    """Make a secret for a store that forgets everything with the process."""
    return Secret(secrets.token_bytes(MIN_SECRET))


def _write_once(path: Path, content: bytes) -> None:
    """Have the whole file there, or none, whenever the process ends. Raises FileExistsError when there is one."""
    file, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # for its owner alone
    draft = Path(name)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(file)
        os.link(draft, path)  # a rename would replace a key that somebody already uses
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # or a power cut could keep the store and lose its key
    finally:
        os.close(directory)
