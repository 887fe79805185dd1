# `gateway demo` as a person or a script runs it, and the judgement it passes on its own scenes.

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import demo
from gateway.commands.demo.scenes import (
    ADA,
    BYRON,
    GRACE,
    OTHER_ADA,
    SCENES,
    Answer,
    Scene,
    Send,
    User,
    duplicates,
    judge_scene,
    judge_send,
)

COMMAND = (sys.executable, "-m", "gateway", "demo", "--fast")


async def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    """Run the demo with `directory` for temporary files; return exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        env={**os.environ, "TMPDIR": str(directory)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_each_step_of_the_demo_happens_as_told_and_nothing_is_left_behind(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path, "--json")
    assert (code, err) == (0, ""), out
    steps: dict[str, dict[str, Any]] = {step["step"]: step for step in map(json.loads, out.splitlines())}
    assert list(steps) == [*(scene.name for scene in SCENES), "summary"]
    assert all(step["ok"] for step in steps.values())

    def came(step: str) -> list[list[tuple[int, int, str | None]]]:
        sends = steps[step]["sends"]
        return [[(kind["count"], kind["status"], kind["slug"]) for kind in send] for send in sends]

    assert came("first-create") == [[(1, 201, None)]]
    assert steps["first-create"]["sends"][0][0]["location"] == "/users/1"
    assert came("duplicate") == [[(1, 409, "duplicate")]]
    problem = steps["duplicate"]["sends"][0][0]["problem"]
    assert problem["existingResourceLink"] == "/users/1"
    assert {"title", "conflictField", "suggestedNextStep"} <= set(problem)
    assert came("other-email") == [[(1, 409, "duplicate")], [(1, 201, None)]]
    assert steps["other-email"]["sends"][0][0]["problem"]["conflictField"] == "username"
    (fifty,) = came("fifty-at-once")
    assert fifty[0] == (1, 201, None)
    assert sum(count for count, status, _ in fifty if status == 409) == 49
    assert {slug for _, status, slug in fifty if status == 409} <= {"in-progress", "duplicate"}
    assert came("outcome-unknown") == [[(1, 502, "outcome-unknown")], [(1, 409, "outcome-unknown")]]
    assert came("kill-gateway") == [[(1, 409, "duplicate")]]
    assert [steps[scene.name]["rows"] for scene in SCENES] == [1, 0, 1, 1, 1, 0]
    assert [steps[scene.name]["reached"] for scene in SCENES] == [1, 0, 1, 1, 1, 0]
    counts = {"sent": 57, "reached": 4, "rows": 4, "duplicates": 0}
    assert steps["summary"] == {"step": "summary", "ok": True, **counts}
    assert left_in(tmp_path) == []


async def test_the_demo_for_people_tells_every_scene_and_uses_no_colour_off_a_terminal(tmp_path: Path) -> None:
    code, out, err = await run(tmp_path)
    assert (code, err) == (0, ""), out
    assert all(scene.title in out for scene in SCENES)
    assert "57 creates sent, 4 reached the API, no duplicate" in out
    assert "suggestedNextStep" in out
    assert "\x1b" not in out


async def test_ctrl_c_ends_the_demo_and_all_that_it_started(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert process.stdout is not None
    while b"409 duplicate" not in await process.stdout.readline():
        assert not process.stdout.at_eof()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")
    assert left_in(tmp_path) == []


async def test_a_step_that_does_not_happen_as_told_ends_the_demo_with_1_and_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    untrue = Scene("untrue", "The first create is stopped", (Send(user=ADA, slugs=("duplicate",)),), 0, "")
    monkeypatch.setattr(demo, "SCENES", (untrue, *SCENES))
    code = await asyncio.to_thread(demo.execute, argparse.Namespace(fast=True, json=True))
    out, err = capsys.readouterr()
    assert code == 1
    assert err.startswith("gateway demo: untrue: not as expected: 1 of 1 creates were answered 201; expected were 0\n")
    (line,) = out.splitlines()
    assert json.loads(line)["ok"] is False


def problem(slug: str, status: int = 409, **members: object) -> Answer:
    return Answer(status=status, problem={"type": f"urn:problem-type:gateway:{slug}", **members})


CREATED = Answer(status=201, location="/users/1")
FIFTY = Send(user=GRACE, times=3, created=1, slugs=("in-progress", "duplicate"))
CONFLICT = Send(user=OTHER_ADA, slugs=("duplicate",), conflict="username", members=("title",))


@pytest.mark.parametrize(
    ("send", "answers", "complaints"),
    [
        (FIFTY, [CREATED, problem("in-progress"), problem("duplicate")], []),
        (FIFTY, [CREATED, CREATED, problem("duplicate")], ["2 of 3 creates were answered 201; expected were 1"]),
        (
            FIFTY,
            [CREATED, problem("outcome-unknown"), problem("outcome-unknown")],
            ["2 x 409 outcome-unknown; expected was 409 in-progress or duplicate"],
        ),
        (FIFTY, [CREATED, problem("duplicate"), Answer(error="reset")], ["1 x no answer: reset"]),
        (
            FIFTY,
            [CREATED, problem("duplicate"), Answer(status=409)],
            ["1 x 409 without a problem of the gateway; expected was 409 in-progress or duplicate"],
        ),
        (CONFLICT, [problem("duplicate", conflictField="username", title="x")], []),
        (
            CONFLICT,
            [problem("duplicate", conflictField="email", title="x")],
            ["1 x conflictField is 'email'; expected was 'username'"],
        ),
        (CONFLICT, [problem("duplicate", conflictField="username")], ["1 x the problem lacks title"]),
    ],
)
def test_what_is_not_as_told_is_named(send: Send, answers: list[Answer], complaints: list[str]) -> None:
    """Each answer is held against what its scene tells; equal complaints are counted."""
    assert judge_send(send, answers) == complaints


def test_a_create_that_reached_the_api_unannounced_or_a_row_too_many_is_named() -> None:
    first = SCENES[0]
    assert judge_scene(first, 1, 1) == []
    assert judge_scene(first, 2, 1) == ["2 creates reached the API; expected were 1"]
    assert judge_scene(first, 1, 2) == ["the API stored 2 rows; expected were 1"]


def test_duplicates_are_rows_that_repeat_an_email_or_a_username() -> None:
    assert duplicates([ADA, BYRON, GRACE]) == 0
    assert duplicates([ADA, OTHER_ADA]) == 1
    assert duplicates([ADA, ADA, User("x", ADA.email, "x")]) == 2
