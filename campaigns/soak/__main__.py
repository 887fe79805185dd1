# The soak test: mixed traffic with faults at a constant rate, for half an hour. Nothing may be forwarded twice, every
# response must be explained by the faults, and memory, files, store and latency must not grow. Run it with `make soak`.

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.document import table
from benchmarks.machine import machine
from benchmarks.picture import Timeline, timeline_picture
from benchmarks.processes import allow_many_files
from campaigns.soak.run import EXPECTED, Plan, Soak, run
from campaigns.soak.samples import TIMED, Flat, judged
from campaigns.verdicts import tell

LABELS = {kind: kind for kind in TIMED} | {"straight": "a bare server"}
PANELS = (
    Timeline("Resident memory, MiB", {"gateway": "memory"}),
    Timeline("Open file descriptors, and threads", {"descriptors": "descriptors", "threads": "threads"}),
    Timeline("Store, MiB", {"file": "store", "write-ahead log": "log ahead"}),
    Timeline("Claims held", {"claims": "claims"}),
    Timeline("Latency, median, ms", {LABELS[kind]: f"{kind} p50" for kind in TIMED}),
    Timeline("Latency, 99th percentile, ms", {LABELS[kind]: f"{kind} p99" for kind in TIMED}),
    Timeline("Requests that reached the API, per second", {"requests": "forwarded"}),
    Timeline("CPU, % of a core", {"gateway": "cpu", "clients and API": "own cpu"}),
)
_SHOWN = 10


def flat_lines(flat: list[Flat]) -> list[str]:
    """A table of what had to stay flat."""
    rows = [
        [
            f"{each.limit.series}{f', {each.limit.unit}' if each.limit.unit else ''}",
            f"{each.first:,.4g}",
            f"{each.last:,.4g}",
            f"{each.most:,.4g}",
            each.limit.why,
        ]
        for each in flat
    ]
    return table(["usually", "first third", "last third", "at most", "because of"], rows, 1)


def counted(counts: Counter[str]) -> str:
    """Counts as a person reads them."""
    return ", ".join(f"{count:,} x {what}" for what, count in counts.most_common())


def verdicts(soak: Soak) -> list[tuple[str, bool]]:
    """Say of what must never happen how often it did, and whether that is right."""
    stalls = f"{len(soak.stalled_ms)} stalls of the event loop of more than 250 ms" + (
        f", for {max(soak.stalled_ms)} ms at most" if soak.stalled_ms else ""
    )
    beside = Counter({event: count for event, count in soak.log.items() if event != "request"})
    return [
        (f"{soak.second_forwards} of {soak.creates:,} creates were forwarded while held", soak.second_forwards == 0),
        (f"{len(soak.wrong)} things that no fault explains", not soak.wrong),
        (f"{soak.reloads} reloads; in the log: {counted(beside)}", beside.keys() <= EXPECTED),
        (f"left in the store: {counted(soak.left)}", not soak.left["in_flight"]),
        (stalls, True),
    ]


def figures(plan: Plan, soak: Soak, flat: list[Flat]) -> dict[str, Any]:
    """Return all that was measured."""
    return {
        "machine": machine(),
        "plan": {
            "minutes": plan.seconds / 60,
            "rate": plan.rate,
            "seed": plan.seed,
            "tls": plan.tls,
            "keep_seconds": plan.keep,
            "unknown_hold_seconds": plan.unknown_hold,
            "reload_every_seconds": plan.reload_every,
            "warm_up_seconds": plan.warm_up,
        },
        "operations": dict(soak.operations.most_common()),
        "told": dict(soak.told.most_common()),
        "log": dict(soak.log.most_common()),
        "left": dict(soak.left),
        "creates_forwarded": soak.creates,
        "second_forwards": soak.second_forwards,
        "reloads": soak.reloads,
        "stalled_ms": soak.stalled_ms,
        "wrong": soak.wrong,
        "flat": [
            {"series": each.limit.series, "first": each.first, "last": each.last, "most": each.most} for each in flat
        ],
        "series": soak.series,
    }


def write_json(found: dict[str, Any], file: Path) -> None:
    """Write figures with each of the series on a line of its own."""
    series = ",\n".join(f"    {json.dumps(name)}: {json.dumps(values)}" for name, values in found["series"].items())
    text = json.dumps({**found, "series": "@"}, indent=2, ensure_ascii=False).replace('"@"', f"{{\n{series}\n  }}")
    file.write_text(f"{text}\n", encoding="utf-8")


def write_picture(found: dict[str, Any], file: Path) -> None:
    """Draw all series."""
    plan = found["plan"]
    title = f"{plan['minutes']:.3g} minutes of mixed traffic with faults; the grey part is not judged"
    file.write_text(timeline_picture(title, PANELS, found, plan["warm_up_seconds"]), encoding="utf-8")


def main() -> int:
    """Exit code 0 when nothing went wrong and everything stayed flat; 1 when not."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.soak",
        description="Mixed traffic with faults, for long: what goes wrong, and what grows.",
    )
    parser.add_argument(
        "--minutes", type=float, default=30, help="with less than 10, memory is not flat yet (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=400, help="operations a second (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what is left to chance")
    parser.add_argument("--tls", action="store_true", help="clients speak TLS")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them there, as SVG")
    options = parser.parse_args()
    allow_many_files()
    plan = Plan(options.minutes * 60, options.rate, options.seed, options.tls)
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        soak = run(plan, Path(directory))
    flat = judged(soak.series, plan.warm_up)
    found = figures(plan, soak, flat)
    if options.json:
        write_json(found, options.json)
    if options.picture:
        write_picture(found, options.picture)
    print(f"operations: {counted(soak.operations)}\ntold: {counted(soak.told)}\n")
    print("\n".join([*flat_lines(flat), ""]))
    told = [*verdicts(soak), *((f"{each.limit.series} is flat", each.holds) for each in flat)]
    all_hold = tell(told)
    for what in soak.wrong[:_SHOWN]:
        print(f"NOT RIGHT: {what}")
    return not all_hold


if __name__ == "__main__":
    sys.exit(main())
