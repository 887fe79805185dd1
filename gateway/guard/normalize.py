# Named normalisers: what must be equal before two values count as the same identity. Pure.

import re
import unicodedata
from collections.abc import Callable, Mapping

MAX_MARKS = 30
"""Combining marks in a row that are normalised, as in the Stream-Safe Text Format (Unicode Standard Annex #15, section
13): no language needs as many, and the time that normalising takes grows with the square of their number."""
_SPACES = re.compile(r"\s+")


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


def _email(value: str) -> str:
    """Trim, compose (NFC) and case-fold an address. Dots and +tags stay: only its owner knows what they mean."""
    folded = _nfc(value.strip()).casefold()
    return unicodedata.normalize("NFC", folded)  # case-folding takes some composed characters apart


NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "trim": str.strip,
    "casefold": str.casefold,
    "nfc": _nfc,
    "nfkc": _nfkc,
    "digits": lambda value: "".join(c for c in value if c.isdecimal()),
    "email": _email,
    "collapse_space": lambda value: _SPACES.sub(" ", value),
}
"""Each takes and returns a string, or raises ValueError whose text goes on from the field's name, and never shows the
value. Values that are no strings are left alone."""
