# Fuzzing, in a slice: `python -m campaigns.fuzz` does the same for longer, and judges times. GATEWAY_FUZZ_SEED repeats
# what has failed.

import os
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from campaigns.fuzz import __main__ as program
from campaigns.fuzz.__main__ import READERS, table
from campaigns.fuzz.batches import Items, Lines
from campaigns.fuzz.common import Broken, Reader
from campaigns.fuzz.cost import Costs, weigh
from campaigns.fuzz.documents import JsonBody, MsgpackBody
from campaigns.fuzz.engine import Tally, fuzz, shrink
from campaigns.fuzz.forms import Multipart, Urlencoded
from campaigns.fuzz.paths import Paths
from campaigns.fuzz.xml import Xml
from gateway.guard.batch import read_items
from gateway.guard.body import read_json
from gateway.guard.msgpack_body import read_msgpack
from gateway.guard.multipart_form import MultipartForm, read_multipart
from gateway.guard.rules import Match, Refusal
from gateway.guard.strict_json import Repeated
from gateway.guard.urlencoded import UrlencodedForm, read_urlencoded
from gateway.guard.xml_body import read_xml_body
from gateway.http.headers import Headers
from gateway.http.paths import Target
from tests.support.unit import compiled, rule_config

INPUTS = 400


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_input_breaks_what_must_hold(reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("GATEWAY_FUZZ_SEED") or random.SystemRandom().getrandbits(32))
    with capsys.disabled():
        sys.stdout.write(f"\n  {reader.name}: GATEWAY_FUZZ_SEED={seed}\n")
    tally = fuzz(reader, seed, inputs=INPUTS, judges_time=False)
    assert [line for failure in tally.failures.values() for line in failure.lines(seed)] == []
    assert tally.inputs == INPUTS
    assert tally.accepted > INPUTS // 50
    assert len(tally.outcomes) > 3 or reader.name == "paths"


def first_of_two(data: bytes, boundary: bytes) -> MultipartForm:
    """As read_multipart, with no objection to two parts of one name."""
    parts = {part.name: part for part in reversed(read_multipart(data, boundary)._parts)}
    return MultipartForm(list(parts.values()))


def last_pair(data: bytes) -> UrlencodedForm:
    pairs = {pair.partition(b"=")[0]: pair for pair in data.split(b"&")}
    return read_urlencoded(b"&".join(pairs.values()))


def last_key(*arguments: Any) -> Any:
    found = read_json(*arguments)
    return dict(found) if isinstance(found, Repeated) else found


def more_wanted(data: bytes, content_type: Any, coding: Any, formats: Any, wanted: Any = None) -> Any:
    """Takes for valid whatever follows the value, where only some of it is wanted."""
    return read_json(data if wanted is None else data.rstrip(b"}") + b"}", content_type, coding, formats, wanted)


def without_last(*arguments: Any) -> Any:
    return read_items(*arguments)[:-1]


def first_element(data: bytes, *arguments: Any) -> Any:
    """Leaves out a second element."""
    before, end, rest = data.partition(b"</email>")
    between, start, second = rest.partition(b"<email>")
    return read_xml_body(before + end + between + (second.partition(b"</email>")[2] if start else b""), *arguments)


def unguarded(data: bytes, *_: Any) -> Any:
    return read_msgpack(data, None) if data else [][0]


class PlainRules:
    """Rules that know a path only as it is sent."""

    def match(self, method: str, target: Target, headers: Headers) -> Match | Refusal | None:
        return self._rules.match(method, target, headers) if "%" not in target.path else None

    _rules = compiled(rule_config("/users", name="user"))


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (Multipart(first_of_two), "a simple reader differs"),
        (Urlencoded(last_pair), "urllib differs"),
        (JsonBody(last_key), "json.loads differs, first key"),
        (JsonBody(more_wanted), "what is wanted and the whole differ"),
        (MsgpackBody(last_key), "a simple reader differs, first key"),
        (MsgpackBody(unguarded), "IndexError"),
        (Items(without_last), "json.loads finds another list"),
        (Lines(without_last), "another number of lines"),
        (Xml(first_element), "ElementTree differs, last element"),
        (Paths(PlainRules()), "a guarded path passes"),  # type: ignore[arg-type]
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_reader_with_a_bug_is_found_out(reader: Reader, kind: str) -> None:
    """And the input that is shown fails for the same reason."""
    tally = fuzz(reader, 1, inputs=6000, judges_time=False, until=kind)
    assert kind in tally.failures
    failure = tally.failures[kind]
    with pytest.raises(Broken if kind != "IndexError" else IndexError):
        reader.check(failure.data)
    assert repr(failure.data) in failure.lines(1)[1]


class Costly(Urlencoded):
    """Takes the square of its input in time, or a hundred times it in memory."""

    largest = 1024

    def __init__(self, cost: Callable[[bytes], object]) -> None:
        super().__init__()
        self._cost = cost

    def read(self, data: bytes) -> object:
        return self._cost(data)

    def enlarge(self, data: bytes, _: random.Random) -> Callable[[int], bytes]:
        return lambda wanted: data * wanted


@pytest.mark.parametrize(
    ("cost", "kinds"),
    [
        (lambda data: [at for one in range(len(data)) for at in range(len(data))].clear(), {"time", "growth"}),
        (lambda data: len([bytes(1000) for _ in range(60_000)]), {"memory"}),
    ],
)
def test_what_takes_too_long_or_too_much_is_found_out(cost: Callable[[bytes], object], kinds: set[str]) -> None:
    with pytest.raises(Broken) as broken:
        weigh(Costly(cost), b"a", random.Random(1), Costs(), judges_time=kinds != {"memory"})
    assert broken.value.kind in kinds


def test_an_input_that_fails_is_made_as_small_as_can_be() -> None:
    assert shrink(b"abc" * 30 + b"xy" + b"d" * 50 + b"z", lambda data: b"x" in data and b"z" in data) == b"xz"


def test_the_same_seed_gives_the_same_inputs() -> None:
    first, second = (fuzz(Urlencoded(), 7, inputs=300, judges_time=False).outcomes for _ in range(2))
    assert first == second
    assert first != fuzz(Urlencoded(), 8, inputs=300, judges_time=False).outcomes


def test_the_program_tells_what_fails_and_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fuzz_so_many(reader: Reader, seed: int, **_: float) -> Tally:
        return fuzz(reader, seed, inputs=INPUTS, judges_time=False)

    monkeypatch.setattr(program, "READERS", (Multipart(first_of_two),))
    monkeypatch.setattr(program, "fuzz", fuzz_so_many)  # how many there are in a time hangs on the machine
    monkeypatch.setattr(sys, "argv", ["fuzz", "--seed", "5"])
    assert program.main() == 1
    told = capsys.readouterr().out
    assert "NOT  multipart: a simple reader differs" in told
    assert "input b'--b0undary" in told
    assert "--seed 5" in told
    assert table([fuzz(Urlencoded(), 1, inputs=10, judges_time=False)]).splitlines()[1].split()[:2] == [
        "urlencoded",
        "10",
    ]
