# What counts as the same identity, by the normaliser that says so.

import unicodedata

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.normalize import NORMALISERS


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("trim", " \t\n a b\u00a0\u2003", "a b"),
        ("trim", "A", "A"),
        ("trim", "\ufeffa b\u180e\u3000", "a b"),
        ("trim", "\x00\x01\x1fa\x00b\x00\x0b", "a\x00b"),
        ("trim", "\u200ba\x7f", "\u200ba\x7f"),
        ("casefold", "STRASSE Straße ÉΣς", "strasse strasse éσσ"),
        ("casefold", " a ", " a "),
        ("casefold", "\u0130I\u0307\u0131I", "ii\u0131i"),
        ("nfc", "e\u0301", "\u00e9"),
        ("nfc", "\ufb01\u2460", "\ufb01\u2460"),
        ("nfkc", "\ufb01\u2460\uff21e\u0301", "fi1A\u00e9"),
        ("digits", "+49 (30) 12-34", "49301234"),
        ("digits", "٣x², ½", "٣"),
        ("digits", "none", ""),
        ("email", "  Ada.Lovelace+x@EXAMPLE.org\n", "ada.lovelace+x@example.org"),
        ("email", "E\u0301@x.org", "\u00e9@x.org"),
        ("email", "\ufeff\x00L\u0130sa@X.org\x00", "lisa@x.org"),
        ("email", "L\u0131I\u0307\u0301sa@\u0131.org", "l\u0131\u00edsa@\u0131.org"),
        ("email", "a b@x.org", "a b@x.org"),
        ("collapse_space", "a \t\n b\u00a0\u00a0c", "a b c"),
        ("collapse_space", "  a  ", " a "),
        ("collapse_space", "a\ufeff\ufeffb", "a b"),
        ("integer", "7", "7"),
        ("integer", "-12", "-12"),
        ("integer", "-0", "0"),
        ("integer", "90071992547409930", "90071992547409930"),
        *[("decimal", text, "10") for text in ("10", "10.00", "1e1", "1.0E+1", "100e-1")],
        ("decimal", "-0.0", "0"),
        ("decimal", "0e9999", "0"),
        ("decimal", "-12.340", "-12.34"),
        ("decimal", "1e-7", "0.0000001"),
        ("decimal", "123456789012345678901234567890.10", "123456789012345678901234567890.1"),
        ("instant", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"),
        ("instant", "2026-01-31t10:30:00.500+01:00", "2026-01-31T09:30:00.5Z"),
        ("instant", "2026-01-31 09:30:00.000z", "2026-01-31T09:30:00Z"),
        ("instant", "2026-01-01T00:15:00+00:30", "2025-12-31T23:45:00Z"),
        ("instant", "2026-01-31T09:30:00.1234567890123-00:00", "2026-01-31T09:30:00.1234567890123Z"),
        ("instant", "0001-01-02T00:00:00+23:59", "0001-01-01T00:01:00Z"),
        ("text", "1.50", "1.50"),
        ("visible", "A\u200bd\u00ada\ufeff\x00\u202e\u3164\ufe0f\U000e0001", "Ada"),
        ("visible", " \u00e9\u0301 \u65e5 ", " \u00e9\u0301 \u65e5 "),
        ("visible", "a\t\r\nb\x7f", "ab"),
        ("email_tag", "ada+news+x@example.org", "ada@example.org"),
        ("email_tag", "+ada@example.org", "+ada@example.org"),
        ("email_tag", '"ada+x"@example.org', '"ada+x"@example.org'),
        ("email_tag", "ada+x", "ada+x"),
        ("email_tag", "a.d.a@exam+ple.org", "a.d.a@exam+ple.org"),
        ("auth_scheme", "Bearer abc", "bearer abc"),
        ("auth_scheme", "bearer   ABC=", "bearer ABC="),
        ("auth_scheme", "NEGOTIATE", "negotiate"),
        ("auth_scheme", 'Digest a="B",  c=d', 'digest a="B",  c=d'),
    ],
)
def test_a_normaliser_does_what_its_name_says(name: str, before: str, after: str) -> None:
    assert NORMALISERS[name](before) == after


def test_these_are_all_of_them() -> None:
    texts = {"trim", "casefold", "nfc", "nfkc", "digits", "email", "collapse_space"}
    assert set(NORMALISERS) == texts | {"integer", "decimal", "instant", "text", "visible", "email_tag", "auth_scheme"}


def outcome(name: str, text: str) -> str:
    """What a normaliser makes of a text, or why it refuses it."""
    try:
        return NORMALISERS[name](text)
    except ValueError as error:
        return f"\ud800 refused: {error}"


@pytest.mark.parametrize(
    "text", ["", "007", "+7", " 7", "7 ", "7\n", "1.0", "1e3", "-", "--1", "٧", "7_0", "0x7", "true"]
)
def test_what_apis_read_as_different_integers_is_refused(text: str) -> None:
    """One takes "007" for 7, another for a string, a third for an octal number."""
    with pytest.raises(ValueError, match=r"^is no integer as JSON writes it"):
        NORMALISERS["integer"](text)


@pytest.mark.parametrize(
    "text",
    ["", "010", "+1", " 1", "1\n", "1.", ".5", "1,5", "1e", "1e99999", "\u0661", "Infinity", "NaN", "0x1", "1_0"],
)
def test_what_apis_read_as_different_numbers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is no number as JSON writes it"):
        NORMALISERS["decimal"](text)


@pytest.mark.parametrize("text", ["1e100", "1e-101", "1" * 101, f"0.{'1' * 101}", "-1e9999"])
def test_a_number_that_is_too_long_to_write_out_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^has more than 100 places before or behind its point$"):
        NORMALISERS["decimal"](text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-01-31", "2026-01-31T09:30:00", "2026-01-31T09:30Z", "20260131T093000Z", "2026-01-31T09:30:00+0100"),
        *(
            "2026-01-31T09:30:00.Z",
            "2026-01-31T09:30:00,5Z",
            " 2026-01-31T09:30:00Z",
            "1769851800",
            "2026-W05-6T09:30:00Z",
        ),
        *("2026-01-31T09:30:00Z\n", "\u0662026-01-31T09:30:00Z"),
    ],
)
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    """Without one, each API takes its own."""
    with pytest.raises(ValueError, match=r"^is no time as RFC 3339 writes it"):
        NORMALISERS["instant"](text)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-02-29T09:30:00Z", "2026-01-31T24:00:00Z", "2016-12-31T23:59:60Z", "2026-01-31T09:30:00+25:00"),
        *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"),
    ],
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is no time that exists"):
        NORMALISERS["instant"](text)


@pytest.mark.parametrize("text", ["", " Bearer a", "Bearer ", "Bearer\ta", "Bearer \ta", "a/b c", "Bäarer c"])
def test_what_is_no_scheme_with_credentials_is_refused(text: str) -> None:
    """Some servers split at any white space, and would read it like one that is well-formed."""
    with pytest.raises(ValueError, match=r"^is no scheme with spaces and credentials behind it"):
        NORMALISERS["auth_scheme"](text)


@pytest.mark.parametrize(
    "spellings",
    [
        ["ada@bücher.de", "Ada@xn--bcher-kva.de", "ada@XN--BCHER-KVA.DE", "ada@bu\u0308cher.de", "ada@bücher\u3002de"],
        ["ada@example.org", "ada@ｅｘａｍｐｌｅ．ｏｒｇ", "ADA@EXAMPLE\uff61org", "ada@exam\u00adple.org"],
        ["ada@strasse.de", "ada@straße.de", "ada@STRASSE.de", "ada@xn--strae-oqa.de"],
        ["ada@βόλοσ.com", "ada@βόλος.com", "ada@xn--nxasmm1c.com", "ada@xn--nxasmq6b.com"],
        ["ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah", "ada@例え.xn--zckzah", "ada@例え。テスト"],
        ["a@b@mail.bücher.de.", "a@b@mail.xn--bcher-kva.de."],
    ],
)
def test_the_forms_of_an_internationalised_domain_are_one(spellings: list[str]) -> None:
    """The first spelling is the canonical one; it was before such forms were known."""
    assert {NORMALISERS["email"](text) for text in spellings} == {spellings[0]}


@pytest.mark.parametrize(
    "text",
    [
        "ada@b_c.example",
        "ada@-x-.example",
        "ada@a..b",
        "ada@[IPv6:::1]",
        "xn--ada@example.org",
        "xn--ada",
        "a b@c d",
        "@",
    ],
)
def test_a_domain_of_ascii_is_never_refused(text: str) -> None:
    assert NORMALISERS["email"](text.upper()) == text.casefold()


@pytest.mark.parametrize(
    "domain",
    [
        *("xn--.de", "xn--a.de", "xn--bücher.de", "x.xn--bcher-kva-.de", "b_ü.de", "ü..de", "ü .de", "-ü.de", "☃.net"),
        *("xn--n3h.net", "\u200dü.de", "xn--ASCII-.de", f"{'ü.' * 200}de", "ü/x", "ü@[1.2.3.4]\u3002x"),
    ],
)
def test_a_domain_that_is_no_internationalised_name_is_refused_without_being_shown(domain: str) -> None:
    with pytest.raises(ValueError, match=r"^has a domain that is no internationalised domain name \(RFC 5891\)$"):
        NORMALISERS["email"](f"ada@{domain}")


@given(st.sampled_from(sorted(NORMALISERS)), st.text() | st.text("\u0390\u03aa\u0301\u0308\u0130\u1e9eß aA\n"))
def test_doing_it_twice_changes_nothing_more(name: str, text: str) -> None:
    once = outcome(name, text)
    assert once.startswith("\ud800") or outcome(name, once) == once


@given(st.text("aAüß.-\u3002ｘ1xn日\u0308", max_size=12))
def test_doing_it_twice_to_a_domain_changes_nothing_more(domain: str) -> None:
    once = outcome("email", f"ada@{domain}")
    assert once.startswith("\ud800") or outcome("email", once) == once


@given(st.text("abü日é-", min_size=1, max_size=8))
def test_a_domain_and_its_a_labels_are_one(label: str) -> None:
    try:
        alabel = idna.encode(f"{label}.example").decode()
    except UnicodeError:
        return
    assert (
        NORMALISERS["email"](f"ada@{alabel}") == NORMALISERS["email"](f"ada@{label}.example") == f"ada@{label}.example"
    )


@given(st.text() | st.text("\u0390\u03aa\u0301\u0308\u212beE@"))
def test_an_email_is_the_same_composed_and_decomposed(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert outcome("email", decomposed) == outcome("email", composed) == outcome("email", text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ADA@X.ORG", "ada@x.org"),
        ("\u0130@x.org", "i@x.org"),
        ("\u03aa\u0301@x.org", "\u0390@x.org"),
        ("STRASSE@x.org", "straße@x.org"),
    ],
)
def test_an_email_is_the_same_in_capitals(one: str, other: str) -> None:
    assert NORMALISERS["email"](one) == NORMALISERS["email"](other)
