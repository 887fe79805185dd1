# The memory usage of a process, as reported by the kernel.

from pathlib import Path


def resident(pid: int) -> int:
    """Return the bytes that are resident now."""
    return _said(pid, "VmRSS")


def most_resident(pid: int) -> int:
    """Return the most bytes that ever were."""
    return _said(pid, "VmHWM")


def _said(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:"))) * 1024
