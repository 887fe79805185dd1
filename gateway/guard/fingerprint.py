# Fingerprints: keyed hashes that stand for identities in the store. Pure.
#
# The pre-image is version, namespace, entry, scope and identity. Each value carries its type and each piece of text its
# length, so that no two different identities ever share a pre-image: ("ab", "c") is not ("a", "bc"), 0 is not "0".

import hashlib
import struct
from collections.abc import Sequence
from functools import cache

from gateway.guard.strict_json import EXACT
from gateway.model import Json

VERSION = b"gw1"
"""Changes whenever equal identities would get another fingerprint: claims of an older version no longer match."""
SIZE = 32
"""Bytes in a fingerprint."""
LINK_SIZE = 16
"""Bytes of what the claims of a resource are found by."""
_IS_LINK = 0x01
"""The bit of the first byte that tells the hash of a link from that of an origin."""
MIN_SECRET = 32
"""Bytes a secret must have at least."""


class Fingerprinter:
    """Makes fingerprints with one secret, which stays inside it."""

    def __init__(self, secret: bytes) -> None:
        # BLAKE2b takes at most 64 bytes of key (RFC 7693 2.1); hashing first admits a secret of any length.
        key = hashlib.blake2b(secret, digest_size=64).digest()
        self._keys = hashlib.blake2b(digest_size=SIZE, key=key, person=b"key")
        self._callers = hashlib.blake2b(digest_size=SIZE, key=key, person=b"caller")
        self._payloads = hashlib.blake2b(digest_size=SIZE, key=key, person=b"payload")
        self._spellings = hashlib.blake2b(digest_size=SIZE, key=key, person=b"spelling")
        self.answer_key = hashlib.blake2b(digest_size=SIZE, key=key, person=b"answer").digest()
        """The key by which stored answers are encrypted: 256 bit."""
        self._claims = hashlib.blake2b(digest_size=SIZE, key=key, person=b"claim")
        self._origins = hashlib.blake2b(digest_size=LINK_SIZE, key=key, person=b"origin")
        self._links = hashlib.blake2b(digest_size=LINK_SIZE, key=key, person=b"link")
        self._changes = hashlib.blake2b(digest_size=SIZE, key=key, person=b"change")
        self.key_check = hashlib.blake2b(digest_size=SIZE, key=key, person=b"key-check").digest()
        """Says which secret was used without giving it away: a store refuses to be opened with another one."""

    def __repr__(self) -> str:
        return "Fingerprinter(secret hidden)"

    def fingerprint(self, namespace: str, entry: str, scope: Sequence[Json], identity: Sequence[Json]) -> bytes:
        """Hash one identity. 32 bytes."""
        state = self._claims.copy()
        state.update(pre_image(namespace, entry, scope, identity))
        return state.digest()

    def key(self, rule: str, caller: bytes, key: bytes) -> bytes:
        """Hash an Idempotency-Key, which means something to one caller under one rule only. 32 bytes."""
        state = self._keys.copy()
        state.update(b"%b%d:%b%b" % (_text(rule), len(caller), caller, key))
        return state.digest()

    def caller(self, values: Sequence[Json]) -> bytes:
        """Hash what says who sends a request. 32 bytes."""
        state = self._callers.copy()
        state.update(_sequence(values))
        return state.digest()

    def spelling(self, values: Sequence[Json]) -> bytes:
        """Hash the values of one entry as they were sent, before they were normalised. 32 bytes."""
        state = self._spellings.copy()
        state.update(_sequence(values))
        return state.digest()

    def origin(self, host: str, scope: Sequence[Json]) -> bytes:
        """Hash where a resource's requests go: links of two origins may be equal, and are of two resources. 16 bytes.

        `scope` has the values of those fields of a rule's scope that each request for the resource has.
        """
        state = self._origins.copy()
        state.update(_text(host) + _sequence(scope))
        digest = state.digest()
        return bytes([digest[0] & ~_IS_LINK]) + digest[1:]

    def link(self, origin: bytes, namespace: str, path: Sequence[str]) -> bytes:
        """Hash a resource's link, whose `path` is as resource_path gives it. 16 bytes, never those of an origin."""
        state = self._links.copy()
        state.update(b"%b%b%b" % (origin, _text(namespace), _sequence(path)))
        digest = state.digest()
        return bytes([digest[0] | _IS_LINK]) + digest[1:]

    def change(self, link: bytes, slot: int) -> bytes:
        """Hash a resource: the fingerprint of one of the claims by which changes of it go one after the other."""
        state = self._changes.copy()
        state.update(b"%b%d" % (link, slot))
        return state.digest()

    def payload(self, line: bytes, content: bytes) -> bytes:
        """Hash what a request asks for: its method and target, and its content. 32 bytes."""
        state = self.begin_payload(line)
        state.update(content)
        return state.digest()

    def begin_payload(self, line: bytes) -> hashlib.blake2b:
        """Begin such a hash; its content is still to be added."""
        state = self._payloads.copy()
        state.update(b"%d:%b" % (len(line), line))
        return state


def is_origin(link: bytes) -> bool:
    """Whether what a claim is found by is an origin alone: where its resource lives is not known."""
    return not link[0] & _IS_LINK


def pre_image(namespace: str, entry: str, scope: Sequence[Json], identity: Sequence[Json]) -> bytes:
    """Write down what is hashed: injective over everything that makes an identity."""
    return b"%b%b%b" % (_kind(namespace, entry), _sequence(scope) if scope else b"l0:", _sequence(identity))


@cache
def _kind(namespace: str, entry: str) -> bytes:
    return VERSION + _text(namespace) + _text(entry)


def _sequence(values: Sequence[Json]) -> bytes:
    if len(values) == 1:  # nearly always
        return b"l1:" + encode(values[0])
    return b"l%d:%b" % (len(values), b"".join([encode(value) for value in values]))


def _text(value: str) -> bytes:
    data = value.encode()
    return b"s%d:%b" % (len(data), data)


def encode(value: Json) -> bytes:
    """Write one value with its type and length; integral floats below 2^53 are the integer they equal."""
    if type(value) is str:  # nearly always
        return _text(value)
    if type(value) is list:
        return _sequence(value)
    match value:
        case str():
            return _text(value)
        case None:
            return b"n"
        case bool():
            return b"t" if value else b"f"
        case int():
            return b"i%d;" % value
        case float():
            if value.is_integer() and abs(value) < EXACT:
                return b"i%d;" % int(value)
            return b"d" + struct.pack(">d", value)
        case list():
            return _sequence(value)
        case dict():
            pairs = [_text(key) + encode(value[key]) for key in sorted(value)]
            return b"m%d:%b" % (len(pairs), b"".join(pairs))
