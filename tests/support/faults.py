# What can befall a store's file, done to a running process from outside: through the file system and the kernel, never
# through the program. Each is a context manager, and over when it is left. Knows nothing of the gateway.

import contextlib
import ctypes
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_TRIES = 2000
"""How often a thread is looked for that waits for work; between two there is a millisecond."""

# A small disk


@contextlib.contextmanager
def small_disk(directory: Path, size: int) -> Iterator[None]:
    """Let `directory` be a disk of `size` bytes, in memory. Needs root, or a user namespace with one."""
    directory.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(directory))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(directory))


@contextlib.contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Leave no free block on the disk of `directory`; made for a small one."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        filler.unlink()


@cache
def lacks_mount() -> str | None:
    """What is missing for `small_disk`; None when nothing is."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            with small_disk(Path(directory), 2**20):
                return None
        except (OSError, subprocess.CalledProcessError):
            return "the right to mount a tmpfs: be root, or use `unshare --map-root-user --mount`"


# Files


@contextlib.contextmanager
def immutable(*files: Path) -> Iterator[None]:
    """Let nobody write to files, not even who has them open (ext4, xfs, btrfs). Needs root."""
    _run("chattr", "+i", *map(str, files))
    try:
        yield
    finally:
        _run("chattr", "-i", *map(str, files))


def lacks_immutable(directory: Path) -> str | None:
    """What is missing for `immutable` on files in `directory`; None when nothing is."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        try:
            with immutable(Path(file.name)):
                return None
        except (OSError, subprocess.CalledProcessError):
            return "root, and a file system with immutable files (chattr +i)"


@contextlib.contextmanager
def read_only_mode(*files: Path) -> Iterator[None]:
    """Take everybody's permission to write to files. Whoever has them open goes on writing."""
    modes = [file.stat().st_mode for file in files]
    for file in files:
        file.chmod(0o400)
    try:
        yield
    finally:
        for file, mode in zip(files, modes, strict=True):
            file.chmod(mode)


@contextlib.contextmanager
def moved_away(*files: Path) -> Iterator[None]:
    """Have no files where they were. Then they are put back: the very same ones."""
    with tempfile.TemporaryDirectory(dir=files[0].parent) as aside:
        for file in files:
            file.rename(Path(aside) / file.name)
        try:
            yield
        finally:
            for file in files:
                (Path(aside) / file.name).rename(file)


@contextlib.contextmanager
def replaced(file: Path) -> Iterator[None]:
    """Have a copy of a file in its place, as who restores a back-up does. Then the first one is put back."""
    copy, aside = file.with_name(f"{file.name}.copy"), file.with_name(f"{file.name}.aside")
    shutil.copyfile(file, copy)
    os.link(file, aside)
    copy.rename(file)
    try:
        yield
    finally:
        aside.rename(file)


# A thread that stands still: to the rest of its process, a disk that takes its time

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_FUTEX = {"x86_64": 202, "aarch64": 98}


@contextlib.contextmanager
def writer_stopped(pid: int) -> Iterator[None]:
    """Stop the thread of a process that writes most to files, while it waits for work and so holds no lock.

    The other threads go on. Linux only (ptrace); the tracer is the calling thread, and must leave this itself. Should
    it die, the thread goes on. AssertionError when the thread never waits.
    """
    thread = _writer(pid)
    for _ in range(_TRIES):
        _ptrace(_SEIZE, thread)
        _ptrace(_INTERRUPT, thread)
        os.waitpid(thread, _WALL)
        call = Path(f"/proc/{pid}/task/{thread}/syscall").read_text(encoding="ascii").split()[0]
        if call == str(_FUTEX[platform.machine()]):
            break
        _ptrace(_DETACH, thread)
        time.sleep(0.001)
    else:
        raise AssertionError(f"thread {thread} never waits for work")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # killed meanwhile
            _ptrace(_DETACH, thread)


@cache
def lacks_stopping() -> str | None:
    """What is missing for `writer_stopped`; None when nothing is."""
    if platform.system() != "Linux" or platform.machine() not in _FUTEX:
        return "Linux on x86_64 or aarch64"
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            _ptrace(_SEIZE, process.pid)
        except OSError as error:
            return f"the right to trace a process of its own (ptrace): {error.strerror}"
        finally:
            process.send_signal(signal.SIGKILL)
    return None


def _writer(pid: int) -> int:
    """The thread besides the first one that has written most."""
    written = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(": ") for line in (task / "io").read_text(encoding="ascii").splitlines())
        written[int(task.name)] = int(lines["wchar"])
    del written[pid]
    return max(written, key=lambda thread: written[thread])


def _ptrace(request: int, thread: int) -> None:
    """Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _run(*command: str) -> None:
    """Raises OSError, or CalledProcessError."""
    subprocess.run(command, check=True, capture_output=True)
