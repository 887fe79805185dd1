# Reading an application/x-www-form-urlencoded body strictly, only to find identities in it. Pure.
#
# A parameter counts only if no other one has its name, or a name that some server takes for the same.

import re
from collections.abc import Sequence
from typing import NamedTuple

from gateway.errors import IdentityError
from gateway.guard.field import Field
from gateway.guard.form_type import require_utf_8
from gateway.guard.parameters import (
    absent,
    another_name,
    decode_parameter,
    decode_value,
    is_alike,
    one_of,
    parameter_name,
    require_few_levels,
)

MAX_PARAMETERS = 1000
"""What parsers of frameworks take (Django and PHP: 1,000)."""
MAX_NAMES = 64 * 1024
"""Characters of all names together: each is decoded, and all other requests wait."""
MAX_SENT = 3 * 1024
"""Characters of a value as it is sent: percent-encoded, an identity has no more."""


class _Parameter(NamedTuple):
    name: str
    value: str | None
    """As it was sent; None without "=", which some servers read as null."""
    behind: Sequence[str]
    """Names behind a semicolon, or before one at which the name ends to some servers."""


class UrlencodedForm:
    """The parameters of a body."""

    __slots__ = ("_parameters",)

    def __init__(self, parameters: Sequence[_Parameter]) -> None:
        self._parameters = parameters

    def find_value(self, field: Field) -> str:
        """Find the value of a parameter. Raises IdentityError."""
        wanted, found = parameter_name(field.name), list[str | None]()
        for name, value, behind in self._parameters:
            if name == wanted.text:
                found.append(value)
            elif is_alike(name, wanted):
                raise another_name(field.text)
            if any(other == wanted.text or is_alike(other, wanted) for other in behind):
                raise IdentityError(f"{field.text} stands at a semicolon, at which some servers begin a parameter")
        return _decoded(one_of(found, field.text), field.text)

    def find_file(self, field: Field) -> str:
        """Find nothing: such a form has no files."""
        raise absent(field.text)


def read_urlencoded(data: bytes) -> UrlencodedForm:
    """Read the parameters of a body. Raises IdentityError."""
    if data.count(b"&") + data.count(b";") >= MAX_PARAMETERS:
        raise IdentityError(f"the body has more than {MAX_PARAMETERS:,} parameters")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise IdentityError("the body is not valid UTF-8") from None
    pairs = [(pair.partition("="), names_at_semicolons(pair)) for pair in text.split("&") if pair]
    if sum(len(name) + sum(map(len, behind)) for (name, _, _), behind in pairs) > MAX_NAMES:
        raise IdentityError(f"the body has names of more than {MAX_NAMES:,} characters together")
    parameters = [
        _Parameter(_name(name), value if equals else None, [_name(other) for other in behind])
        for (name, equals, value), behind in pairs
    ]
    for parameter in parameters:
        if parameter.name.casefold() == "_charset_":  # RFC 7578 4.6
            require_utf_8(parameter.value or "", "the body")
    return UrlencodedForm(parameters)


def stands_in_query(query: str, field: Field) -> bool:
    """Whether a query has a parameter of that name, or of one that is alike. Raises IdentityError."""
    wanted = parameter_name(field.name)
    names = [decode_parameter(part.partition("=")[0], field.text) for part in re.split("[&;]", query)]
    return any(name == wanted.text or is_alike(name, wanted) for name in names)


def names_at_semicolons(pair: str) -> list[str]:
    """The names that a server finds in a parameter, if it begins another one at a semicolon; not that of `NAME=...`."""
    if ";" not in pair:
        return []
    first, *rest = pair.split(";")
    return [*([] if "=" in first else [first]), *[part.partition("=")[0] for part in rest]]


def _name(text: str) -> str:
    if not text.isascii():  # Starlette reads each such byte as a character
        raise IdentityError("the body has a name that is neither ASCII nor percent-encoded")
    return require_few_levels(decode_parameter(text, "the name of a parameter in the body"))


def _decoded(value: str | None, where: str) -> str:
    if value is None:
        raise IdentityError(f"{where} has no equals sign, so that some servers read it as null")
    if ";" in value:
        raise IdentityError(f"{where} has a semicolon, at which some servers end it")
    if len(value) > MAX_SENT:
        raise IdentityError(f"{where} is longer than {MAX_SENT:,} characters as it is sent")
    if not value.isascii():
        raise IdentityError(f"{where} has characters that are neither ASCII nor percent-encoded")
    return decode_value(value, where)
