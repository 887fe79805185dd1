# CPU per request of the gateway beside an ordinary aiohttp proxy: same load, same upstream, in turns.

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import SCENARIOS, Bench, Measured, WrongAnswerError
from benchmarks.peers import GATEWAY, ORDINARY, UPSTREAM, free_port, started

FORMATS = {"speedscope": "json", "raw": "txt", "flamegraph": "svg"}


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="requests a run (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=50, help="connections at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="measured runs of each scenario (default: %(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only scenarios with TEXT in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="then record each gateway scenario with py-spy")
    parser.add_argument("--profile-format", choices=FORMATS, default="speedscope")
    return parser.parse_args()


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    versions = {name: importlib.metadata.version(name) for name in ("aiohttp", "httptools", "msgspec", "uvloop")}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        **versions,
    }


def table(summaries: list[dict[str, Any]]) -> str:
    """The figures for people."""
    lines = [
        f"{'scenario':<28}{'µs CPU/request':>15}{'ratio':>7}{'requests/s':>12}{'p50 ms':>8}{'p99 ms':>8}  statuses"
    ]
    for row in summaries:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "1"
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(row["statuses"].items()))
        lines.append(
            f"{row['scenario']:<28}{row['cpu_us']:>15.1f}{ratio:>7}{row['requests_per_second']:>12,.0f}"
            f"{row['p50_ms']:>8.2f}{row['p99_ms']:>8.2f}  {statuses}"
        )
    return "\n".join(lines)


def run(options: argparse.Namespace, directory: Path) -> list[dict[str, Any]]:
    """Measure every scenario asked for; WrongAnswerError when one is not answered as it must be."""
    measured = {scenario.name: Measured(scenario) for scenario in SCENARIOS if options.only in scenario.name}
    with contextlib.ExitStack() as stack:
        upstream = free_port()
        stack.enter_context(started(UPSTREAM, directory / "upstream", upstream, upstream))
        peers = {}
        for peer in (ORDINARY, GATEWAY):
            if any(each.scenario.peer == peer for each in measured.values()):
                place = directory / peer.name.replace(" ", "-")
                peers[peer.name] = stack.enter_context(started(peer, place, free_port(), upstream))
        bench = Bench(peers, options.requests, options.connections)
        for each in measured.values():
            bench.warm_up(each.scenario)
        for number in range(options.rounds):
            for each in measured.values():
                cpu, load = bench.run(each.scenario)
                each.cpu.append(cpu)
                each.loads.append(load)
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr, flush=True)
        if options.profile:
            profile(bench, list(measured.values()), options.profile, options.profile_format)
    return [each.summary(measured.get(each.scenario.yardstick or "")) for each in measured.values()]


def profile(bench: Bench, measured: list[Measured], directory: Path, form: str) -> None:
    """Record each gateway scenario into `directory`, if py-spy is installed beside this Python."""
    py_spy = Path(sys.executable).with_name("py-spy")
    if not py_spy.exists():
        print(f"no profile: there is no {py_spy}", file=sys.stderr)
        return
    directory.mkdir(parents=True, exist_ok=True)
    for each in measured:
        if each.scenario.peer == GATEWAY:
            file = directory / f"{each.scenario.slug}.{FORMATS[form]}"
            bench.profile(each.scenario, py_spy, file, form)
            print(f"profile of {each.scenario.name}: {file if file.exists() else 'py-spy could not attach'}")


def main() -> int:
    """Exit code 0; 1 when a peer does not serve or answers wrongly."""
    options = arguments()
    facts = machine()
    print(" · ".join(f"{name} {value}" for name, value in facts.items()))
    print(
        f"{options.requests:,} requests a run over {options.connections} connections, {options.rounds} rounds in turns"
    )
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        try:
            summaries = run(options, Path(directory))
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print(table(summaries))
    if options.json:
        figures = {"machine": facts, "connections": options.connections, "scenarios": summaries}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
