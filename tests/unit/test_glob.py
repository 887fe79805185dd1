import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.glob import MAX_PATTERN, matches, parse_glob

few = st.text(alphabet="ab*?", max_size=12)


class Counted(str):
    """A text that counts how many of its characters were asked for."""

    steps = 0

    def __iter__(self) -> Iterator[str]:
        for character in super().__iter__():
            self.steps += 1
            yield character


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("text/html*", "text/html; charset=utf-8", True),
        ("text/html*", "text/html", True),
        ("text/html*", "application/json", False),
        ("*DUPLICATE*", "ERR_DUPLICATE_KEY", True),
        ("*Client", "soap:Client", True),
        ("*Client", "soap:Client.Auth", False),
        ("E_????", "E_1001", True),
        ("E_????", "E_101", False),
        ("a.b", "axb", False),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("?", "\U0001f600", True),
        ("?", "", False),
        ("*a*b", "xaxbxb", True),
        ("Abc", "abc", False),
    ],
)
def test_a_star_is_any_characters_and_a_question_mark_is_one(pattern: str, text: str, *, expected: bool) -> None:
    assert matches(parse_glob(pattern), text) is expected


@given(few, few)
def test_it_matches_as_the_regular_expression_that_says_the_same(pattern: str, text: str) -> None:
    signs = {"*": ".*", "?": "."}
    same = re.compile("".join([signs.get(sign, re.escape(sign)) for sign in pattern]), re.DOTALL)
    assert matches(parse_glob(pattern), text) is bool(same.fullmatch(text))


@given(st.text(), st.text())
def test_any_pattern_can_be_asked_of_any_text(pattern: str, text: str) -> None:
    if not pattern.startswith("^"):
        assert matches(parse_glob(pattern), text) in {True, False}


@pytest.mark.parametrize("pattern", ["*a" * 200 + "b", "a*" * 300, "?*" * 400 + "b", "*" * 1000, "*" + "?" * 900])
def test_a_text_takes_one_step_for_each_of_its_characters(pattern: str) -> None:
    """Whatever the pattern is, and each step works on as many bits as the pattern has characters."""
    text = Counted("a" * 16_000)
    glob = parse_glob(pattern)
    matches(glob, text)
    assert 0 < text.steps <= len(text)
    assert max(glob.end, glob.anything, glob.stays, *glob.literal.values(), 0).bit_length() <= MAX_PATTERN + 1


def test_a_text_that_cannot_match_any_more_is_not_read_on() -> None:
    text = Counted("b" + "a" * 1000)
    assert not matches(parse_glob("a*"), text)
    assert text.steps == 1


@pytest.mark.parametrize(
    ("pattern", "right"), [("^4.*$", 'write "*" for any characters'), ("a" * 1025, "longer than 1024 characters")]
)
def test_what_is_no_pattern_is_refused_with_what_would_be_right(pattern: str, right: str) -> None:
    with pytest.raises(ValueError, match=re.escape(right)):
        parse_glob(pattern)
