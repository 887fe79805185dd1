# Autobahn's WebSocket cases (PyPI: kosoku), through the gateway and without it: what a tunnel must not change.
# Run it with `make websockets`.

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from kosoku import FailureError, run_fuzzingclient
from kosoku._kosoku import CaseResult  # the type is not exported

from benchmarks.processes import Program, free_port, started
from benchmarks.proxies import Place, gateway_program, rules_file

LEFT_OUT = ("9.*", "12.*", "13.*")
"""Performance, and compression, which the peer declines or not without anybody between having a say."""


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.websockets",
        description="Autobahn's WebSocket cases, through the gateway and without it.",
    )
    parser.add_argument("-i", "--include", action="append", metavar="CASE", help="only these cases, as in 1.*")
    parser.add_argument(
        "-x", "--exclude", action="append", metavar="CASE", help=f"not these (default: {', '.join(LEFT_OUT)})"
    )
    return parser.parse_args()


async def run_cases(port: int, include: list[str] | None, exclude: list[str]) -> dict[str, str]:
    """Run the cases against a port; what came of each."""
    try:
        results = await run_fuzzingclient(f"ws://127.0.0.1:{port}", include, exclude)
    except FailureError as failure:
        results = failure.results
    return {result.case_id: verdict(result) for result in results}


def verdict(result: CaseResult) -> str:
    """Say what came of one case, its closing and the codes of it included."""
    closed = f"{result.behavior_close.value}, closed {result.local_close_code}/{result.remote_close_code}"
    return f"{result.behavior.value}, {closed}, {'clean' if result.was_clean else 'not clean'}"


def is_same(one: str, other: str | None) -> bool:
    """Whether two verdicts are the same, but for what the peer's timing decides.

    Where a bad frame follows good ones, answering the good ones first is OK and not answering them is NON-STRICT. The
    peer does now one and now the other, also without a proxy.
    """
    return other is not None and one.replace("NON-STRICT", "OK") == other.replace("NON-STRICT", "OK")


def main() -> int:
    """Exit code 0 when every case ends the same way; 1 when one does not."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory, ExitStack() as stack:
        place = Place(free_port(), free_port(), Path(directory))
        echo = Program(
            [sys.executable, "-m", "campaigns.websockets.echo", "--port", str(place.upstream)], place.upstream
        )
        stack.enter_context(started("the echo server", [echo], place.directory))
        stack.enter_context(started("the gateway", gateway_program(place, rules_file(place)), place.directory))
        exclude = options.exclude or list(LEFT_OUT)
        direct = asyncio.run(run_cases(place.upstream, options.include, exclude))
        through = asyncio.run(run_cases(place.port, options.include, exclude))
    for name, found in (("direct", direct), ("through the gateway", through)):
        told = Counter(each.partition(", closed")[0] for each in found.values())
        print(f"{name}: {len(found)} cases: " + "; ".join(f"{count} x {each}" for each, count in told.most_common()))
    same = 0
    for case, expected in direct.items():
        found_there = through.get(case)
        same += is_same(expected, found_there)
        if found_there != expected:
            by_timing = " (the peer's timing)" if is_same(expected, found_there) else ""
            print(f"  {case}: direct: {expected}; through the gateway: {found_there or 'not run'}{by_timing}")
    print(f"{same} of {len(direct)} cases end the same way")
    return not direct or same < len(direct)


if __name__ == "__main__":
    sys.exit(main())
