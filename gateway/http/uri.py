# URI references (RFC 3986 4.1) as they may stand in a field. Pure.

from urllib.parse import quote

_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""Reserved characters (RFC 3986 2.2), and what begins an escape; the unreserved ones are kept anyway."""


def as_uri(link: str) -> str:
    """Write a link as a URI reference: what may not stand there is percent-encoded, as UTF-8.

    A link that was a header's value has a character for each byte of it.
    """
    if link.isascii():
        return quote(link, safe=_KEPT)
    try:
        sent = link.encode("latin-1")
        sent.decode()
    except UnicodeError:
        return quote(link, safe=_KEPT)
    return quote(sent, safe=_KEPT)
