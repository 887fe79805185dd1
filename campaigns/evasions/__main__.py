# Attempts to have a thing created twice past the gateway, and to block the creates of others, with the APIs of real
# frameworks as judges; and what ordinary clients send, which must pass. Run it with `make evasions`.

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from campaigns.evasions import ordinary_clients
from campaigns.evasions.judge import INSTALLED, JUDGES
from campaigns.evasions.message import shown
from campaigns.evasions.ordinary_clients import Answered
from campaigns.evasions.run import Sent, Trial, run
from campaigns.evasions.table import SECOND_CREATES, STRANGERS
from campaigns.verdicts import tell

AT_ONCE = 2
"""Judges at once."""
_SHOWN = 400
"""Bytes of a request that are shown."""
_CLIENTS = "clients"


async def trials(directory: Path, judges: Iterable[str], only: str, at_once: int) -> list[Trial]:
    """Send the attempts whose name or group contains a text to each judge."""
    creates = [each for each in SECOND_CREATES if only in f"{each.group} {each.name}"]
    by_strangers = [each for each in STRANGERS if only in f"{each.group} {each.name}"]
    places = asyncio.Semaphore(at_once)

    async def one(name: str) -> Trial:
        async with places:
            return await run(name, directory / name, creates, by_strangers)

    return await asyncio.gather(*map(one, judges))


def report(trial: Trial) -> list[str]:
    """What came of the attempts against one judge, a line each."""
    could = sum(sent.has_second for sent in trial.direct)
    lines = [
        f"{trial.judge}",
        f"  second creates: {len(trial.second)} attempts, {could} of which succeed without the gateway",
        f"    {_answers(trial.second)}",
        f"  by strangers: {len(trial.strangers)} attempts",
        f"    {_answers(trial.strangers)}",
        f"    without the gateway: {_answers(trial.answered)}",
    ]
    for what, sent in trial.breaches():
        group, name = sent.attempt.group, sent.attempt.name
        data = sent.data if len(sent.data) <= _SHOWN else sent.data[:_SHOWN] + b"..."
        lines += [f"NOT    {what}: {group}: {name}, which got {sent.answer}", f"       {data!r}"]
    lines += [f"       void, because the ordinary create got {answer}: {names}" for answer, names in _void(trial)]
    return lines


def _answers(sent: Iterable[Sent]) -> str:
    counts = Counter(each.answer for each in sent)
    return ", ".join(f"{count} x {answer}" for answer, count in counts.most_common())


def _void(trial: Trial) -> list[tuple[str, str]]:
    by_answer: dict[str, list[str]] = {}
    for sent in trial.void():
        by_answer.setdefault(sent.first, []).append(f"{sent.attempt.group}: {shown(sent.attempt.name)}")
    return [(answer, "; ".join(names)) for answer, names in by_answer.items()]


def verdicts(found: Sequence[Trial], clients: Sequence[Answered]) -> list[tuple[str, bool]]:
    """What had to hold, and whether it did."""
    lines = []
    if found:
        second = sum(len(trial.second) for trial in found)
        void = sum(len(trial.void()) for trial in found)
        blocking = sum(len(trial.strangers) for trial in found)
        twice = sum(sent.has_second for trial in found for sent in trial.second)
        blocked = sum(sent.first != "201" for trial in found for sent in trial.strangers)
        lines = [
            (f"{twice} of {second - void:,} attempts had something created twice; {void} more were void", not twice),
            (f"{blocked} of {blocking:,} attempts of strangers blocked the create of somebody else", not blocked),
        ]
    if clients:
        wrong = [each.name for each in clients if not each.is_right]
        lines.append(
            (f"{len(clients) - len(wrong)} of {len(clients)} ordinary clients got 201 and then 409", not wrong)
        )
    return lines


def main() -> int:
    """Exit code 0 when nothing slipped by, nobody was blocked and every client served; 1 when not; 2 without judges."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.evasions",
        description="Attempts to create twice or to block others, judged by the APIs of real frameworks.",
    )
    choices = [*JUDGES, _CLIENTS]
    parser.add_argument("--judges", default=",".join(choices), help="some of them (default: %(default)s)")
    parser.add_argument("--only", default="", help="attempts whose group or name contains this")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="judges at once (default: %(default)s)")
    options = parser.parse_args()
    chosen = options.judges.split(",")
    if unknown := set(chosen) - set(choices):
        parser.error(f"no such judges: {', '.join(sorted(unknown))}")
    if not (INSTALLED / "bin" / "python").exists():
        print("The judges are not installed: run `make evasions`, which installs them into .venv/judges.")
        return 2
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        judges = [name for name in chosen if name != _CLIENTS]
        found = asyncio.run(trials(Path(directory), judges, options.only, options.at_once))
        clients = asyncio.run(ordinary_clients.run(Path(directory))) if _CLIENTS in chosen else []
    for trial in found:
        print("\n".join(report(trial)))
    for each in clients:
        print(f"{'   ' if each.is_right else 'NOT'}    {each.name}: {each.first}, then {each.again}")
    holds = tell(verdicts(found, clients))
    print(f"{len(found)} judges, {time.perf_counter() - started:.0f} s")
    return not holds


if __name__ == "__main__":
    sys.exit(main())
