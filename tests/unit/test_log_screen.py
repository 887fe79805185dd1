# Requests as lines of one shape for a terminal of any width, and a summary when they are many.

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gateway.log_screen import MANY, MOST_OF_NOTE, WINDOW, RequestScreen
from gateway.telemetry import RequestRecord, Telemetry

CLOCK = "12:34:56"
ID = "9d0c4ae9f6a84f0d"
LONG = "create-a-subscription-of-an-enterprise-customer"
WIDE = "ユーザー登録ルール-新規アカウント作成"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def record(**changes: Any) -> RequestRecord:
    usual = {"method": "POST", "outcome": "created", "status": 201, "duration_ms": 1.5, "rule": "create-user"}
    return RequestRecord(**{**usual, "request_id": ID, **changes})


def screen(width: int = 80, out: io.StringIO | None = None, **environ: str) -> RequestScreen:
    return RequestScreen(out or Terminal(), {"COLUMNS": str(width), "NO_COLOR": "1", **environ})


def test_a_request_is_one_line_with_its_columns_at_their_places() -> None:
    assert screen().line(record(), CLOCK) == (
        "12:34:56 POST    201  created               create-user          1.5 ms 9d0c4ae9"
    )
    seen = screen(120).line(record(status=409, outcome="duplicate", fingerprint="0123456789ab"), CLOCK)
    assert seen == (
        "12:34:56 POST    409  duplicate             create-user                        1.5 ms 9d0c4ae9 0123456789ab"
    )


@pytest.mark.parametrize(
    ("changes", "notes"),
    [
        ({"unguarded": "missing-identity"}, "missing-identity"),
        ({"client_gone": True, "status": None}, "client gone"),
        ({"outcome": "outcome-unknown", "status": 502, "upstream_status": 500}, "API said 500"),
        ({"upstream_status": 201, "fingerprint": "0123456789ab"}, ""),
    ],
)
def test_there_is_more_to_read_where_there_is_space(changes: dict[str, Any], notes: str) -> None:
    assert screen(120).line(record(**changes), CLOCK).partition(ID[:8])[2].strip() == notes
    assert screen(80).line(record(**changes), CLOCK).endswith(ID[:8])


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("rule", [None, "a", LONG, WIDE, "e\u0301" * 40, "🙂" * 20])
def test_no_name_moves_a_column(width: int, rule: str | None) -> None:
    line = screen(width).line(record(rule=rule), CLOCK)
    assert cell_len(line) <= width
    before, found, after = line.partition("  1.5 ms ")
    usual = screen(width).line(record(), CLOCK).partition("  1.5 ms ")[0]
    assert (cell_len(before), found, after) == (cell_len(usual), "  1.5 ms ", ID[:8])


@given(st.text(), st.integers(60, 250), st.floats(0, 1e9), st.text(), st.sampled_from([None, 200, 409, 500]))
def test_whatever_is_shown_fits_and_breaks_nothing(
    rule: str, width: int, ms: float, request_id: str, status: int | None
) -> None:
    shown = record(rule=rule, duration_ms=ms, request_id=request_id, status=status)
    line = screen(width).line(shown, CLOCK)
    assert line.isprintable()
    assert cell_len(line) <= width


def test_a_narrow_terminal_gets_fewer_columns() -> None:
    assert ID[:8] not in screen(69).line(record(), CLOCK)
    assert screen(60).line(record(), CLOCK).startswith("POST ")
    assert "…" in screen(80).line(record(rule=LONG), CLOCK)
    plain = Terminal()
    plain.encoding = "ascii"
    assert "…" not in screen(80, plain).line(record(rule=LONG), CLOCK)


@pytest.mark.parametrize(
    ("environ", "is_painted"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_as_the_environment_says(environ: Mapping[str, str], is_painted: bool) -> None:
    shown = RequestScreen(Terminal(), {"COLUMNS": "80", **environ})
    lines = [shown.line(record(), CLOCK), shown.event_line("warning: recovered unknown=3", "warning", CLOCK)]
    assert [bool(COLOUR.search(line)) for line in lines] == [is_painted, is_painted]
    assert COLOUR.sub("", lines[0]) == screen().line(record(), CLOCK)
    assert COLOUR.sub("", lines[1]) == f"{CLOCK} warning: recovered unknown=3"


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        ("created", 201, "32"),
        ("passed", 200, "2"),
        ("duplicate", 409, "33"),
        ("outcome-unknown", 409, "31"),
        ("failed", 500, "31"),
        ("store-unavailable", 503, "31"),
    ],
)
def test_the_colour_says_what_to_look_at(outcome: str, status: int, code: str) -> None:
    line = RequestScreen(Terminal(), {"COLUMNS": "80"}).line(record(outcome=outcome, status=status), CLOCK)
    assert f"\x1b[{code}m{outcome}\x1b[0m" in line
    assert f"\x1b[{code}m{status}\x1b[0m" in line


class TestMany:
    def test_each_has_a_line_until_they_are_many(self) -> None:
        shown = screen()
        assert sum(len(shown.lines(record(), CLOCK, 100.0)) for _ in range(MANY)) == MANY
        (note,) = shown.lines(record(), CLOCK, 101.0)
        assert note == f"{CLOCK} many requests: a summary every 10 s, refusals, failures and unknown"
        assert shown.lines(record(), CLOCK, 102.0) == []

    def test_what_is_of_note_has_a_line_still_though_not_without_end(self) -> None:
        shown = screen()
        for _ in range(MANY + 1):
            shown.lines(record(outcome="passed"), CLOCK, 100.0)
        (line,) = shown.lines(record(outcome="outcome-unknown", status=409), CLOCK, 101.0)
        assert "outcome-unknown" in line
        refused = [shown.lines(record(outcome="duplicate", status=409), CLOCK, 102.0) for _ in range(500)]
        assert sum(map(len, refused)) == MOST_OF_NOTE - 1

    def test_a_summary_says_what_became_of_them_and_first_what_is_trouble(self) -> None:
        shown = screen()
        for outcome, times in (("passed", 1200), ("created", 60), ("outcome-unknown", 2)):
            for number in range(times):
                shown.lines(record(outcome=outcome, duration_ms=number), CLOCK, 100.0)
        assert shown.due(CLOCK, 100.0 + WINDOW - 1) == []
        (summary,) = shown.due(CLOCK, 100.0 + WINDOW)
        assert summary == (f"{CLOCK} 1,262 requests in 10 s: 2 outcome-unknown, 1,260 others; slowest 1.2 s")
        assert cell_len(summary) <= 80

    def test_a_wide_terminal_has_space_for_all_of_it(self) -> None:
        shown = screen(120)
        for outcome, times in (("passed", 1200), ("created", 60), ("outcome-unknown", 2)):
            for _ in range(times):
                shown.lines(record(outcome=outcome), CLOCK, 100.0)
        (summary,) = shown.due(CLOCK, 100.0 + WINDOW)
        assert "s: 2 outcome-unknown, 1,200 passed, 60 created; slowest 1.5 ms" in summary

    def test_after_a_calm_window_each_has_a_line_again(self) -> None:
        shown = screen()
        for _ in range(MANY + 1):
            shown.lines(record(), CLOCK, 100.0)
        assert len(shown.lines(record(), CLOCK, 111.0)) == 1, "the summary, and the window after it is busy still"
        (summary, line) = shown.lines(record(), CLOCK, 122.0)
        assert "1 requests" in summary
        assert "POST" in line
        assert shown.due(CLOCK, 133.0) == []


def test_a_summary_is_written_when_it_is_due_though_no_request_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("gateway.telemetry.time.monotonic", lambda: now)
    out = Terminal()
    told = Telemetry(out)
    for _ in range(MANY + 10):
        told.request(record())
    told.log_repeated()
    assert "requests in" not in out.getvalue()
    now += WINDOW
    told.log_repeated()
    assert f"{MANY + 10} requests in 10 s" in out.getvalue().splitlines()[-1]
    assert len(out.getvalue().splitlines()) == MANY + 2
