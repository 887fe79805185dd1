# Changes of inputs: some know what the format is made of, some know nothing.

import re
from collections.abc import Callable, Sequence
from random import Random

from campaigns.fuzz.common import spans

MOST = 6 * 1024
"""Bytes of an input that is changed further."""
_DIGITS = re.compile(rb"[0-9]+")
_NUMBERS = (b"0", b"1", b"-1", b"63", b"64", b"65", b"255", b"1000", b"9007199254740993", b"1e400", b"0x10", b"9" * 30)
_ODD_BYTES = b"\x00\t\n\r \"'%&+-./:;<=>?\\[]{}\x7f\x80\xc0\xc1\xd9\xed\xff"


class Mutator:
    """Changes inputs of one format."""

    def __init__(self, tokens: Sequence[bytes], random: Random) -> None:
        self._tokens = tokens
        self._random = random
        self._ways: tuple[Callable[[bytes, bytes], bytes], ...] = (
            self._insert,
            self._insert,
            self._replace,
            self._replace,
            self._delete,
            self._duplicate,
            self._move,
            self._splice,
            self._splice,
            self._flip,
            self._odd,
            self._number,
            self._step,
            self._case,
            self._cut,
            self._repeat,
        )

    def change(self, data: bytes, other: bytes) -> bytes:
        """Change an input a few times; parts of the other one may get into it."""
        for _ in range(self._random.choice((1, 1, 1, 1, 2, 2, 4))):
            data = self._random.choice(self._ways)(data, other)
        return data[:MOST]

    def _at(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _span(self, data: bytes) -> tuple[int, int]:
        return spans(data, self._tokens, self._random)

    def _insert(self, data: bytes, _: bytes) -> bytes:
        at = self._span(data)[self._random.randint(0, 1)] if self._random.random() < 0.7 else self._at(data)
        return data[:at] + self._random.choice(self._tokens) + data[at:]

    def _replace(self, data: bytes, _: bytes) -> bytes:
        there = [token for token in self._tokens if token in data]
        if not there:
            return data
        token, by = self._random.choice(there), self._random.choice(self._tokens)
        at = data.find(token, self._at(data))
        at = at if at >= 0 else data.find(token)
        return data[:at] + by + data[at + len(token) :]

    def _delete(self, data: bytes, _: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[end:]

    def _duplicate(self, data: bytes, _: bytes) -> bytes:
        start, end = self._span(data)
        return data[:end] + data[start:end] + data[end:]

    def _move(self, data: bytes, _: bytes) -> bytes:
        start, end = self._span(data)
        rest = data[:start] + data[end:]
        at = self._at(rest)
        return rest[:at] + data[start:end] + rest[at:]

    def _splice(self, data: bytes, other: bytes) -> bytes:
        start, end = self._span(other)
        first, last = self._span(data)
        return data[:first] + other[start:end] + data[first if self._random.random() < 0.5 else last :]

    def _flip(self, data: bytes, _: bytes) -> bytes:
        at = self._at(data)
        return (
            data[:at] + bytes([byte ^ 1 << self._random.randint(0, 7) for byte in data[at : at + 1]]) + data[at + 1 :]
        )

    def _odd(self, data: bytes, _: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes([self._random.choice(_ODD_BYTES)]) + data[at + self._random.randint(0, 1) :]

    def _number(self, data: bytes, _: bytes) -> bytes:
        found = list(_DIGITS.finditer(data))
        if not found:
            return data
        chosen = self._random.choice(found)
        return data[: chosen.start()] + self._random.choice(_NUMBERS) + data[chosen.end() :]

    def _step(self, data: bytes, _: bytes) -> bytes:
        """Change a byte by a little: a length of a binary format, for one."""
        at, by = self._at(data), self._random.choice((-2, -1, 1, 2))
        return data[:at] + bytes([(byte + by) % 256 for byte in data[at : at + 1]]) + data[at + 1 :]

    def _case(self, data: bytes, _: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[start:end].swapcase() + data[end:]

    def _cut(self, data: bytes, _: bytes) -> bytes:
        return data[: self._at(data)] if self._random.random() < 0.5 else data[self._at(data) :]

    def _repeat(self, data: bytes, _: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[start:end] * self._random.choice((2, 3, 22, 64, 65, 130)) + data[end:]
