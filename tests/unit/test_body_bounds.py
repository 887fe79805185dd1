# Reading a body: how deep, of which type, in which coding, and how large.

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.body import MAX_DEPTH, find, read_json
from gateway.guard.content import CODINGS, BodyFormats, inflate
from gateway.model import Json
from tests.support.unit import patience

LIMIT = 1024 * 1024
FORMATS = BodyFormats(LIMIT, codings=CODINGS)
CANARY = "canary-7b1f"


def read(body: str | bytes, content_type: str | None = "application/json", coding: str | None = None) -> Json:
    return read_json(body.encode() if isinstance(body, str) else body, content_type, coding, FORMATS)


def gzipped(data: bytes) -> bytes:
    """Without the time, so that a test that is named by its data has the same name in every process."""
    return gzip.compress(data, mtime=0)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + "0" + closing * depth


def alternating(depth: int) -> str:
    levels = [("[", "]"), ('{"a":', "}")] * (depth // 2) + [("[", "]")] * (depth % 2)
    return "".join(opening for opening, _ in levels) + "0" + "".join(closing for _, closing in reversed(levels))


SHAPES: dict[str, Callable[[int], str]] = {
    "arrays": nested,
    "objects": lambda depth: nested(depth, '{"a":', "}"),
    "alternating": alternating,
    "beside empty ones": lambda depth: "[[]," * (depth - 1) + "{}" + "]" * (depth - 1),
    "after many shallow ones": lambda depth: "[" + "[],{}," * 500 + nested(depth - 1) + "]",
    "beside strings of brackets": lambda depth: '["' + "[{" * 500 + '",' + nested(depth - 1) + ',"' + "]}" * 500 + '"]',
    "beside escaped quotes": lambda depth: '["\\"' + "[" * 99 + '\\\\",' + nested(depth - 1) + ',"]\\\\\\"]"]',
}


class TestDepth:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_64_levels_are_read(self, shape: str) -> None:
        text = SHAPES[shape](MAX_DEPTH)
        assert depth_of(json.loads(text)) == MAX_DEPTH == 64
        assert read(text) == json.loads(text)

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("more", [1, 2, 400])
    def test_65_levels_and_more_are_too_deep(self, shape: str, more: int) -> None:
        text = SHAPES[shape](MAX_DEPTH + more)
        with pytest.raises(IdentityError, match="nested deeper than 64 levels"):
            read(text)

    def test_many_brackets_that_do_not_nest_are_read(self) -> None:
        text = "[" + ",".join(["[[]]", '{"a":{}}'] * 1000) + "]"
        assert read(text) == json.loads(text)

    def test_brackets_in_strings_do_not_nest(self) -> None:
        for text in ("[" * 1000, '\\"[' * 1000, "\\\\", "{[" * 100 + "\\\\"):
            body = f'{{"email": "{text}", "x": "{"[" * 100}"}}'
            assert find(read(body), ("email",), "email") == json.loads(f'"{text}"')

    @pytest.mark.parametrize("body", ["[" * 65, '{"a":' * 65, "[" * 65 + "]", '[{"a":' * 33 + '"'])
    def test_levels_that_are_never_closed_count(self, body: str) -> None:
        with pytest.raises(IdentityError, match="nested deeper than 64 levels"):
            read(body)

    @pytest.mark.parametrize(
        "body",
        [
            b"[" * 10_000_000,
            b'{"a":' * 2_000_000,
            b"]" * 10_000_000,
            b"[" * 65 + b'"' + b'\\"' * 5_000_000,
            b"[" * 65 + b'"' + b"\\" * 10_000_001,
            b"[" * 65 + b'"a' * 5_000_001,
            b"[]" * 5_000_000,
            b"[" * 32 + b"]" * 33 + b"[" * 5_000_000,
        ],
        ids=lambda body: repr(body[:5] + b"..." + body[-5:]),
    )
    def test_millions_of_brackets_or_quotes_are_refused_without_a_search_in_circles(self, body: bytes) -> None:
        with patience(), pytest.raises(IdentityError):
            read(body)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "APPLICATION/JSON",
            " application/json ; charset=utf-8",
            'application/json;charset="UTF-8"',
            "application/json; charset=utf8",
            "application/json; profile=x; Charset = utf-8",
            "application/vnd.api+json",
            "application/merge-patch+json; charset=UTF-8",
        ],
    )
    def test_json_in_utf8_is_read(self, content_type: str) -> None:
        assert read('{"email": "ä"}', content_type) == {"email": "ä"}

    def test_us_ascii_is_a_part_of_utf8(self) -> None:
        for content_type in ("application/json; charset=us-ascii", 'application/json;charset="US-ASCII"'):
            assert read('{"email": "\\u00e4"}', content_type) == {"email": "ä"}
            with pytest.raises(IdentityError, match="US-ASCII, and it holds other bytes"):
                read('{"email": "ä"}', content_type)

    @pytest.mark.parametrize("content_type", ["text/csv", "Text/CSV; charset=utf-8", "text/plain;x=y", None])
    def test_other_types_are_read_where_the_rule_names_them(self, content_type: str | None) -> None:
        formats = BodyFormats(LIMIT, json_types=frozenset({"text/csv", "text/plain", ""}))
        assert read_json(b"[1]", content_type, None, formats) == [1]
        for unnamed in ("text/xml", "text/jsonx", "text/csv; charset=latin-1"):
            with pytest.raises(IdentityError):
                read_json(b"[1]", unnamed, None, formats)

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "json",
            "+json",
            "application/+json",
            "a b/x+json",
            "/x+json",
            "a/b/x+json",
            "text/plain",
            "text/plain; x=application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "application/json-seq",
            "application/vnd.api+jsonx",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=iso-8859-1",
            "application/json; charset=utf-7",
            "application/json; charset=utf-8; charset=utf-16",
            "application/json; charset=",
        ],
    )
    def test_anything_else_is_unreadable(self, content_type: str | None) -> None:
        with pytest.raises(IdentityError):
            read("{}", content_type)


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


TEXT = b'{"email": "ada@example.org"}'


class TestContentCoding:
    @pytest.mark.parametrize(
        ("coding", "data"),
        [
            (None, TEXT),
            ("", TEXT),
            ("identity", TEXT),
            ("gzip", gzipped(TEXT)),
            (" GZip ", gzipped(TEXT)),
            ("x-gzip", gzipped(TEXT)),
            ("deflate", zlib.compress(TEXT)),
        ],
    )
    def test_a_body_is_inflated(self, coding: str | None, data: bytes) -> None:
        assert read(data, coding=coding) == {"email": "ada@example.org"}

    @pytest.mark.parametrize(
        ("coding", "data"),
        [
            ("br", TEXT),
            ("zstd", TEXT),
            ("compress", TEXT),
            ("gzip, gzip", gzipped(gzipped(TEXT))),
            ("identity, gzip", gzipped(TEXT)),
            ("gzip", gzipped(gzipped(TEXT))),
            ("gzip", TEXT),
            ("gzip", b""),
            ("gzip", zlib.compress(TEXT)),
            ("gzip", raw_deflate(TEXT)),
            ("gzip", gzipped(TEXT)[:-1]),
            ("gzip", gzipped(TEXT)[:-9]),
            ("gzip", gzipped(TEXT)[:-8] + b"\0" * 8),
            ("gzip", gzipped(TEXT) + b"x"),
            ("gzip", gzipped(TEXT) + gzipped(TEXT)),
            ("deflate", gzipped(TEXT)),
            ("deflate", zlib.compress(TEXT)[:-1]),
            ("deflate", zlib.compress(TEXT)[:-4] + b"\0\0\0\0"),
            ("deflate", zlib.compress(TEXT) + b"x"),
            ("deflate", raw_deflate(TEXT)),
            ("deflate", raw_deflate(TEXT) + b"x"),
            ("deflate", b""),
            (None, gzipped(TEXT)),
        ],
    )
    def test_what_is_cut_off_doubled_or_of_another_coding_is_unreadable(self, coding: str | None, data: bytes) -> None:
        with pytest.raises(IdentityError):
            read(data, coding=coding)

    def test_no_text_shows_the_coding(self) -> None:
        with pytest.raises(IdentityError) as raised:
            read(TEXT, coding=CANARY)
        assert CANARY not in str(raised.value)

    @pytest.mark.parametrize(
        ("coding", "data"), [("gzip", gzipped(b" " * 100)), ("deflate", zlib.compress(b" " * 100))]
    )
    def test_the_limit_is_inclusive(self, coding: str, data: bytes) -> None:
        assert len(inflate(data, coding, 100)) == 100
        with pytest.raises(BodyTooLarge) as raised:
            inflate(data, coding, 99)
        assert raised.value.limit == 99

    @pytest.mark.parametrize("pack", [gzipped, zlib.compress])
    def test_a_bomb_is_refused_without_being_inflated(self, pack: Callable[[bytes], bytes]) -> None:
        limit = 64 * 1024
        bomb = pack(bytes(32 * 1024 * 1024))
        coding = "gzip" if pack is gzipped else "deflate"
        tracemalloc.start()
        try:
            with pytest.raises(BodyTooLarge):
                read_json(bomb, "application/json", coding, BodyFormats(limit, codings=CODINGS))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * limit + len(bomb)
