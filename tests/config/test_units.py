import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.table import Duration, Size
from gateway.config.units import LONGEST_DAYS, format_duration, format_size, parse_duration, parse_size


@given(st.integers(0, LONGEST_DAYS * 86_400_000))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, 10**15 - 1))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(Size(size))) == size


@given(st.integers(1, 999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_units_of_time_mean_what_they_say(number: int, unit: str) -> None:
    in_seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * in_seconds[unit])


def test_parts_of_a_duration_add_up() -> None:
    assert parse_duration("1h30m") == Duration(5400)
    assert parse_duration("1d1ms") == Duration(86400.001)


def test_forever_is_infinite() -> None:
    assert math.isinf(parse_duration("forever"))
    assert format_duration(Duration(math.inf)) == "forever"


@pytest.mark.parametrize(
    ("seconds", "text"), [(86400, "24h"), (172800, "2d"), (90, "90s"), (0.25, "250ms"), (60, "1m"), (0, "0s")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(Duration(seconds)) == text


@pytest.mark.parametrize(("size", "text"), [(1024, "1KiB"), (1536, "1536B"), (1048576, "1MiB"), (0, "0B")])
def test_a_size_is_written_in_its_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(Size(size)) == text


@pytest.mark.parametrize(
    "text", ["", "s", "1", "-1s", "1.5s", "1 s", "1S", "1w", "Forever", "٣s", "1s\n", "36501d", "9" * 5000]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|most"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "B", "1", "-1B", "1.5KiB", "1 KiB", "1KB", "1MB", "1kib", "1M", "٣B", "1B\n", "9" * 5000]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_size(text)
