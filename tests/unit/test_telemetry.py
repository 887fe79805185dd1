# One line a request, that nothing can break and no value can reach.

import inspect
import io
import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import RequestRecord, Telemetry

NASTY = [
    'line\nbreak {"event":"request"}',
    "carriage\rreturn",
    "tab\tquote\"apostrophe'back\\slash",
    "nul\x00escape\x1b[31m",
    "next\x85line\u2028separator\u2029paragraph",
    "right\u202eto left",
    "\ufeffmark\U0001f600é",
    "${HOME} $(id) %s {0}",
]


def record(**changes: Any) -> RequestRecord:
    usual = {"method": "POST", "outcome": "created", "status": 201, "duration_ms": 1.5, "rule": "create-user"}
    return RequestRecord(**{**usual, **changes})


def written(
    tell: Callable[[Telemetry], None],
    style: Literal["auto", "json", "text"] = "json",
    requests: Literal["all", "guarded", "none"] = "all",
) -> list[str]:
    """The lines that telling writes."""
    stream = io.StringIO()
    tell(Telemetry(stream, style=style, requests=requests))
    text = stream.getvalue()
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]


def test_a_request_is_one_line_of_json() -> None:
    (line,) = written(
        lambda told: told.request(
            record(
                upstream_status=201,
                upstream_ms=1.25,
                fingerprint="0123456789ab",
                unguarded="x",
                client_gone=True,
                request_id="an-id",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
            )
        )
    )
    found = json.loads(line)
    assert found.pop("time") > 1_700_000_000
    assert found == {
        "event": "request",
        "method": "POST",
        "rule": "create-user",
        "outcome": "created",
        "status": 201,
        "upstream_status": 201,
        "duration_ms": 1.5,
        "upstream_ms": 1.25,
        "fingerprint": "0123456789ab",
        "unguarded": "x",
        "client_gone": True,
        "request_id": "an-id",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }


def test_what_is_not_known_is_left_out_and_a_status_of_none_is_said() -> None:
    (line,) = written(lambda told: told.request(record(rule=None, status=None)))
    assert set(json.loads(line)) == {"time", "event", "method", "outcome", "status", "duration_ms"}
    assert json.loads(line)["status"] is None


def test_a_request_is_one_line_for_people() -> None:
    (line,) = written(
        lambda told: told.request(
            record(upstream_status=200, fingerprint="0123456789ab", unguarded="why", request_id="7")
        ),
        "text",
    )
    _, _, rest = line.partition(" ")
    assert rest == "POST 201 created rule=create-user upstream=200 fingerprint=0123456789ab unguarded=why id=7 1.5ms"
    (line,) = written(lambda told: told.request(record(rule=None, status=None, outcome="passed")), "text")
    assert line.partition(" ")[2] == "POST gone passed 1.5ms"


def test_an_event_is_one_line() -> None:
    (line,) = written(lambda told: told.event("recovered", "warning", unknown=3))
    found = json.loads(line)
    del found["time"]
    assert found == {"event": "recovered", "level": "warning", "unknown": 3}
    (line,) = written(lambda told: told.event("recovered", "warning", unknown=3), "text")
    assert line.partition(" ")[2] == "warning: recovered unknown=3"
    (line,) = written(lambda told: told.event("stopped"), "text")
    assert line.partition(" ")[2] == "info: stopped"


def test_an_event_that_happened_several_times_is_counted_so_and_told_once() -> None:
    stream = io.StringIO()
    told = Telemetry(stream, style="json")
    told.event("unknown-lapsed", "warning", times=3)
    told.event("unknown-lapsed", "warning")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["times"] == 3
    assert "times" not in second
    assert told.events == {"unknown-lapsed": 4}


class TestRecord:
    def test_it_is_closed_with_how_long_it_took(self) -> None:
        told = record()
        told.close(0.0015, was_answered=True, is_gone=False)
        assert told == record(duration_ms=1.5)

    def test_a_status_that_the_client_never_saw_is_not_told(self) -> None:
        told = record(status=201)
        told.close(1.0, was_answered=False, is_gone=True)
        assert (told.status, told.client_gone, told.duration_ms) == (None, True, 1000.0)

    def test_a_client_that_left_in_the_midst_of_its_answer_was_told_its_status(self) -> None:
        told = record(status=201)
        told.close(1.0, was_answered=True, is_gone=True)
        assert (told.status, told.client_gone) == (201, True)

    def test_a_person_reads_that_the_client_was_gone(self) -> None:
        (line,) = written(lambda told: told.request(record(status=None, client_gone=True)), "text")
        assert line.partition(" ")[2] == "POST gone created rule=create-user client-gone 1.5ms"


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("style", ["json", "text"])
def test_no_name_breaks_a_line(style: Literal["json", "text"], text: str) -> None:
    for tell in (
        lambda told: told.request(record(rule=text)),
        lambda told: told.event("settle-delayed", "error", rule=text, reason=text),
    ):
        (line,) = written(tell, style)
        assert len(line.splitlines()) == 1 or style == "json"
        assert all(character >= " " for character in line)
        if style == "json":
            assert json.loads(line)["rule"] == text
        else:
            assert line.isprintable()


def test_what_happens_often_is_told_at_once_and_then_with_how_many_times_it_did() -> None:
    def tell(told: Telemetry) -> None:
        for rule in ("a", "b", "a", "a"):
            told.repeated("store-failure", "error", rule=rule)
        for _ in range(3):
            told.log_repeated()
        told.repeated("store-failure", "error", rule="a")
        assert told.events["store-failure"] == 5

    lines = [json.loads(line) for line in written(tell)]
    assert [(line["rule"], line.get("times")) for line in lines] == [("a", None), ("b", None), ("a", 2), ("a", None)]


@given(st.text(), st.text())
def test_whatever_is_told_is_one_line_each(rule: str, reason: str) -> None:
    def tell(told: Telemetry) -> None:
        told.request(record(rule=rule))
        told.event("x", reason=reason)

    request, event = map(json.loads, written(tell))
    assert (request["rule"], event["reason"]) == (rule, reason)
    assert all(line.isprintable() for line in written(tell, "text"))
    assert len(written(tell, "text")) == 2


@pytest.mark.parametrize(
    ("requests", "names"), [("all", ["create-user", None]), ("guarded", ["create-user"]), ("none", [])]
)
def test_requests_are_filtered_and_events_and_counters_are_not(
    requests: Literal["all", "guarded", "none"], names: list[str | None]
) -> None:
    stream = io.StringIO()
    told = Telemetry(stream, style="json", requests=requests)
    told.request(record())
    told.request(record(rule=None, outcome="passed"))
    told.request(record(rule=None, outcome="passed"))
    told.event("stopped")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[-1:]] == ["stopped"]
    assert sorted({str(line.get("rule")) for line in lines[:-1]}) == sorted(map(str, names))
    assert told.requests == {("create-user", "created"): 1, ("", "passed"): 2}
    assert told.events == {"stopped": 1}


def test_there_is_no_room_for_a_value() -> None:
    """A path, a header, a body or an address could hold an identity; a record has no place for one."""
    assert set(inspect.signature(RequestRecord).parameters) == {
        "method",
        "rule",
        "outcome",
        "status",
        "upstream_status",
        "duration_ms",
        "upstream_ms",
        "fingerprint",
        "unguarded",
        "would",
        "client_gone",
        "request_id",
        "trace_id",
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_writes_for_people_on_a_terminal_and_json_elsewhere() -> None:
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        Telemetry(stream).event("stopped")
    assert "info: stopped" in screen.getvalue()
    assert json.loads(file.getvalue())["event"] == "stopped"


def test_lines_of_one_turn_of_the_loop_are_written_together_in_order() -> None:
    later: list[Callable[[], None]] = []
    stream = io.StringIO()
    told = Telemetry(stream, style="json", call_soon=later.append)
    for number in range(3):
        told.event("x", number=number)
    assert stream.getvalue() == ""
    assert len(later) == 1
    later.pop()()
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [0, 1, 2]
    told.event("x", number=3)
    assert len(later) == 1, "the next turn has a write of its own"
    told.flush()
    later.pop()()
    assert len(stream.getvalue().splitlines()) == 4


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_a_log_that_nobody_reads_stops_nothing(error: Exception) -> None:
    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise error

    told = Telemetry(Broken(), style="json")
    told.request(record())
    told.request(record())
    assert told.requests.total() == 2
