# What the API's answer says of each item of a batch: its status, and where it lives. Pure.

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.batch import Batch, Keys
from gateway.guard.body import find, read_json
from gateway.guard.field import Field, Source
from gateway.guard.resource import ANSWER_FORMATS, MAX_ANSWER, Resource, content_of, locate, make_link, value_of
from gateway.http.headers import Headers
from gateway.model import Json


def read_statuses(batch: Batch, headers: Headers, body: bytes | None, count: int) -> list[int | None]:
    """Read what an answer says of each of `count` items: a status, or None where it is none.

    `body` is None where it is not known as a whole. Raises IdentityError when the answer does not say so of all of
    them, with `is_absent` when it certainly has no list of them.
    """
    if batch.status is None:
        raise IdentityError("the rule does not say where an answer has the statuses of items", is_absent=True)
    if body is None or len(body) > MAX_ANSWER:
        raise IdentityError(f"the answer is longer than {MAX_ANSWER} bytes, or broke off")
    if not body:
        raise IdentityError("the answer has no body", is_absent=True)
    try:
        document = read_json(body, *content_of(headers), ANSWER_FORMATS)
    except BodyTooLarge as error:
        raise IdentityError(str(error)) from None
    return [_status(value) for value in each_value(document, batch.status, count, batch.status_text)]


def _status(value: Json) -> int | None:
    """A status as a number, or as the text of one, as SCIM has it (RFC 7644 3.7)."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isdigit():
        value = int(value)
    return value if type(value) is int and 100 <= value <= 599 else None


def each_value(document: Json, keys: Keys, count: int, where: str) -> list[Json]:
    """Read a value of each of `count` items: the way down leads through a list with an element for each of them.

    A value that an item lacks is None. Raises IdentityError; with `is_absent` when there is no such list.
    """
    at, above = _split_at_list(document, keys, where)
    if len(above) != count:
        raise IdentityError(f"{where} leads through a list of {len(above)} elements, and there are {count} items")
    return [_value(element, keys[at:], where) for element in above]


def _split_at_list(document: Json, keys: Keys, where: str) -> tuple[int, list[Json]]:
    """Follow keys to the list of the items: how many of them lead there, and the list. Raises as each_value does."""
    value = document
    for at, key in enumerate(keys):
        if isinstance(value, list) and isinstance(key, str):
            return at, value
        value = find(value, (key,), where)
    if not isinstance(value, list):
        raise IdentityError(f"{where} leads through no list", is_absent=True)
    return len(keys), value


def _value(element: Json, keys: Keys, where: str) -> Json:
    try:
        return find(element, keys, where)
    except IdentityError:
        return None


def locate_each(resource: Resource, headers: Headers, body: bytes | None, count: int) -> list[str | None]:
    """Fill a resource for each of the items of a batch; `body` is None where it is not known as a whole.

    A field that leads through a list with an element for each item is of that item; any other is of all of them.
    """
    if resource.body is None:
        return [locate(resource, headers, b"")] * count
    try:
        if body is None or len(body) > MAX_ANSWER:
            return [None] * count
        document = read_json(body, *content_of(headers), ANSWER_FORMATS)
        columns = [_column(part, headers, document, count) for part in resource.parts]
    except (IdentityError, BodyTooLarge):
        return [None] * count
    return [make_link(resource, row) for row in zip(*columns, strict=True)]


def _column(part: str | Field, headers: Headers, document: Json, count: int) -> list[Json]:
    """The values of one part for all items. Raises IdentityError."""
    if isinstance(part, Field) and part.source is Source.BODY:
        try:
            return each_value(document, part.keys, count, part.text)
        except IdentityError as error:
            if not error.is_absent:
                raise
    return [value_of(part, headers, document)] * count
