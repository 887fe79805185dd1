# Names and values of parameters, in a query and in a form, and which names some server takes for the same. Pure.

import re
from functools import lru_cache
from typing import NamedTuple, TypeVar
from urllib.parse import unquote_to_bytes

from gateway.errors import IdentityError

MAX_LEVELS = 32
"""Brackets in the name of a form's field: what Rack takes."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANKS = " \t\r\n"
_AROUND_STEP = " \t\r\n'\""
_IN_PHP = str.maketrans({".": "_", " ": "_"})
_FIRST_WORD = re.compile(r"[^\W_]*")
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")
_END_IN_QS = re.compile(r"(?:\]|%5[Dd])=")
_OF_IIS = re.compile(r"%u[0-9a-f]{4}", re.IGNORECASE)

T = TypeVar("T")
Steps = tuple[str, ...]
"""The way down that a name is read as: `user[email]` is ("user", "email")."""


class ParameterName(NamedTuple):
    """A name that is looked for, with what it takes to tell the names that some server takes for the same."""

    text: str
    word: str
    """What every name that is alike holds, in folded case; often enough to tell that one is not."""
    ways: tuple[Steps, Steps]


@lru_cache(maxsize=1024)  # those of the rules
def parameter_name(text: str) -> ParameterName:
    """Prepare for looking for the same name in many requests."""
    ways = _ways(text.casefold())
    found = _FIRST_WORD.match(ways[1][0]) if ways[1] else None
    return ParameterName(text, found.group() if found else "", ways)


def is_alike(other: str, wanted: ParameterName) -> bool:
    """Whether some server takes another name for the one that is wanted, or for what is above or below it.

    ASP.NET ignores case. PHP skips blanks before a name, ends it at NUL, and takes a dot, and a bracket that is not
    closed, for an underscore; Rack and qs skip brackets before a name, and http_parser (PHP's own server, Node before
    12) question marks at the start of a query. A dot is a step down to Spring and ASP.NET, an empty bracket any step.
    """
    folded = other.casefold()
    if wanted.word not in folded:
        return False
    return any(_begin_alike(one, two) for one, two in zip(_ways(folded), wanted.ways, strict=True))


def _begin_alike(one: Steps, other: Steps) -> bool:
    """Whether one way goes through the end of the other."""
    return bool(one and other) and all(not a or not b or a == b for a, b in zip(one, other, strict=False))


def _ways(folded: str) -> tuple[Steps, Steps]:
    """A name as PHP reads it, and as a way in which dots are steps, too."""
    text = folded.lstrip("?").partition("\x00")[0].strip(_BLANKS).lstrip("[")
    steps = text.rstrip("]").replace("][", "[").replace("]", "[")
    base, bracket, rest = steps.partition("[")
    if bracket and "]" not in text.partition("[")[2]:
        in_php = [steps.replace("[", "_").translate(_IN_PHP)]
    else:
        in_php = [base.translate(_IN_PHP), *(rest.split("[") if bracket else ())]
    dotted = steps.lstrip(".[").replace(".", "[").split("[")
    return _stripped(in_php), _stripped(dotted)


def _stripped(steps: list[str]) -> Steps:
    found = tuple([step.strip(_AROUND_STEP) for step in steps])
    return found if found[0] else ()


def decode_parameter(part: str, where: str) -> str:
    """Undo application/x-www-form-urlencoded, which is what every framework reads a query string as.

    `where` names the field in errors. Raises IdentityError.
    """
    if "%" not in part and "+" not in part and part.isascii():
        return part
    if _OF_IIS.search(part):
        raise IdentityError(f"{where} has an escape with %u, which only some servers undo")
    return utf8(unquote_to_bytes(part.replace("+", " ").encode("utf-8", "surrogateescape")), where)


def decode_value(part: str, where: str) -> str:
    """Decode a value that is part of an identity. Raises IdentityError, also for what servers read differently."""
    if _NO_ESCAPE.search(part):  # qs leaves all of the value as it is then
        raise IdentityError(f"{where} has a percent sign that begins no escape")
    if _END_IN_QS.search(part):
        raise IdentityError(f"{where} has a bracket and an equals sign, at which some servers end the name")
    return require_plain(decode_parameter(part, where), where)


def require_plain(value: str, where: str) -> str:
    """Raise IdentityError for a value with control characters."""
    if _CONTROL.search(value):
        raise IdentityError(f"{where} holds a control character, at which some servers end it")
    return value


def require_few_levels(name: str) -> str:
    """Raise IdentityError for a name that Rack answers 500, before any code of the API runs."""
    if name.count("[") > MAX_LEVELS:
        raise IdentityError(f"the body has a name of more than {MAX_LEVELS} levels")
    return name


def utf8(value: bytes, where: str) -> str:
    """Decode a value. Raises IdentityError."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise IdentityError(f"{where} is not valid UTF-8") from None


def absent(where: str) -> IdentityError:
    """Say that a field is certain not to be there."""
    return IdentityError(f"{where} is absent", is_absent=True)


def one_of(values: list[T], where: str) -> T:
    """Return the only value of a field. Raises IdentityError when there is none, or more than one."""
    if len(values) > 1:
        raise IdentityError(f"{where} stands there more than once")
    if not values:
        raise absent(where)
    return values[0]


def another_name(where: str) -> IdentityError:
    """Say that a field may be there more than once."""
    return IdentityError(f"{where} stands there under a name that some servers take for the same")
