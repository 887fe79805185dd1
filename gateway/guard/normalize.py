# Named normalisers: what must be equal before two values count as the same identity. Pure.

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

import idna

from gateway.guard.quantities import decimal, instant
from gateway.http.fields import TOKEN

MAX_MARKS = 30
"""Combining marks in a row that are normalised, as in the Stream-Safe Text Format (Unicode Standard Annex #15, section
13): no language needs as many, and the time that normalising takes grows with the square of their number."""
_SPACES = re.compile(r"[\s\ufeff]+")
"""With what ECMAScript has besides."""
_AT_ENDS = "".join(map(chr, [*range(0x21), 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200B)])) + (
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What the trim of some language takes away: Unicode's white space, with U+180E as up to Unicode 6.2; in ECMAScript
U+FEFF; in Java all up to the space, of which PHP and Ruby take NUL."""
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_CREDENTIALS = re.compile(rf"({TOKEN.decode()})(?: +([^ \t].*))?", re.DOTALL)
"""RFC 9110 11.4: the spaces behind the scheme are 1*SP."""
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point (Unicode Standard 5.21) where the category is neither control nor format."""


def _require_few_marks(value: str) -> None:
    """Raise ValueError for more than MAX_MARKS combining marks in a row. The value is short (value.MAX_VALUE)."""
    if value.isascii():
        return
    count = 0
    for character in unicodedata.normalize("NFKD", value):  # one character may stand for several marks
        count = count + 1 if unicodedata.combining(character) else 0
        if count > MAX_MARKS:
            raise ValueError(f"has more than {MAX_MARKS} combining marks in a row")


def _nfc(value: str) -> str:
    _require_few_marks(value)
    return unicodedata.normalize("NFC", value)


def _nfkc(value: str) -> str:
    _require_few_marks(value)
    return unicodedata.normalize("NFKC", value)


def trim(value: str) -> str:
    """Remove white space at both ends, as any language has it: an API may do so before it compares."""
    return value.strip(_AT_ENDS)


def _casefold(value: str) -> str:
    """Fold case. The capital U+0130 is i: Unicode folds it to i and a dot above, but its lower case in Go is i.

    The dotless U+0131 stays: it is a letter of its own, and tells names and domains apart.
    """
    folded = value.casefold()
    return folded if folded.isascii() else folded.replace("i\u0307", "i")


def _email(value: str) -> str:
    """Trim, compose (NFC) and case-fold an address; its domain becomes Unicode (U-labels, RFC 5890 2.3.2.1).

    Dots and +tags stay: only its owner knows what they mean.
    """
    if value.isascii():
        folded = trim(value).casefold()
        if "xn--" not in folded:  # nearly always
            return folded
    else:
        local, at, domain = _nfc(trim(value)).rpartition("@")
        # Case-folding takes some composed characters apart.
        folded = unicodedata.normalize("NFC", _casefold(local) + at + domain.casefold())
    local, at, domain = folded.rpartition("@")
    if not at or (domain.isascii() and "xn--" not in domain):
        return folded
    return f"{local}@{_unicode_domain(domain)}"


def _unicode_domain(domain: str) -> str:
    """Map a domain as UTS #46 does, and decode its labels; then fold case, by which ss and the sharp s are one."""
    try:
        name = idna.decode(domain, uts46=True, std3_rules=True)
    except ValueError:  # of idna, and of Unicode's tables
        raise ValueError("has a domain that is no internationalised domain name (RFC 5891)") from None
    return unicodedata.normalize("NFC", name.casefold())


def _integer(value: str) -> str:
    """Accept an integer as JSON writes it. Leading zeros, a plus sign and blanks are read differently by APIs."""
    if not _INTEGER.fullmatch(value):
        raise ValueError("is no integer as JSON writes it, without leading zeros, plus sign and blanks")
    return "0" if value == "-0" else value


def _auth_scheme(value: str) -> str:
    """Fold the case of an authentication scheme, and make one space of those behind it (RFC 9110 11.1 and 11.4)."""
    found = _CREDENTIALS.fullmatch(value)
    if found is None:
        raise ValueError("is no scheme with spaces and credentials behind it (RFC 9110 11.4)")
    scheme, credentials = found.groups()
    return scheme.lower() if credentials is None else f"{scheme.lower()} {credentials}"


def _visible(value: str) -> str:
    """Leave out what no eye sees: control characters, zero-width ones, marks of direction, fillers."""
    if value.isascii() and value.isprintable():
        return value
    return _IGNORABLE.sub("", "".join([c for c in value if unicodedata.category(c) not in {"Cc", "Cf"}]))


def _email_tag(value: str) -> str:
    """Leave out the tag of an address: what follows a plus sign in its local part, unless that part is quoted."""
    local, at, domain = value.rpartition("@")
    name = local.partition("+")[0]
    return f"{name}@{domain}" if at and name and not local.startswith('"') else value


NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "trim": trim,
    "casefold": _casefold,
    "nfc": _nfc,
    "nfkc": _nfkc,
    "digits": lambda value: "".join(c for c in value if c.isdecimal()),
    "email": _email,
    "collapse_space": lambda value: _SPACES.sub(" ", value),
    "integer": _integer,
    "decimal": decimal,
    "instant": instant,
    "text": str,
    "visible": _visible,
    "email_tag": _email_tag,
    "auth_scheme": _auth_scheme,
}
"""Each takes and returns a string, or raises ValueError whose text goes on from the field's name, and never shows the
value. Values that are no strings are left alone, but for those of IN_TEXT."""
IN_TEXT: Mapping[str, frozenset[type]] = {
    "integer": frozenset({int}),
    "decimal": frozenset({int, float}),
    "text": frozenset({int, float, bool}),
}
"""The types that some take by their text, so that 7 and "7" are one."""
_STRICT = frozenset({"integer", "decimal"})


def types_in_text(names: Iterable[str]) -> frozenset[type]:
    """The types, beside strings, that a chain of normalisers takes by their text."""
    return frozenset[type]().union(*[IN_TEXT[name] for name in names if name in IN_TEXT])


def takes_nothing_else(names: Iterable[str]) -> bool:
    """Whether a chain of normalisers takes only strings and the types of types_in_text: any other has no number."""
    return not _STRICT.isdisjoint(names)
