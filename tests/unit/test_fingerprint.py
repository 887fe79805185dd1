# Fingerprints: equal identities always share one, different ones never do.

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.guard.fingerprint import SIZE, Fingerprinter, encode, pre_image
from gateway.model import Json
from tests.support.unit import values

SECRET = b"correct horse battery staple, and more"

# Texts and sequences over the characters that the encoding itself writes: where it is not injective, they collide.
tricky_texts = st.text("s1:;l0n", max_size=4)
tricky: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 12) | st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e16]) | tricky_texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tricky_texts, inner, max_size=2),
    max_leaves=4,
)
Parts = tuple[str, str, list[Json], list[Json]]
tricky_parts: st.SearchStrategy[Parts] = st.tuples(
    tricky_texts, tricky_texts, st.lists(tricky, max_size=2), st.lists(tricky, max_size=3)
)


def meaning(value: Json) -> Any:
    """What a value is as an identity, in words that Python compares without folding 1, 1.0 and True."""
    match value:
        case bool() | None:
            return repr(value)
        case float() if value.is_integer() and abs(value) < 2**53:
            return "number", int(value)
        case float():
            return "inexact", value
        case int():
            return "number", value
        case list():
            return "list", tuple(meaning(item) for item in value)
        case dict():
            return "object", frozenset((key, meaning(item)) for key, item in value.items())
        case _:
            return "text", value


def meanings(parts: Parts) -> Any:
    namespace, entry, scope, identity = parts
    return namespace, entry, [meaning(value) for value in scope], [meaning(value) for value in identity]


@st.composite
def respelled(draw: st.DrawFn, value: Json) -> Json:
    """The same identity as another parser, or another client, could write it."""
    match value:
        case bool():
            return value
        case int() if abs(value) < 2**53 and draw(st.booleans()):
            return float(value)
        case 0.0:
            return draw(st.sampled_from([0, 0.0, -0.0]))
        case list():
            return [draw(respelled(item)) for item in value]
        case dict():
            return {key: draw(respelled(value[key])) for key in draw(st.permutations(sorted(value)))}
        case _:
            return value


@given(tricky_parts, tricky_parts)
@example(("", "", [], ["ab", "c"]), ("", "", [], ["a", "bc"]))
@example(("", "", ["a"], ["b"]), ("", "", [], ["a", "b"]))
@example(("", "", ["a"], []), ("", "", [], ["a"]))
@example(("ab", "c", [], []), ("a", "bc", [], []))
@example(("", "", [], [["a"], "b"]), ("", "", [], [["a", "b"]]))
@example(("", "", [], [{"a": "b"}]), ("", "", [], [["a", "b"]]))
@example(("", "", [], [{"a": 1, "b": 2}]), ("", "", [], [{"a": 2, "b": 1}]))
@example(("", "", [], [1, 23]), ("", "", [], [12, 3]))
@example(("", "", [], [1, "1:x"]), ("", "", [], [11, ":x"]))
@example(("", "", [], [12]), ("", "", [], [float(12)]))
def test_two_pre_images_are_equal_exactly_when_the_identities_are(one: Parts, other: Parts) -> None:
    assert (pre_image(*one) == pre_image(*other)) is (meanings(one) == meanings(other))


@given(st.data(), values)
def test_key_order_and_the_spelling_of_a_number_do_not_matter(data: st.DataObject, value: Json) -> None:
    assert encode(data.draw(respelled(value))) == encode(value)


@given(values, values)
def test_two_values_are_written_alike_exactly_when_they_mean_the_same(one: Json, other: Json) -> None:
    assert (encode(one) == encode(other)) is (meaning(one) == meaning(other))


def test_null_nothing_zero_and_false_are_told_apart() -> None:
    identities: list[Sequence[Json]] = [[], [None], [""], [0], ["0"], [False], [[]], [{}], [True], [1], ["1"], ["None"]]
    assert len({pre_image("user", "email", (), identity) for identity in identities}) == len(identities)


@pytest.mark.parametrize("number", [0, 1, -1, 2**53 - 1, -(2**53) + 1])
def test_an_integral_float_below_2_to_the_53_is_the_integer(number: int) -> None:
    assert encode(float(number)) == encode(number)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 + 2, 10**300])
def test_a_float_that_may_have_been_rounded_is_no_integer(number: int) -> None:
    assert encode(float(number)) != encode(number)


def test_neighbouring_integers_beyond_2_to_the_53_stay_apart() -> None:
    assert len({encode(2**53 + n) for n in range(-2, 5)}) == 7


def test_minus_zero_is_zero() -> None:
    assert encode(-0.0) == encode(0.0) == encode(0)


def test_floats_stay_apart_to_their_last_bit() -> None:
    assert encode(0.1 + 0.2) != encode(0.3)


def test_another_secret_gives_other_fingerprints_and_another_key_check() -> None:
    secrets = [SECRET, SECRET + b"!", SECRET[:-1], b"x" * 64, b"x" * 65, b"x" * 200 + b"y", b"x" * 200 + b"z"]
    makers = [Fingerprinter(secret) for secret in secrets]
    assert len({maker.fingerprint("user", "email", (), ("a",)) for maker in makers}) == len(secrets)
    assert len({maker.key_check for maker in makers}) == len(secrets)


def test_one_secret_gives_the_same_fingerprint_every_time() -> None:
    maker = Fingerprinter(SECRET)
    first = maker.fingerprint("user", "email", ("t",), ("a",))
    maker.fingerprint("user", "email", ("t",), ("b",))
    assert maker.fingerprint("user", "email", ("t",), ("a",)) == first
    assert Fingerprinter(SECRET).fingerprint("user", "email", ("t",), ("a",)) == first
    assert len(first) == SIZE == 32


def test_a_fingerprint_is_what_earlier_versions_of_the_program_wrote() -> None:
    """Stores outlive programs: when this changes, VERSION must, and every claim in every store is forgotten."""
    identity: list[Json] = ["ä", 1, 1.5, None, True, {"b": [], "a": ""}]
    assert pre_image("user", "email", ["t"], identity) == (
        b"gw1s4:users5:email" + b"l1:s1:t" + b"l6:s2:\xc3\xa4i1;d?\xf8\0\0\0\0\0\0nt" + b"m2:s1:as0:s1:bl0:"
    )
    assert (
        Fingerprinter(SECRET).fingerprint("user", "email", ["t"], identity).hex()
        == "0433a8ac0060a416193e6789db8657ac1cf23ebc9668d62cffbc949fbb4dd817"
    )
    assert Fingerprinter(SECRET).key_check.hex() == "97c7d14c7b54b1ec84891296fe939055d0306ae4abd72d1e392875ba1de71bbb"


def test_nothing_shows_the_secret() -> None:
    maker = Fingerprinter(SECRET)
    shown = f"{maker!r} {maker} {vars(maker)!r}"
    assert SECRET.decode() not in shown
    assert SECRET.hex() not in shown
