# The faults of a store's file: each is injected from outside, with its requirements and its expected effect on creates.

import argparse
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.support import faults
from tests.support.program import GatewayProgram


@dataclass(frozen=True)
class Fault:
    """A fault of the store's file, active while the context manager from `begin` is entered."""

    name: str
    what: str
    begin: Callable[[GatewayProgram], AbstractContextManager[None]]
    lacks: Callable[[], str | None] = lambda: None
    """What it needs and this machine does not give."""
    refuses: bool = True
    """Whether creates must be refused for it."""
    repeats: float | None = None
    """Seconds after which it pauses for a moment, and begins again; None: it is permanent."""
    small_disk: bool = False
    on_failure: str = "reject"


def store_file(program: GatewayProgram) -> Path:
    return program.directory / "store" / "gateway.db"


def log_file(program: GatewayProgram) -> Path:
    return program.directory / "store" / "gateway.db-wal"


def _lacks_immutable() -> str | None:
    return faults.lacks_immutable(Path(tempfile.gettempdir()))


FAULTS = (
    Fault(
        "disk-full",
        "no free block is left (ENOSPC)",
        lambda program: faults.filled(store_file(program).parent),
        faults.lacks_mount,
        small_disk=True,
    ),
    Fault("io-error", "each write fails (EFBIG, an I/O error to SQLite)", GatewayProgram.disk_full),
    Fault(
        "read-only",
        "the kernel refuses each write (EPERM, chattr +i)",
        lambda program: faults.immutable(store_file(program), log_file(program)),
        _lacks_immutable,
    ),
    Fault(
        "read-only-mode",
        "the files' modes are 0400, which an open file does not feel",
        lambda program: faults.read_only_mode(store_file(program), log_file(program)),
        refuses=False,
    ),
    Fault(
        "removed",
        "the file and its log are moved away, then put back",
        lambda program: faults.moved_away(store_file(program), log_file(program)),
    ),
    Fault("log-removed", "only the log is", lambda program: faults.moved_away(log_file(program))),
    Fault(
        "replaced",
        "a copy is put in the file's place, then the file itself again",
        lambda program: faults.replaced(store_file(program)),
    ),
    Fault("stalled", "no commit ends", lambda program: faults.writer_stopped(program.pid), faults.lacks_stopping),
    Fault(
        "slow",
        "a commit takes longer than anybody waits",
        lambda program: faults.writer_stopped(program.pid),
        faults.lacks_stopping,
        repeats=1.2,
    ),
    Fault(
        "io-error-forward",
        'as io-error, with on_failure = "forward"',
        GatewayProgram.disk_full,
        refuses=False,
        on_failure="forward",
    ),
)


def chosen(names: str) -> list[Fault]:
    """The faults with these names. Raises ArgumentTypeError for one that there is not."""
    by_name = {fault.name: fault for fault in FAULTS}
    if unknown := [name for name in names.split(",") if name not in by_name]:
        raise argparse.ArgumentTypeError(f"there is no fault {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names.split(",")]
