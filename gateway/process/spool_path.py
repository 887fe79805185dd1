# Where bodies that are too large for memory go.

import tempfile
from pathlib import Path

from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config


def spool_path(config: Config) -> Path:
    """The folder of the files: as configured, or beside a SQLite store, or the system's own for what is temporary."""
    if config.server.spool_folder is not None:
        return Path(config.server.spool_folder)
    store = parse_store(config.store.url)
    return Path(f"{store.path}.spool") if isinstance(store, SqliteStoreUrl) else Path(tempfile.gettempdir())


def unusable(path: Path, reason: str) -> str:
    """Say that the folder cannot be used, and what would help."""
    return (
        f"server.spool_folder: no file can be made in {path.absolute()}: {reason}; give this user write permission, or "
        "write another path"
    )
