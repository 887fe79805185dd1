# Sends four times the sustainable rate of requests over thousands of connections, and checks the responses, the memory
# usage, and the recovery. Run it with `make overload`.

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.processes import Running, allow_many_files, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file, upstream_program
from campaigns.memory import most_resident, resident
from campaigns.overload.figures import Offered
from campaigns.overload.verdicts import FEW, MAX_BUFFERED, Seen, rate, table, verdicts
from campaigns.verdicts import tell

TIMES = 4
"""How many times the sustainable rate is offered."""
LIGHT, LIGHT_CONNECTIONS = 0.05, 16
"""The light load before, beside and after: this part of the sustainable rate, over so many connections."""
_OTHER_FILES = 200


class Watch:
    """Counts the open files of a process twice a second, from a thread. Mutable state: the most there were."""

    def __init__(self, pid: int) -> None:
        self.most_files = 0
        self._files = Path(f"/proc/{pid}/fd")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5) and self._files.exists():
            self.most_files = max(self.most_files, sum(1 for _ in self._files.iterdir()))


def load(port: int, series: str, connections: int, seconds: float, per_second: float = 0) -> "Popen[bytes]":
    """Start a load in a process of its own; 0 a second is as many as are answered."""
    words = {"port": port, "series": series, "connections": connections, "seconds": seconds, "rate": per_second}
    arguments = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    return Popen([sys.executable, "-m", "campaigns.overload.load", *arguments], stdout=PIPE)


def finish(process: "Popen[bytes]") -> Offered:
    """Wait for a load to end; RuntimeError when it failed."""
    with process:
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a load ended with exit code {process.returncode}")
    return msgspec.json.decode(output, type=Offered)


def attack(options: argparse.Namespace, running: Running) -> Seen:
    """Find the sustainable rate, then offer more, with a light load before, beside and after it."""
    few = finish(load(running.port, "few", FEW, options.measure))
    sustainable, base = rate(few), resident(running.pid)
    with Watch(running.pid) as watch:
        beside = load(running.port, "light", LIGHT_CONNECTIONS, 24 * 3600, sustainable * LIGHT)
        try:
            time.sleep(options.calm / 2)
            heavy = finish(load(running.port, "heavy", options.connections, options.seconds, sustainable * TIMES))
            time.sleep(max(0, heavy.ended + options.calm - time.monotonic()))
        finally:
            beside.terminate()
            light = finish(beside)
        peak = most_resident(running.pid)
    is_alive = running.processes[-1].poll() is None
    return Seen(options.connections, few, light, heavy, base, peak, watch.most_files, is_alive, events(running.log))


def events(log: Path) -> dict[str, int]:
    """The number of log lines by event."""
    lines = (line for line in log.read_text("utf-8").splitlines() if line.startswith("{"))
    told = Counter(str(msgspec.json.decode(line)["event"]) for line in lines)
    return dict(told.most_common())


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.overload",
        description="Four times as many requests as the gateway can answer, over thousands of connections.",
    )
    parser.add_argument("--connections", type=int, default=5000, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60, help="of overload (default: %(default)s)")
    parser.add_argument("--measure", type=float, default=10, help="seconds to find the rate (default: %(default)s)")
    parser.add_argument(
        "--calm", type=float, default=10, help="seconds of light load after it, and half of that before (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args(words)
    allow_many_files()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < 2 * options.connections + _OTHER_FILES:
        parser.error(f"{files} files may be open (ulimit -Hn): too few for a connection on each side of every request")
    return options


def run(options: argparse.Namespace, directory: Path) -> Seen:
    """Start a gateway and an API behind it, and put the loads on them."""
    place = Place(free_port(), free_port(), directory)
    server = {
        "listen": f"127.0.0.1:{place.port}",
        "max_connections": options.connections + 1000,
        "max_buffered": f"{MAX_BUFFERED // 2**20}MiB",
    }
    rules = rules_file(place, server=server, log={"format": "json", "requests": "none"})
    with started(
        "the gateway", [upstream_program(place.upstream), *gateway_program(place, rules)], directory
    ) as running:
        return attack(options, running)


def main() -> int:
    """Exit code 0 when all is as it must be; 1 when not."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        seen = run(options, Path(directory))
    print("\n".join(table(seen)))
    told = verdicts(seen)
    all_hold = tell(told)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(seen)) + b"\n")
    return not all_hold


if __name__ == "__main__":
    sys.exit(main())
