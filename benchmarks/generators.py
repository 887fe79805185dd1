# Generates load on a port: with wrk where it is installed, otherwise with the benchmarks' own generator.

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.load import Load
from benchmarks.processes import first_line, found

LOAD_LIMIT = 600
"""Seconds after which a run is given up."""
MANY = 100_000_000
"""As many numbers as there are of eight digits: no run comes to the end of them."""
_SCRIPT = Path(__file__).parent / "wrk" / "requests.lua"

Generator = Callable[[int, Path, int, int, float], Load]
"""Sends the text in a file to a port: port, file, numbers, connections, seconds. RuntimeError when that fails."""


def own(port: int, text: Path, numbers: int, connections: int, seconds: float) -> Load:
    """Send with the benchmarks' own generator, for some seconds."""
    return _own(port, text, numbers, connections, "--seconds", seconds)


def once_each(port: int, text: Path, count: int, connections: int) -> Load:
    """Send the first `count` numbers, once each, with the benchmarks' own generator; tells the statuses apart."""
    return _own(port, text, count, min(connections, count), "--count", count)


def wrk(port: int, text: Path, numbers: int, connections: int, seconds: float) -> Load:
    """Send with wrk, one thread; `seconds` is a whole number."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{int(seconds)}s", "--timeout", "30s", "-s", str(_SCRIPT)]
    return _result([*command, f"http://127.0.0.1:{port}", str(text), str(numbers)])


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what sends the requests, and how long."""
    parser.add_argument("--seconds", type=float, default=1, help="how long a run takes (default: %(default)s)")
    parser.add_argument("--load", choices=["wrk", "own"], help="what sends the requests (default: wrk if it is found)")


def choose(wanted: str | None, seconds: float) -> tuple[str, Generator]:
    """Return the generator and what to call it; without a wish, wrk if it is found and the time is whole seconds.

    LookupError when wrk was asked for and cannot do it.
    """
    can = found("wrk") is not None and float(seconds).is_integer()
    if wanted == "own" or (wanted is None and not can):
        return "the benchmarks' own generator", own
    if not can:
        raise LookupError("wrk is not on PATH" if found("wrk") is None else "wrk takes whole seconds only")
    return f"wrk {first_line('wrk', '-v').split()[1].removeprefix('debian/')}", wrk


def _own(port: int, text: Path, numbers: int, connections: int, until: str, limit: float) -> Load:
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), "--text", str(text)]
    return _result([*command, "--numbers", str(numbers), "--connections", str(connections), until, str(limit)])


def _result(command: list[str]) -> Load:
    result = subprocess.run(command, capture_output=True, timeout=LOAD_LIMIT, check=False)
    if result.returncode:
        raise RuntimeError(f"the load failed:\n{(result.stdout + result.stderr).decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(result.stdout.splitlines()[-1], type=Load)
