# What the tests of gateway.http share: messages as values, and all the ways to cut bytes into pieces.

import itertools
import string

from hypothesis import strategies as st

TOKEN = (string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~").encode()
"""RFC 9110 5.6.2."""

field_lines = st.lists(
    st.tuples(
        st.text(TOKEN.decode(), min_size=1, max_size=6).map(lambda name: b"X-" + name.encode()),
        st.from_regex(
            rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,10}[\x21-\x7e\x80-\xff])?)?", fullmatch=True
        ),
    ),
    max_size=4,
)
"""Fields that mean nothing to anybody on the way."""


def block_of(lines: list[tuple[bytes, bytes]]) -> bytes:
    """Field lines as bytes."""
    return b"".join(b"%b: %b\r\n" % line for line in lines)


@st.composite
def cut(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """Bytes, and the same in pieces."""
    data = draw(whole)
    at = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=len(data))))
    edges = [0, *at, len(data)]
    return data, [data[start:end] for start, end in itertools.pairwise(edges)]
