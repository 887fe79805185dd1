# What counts as the same identity, by the normaliser that says so.

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.normalize import NORMALISERS
from tests.support.unit import untimed


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("trim", " \t\n a b\u00a0\u2003", "a b"),
        ("trim", "A", "A"),
        ("casefold", "STRASSE Straße ÉΣς", "strasse strasse éσσ"),
        ("casefold", " a ", " a "),
        ("nfc", "e\u0301", "\u00e9"),
        ("nfc", "\ufb01\u2460", "\ufb01\u2460"),
        ("nfkc", "\ufb01\u2460\uff21e\u0301", "fi1A\u00e9"),
        ("digits", "+49 (30) 12-34", "49301234"),
        ("digits", "٣x², ½", "٣"),
        ("digits", "none", ""),
        ("email", "  Ada.Lovelace+x@EXAMPLE.org\n", "ada.lovelace+x@example.org"),
        ("email", "E\u0301@x.org", "\u00e9@x.org"),
        ("email", "a b@x.org", "a b@x.org"),
        ("collapse_space", "a \t\n b\u00a0\u00a0c", "a b c"),
        ("collapse_space", "  a  ", " a "),
    ],
)
def test_a_normaliser_does_what_its_name_says(name: str, before: str, after: str) -> None:
    assert NORMALISERS[name](before) == after


def test_these_are_all_of_them() -> None:
    assert set(NORMALISERS) == {"trim", "casefold", "nfc", "nfkc", "digits", "email", "collapse_space"}


@untimed
@given(st.sampled_from(sorted(NORMALISERS)), st.text() | st.text("\u0390\u03aa\u0301\u0308\u0130\u1e9eß aA\n"))
def test_doing_it_twice_changes_nothing_more(name: str, text: str) -> None:
    once = NORMALISERS[name](text)
    assert NORMALISERS[name](once) == once


@untimed
@given(st.text() | st.text("\u0390\u03aa\u0301\u0308\u212beE@"))
def test_an_email_is_the_same_composed_and_decomposed(text: str) -> None:
    email = NORMALISERS["email"]
    assert email(unicodedata.normalize("NFD", text)) == email(unicodedata.normalize("NFC", text)) == email(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ADA@X.ORG", "ada@x.org"), ("\u03aa\u0301@x.org", "\u0390@x.org"), ("STRASSE@x.org", "straße@x.org")],
)
def test_an_email_is_the_same_in_capitals(one: str, other: str) -> None:
    assert NORMALISERS["email"](one) == NORMALISERS["email"](other)
