# Answers stored for retries: which parts of an answer, and how they are encrypted.
#
# `cryptography` is imported once a rule stores answers, and not before.

import os
import zlib
from collections import OrderedDict
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from gateway.http.headers import Headers
from gateway.http.write import end_to_end
from gateway.upstream.results import UpstreamResponse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_RECENT = 8 * 1024 * 1024
"""Bytes of answers in memory."""
_COMPRESSED, _PLAIN = b"\x03", b"\x04"
"""How an answer was packed before it was encrypted: the first byte of what is stored."""
_WORTH_COMPRESSING = 512
"""Bytes."""
_NONCE = 12
"""Bytes (NIST SP 800-38D 8.2)."""
_NOT_KEPT = frozenset({b"age", b"content-length", b"date", b"set-cookie", b"www-authenticate"})
_STREAM = b"text/event-stream"


def for_retries(answer: UpstreamResponse) -> UpstreamResponse:
    """Return what a retry gets of a whole answer, framed by a length."""
    names = answer.headers.names
    dropped = _NOT_KEPT.union([name for name in names if name.startswith(b"proxy-")])
    headers = end_to_end(answer.headers, dropped)
    if answer.status not in {204, 304}:  # a status that allows no length (RFC 9110 8.6)
        headers = Headers(b"%bContent-Length: %d\r\n" % (headers.block, len(answer.body)))
    return UpstreamResponse(answer.status, answer.reason, headers, answer.body, None, length_known=True)


class RecentAnswers:
    """Recent answers by the owner token of their operation, so that most retries need no decryption.

    An answer is asked for only while a claim of its operation is held, and never changes.
    Mutable state: the answers, the most recent last; their size in bytes.
    """

    __slots__ = ("_answers", "_size")

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, UpstreamResponse] = OrderedDict()
        self._size = 0

    def __repr__(self) -> str:
        return f"RecentAnswers({len(self._answers)})"

    def get(self, owner: bytes) -> UpstreamResponse | None:
        """The answer of an operation."""
        return self._answers.get(owner)

    def remember(self, owner: bytes, answer: UpstreamResponse) -> None:
        """Add an answer that was stored."""
        if owner in self._answers:
            return
        self._answers[owner] = answer
        self._size += _size(answer)
        while self._size > MAX_RECENT:
            self._size -= _size(self._answers.popitem(last=False)[1])


class _Packed(msgspec.Struct, array_like=True):
    status: int
    reason: bytes
    fields: bytes
    body: bytes


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Packed)


class AnswerCipher:
    """Encrypts answers with AES-256-GCM, each with a key of its own, derived from the owner token of its operation.

    So an answer can be read as that of its own operation only, and no nonce is used twice with one key.
    """

    def __init__(self, key: bytes) -> None:
        """`key` has 256 bit."""
        self._key = key

    def __repr__(self) -> str:
        return "AnswerCipher(key hidden)"

    def encrypt(self, owner: bytes, answer: UpstreamResponse) -> bytes:
        """Encrypt what a retry gets."""
        packing = _PLAIN
        packed = _ENCODER.encode(_Packed(answer.status, answer.reason, answer.headers.block, answer.body))
        if len(packed) >= _WORTH_COMPRESSING:
            packing, packed = _COMPRESSED, zlib.compress(packed, 1)
        nonce = os.urandom(_NONCE)
        return packing + nonce + self._cipher(owner).encrypt(nonce, packed, packing)

    def decrypt(self, owner: bytes, data: bytes) -> UpstreamResponse | None:
        """Decrypt an answer; None when it is not one of this owner, made with this key."""
        packing, nonce, encrypted = data[:1], data[1 : 1 + _NONCE], data[1 + _NONCE :]
        if packing not in {_PLAIN, _COMPRESSED}:
            return None
        try:
            packed = self._cipher(owner).decrypt(nonce, encrypted, packing)
        except _cryptography().InvalidTag:
            return None
        answer = _DECODER.decode(zlib.decompress(packed) if packing == _COMPRESSED else packed)
        return UpstreamResponse(
            answer.status, answer.reason, Headers(answer.fields), answer.body, None, length_known=True
        )

    def _cipher(self, owner: bytes) -> "AESGCM":
        return _cryptography().AESGCM(blake2b(owner, key=self._key, digest_size=32).digest())


class _Cryptography(NamedTuple):
    AESGCM: "type[AESGCM]"
    InvalidTag: type[Exception]


@cache
def _cryptography() -> _Cryptography:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return _Cryptography(AESGCM, InvalidTag)


def may_be_stored(answer: UpstreamResponse, limit: int) -> bool:
    """Whether an answer can be stored, as far as is known: not above `limit` bytes, no stream of events."""
    kinds = answer.headers.values(b"content-type") if _STREAM in answer.headers.block.lower() else ()
    if any(kind.split(b";")[0].strip().lower() == _STREAM for kind in kinds):
        return False
    if answer.rest is None:
        return len(answer.body) <= limit
    length = answer.headers.first(b"content-length")
    return length is None or not length.isdigit() or int(length) <= limit


def _size(answer: UpstreamResponse) -> int:
    return len(answer.headers.block) + len(answer.body)
