# Instructions in user space per request, of this checkout beside an earlier commit of it: counted by valgrind, and so
# nearly the same on a busy machine, where CPU time differs by percents. `python -m benchmarks.instructions COMMIT`.

import argparse
import contextlib
import dataclasses
import http.client
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import CREATE, DUPLICATE, GET, POST, Scenario, WrongAnswerError
from benchmarks.processes import found, free_port, started
from benchmarks.proxies import Place, upstream_program
from benchmarks.requests import numbered
from benchmarks.versions import ROOT, checked_out, gateway_of

SCENARIOS = (GET, POST, CREATE, DUPLICATE)
START_LIMIT = 300.0
"""Seconds: under valgrind everything takes fifty times as long."""
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    # valgrind counts `rep stosb` once for each byte that it sets.
    "GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=100000000:glibc.cpu.x86_rep_movsb_threshold=100000000",
}
_TOTAL = re.compile(rb"^(?:summary|totals): (\d+)", re.MULTILINE)


class Counted:
    """A gateway under callgrind. Mutable state: how many dumps it made."""

    def __init__(self, pid: int, connection: socket.socket, dumps: Path) -> None:
        self._pid = pid
        self._connection = connection
        self._dumps = dumps
        self._made = 0

    def __repr__(self) -> str:
        return f"Counted({self._pid}, {self._made} dumps)"

    def send(self, scenario: Scenario, count: int, first: int) -> None:
        """Send requests one after the other, with numbers from `first` on. Raises WrongAnswerError."""
        text = scenario.text("series")
        for number in range(first, first + count):
            self._connection.sendall(numbered(text, number))
            response = http.client.HTTPResponse(self._connection, method=text.partition(b" ")[0].decode())
            response.begin()
            response.read()
            if response.status != scenario.expected:
                raise WrongAnswerError(f"{scenario.name}: {response.status} instead of {scenario.expected}")

    def instructions(self) -> int:
        """How many it has executed since this was asked last."""
        subprocess.run(["callgrind_control", "-d", str(self._pid)], check=True, capture_output=True)
        self._made += 1
        dump = self._dumps.with_name(f"{self._dumps.name}.{self._made}")
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if dump.exists() and (total := _TOTAL.search(dump.read_bytes())):
                return int(total[1])
            time.sleep(0.05)
        raise RuntimeError("callgrind made no dump")


@contextlib.contextmanager
def counted(name: str, source: Path, upstream: int, directory: Path) -> Iterator[Counted]:
    """Run the gateway of a source tree under callgrind."""
    place, dumps = Place(free_port(), upstream, directory / name), directory / name / "callgrind"
    place.directory.mkdir()
    program = gateway_of(source, place)
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={dumps}", *program.argv]
    program = dataclasses.replace(program, argv=command, environment={**program.environment, **_ENVIRONMENT})
    with (
        started(name, [program], place.directory, START_LIMIT) as running,
        socket.create_connection(("127.0.0.1", place.port), timeout=START_LIMIT) as connection,
    ):
        yield Counted(running.pid, connection, dumps)


def count(gateway: Counted, requests: int) -> list[float]:
    """Instructions per request, of each scenario."""
    for scenario in SCENARIOS:
        gateway.send(scenario, requests, 0 if scenario is DUPLICATE else 10 * requests)
        if scenario is CREATE:
            gateway.send(scenario, requests, 0)
    figures = list[float]()
    for scenario in SCENARIOS:
        gateway.instructions()
        gateway.send(scenario, requests, 0 if scenario is DUPLICATE else 20 * requests)
        figures.append(gateway.instructions() / requests)
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 when a gateway does not serve or answers wrongly, 2 when valgrind is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description="Two versions, counted.")
    parser.add_argument("commit", help="what this checkout is compared with")
    parser.add_argument("--requests", type=int, default=300, help="of each scenario (default: %(default)s)")
    options = parser.parse_args(arguments)
    if found("callgrind_control") is None:
        print("valgrind is not installed", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gateway-instructions-") as name, contextlib.ExitStack() as stack:
        directory, port = Path(name), free_port()
        earlier = stack.enter_context(checked_out(options.commit, directory))
        stack.enter_context(started("upstream", [upstream_program(port)], directory))
        both = list[list[float]]()
        try:
            for version, source in (("now", ROOT), ("before", earlier)):
                with counted(version, source, port, directory) as gateway:
                    both.append(count(gateway, options.requests))
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not counted: {error}", file=sys.stderr)
            return 1
    print(f"instructions in user space per request, thousands, one after the other; beside {options.commit}")
    for scenario, now, before in zip(SCENARIOS, *both, strict=True):
        print(f"{scenario.name:<18} {now / 1000:8.1f} {before / 1000:8.1f}  {now / before:5.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
