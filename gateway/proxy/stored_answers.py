# Answers kept for retries: which parts of an answer, and how they are encrypted.
#
# `cryptography` is imported once a rule stores answers, and not before.

import os
import zlib
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from gateway.http.headers import Headers
from gateway.http.write import end_to_end
from gateway.upstream.results import UpstreamResponse

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE = 12
"""Bytes (NIST SP 800-38D 8.2)."""
_NOT_KEPT = frozenset({b"age", b"content-length", b"date", b"set-cookie", b"www-authenticate"})
_STREAM = b"text/event-stream"


class _Answer(msgspec.Struct, array_like=True):
    status: int
    reason: bytes
    fields: bytes
    body: bytes
    has_length: bool


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
        """Encrypt a whole answer."""
        headers = end_to_end(answer.headers)
        dropped = _NOT_KEPT | {name for name in headers.names if name.startswith(b"proxy-")}
        kept = _Answer(answer.status, answer.reason, headers.without(dropped).block, answer.body, _has_length(answer))
        nonce = os.urandom(_NONCE)
        plain = zlib.compress(msgspec.msgpack.encode(kept), 1)
        return _VERSION + nonce + self._cipher(owner).encrypt(nonce, plain, _VERSION)

    def decrypt(self, owner: bytes, data: bytes) -> UpstreamResponse | None:
        """Decrypt an answer; None when it is not one of this owner, made with this key."""
        from cryptography.exceptions import InvalidTag

        if data[:1] != _VERSION:
            return None
        nonce, sealed = data[1 : 1 + _NONCE], data[1 + _NONCE :]
        try:
            plain = self._cipher(owner).decrypt(nonce, sealed, _VERSION)
        except InvalidTag:
            return None
        kept = msgspec.msgpack.decode(zlib.decompress(plain), type=_Answer)
        fields = b"%bContent-Length: %d\r\n" % (kept.fields, len(kept.body)) if kept.has_length else kept.fields
        return UpstreamResponse(kept.status, kept.reason, Headers(fields), kept.body, None, length_known=True)

    def _cipher(self, owner: bytes) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(blake2b(owner, key=self._key, digest_size=32).digest())


def may_be_stored(answer: UpstreamResponse, limit: int) -> bool:
    """Whether an answer can be stored as far as is known: not above `limit` bytes, none with 0, no stream of events."""
    if not limit or len(answer.body) > limit:
        return False
    if any(kind.split(b";")[0].strip().lower() == _STREAM for kind in answer.headers.values(b"content-type")):
        return False
    length = answer.headers.first(b"content-length")
    return length is None or not length.isdigit() or int(length) <= limit


def _has_length(answer: UpstreamResponse) -> bool:
    """Whether a replay says how long it is: not where a status allows no length (RFC 9110 8.6)."""
    return answer.status not in {204, 304}
