# The form that a rule demands of a value.

import sys

import pytest

from gateway.config.schema_rule import UniqueConfig
from gateway.errors import IdentityError
from gateway.guard.identity import identify
from gateway.guard.pattern import parse_pattern
from tests.support.unit import ANY_TYPE, patience, request, rule
from tests.unit.test_identity import CANARY, unreadable, value

PASSPORT = "[A-Z]{2}[0-9]{6}"


@pytest.mark.parametrize("text", ["AB123456", "ZZ000000"])
def test_what_matches_as_a_whole_is_taken(text: str) -> None:
    assert parse_pattern(PASSPORT)(text) == text


@pytest.mark.parametrize(
    "text", ["", "AB12345", "AB1234567", "xAB123456", "AB123456\n", "\nAB123456", "ab123456", CANARY]
)
def test_anything_else_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^does not match the rule's pattern$"):
        parse_pattern(PASSPORT)(text)


@pytest.mark.parametrize("pattern", [r"^[a-z]+$", r"(?i)[a-z]+", r"\pL+", r"a|.{3}"])
def test_a_pattern_may_be_anchored_and_say_more(pattern: str) -> None:
    assert parse_pattern(pattern)("abc") == "abc"
    with pytest.raises(ValueError, match="does not match"):
        parse_pattern(pattern)("abc\n")


@pytest.mark.parametrize("pattern", ["", "(?=a)b", r"(a)\1", "[", "a{1001}", "*", r"\Z", "a\n(?<!b)"])
def test_what_is_no_pattern_is_said_with_what_would_be_right(pattern: str) -> None:
    with pytest.raises(ValueError, match=r'write one such as "\[A-Z\]\{2\}\[0-9\]\{6\}"$'):
        parse_pattern(pattern)


def test_without_google_re2_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(ValueError, match=r"^needs google-re2, .* pip install 'idempotency-gateway\[pattern\]'$"):
        parse_pattern(PASSPORT)


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(?:a|a)*b", "(.*a){20}.{990}b", r".*\p{L}{300}b"])
def test_no_pattern_searches_in_circles(pattern: str) -> None:
    """Python's re would take years for some of them."""
    match = parse_pattern(pattern)
    for text in ("x" * 1024, "a" * 1024, "é" * 512):
        with patience(), pytest.raises(ValueError, match="does not match"):
            match(text)


class TestValues:
    def test_a_value_is_matched_once_it_is_normalised(self) -> None:
        asked = request('{"email": " ab123456"}')
        assert (
            unreadable("body.email", asked, pattern="[a-z]{2}[0-9]{6}")
            == "body.email does not match the rule's pattern"
        )
        assert value("body.email", asked, "trim", pattern="[a-z]{2}[0-9]{6}") == "ab123456"
        assert unreadable("body.email", asked, "trim", "digits", pattern="[a-z]{2}[0-9]{6}").startswith(
            "body.email does"
        )

    @pytest.mark.parametrize("normalize", [(), ("trim",)])
    def test_an_integer_is_matched_by_its_text_and_stays_one(self, normalize: tuple[str, ...]) -> None:
        asked = request('{"email": 12}')
        assert value("body.email", asked, *normalize, pattern="[0-9]{2}") == 12
        assert unreadable("body.email", asked, *normalize, pattern="[0-9]{3}").startswith("body.email does not match")

    @pytest.mark.parametrize("text", ["null", "true", "1.5", "[]", "{}"])
    def test_what_has_no_text_never_matches(self, text: str) -> None:
        found = unreadable("body.email", request(f'{{"email": {text}}}'), pattern=".*", types=ANY_TYPE)
        assert found == "body.email is neither a string nor an integer, as the rule demands"

    def test_every_field_of_the_entry_must_match(self) -> None:
        unique = (UniqueConfig(name="it", fields=("body.a", "header.X-Ref"), pattern="[a-z]"),)
        asked = request('{"a": "b"}', ("X-Ref", "c"))
        assert identify(rule(unique=unique), asked)[1][0].values == ("b", "c")
        with pytest.raises(IdentityError, match=r"^header\.X-Ref does not match"):
            identify(rule(unique=unique), request('{"a": "b"}', ("X-Ref", "C")))


class TestIntegers:
    @pytest.mark.parametrize(("text", "found"), [("7", "7"), ('"7"', "7"), ("-0", "0"), ('"-0"', "0"), ("-3", "-3")])
    def test_a_number_and_its_text_are_one(self, text: str, found: str) -> None:
        assert value("body.email", request(f'{{"email": {text}}}'), "integer") == found

    @pytest.mark.parametrize("text", ["null", "false"])
    def test_what_is_neither_is_refused(self, text: str) -> None:
        found = unreadable("body.email", request(f'{{"email": {text}}}'), "integer")
        assert found == "body.email is neither a string nor an integer, as the rule demands"

    def test_other_types_are_refused_even_where_they_are_taken(self) -> None:
        for text in ("1.0", "[7]"):
            assert unreadable("body.email", request(f'{{"email": {text}}}'), "integer", types=ANY_TYPE)

    def test_a_large_one_is_exact_where_numbers_are_taken(self) -> None:
        for text in ("90071992547409931", '"90071992547409931"'):
            asked = request(f'{{"email": {text}}}')
            assert value("body.email", asked, "integer", types=("string", "number")) == "90071992547409931"

    def test_it_may_be_taken_as_a_number_only(self) -> None:
        assert value("body.email", request('{"email": 7}'), "integer", types=("integer",)) == "7"
        assert "takes only integer" in unreadable(
            "body.email", request('{"email": "7"}'), "integer", types=("integer",)
        )

    def test_other_normalisers_apply_to_its_text_and_a_pattern_too(self) -> None:
        assert value("body.email", request('{"email": -7}'), "digits", "integer") == "7"
        assert value("body.email", request('{"email": " 7"}'), "trim", "integer", pattern="[0-9]") == "7"
        assert "does not match" in unreadable("body.email", request('{"email": 77}'), "integer", pattern="[0-9]")
