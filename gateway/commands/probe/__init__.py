# `gateway probe`: its options and its two phases.
#
# send.py sends the creates, report.py draws the conclusions, screen.py shows both.

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator

import msgspec

from gateway.commands import curl_options
from gateway.commands.probe.report import AT_ONCE, IN_SEQUENCE, Phase, Result, judge, latency
from gateway.commands.probe.screen import EXAMPLES, ProbeScreen
from gateway.commands.probe.send import Plan, send_at_once, send_in_sequence
from gateway.commands.terminal import Terminal

SUMMARY = "send identical creates to an API and report whether it makes duplicates"

DESCRIPTION = """\
Sends one create COUNT times in sequence, then COUNT times at once, to any URL, and says what came back and whether
the API made duplicates. It creates real things there.

    gateway probe http://127.0.0.1:9000/users -n 50 \\
        -d '{"name": "Ada", "email": "{{unique}}@example.com", "username": "{{unique}}"}'

{{unique}} in the body, a header or the URL becomes one fresh value in each of the two phases, so that both begin with
something that does not exist yet. Without it, the second phase repeats what the first has created. Send it to the API,
then to the gateway in front of it, and compare.

Created resources are distinguished by their Location, or by the "id" in the answer's body. Nothing is ever sent again.
Exit codes: 0 the API stops duplicates, 1 it makes them or the result is unclear, 2 the command line is invalid.
"""

COUNT_LIMIT = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `gateway probe`."""
    parser.add_argument("url", type=curl_options.url, metavar="URL", help="where to send the creates")
    parser.add_argument(
        "-d",
        "--data",
        type=curl_options.data,
        metavar="DATA",
        help="the body, sent as it is: text, @FILE, or @- for standard input",
    )
    parser.add_argument(
        "-X",
        "--request",
        type=curl_options.method,
        default="POST",
        metavar="METHOD",
        help="default: %(default)s",
    )
    parser.add_argument(
        "-H",
        "--header",
        type=curl_options.header,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a request header; may be given again. A body is application/json unless a header says otherwise",
    )
    parser.add_argument(
        "-n",
        "--count",
        type=_count,
        default=50,
        metavar="COUNT",
        help=f"creates in each phase, 2 to {COUNT_LIMIT} (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for each answer (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def execute(args: argparse.Namespace) -> int:
    """Send, and report; 0 when the API stops duplicates, else 1."""
    headers = list(args.header)
    if args.data is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    plan = Plan(args.url, args.request, tuple(headers), args.data or b"", args.count, args.timeout)
    return asyncio.run(_report(plan, as_json=args.json))


async def probe(plan: Plan, screen: ProbeScreen | None = None) -> list[Phase]:
    """Send both phases of a plan and return them; the second is skipped when the first got no answer."""
    filled = plan.filled()
    first = await _phase(IN_SEQUENCE, True, send_in_sequence(filled), screen)
    if all(result.status is None for result in first.results):
        return [first]
    fresh = plan.has_marker
    if fresh:
        filled = plan.filled()
    return [first, await _phase(AT_ONCE, fresh, send_at_once(filled), screen)]


async def _phase(name: str, fresh: bool, sending: AsyncIterator[Result], screen: ProbeScreen | None) -> Phase:
    if screen is not None:
        screen.begin(name, fresh)
    began = time.perf_counter()
    results = []
    async for result in sending:
        results.append(result)
        if screen is not None:
            screen.answer(result)
    phase = Phase(name, tuple(results), fresh)
    if screen is not None:
        screen.end(phase, time.perf_counter() - began)
    return phase


def _as_object(phase: Phase) -> dict[str, object]:
    return {
        "name": phase.name,
        "fresh": phase.fresh,
        "sent": len(phase.results),
        "accepted": len(phase.accepted),
        "statuses": phase.statuses,
        "resources": len(phase.resources),
        "examples": phase.resources[:EXAMPLES],
        "errors": phase.errors,
        "latency_ms": latency(phase),
    }


async def _report(plan: Plan, *, as_json: bool) -> int:
    screen = ProbeScreen(Terminal(sys.stderr if as_json else sys.stdout), plan)
    screen.announce()
    phases = await probe(plan, None if as_json else screen)
    verdict = judge(phases)
    if as_json:
        about = {"url": plan.url, "method": plan.method, "count": plan.count, "unique": plan.has_marker}
        parts = [_as_object(phase) for phase in phases]
        print(msgspec.json.encode({**about, "phases": parts, "verdict": verdict}).decode())
    else:
        screen.conclude(verdict)
    return 0 if verdict.kind == "stops" else 1


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 2 <= int(text) <= COUNT_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 2 to {COUNT_LIMIT}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to 3600")
    return seconds
