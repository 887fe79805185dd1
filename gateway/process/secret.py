# The fingerprint secret: from the configuration, or generated once beside the store.

import os
import secrets
import tempfile
from pathlib import Path

import msgspec

from gateway.errors import StoreOpenError
from gateway.guard.fingerprint import MIN_SECRET


class Secret(msgspec.Struct, frozen=True):
    """The secret, and the file that was just created for it, if any."""

    value: bytes
    made: Path | None = None

    def __repr__(self) -> str:
        return "Secret(hidden)"


def key_path(store: str) -> Path:
    """The file of the generated secret of a SQLite store."""
    return Path(f"{store}.key")


def beside(store: str) -> Secret:
    """Read the secret beside a SQLite store, or generate it (mode 0600) when the store is new too.

    Raises StoreOpenError as `existing` does, and when the file cannot be written.
    """
    kept = existing(store)
    if kept is not None:
        return kept
    path = key_path(store)
    value = secrets.token_hex(MIN_SECRET).encode()
    try:
        _write_once(path, value + b"\n")
    except FileExistsError:  # another process that is starting was faster
        return beside(store)
    except OSError as error:
        raise StoreOpenError(f"the fingerprint key {path} cannot be written: {error.strerror}") from error
    return Secret(value, path)


def existing(store: str) -> Secret | None:
    """Read the secret beside a SQLite store; None when neither of the two exists.

    Raises StoreOpenError when it is truncated, or when it is missing and the store has claims: with a new secret every
    create known to the store would be let through again.
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
    """Generate a secret for a store in memory."""
    return Secret(secrets.token_bytes(MIN_SECRET))


def _write_once(path: Path, content: bytes) -> None:
    """Write the file atomically. Raises FileExistsError when it exists."""
    file, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # with mode 0600
    draft = Path(name)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(file)
        os.link(draft, path)  # a rename would replace a key that is already in use
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # or a power failure could keep the store and lose its key
    finally:
        os.close(directory)
