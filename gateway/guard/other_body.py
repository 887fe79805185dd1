# Bodies that are no JSON, and the fields that are in one: forms and XML. Pure.

from collections.abc import Mapping

from gateway.errors import IdentityError
from gateway.guard.content import BodyFormats
from gateway.guard.field import Field, Source
from gateway.guard.form import Form, read_form
from gateway.guard.form_type import is_form
from gateway.guard.urlencoded import stands_in_query
from gateway.guard.xml_body import XmlBody, XmlWay, is_xml, read_xml_body

OtherBody = Form | XmlBody
"""A body that was read, and is no JSON."""
_JSON, _FORM, _XML = "JSON", "a form", "XML"
KINDS: Mapping[Source, str] = {
    Source.BODY: _JSON,
    Source.JSON: _JSON,
    Source.ITEM: _JSON,
    Source.FORM: _FORM,
    Source.FILE: _FORM,
    Source.XML: _XML,
}
"""What a body is in which a field may be; no body is two of them."""
OTHER_KINDS = frozenset({_FORM, _XML})


def read_other(
    data: bytes,
    content_type: str | None,
    content_encoding: str | None,
    formats: BodyFormats,
    way: XmlWay | None,
    *,
    reads_form: bool,
) -> OtherBody | None:
    """Read a body that is said to be a form or XML, if it is to be read as that; None for any other.

    Raises IdentityError, CodingNotAccepted, and BodyTooLarge when the inflated body exceeds its limit.
    """
    if content_type is None:
        return None
    if reads_form and is_form(content_type):
        return read_form(data, content_type, content_encoding, formats)
    if way is not None and is_xml(content_type):
        return read_xml_body(data, content_type, content_encoding, formats, way)
    return None


def find_in_form(field: Field, query: str, body: OtherBody | None) -> str:
    """Read a field of a form, or a file in one. Raises IdentityError."""
    if body is None or isinstance(body, XmlBody):
        raise IdentityError(f"{field.text} is absent: the body's Content-Type is not that of a form", is_absent=True)
    if query and stands_in_query(query, field):
        raise IdentityError(f"{field.text} stands in the query, too, where some servers look first")
    return body.find_value(field) if field.source is Source.FORM else body.find_file(field)


def find_in_xml(field: Field, body: OtherBody | None) -> str:
    """Read an element. Raises IdentityError."""
    if not isinstance(body, XmlBody):
        raise IdentityError(f"{field.text} is absent: the body's Content-Type is not that of XML", is_absent=True)
    return body.find_value(field.names, field.text)


def require_fitting(field: Field, absent: Field, body: OtherBody | None) -> None:
    """Raise IdentityError when a body of another type than a field is in may have it, to an API that takes both.

    `absent` is the field, or one of its alternatives.
    """
    wanted, found = KINDS.get(absent.source), _JSON
    if body is not None:
        found = _XML if isinstance(body, XmlBody) else _FORM
    if wanted in {None, found} or any(KINDS.get(each.source) == found for each in field.each):
        return
    raise IdentityError(f"{absent.text} cannot be read from a body of this type, and the API may do so")
