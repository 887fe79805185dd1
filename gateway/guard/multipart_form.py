# Reading a multipart/form-data body (RFC 7578) strictly, only to find identities in it. Pure.
#
# It is read by `multipart`, and only if its lines leave no other reader a choice: where it begins and ends, where each
# part does, and what each one is called.

import hashlib
import re
from collections.abc import Sequence
from urllib.parse import unquote

import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.field import Field
from gateway.guard.form_type import media_type, require_utf_8, type_parameters
from gateway.guard.parameters import (
    absent,
    another_name,
    is_alike,
    one_of,
    parameter_name,
    require_few_levels,
    require_plain,
    utf8,
)
from gateway.http.fields import TOKEN

MAX_PARTS = 1000
MAX_FILES = 100
"""What Django takes; at 128 Rack answers 500 before any code of the API runs."""
MAX_HEADS = 256 * 1024
"""Bytes of the heads of all parts together: they take much longer than what is in the parts."""
_MAX_LINE = 4096
"""Bytes of a line in the head of a part."""
_HEAD = re.compile(rb"(?:[A-Za-z0-9-]+:[\t\x20-\x7e\x80-\xff]*+\r\n)+")
_TEXT = r'"([^"\\\x00-\x1f\x7f]*)"|([!#$%&\'*+.^_`|~0-9A-Za-z-]+)'
_DISPOSITION = re.compile(rf"form-data; ?name=(?:{_TEXT})(?:; ?filename=(?:{_TEXT}))?")
"""As all clients write it: with a name and perhaps a filename, and nothing that some servers unescape."""
_TYPE = re.compile(TOKEN.decode() + "/" + TOKEN.decode())
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_CHARSET = re.compile(r"charset[^;]*")
_KNOWN_CHARSET = re.compile(r'charset=("?)(?:utf-8|us-ascii|iso-8859-1|windows-1252)\1[ \t]*')
_PLAIN_CODINGS = frozenset({"7bit", "8bit", "binary"})
"""Content-Transfer-Encodings that change nothing (RFC 2045 6.2)."""
_NOT_ALL = "the body has something before its first boundary or behind its last one, or not both"
_NO_FORM = "the body is no multipart form that every server reads alike"
_ODD_HEAD = "the body has a part with a head that servers read differently"


class Part(msgspec.Struct, gc=False):
    """One part. While it comes, its `size` grows, and `hashed` with it; its `content` is known at its end."""

    name: str
    filename: str | None
    """None for a part that is no file."""
    content_type: str | None
    size: int = 0
    """Bytes of its content."""
    content: bytes = b""
    """Empty for a file that is hashed as it comes."""
    hashed: "hashlib._Hash | None" = None
    """Its SHA-256; None where the content is here."""


class MultipartForm:
    """The parts of a body."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts

    def find_value(self, field: Field) -> str:
        """Find the text of a part that is no file. Raises IdentityError."""
        part = self._find(field)
        if part.filename is not None:
            raise IdentityError(f"{field.text} is a file, or one for which no file was chosen")
        if part.content_type is not None:
            if media_type(part.content_type) != "text/plain":  # busboy takes some for files
                raise IdentityError(f"{field.text} has a Content-Type other than text/plain")
            type_parameters(part.content_type, field.text)
        text = utf8(part.content, field.text)
        if text.startswith("\ufeff"):  # ASP.NET skips it
            raise IdentityError(f"{field.text} has a byte-order mark before it")
        return require_plain(text, field.text)

    def find_file(self, field: Field) -> str:
        """Find the property of a part that is a file. Raises IdentityError."""
        part, name = self._find(field), field.keys[1]
        if not part.filename:  # Go takes an empty name for none, Django leaves such a part out
            raise IdentityError(f"{field.text} is of no file, or of one without a name")
        if "/" in part.filename:
            raise IdentityError(f"{field.text} is of a file with a path, which some servers cut off")
        if name == "size":
            return str(part.size)
        if name == "sha256":
            return (part.hashed or hashlib.sha256(part.content)).hexdigest()
        if name == "content_type":
            return _type_of(part, field.text)
        if _ESCAPED.search(part.filename):  # Rack decodes it
            raise IdentityError(f"{field.text} has a percent-encoded character, which only some servers decode")
        return part.filename

    def _find(self, field: Field) -> Part:
        wanted, found = parameter_name(str(field.keys[0])), list[Part]()
        for part in self._parts:
            if part.name == wanted.text:
                found.append(part)
            elif is_alike(part.name, wanted) or ("%" in part.name and _is_alike_decoded(part.name, wanted.text)):
                raise another_name(field.text)
        return one_of(found, field.text)


def _type_of(part: Part, where: str) -> str:
    if part.content_type is None:
        raise absent(where)
    found = media_type(part.content_type)
    if not _TYPE.fullmatch(found):
        raise IdentityError(f"{where} is no type and subtype")
    return found


def _is_alike_decoded(name: str, wanted: str) -> bool:
    """Whether a name is alike once it is percent-decoded, as some clients encode it and some servers decode it."""
    decoded = unquote(name)
    return decoded == wanted or is_alike(decoded, parameter_name(wanted))


def read_multipart(data: bytes, boundary: bytes) -> MultipartForm:
    """Read the parts of a body that is in memory. Raises IdentityError."""
    reader = MultipartReader(boundary)
    reader.feed(data)
    return reader.end()


class MultipartReader:
    """Reads the parts of a body that comes in pieces of any size, and is refused as soon as it can be.

    Mutable state: what came and is not scanned, or not parsed yet; the head that has begun; the part that is coming;
    the parts before it. After an IdentityError nothing more may be asked of it.
    """

    def __init__(self, boundary: bytes, text_limit: int | None = None) -> None:
        """With a `text_limit`, files are hashed instead of kept, and all other parts have at most so many bytes."""
        self._mark = b"--" + boundary
        self._text_limit = text_limit
        self._unscanned = self._unparsed = b""
        self._marks = self._size_of_heads = self._size_of_texts = self._files = 0
        self._head: bytes | None = None
        """What stands behind the last boundary, until its head is whole; None while content comes."""
        self._parser = PushMultipartParser(
            boundary, max_header_size=_MAX_LINE, max_segment_count=MAX_PARTS, strict=True
        )
        self._part: Part | None = None
        self._content: list[bytes] = []
        self._parts: list[Part] = []

    def feed(self, data: bytes) -> None:
        """Take the next piece. Raises IdentityError, and BodyTooLarge past the `text_limit`."""
        self._scan(data)
        data = self._unparsed + data
        self._unparsed = data[-2:]  # the parser takes nothing behind the last boundary, not even the line end
        self._parse(data[:-2])

    def end(self) -> MultipartForm:
        """The whole form. Raises as `feed` does."""
        if self._unscanned and self._marks:
            self._read_head(self._unscanned)
        if self._head not in {b"--", b"--\r\n"}:
            raise IdentityError(_NOT_ALL)
        if self._unparsed != b"\r\n":
            self._parse(self._unparsed)
        try:
            self._parser.close()
        except MultipartError:
            raise IdentityError(_NO_FORM) from None
        if len(self._parts) != self._marks - 1:
            raise IdentityError(_NO_FORM)
        return MultipartForm(self._parts)

    def _scan(self, data: bytes) -> None:
        """Find the boundary, wherever it stands: some servers find it behind a bare LF, too."""
        mark = self._mark
        data = self._unscanned + data
        at = 0
        if not self._marks and len(data) >= len(mark) and not data.startswith(mark):
            raise IdentityError(_NOT_ALL)
        while (found := data.find(mark, at)) >= 0:
            if self._marks:
                if data[max(found - 2, 0) : found] != b"\r\n":
                    raise IdentityError("the body holds its boundary at a place where only some servers end a part")
                self._read_head(data[at:found])
                if self._head is not None:
                    raise IdentityError(_NOT_ALL if self._head.startswith(b"--") else _ODD_HEAD)
            self._marks += 1
            if self._marks > MAX_PARTS + 1:
                raise IdentityError(f"the body has more than {MAX_PARTS:,} parts")
            self._head = b""
            at = found + len(mark)
        if self._marks:  # the next one may have begun, behind its CRLF
            safe = max(at, len(data) - len(mark) - 1)
            self._read_head(data[at:safe])
            self._unscanned = data[safe:]
        else:
            self._unscanned = data

    def _read_head(self, text: bytes) -> None:
        """Take what follows a boundary, as far as it belongs to the head of the part."""
        if self._head is None or not text:
            return
        head = self._head + text if self._head else text
        if head.startswith(b"--"):
            if len(head) > len(b"--\r\n"):
                raise IdentityError(_NOT_ALL)
            self._head = head
            return
        end = head.find(b"\r\n\r\n")
        if self._size_of_heads + (len(head) if end < 0 else end + 2) > MAX_HEADS:
            raise IdentityError(f"the body has heads of parts with more than {MAX_HEADS:,} bytes together")
        if end < 0:
            self._head = head
            return
        self._head = None
        self._size_of_heads += end + 2
        if not (head.startswith(b"\r\n") and _is_plain(head[2 : end + 2])):
            raise IdentityError(_ODD_HEAD)

    def _parse(self, data: bytes) -> None:
        if not data:
            return
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._part = _part(event, hashes_file=self._text_limit is not None)
                    self._files += self._part.filename is not None
                    if self._files > MAX_FILES:
                        raise IdentityError(f"the body has more than {MAX_FILES} files")
                elif self._part is None:
                    continue
                elif event is not None:
                    self._take(self._part, event)
                else:
                    self._finish(self._part)
        except MultipartError:
            raise IdentityError(_NO_FORM) from None

    def _take(self, part: Part, content: bytes) -> None:
        part.size += len(content)
        if part.hashed is not None:
            part.hashed.update(content)
            return
        self._content.append(content)
        self._size_of_texts += len(content)
        if self._text_limit is not None and self._size_of_texts > self._text_limit:
            raise BodyTooLarge(self._text_limit, "what is no file in the form")

    def _finish(self, part: Part) -> None:
        part.content = b"".join(self._content)
        self._content.clear()
        self._part = None
        if part.name.casefold() == "_charset_":  # RFC 7578 4.6
            require_utf_8(part.content.decode("latin-1"), "the body")
        self._parts.append(part)


def _is_plain(head: bytes) -> bool:
    """Whether lines have the form of header fields, and Rack finds no name of another one within them."""
    lowered = head.lower()
    is_single = lowered.count(b"content-disposition") == 1 and lowered.count(b"content-type") <= 1
    return is_single and _HEAD.fullmatch(head) is not None


def _part(segment: MultipartSegment, *, hashes_file: bool) -> Part:
    """Begin a part by its head. Raises IdentityError for what another reader may take for another part."""
    names = [name.lower() for name, _ in segment.headerlist]
    if len(set(names)) < len(names):
        raise IdentityError("the body has a part with a header that stands there more than once")
    headers = dict(zip(names, (value for _, value in segment.headerlist), strict=True))
    found = _DISPOSITION.fullmatch(headers["content-disposition"].rstrip(" \t"))
    if found is None or not _is_unmistakable(found):
        raise IdentityError("the body has a part with a Content-Disposition that servers read differently")
    name, filename = found[1] or found[2] or "", found[3] if found[3] is not None else found[4]
    if headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN_CODINGS or "content-encoding" in names:
        raise IdentityError("the body has a part with a coding of its own, which some servers undo")
    content_type = headers.get("content-type")
    if content_type is not None and media_type(content_type).startswith("multipart/"):
        raise IdentityError("the body has a part that has parts itself")
    if filename is None and content_type is not None:
        for charset in _CHARSET.findall(content_type.lower()):
            if not _KNOWN_CHARSET.fullmatch(charset):  # Rack answers 500 to one that Ruby does not know
                raise IdentityError("the body has a part in a charset that not every server knows")
    require_few_levels(unquote(name))
    is_hashed = hashes_file and filename is not None
    return Part(name, filename, content_type, hashed=hashlib.sha256() if is_hashed else None)


def _is_unmistakable(found: re.Match[str]) -> bool:
    """Whether a disposition holds no encoded word, which some servers decode, and no second name within quotes.

    commons-fileupload undoes RFC 2047; Rack takes the last `; name=`, wherever it stands.
    """
    text = found.group().lower()
    is_file = found[3] is not None or found[4] is not None
    return "=?" not in text and text.count("name=") == (2 if is_file else 1)
