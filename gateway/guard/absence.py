# Whether a value is certain not to be there, so that what depends on it may be left out. Pure.
#
# Where a value is needed, absent and unreadable come to the same: the create is stopped. Where an entry is skipped
# without it, they must be told apart, by the most tolerant servers: what one of these might find is not absent.

import re
from collections.abc import Sequence
from urllib.parse import unquote

from gateway.errors import IdentityError
from gateway.guard.field import Field, Source
from gateway.guard.token import AUTHORIZATION, read_claims
from gateway.http.headers import Headers
from gateway.model import Json

_SEPARATORS = re.compile(r"[;,\s]+")
"""What some servers end a cookie at."""
_PARAMETERS = re.compile(r"[&;]")
_STEPS = re.compile(r"[.\[]")
_NAME_SIGNS = str.maketrans({".": "_", "[": "_", " ": "_", "]": None})


def require_absent(field: Field, others: Sequence[Field], headers: Headers, query: str, document: Json) -> None:
    """Raise IdentityError when a server might find a value in a field that was read as absent.

    `others` are its alternatives: what is found where one of these reads is no matter. `document` is the body, or the
    item that the field is of.
    """
    if field.source is Source.ITEM:
        _require_absent_in(document, field)
    elif field.source is Source.BODY:
        _require_absent_in(document, field)
        if query:
            _require_not_in_query(query, field, others)
    elif field.source is Source.XML and query:
        _require_not_in_query(query, field, others)
    elif field.source is Source.JWT and AUTHORIZATION in headers.name_set:
        _require_absent_in(read_claims(headers, field.text), field)
    elif field.source is Source.COOKIE:
        _require_no_cookie(headers, field)


def _require_absent_in(document: Json, field: Field) -> None:
    """Some parsers unwrap a list of one element, and some (PHP) take an object's keys for indices."""
    value = document
    for key in field.keys:
        expected, other = (list, dict) if isinstance(key, int) else (dict, list)
        if isinstance(value, other) and value:
            raise IdentityError(f"{field.text} leads into {'an object' if other is dict else 'a list'}")
        if not isinstance(value, expected):
            return
        try:
            value = value[key]  # type: ignore[index]
        except LookupError:
            return


def _require_not_in_query(query: str, field: Field, others: Sequence[Field]) -> None:
    """Some frameworks (Rails, Laravel) put the parameters of the query and the members of a body into one."""
    wanted = folded_name(str(field.keys[0]))
    if any(other.source is Source.QUERY and folded_name(other.name) == wanted for other in others):
        return
    for pair in _PARAMETERS.split(query):
        name = pair.partition("=")[0].lstrip("?").replace("+", " ")
        if wanted in {folded_name(name), folded_name(_STEPS.split(unquote(name).lstrip("["))[0])}:
            raise IdentityError(
                f"{field.text} is not in the body, and may be in the query, where some servers look, too"
            )


def _require_no_cookie(headers: Headers, field: Field) -> None:
    """Some servers ignore case (ASP.NET), decode names, end a cookie at a comma, or take a dot for "_" (PHP)."""
    wanted = folded_name(field.name)
    for line in headers.values(b"cookie"):
        for pair in _SEPARATORS.split(line.decode("utf-8", "replace")):
            if folded_name(pair.partition("=")[0]) == wanted:
                raise IdentityError(f"{field.text} stands there under a name that some servers take for the same")


def folded_name(name: str) -> str:
    """What is the same of all names of a cookie that some server takes for one."""
    return unquote(name).strip('" ').translate(_NAME_SIGNS).casefold()
