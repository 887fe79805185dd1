# The command line of the measurements under growing load: `python -m benchmarks.growth`.

import argparse
import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import series
from benchmarks.document import growth_lines
from benchmarks.generators import add_choice, choose
from benchmarks.machine import machine
from benchmarks.measure import Bench, WrongAnswerError
from benchmarks.picture import growth_picture
from benchmarks.processes import CORES, ONE_CORE, allow_many_files, free_port, on_cores, started
from benchmarks.proxies import upstream_program
from benchmarks.purge import purge

PARTS = ("claims", "purge", "connections", "bodies", "rules")


def numbers(text: str) -> list[int]:
    """Read whole numbers separated by commas."""
    return [int(number) for number in text.split(",")]


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="CPU per request as work grows.")
    add_choice(parser)
    parser.add_argument("--rounds", type=int, default=5, help="measured runs of each point (default: %(default)s)")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be given again")
    parser.add_argument("--claims", type=numbers, default="0,1000000,10000000", help="default: %(default)s")
    parser.add_argument("--connections", type=numbers, default="1,10,100,1000", help="default: %(default)s")
    parser.add_argument("--bodies", type=numbers, default="100,1024,10240,102400,1048576", help="default: %(default)s")
    parser.add_argument("--rules", type=numbers, default="1,10,100,500", help="default: %(default)s")
    parser.add_argument("--purge", type=int, default=1_000_000, help="claims to purge (default: %(default)s)")
    parser.add_argument("--purge-seconds", type=float, default=40, help="length of the load (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where the stores are made; 10 million claims take 2 GiB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them there too, as SVG")
    return parser.parse_args()


def run(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure the parts asked for; WrongAnswerError when an answer is not what it must be."""
    parts = options.only or PARTS
    name, generator = choose(options.load, options.seconds)
    figures: dict[str, Any] = {"machine": machine(), "load": name, "seconds": options.seconds, "rounds": options.rounds}
    figures |= {"series": [], "stores": [], "purge": []}
    bench = Bench(generator, options.seconds, directory)
    for part in parts:
        # A purge is judged by what clients wait, so everything has all cores then, as it would have.
        with on_cores(CORES if part == "purge" else ONE_CORE), ExitStack() as stack:
            upstream = free_port()
            stack.enter_context(started("upstream", [upstream_program(upstream)], directory))
            ground = series.Ground(directory, upstream, bench, options.rounds, stack)
            match part:
                case "claims":
                    one, figures["stores"] = series.claims(ground, options.claims)
                    figures["series"].append(one)
                case "purge":
                    figures["purge"] = purge(ground, generator, options.purge, options.purge_seconds)
                case "connections":
                    figures["series"].append(series.connections(ground, options.connections))
                case "bodies":
                    figures["series"].append(series.bodies(ground, options.bodies))
                case "rules":
                    figures["series"].append(series.rules(ground, options.rules))
    return figures


def main() -> int:
    """Exit code 0; 1 when the gateway does not serve or answers wrongly, 2 when wrk was asked for and is not there."""
    options = arguments()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-", dir=options.directory) as directory:
        try:
            figures = run(options, Path(directory))
        except LookupError as error:
            print(error, file=sys.stderr)
            return 2
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print("\n".join(growth_lines(figures)))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.picture:
        options.picture.write_text(growth_picture(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
