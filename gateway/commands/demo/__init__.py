# `gateway demo`: runs the scenes one after the other, and checks each result against the expected one.

import argparse
import asyncio
import sys

from gateway.commands.demo.scenes import (
    SCENES,
    Answer,
    Outcome,
    Restart,
    Scene,
    Tally,
    duplicates,
    judge_scene,
    judge_send,
)
from gateway.commands.demo.screen import DemoLines, DemoScreen, DemoShow
from gateway.commands.demo.stage import Stage
from gateway.commands.terminal import Terminal

SUMMARY = "show duplicates, races and crashes in the terminal, with an example API"

DESCRIPTION = """\
Starts an example API that checks nothing and the gateway in front of it, in a temporary directory and on free ports,
and plays what happens: a create, the same create again, fifty at once, an API that dies before it answers, and
kill -9 of the gateway. Each step is checked; nothing is left behind.

    gateway demo            watch it
    gateway demo --fast     without pauses
    gateway demo --json     one JSON object for each step, and one for the summary

Exit codes: 0 all as expected, 1 something was not, 2 the command line is invalid.
"""

PAUSE = 1.2
"""Seconds between two scenes, so that there is time to read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `gateway demo`."""
    parser.add_argument("--fast", action="store_true", help="no pauses between the scenes")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each step, without pauses")


def execute(args: argparse.Namespace) -> int:
    """Run the demo; 0 when all results are as expected, else 1. Raises GatewayError when a program fails to start."""
    terminal = Terminal(sys.stdout)
    show = DemoLines() if args.json else DemoScreen(terminal)
    pause = PAUSE if terminal.is_terminal and not args.fast and not args.json else 0.0
    return asyncio.run(_play(show, pause))


async def _play(show: DemoShow, pause: float) -> int:
    async with Stage() as stage:
        show.open(stage.gateway_address, stage.api_address, stage.rules)
        await asyncio.sleep(pause)
        sent = 0
        for scene in SCENES:
            show.begin(scene)
            outcome = await _perform(scene, stage, show)
            show.end(scene, outcome)
            sent += sum(len(answers) for answers in outcome.sends)
            if not outcome.ok:
                print(f"gateway demo: {scene.name}: not as expected: {'; '.join(outcome.failures)}", file=sys.stderr)
                print("The gateway's log ends with:", *stage.final_request_grace(), sep="\n  ", file=sys.stderr)
                return 1
            await asyncio.sleep(pause)
        users = await stage.rows()
        tally = Tally(sent, stage.reached(), len(users), duplicates(users))
    show.close(tally)
    return 0 if tally.duplicates == 0 else 1


async def _perform(scene: Scene, stage: Stage, show: DemoShow) -> Outcome:
    reached, rows = stage.reached(), len(await stage.rows())
    sends: list[tuple[Answer, ...]] = []
    failures: list[str] = []
    for step in scene.steps:
        if isinstance(step, Restart):
            await stage.restart(step)
            show.restarted(step)
            continue
        answers = await stage.send(step)
        show.sent(step, answers)
        sends.append(tuple(answers))
        failures = judge_send(step, answers)
        if failures:
            break
    if failures:
        return Outcome(tuple(sends), stage.reached() - reached, None, tuple(failures))
    reached, rows = stage.reached() - reached, len(await stage.rows()) - rows
    failures = judge_scene(scene, reached, rows)
    return Outcome(tuple(sends), reached, rows, tuple(failures))
