# The items of a batch: where they are in a request. What an answer says of them is in item_answers.py. Pure.

import msgspec

from gateway.errors import IdentityError, Malformed
from gateway.guard.body import Wanted, find, read_text, refuse_deep
from gateway.guard.content import BodyFormats, is_lines, is_msgpack, json_text, lines_of, plain
from gateway.guard.large_body import NOT_JSON, Way, elements, members_of
from gateway.guard.msgpack_body import read_msgpack
from gateway.guard.strict_json import object_of
from gateway.model import Json

MAX_CLAIMS = 2048
"""Claims of one create at most: a store takes them in one commit."""
MAX_INDEX = 1023
"""The last element of a list that a way down can lead through."""
Keys = tuple[str | int, ...]


class Batch(msgspec.Struct, frozen=True):
    """`each` of a rule, with what belongs to it."""

    text: str
    """As written."""
    keys: Keys
    """The way down to the list of items; empty where the body is that."""
    wanted: Wanted
    """What is read from an item."""
    max_items: int
    status: Keys | None = None
    """The way to the statuses of the items in an answer, through the list of them; None where it has none."""
    status_text: str = ""


def read_items(
    batch: Batch, body: bytes, content_type: str | None, content_encoding: str | None, formats: BodyFormats
) -> list[Json]:
    """Read the items of a body, each as far as it is wanted. A body that should be a list and is none is the only one.

    Raises IdentityError, CodingNotAccepted, BodyTooLarge, and Malformed for more than `max_items`.
    """
    if formats.msgpack and is_msgpack(content_type):
        return _msgpack_items(batch, plain(body, content_encoding, formats))
    if not batch.keys and is_lines(content_type):
        texts = lines_of(body, content_type, content_encoding, formats)
        refuse_deep(b"\n".join(texts))  # of all together: one by one it takes much longer
    else:
        text = json_text(body, content_type, content_encoding, formats)
        refuse_deep(text)
        text = _text_at(text, batch.keys, batch.text)
        found = _elements(text, batch.max_items)
        if found is None and batch.keys:
            raise _no_list(batch)
        texts = [text] if found is None else found
    _require_few(batch, len(texts))
    items = []
    for at, text in enumerate(texts):
        try:
            items.append(read_text(text, batch.wanted))
        except IdentityError as error:
            raise of_item(at, error) from None
    return items


def _elements(text: bytes, most: int) -> list[bytes] | None:
    """The texts of a list's elements, see `elements`. Raises IdentityError."""
    try:
        return elements(text, most)
    except (msgspec.DecodeError, RecursionError):
        raise IdentityError(NOT_JSON) from None


def _require_few(batch: Batch, count: int) -> None:
    if count > batch.max_items:
        raise Malformed("too-many-items", f"{batch.text} has more than {batch.max_items} items.")


def _no_list(batch: Batch) -> IdentityError:
    return IdentityError(f"{batch.text} is no list")  # some languages go through an object's members as through one


def _msgpack_items(batch: Batch, data: bytes) -> list[Json]:
    """The same of a body of MessagePack."""
    way = Way(dict.fromkeys(range(batch.max_items), batch.wanted.way))
    for key in reversed(batch.keys):
        way = Way({key: way})
    found = find(read_msgpack(data, way), batch.keys, batch.text, folds_case=True, reads_all=False)
    if isinstance(found, list):
        _require_few(batch, len(found))
        return found
    if batch.keys:
        raise _no_list(batch)
    return [read_msgpack(data, batch.wanted.way)]


def _text_at(data: bytes, keys: Keys, where: str) -> bytes:
    """The text of one value in a JSON text. Raises IdentityError as `find` would."""
    try:
        data.decode()  # what is skipped is not checked for this
        for key in keys:
            if isinstance(key, int):
                found = elements(data, key) or []
                if key >= len(found):
                    raise IdentityError(f"{where} is absent", is_absent=True)
                data = found[key]
            else:
                members = members_of(data)
                find(object_of([(name, None) for name, _ in members]), (key,), where, folds_case=True)
                data = bytes(dict(members)[key])
    except UnicodeDecodeError:
        raise IdentityError("the body is not valid UTF-8") from None
    except msgspec.ValidationError:  # what is above it is no object
        raise IdentityError(f"{where} is absent", is_absent=True) from None
    except (msgspec.DecodeError, RecursionError):
        raise IdentityError(NOT_JSON) from None
    return data


def of_item(at: int, error: IdentityError) -> IdentityError:
    """Say of which item an error is."""
    return IdentityError(f"item {at}: {error}", is_absent=error.is_absent)
