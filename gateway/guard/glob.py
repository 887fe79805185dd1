# Patterns of "*" for any characters and "?" for one. Pure.
#
# All places of a pattern that a text may have come to are followed at once, as bits of one integer: a text takes one
# step for each of its characters, whatever the pattern is.

from collections.abc import Mapping

import msgspec

MAX_PATTERN = 1024
"""Characters of a pattern: the bits of the integer."""


class Glob(msgspec.Struct, frozen=True):
    """A pattern. Bit N of a number stands for the place behind its first N characters, "*" left out."""

    text: str
    literal: Mapping[str, int]
    """The places from which each character leads on by one."""
    anything: int
    """Those from which any character does: where the pattern has "?"."""
    stays: int
    """Those at which any character may be skipped: where it has "*"."""
    end: int
    """The place behind all of it."""


def parse_glob(text: str) -> Glob:
    """Read a pattern; no other character is special.

    Raises ValueError with a text that says what would be right.
    """
    if len(text) > MAX_PATTERN:
        raise ValueError(f"is longer than {MAX_PATTERN} characters; write a shorter pattern")
    if text.startswith("^"):
        raise ValueError('starts as a regular expression; write "*" for any characters and "?" for one')
    literal: dict[str, int] = {}
    anything = stays = 0
    place = 1
    for character in text:
        if character == "*":
            stays |= place
            continue
        if character == "?":
            anything |= place
        else:
            literal[character] = literal.get(character, 0) | place
        place <<= 1
    return Glob(text, literal, anything, stays, place)


def matches(glob: Glob, text: str) -> bool:
    """Whether a pattern matches all of a text."""
    places = 1
    for character in text:
        places = places & glob.stays | (places & (glob.literal.get(character, 0) | glob.anything)) << 1
        if not places:
            return False
    return bool(places & glob.end)
