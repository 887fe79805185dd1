# Reading the fields of an answer that conditions ask for. Pure.

from typing import Any, assert_never, cast

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.answer import AnswerField, AnswerSource, Outcomes
from gateway.guard.body import find, read_json
from gateway.guard.condition import Found
from gateway.guard.content import CODINGS, decoded, require_json
from gateway.guard.resource import ANSWER_FORMATS, MAX_ANSWER
from gateway.guard.strict_xml import read_xml, xml_charset
from gateway.http.headers import Headers
from gateway.model import Json


class AnswerView:
    """One answer, as far as it has come. Mutable state: what was read of its body, so that it is read once."""

    __slots__ = ("_body", "_headers", "_outcomes", "_read", "_status", "needs_body")

    def __init__(self, outcomes: Outcomes, status: int, headers: Headers, body: bytes | None) -> None:
        """`body` is the whole of it; None while it has not come, or when it never will."""
        self._outcomes = outcomes
        self._status = status
        self._headers = headers
        self._body = body
        self._read: dict[AnswerSource, Any] = {}
        self.needs_body = False
        """Whether a field was asked for that could be read once the body has come."""

    def __repr__(self) -> str:
        return f"AnswerView({self._status})"

    def read(self, field: AnswerField) -> Json | Found:
        """Read one field; Found where what is there cannot be compared.

        Raises IdentityError when it cannot be told whether anything is there; with `is_absent` when nothing is.
        """
        match field.source:
            case AnswerSource.STATUS:
                return self._status
            case AnswerSource.HEADER:
                values = self._headers.values(str(field.keys[0]).lower().encode())
                if not values:
                    raise IdentityError(f"{field.text} is absent", is_absent=True)
                return b", ".join(values).decode("utf-8", "surrogateescape")
            case AnswerSource.BODY:
                return find(self._document(AnswerSource.BODY), field.keys, field.text)
            case AnswerSource.XML:
                element = self._document(AnswerSource.XML)[field.keys]
                if not element.count:
                    raise IdentityError(f"{field.text} is absent", is_absent=True)
                return Found.THERE if element.text is None else cast("str", element.text)
            case _:
                assert_never(field.source)

    def _document(self, source: AnswerSource) -> Any:
        if source not in self._read:
            try:
                self._read[source] = self._read_body(source)
            except BodyTooLarge as error:
                self._read[source] = IdentityError(str(error))
            except IdentityError as error:
                self._read[source] = error
        document = self._read[source]
        if isinstance(document, IdentityError):
            raise document
        return document

    def _read_body(self, source: AnswerSource) -> Any:
        """Raises IdentityError and BodyTooLarge."""
        if self._body == b"":
            raise IdentityError("the body is empty", is_absent=self._has_no_body())
        content_type = self._only(b"content-type")
        charset = None
        if source is AnswerSource.BODY:
            require_json(content_type, ANSWER_FORMATS)
        else:
            charset = xml_charset(content_type)
        coding = (self._only(b"content-encoding") or "identity").strip().lower()
        if self._body is None:
            self.needs_body = coding in {"identity", *CODINGS} and self._length() <= MAX_ANSWER
            raise IdentityError("the body has not come")
        if len(self._body) > MAX_ANSWER:
            raise BodyTooLarge(MAX_ANSWER)
        if source is AnswerSource.BODY:
            return read_json(self._body, content_type, coding, ANSWER_FORMATS, self._outcomes.body)
        data = decoded(self._body, coding, ANSWER_FORMATS)
        return read_xml(data, charset, self._outcomes.elements)

    def _has_no_body(self) -> bool:
        """Whether a body of no bytes is empty for certain, and not cut off, or left out in answer to HEAD."""
        names = self._headers.names
        return self._status == 204 or b"transfer-encoding" in names or self._headers.first(b"content-length") == b"0"

    def _length(self) -> int:
        """What Content-Length says; 0 where it says nothing."""
        length = self._headers.first(b"content-length") or b""
        return int(length) if length.isdigit() else 0

    def _only(self, name: bytes) -> str | None:
        values = self._headers.values(name)
        if len(values) > 1:
            raise IdentityError(f"the {name.decode()} field stands there more than once")
        return values[0].decode("latin-1") if values else None
