# The grammar of the entries of `success` and `refused`.

import pytest

from gateway.guard.statuses import Statuses, parse_statuses


def expect(text: str, codes: set[int], *, needs_retry_after: bool = False) -> None:
    assert parse_statuses(text) == Statuses(frozenset(codes), needs_retry_after)


@pytest.mark.parametrize("text", ["201", "404", "599"])
def test_a_status_is_read(text: str) -> None:
    """Three digits name one status."""
    expect(text, {int(text)})


@pytest.mark.parametrize("first", "2345")
def test_a_class_of_statuses_is_read(first: str) -> None:
    """A class names its hundred statuses."""
    expect(f"{first}xx", set(range(int(first) * 100, int(first) * 100 + 100)))


def test_a_class_may_leave_statuses_out() -> None:
    """What stands behind "except" is not named."""
    expect("4xx except 408", {*range(400, 500)} - {408})
    expect("4xx except 408, 425", {*range(400, 500)} - {408, 425})


@pytest.mark.parametrize("field", ["Retry-After", "retry-after"])
def test_a_status_may_be_bound_to_retry_after(field: str) -> None:
    """The condition goes with a status and with a class; names of fields have no case."""
    expect(f"503 with {field}", {503}, needs_retry_after=True)
    expect(f"5xx except 500 with {field}", {*range(501, 600)}, needs_retry_after=True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1xx",
            "6xx",
            "100",
            "600",
            "2XX",
            "2x",
            "20",
            "2011",
            "2x1",
            " 201",
            "201\n",
            "2\u0660\u0661",
            "400-407",
        ),
        *("4xx except", "4xx except 408 425", "4xx except 4xx", "503 with Location", "503 With Retry-After", "!408"),
    ],
)
def test_what_is_no_status_is_refused(text: str) -> None:
    """A text that is not of the grammar is answered with what would be."""
    with pytest.raises(ValueError, match="is no status; write one such as"):
        parse_statuses(text)


def test_only_a_class_may_leave_something_out_and_only_what_is_in_it() -> None:
    """An exception that changes nothing is a slip of the pen."""
    with pytest.raises(ValueError, match='only a class has an "except"'):
        parse_statuses("408 except 408")
    with pytest.raises(ValueError, match="leaves out 503, which is not in 4xx"):
        parse_statuses("4xx except 408, 503")
