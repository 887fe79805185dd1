# Which content codings are asked for (RFC 9110 12.5.3). Pure.

from collections.abc import Iterable, Set

NAME = b"accept-encoding"


def accept_only(values: Iterable[bytes], codings: Set[bytes]) -> bytes:
    """Make a line that asks for no other codings than the values of Accept-Encoding and `codings` both name.

    Names are compared in lower case. Where there is none of them, no coding is asked for.
    """
    members = [member.strip(b" \t") for value in values for member in value.split(b",")]
    kept = [member for member in members if member.partition(b";")[0].rstrip(b" \t").lower() in codings]
    return b"Accept-Encoding: %b\r\n" % (b", ".join(kept) or b"identity")
