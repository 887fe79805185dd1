# The command line of the comparison: `python -m benchmarks`.

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.comparison import Comparison, Plan, compare
from benchmarks.document import comparison_lines
from benchmarks.generators import add_choice, choose
from benchmarks.measure import SCENARIOS, WrongAnswerError
from benchmarks.picture import comparison_picture
from benchmarks.processes import allow_many_files, found

FORMATS = {"speedscope": "json", "raw": "txt", "flamegraph": "svg"}


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="CPU per request, compared with other proxies."
    )
    add_choice(parser)
    parser.add_argument("--connections", type=int, default=50, help="connections at once (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="measured runs of each scenario (default: %(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only scenarios with TEXT in their name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them there too, as SVG")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="then record each gateway scenario with py-spy")
    parser.add_argument("--profile-format", choices=FORMATS, default="speedscope")
    options = parser.parse_args()
    if not any(options.only in scenario.name for scenario in SCENARIOS):
        parser.error(f"no scenario has {options.only!r} in its name: {', '.join(each.name for each in SCENARIOS)}")
    return options


def profile(comparison: Comparison, directory: Path, form: str) -> None:
    """Record each gateway scenario into `directory`, if py-spy is installed beside this Python or on PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    py_spy = str(beside) if beside.exists() else found("py-spy")
    if py_spy is None:
        print("no profile: py-spy was not found", file=sys.stderr)
        return
    for file in comparison.profile(py_spy, directory, form, FORMATS[form]):
        print(f"profile: {file if file.exists() else f'{file.stem}: py-spy could not attach'}")


def main() -> int:
    """Exit code 0; 1 when a proxy does not serve or answers wrongly, 2 when wrk was asked for and is not there."""
    options = arguments()
    allow_many_files()
    try:
        name, generator = choose(options.load, options.seconds)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    plan = Plan(options.only, generator, name, options.connections, options.seconds, options.rounds)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as directory:
        try:
            with compare(plan, Path(directory)) as comparison:
                comparison.measure()
                figures = comparison.figures()
                if options.profile:
                    profile(comparison, options.profile, options.profile_format)
        except (WrongAnswerError, RuntimeError) as error:
            print(f"not measured: {error}", file=sys.stderr)
            return 1
    print("\n".join(comparison_lines(figures)))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.picture:
        options.picture.write_text(comparison_picture(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
