# The forms of several parts once more, larger than what is read in memory, so that they go by way of a file.

import dataclasses

from campaigns.evasions.message import Attempt, Message
from campaigns.evasions.rules import LETTER, MULTIPART, UPLOAD
from campaigns.evasions.table import forms
from campaigns.evasions.table.multiparts import END, part

PAD = part(b'form-data; name="pad"; filename="pad"', b"p" * 2000, b"Content-Type: application/octet-stream")
KINDS = {"signups": "letters", "uploads": "photos"}


def padded(body: bytes, *, first: bool) -> bytes:
    """A body with a large file in it, as the first of its parts or as the last one."""
    return PAD + body if first or not body.endswith(END) else body.removesuffix(END) + PAD + END


def fill(body: bytes, size: int) -> bytes:
    """A body with a file in it that makes it so long, once its number has seven digits."""
    lacking = size - len(padded(body, first=False).replace(b"<n>", b"1234567"))
    return padded(body, first=False).replace(b"p" * 2000, b"p" * (2000 + lacking))


def _attempt(attempt: Attempt, *, first: bool) -> Attempt:
    """Of a form that is read in memory the same one by way of a file."""
    kind, message = KINDS[attempt.kind], attempt.message
    target = str(message.target).replace(f"/{attempt.kind}", f"/{kind}")
    larger = dataclasses.replace(message, target=target, body=padded(message.body, first=first))
    where = "behind" if first else "before"
    return Attempt("spooled", f"{attempt.kind}: {attempt.name}, {where} a large file", larger, kind)


IN_PARTS = [
    each
    for each in forms.ATTEMPTS
    if any(b"multipart" in line for line in each.message.fields) and len(each.message.body) < 60_000
]
ORDINARY = {"letters": LETTER, "photos": UPLOAD}
ATTEMPTS = (
    *(_attempt(each, first=False) for each in IN_PARTS),
    *(_attempt(each, first=True) for each in IN_PARTS if each.message.body.endswith(END)),
    *(
        Attempt(
            "spooled",
            f"{kind} in memory after one in a file",
            Message(f"/{kind}", (MULTIPART,), body),
            kind,
            Message(f"/{kind}", (MULTIPART,), padded(body, first=False)),
        )
        for kind, body in ORDINARY.items()
    ),
    *(
        Attempt(
            "spooled",
            f"{kind}, {size} bytes around the limit",
            Message(f"/{kind}", (MULTIPART,), fill(body, size)),
            kind,
        )
        for kind, body in ORDINARY.items()
        for size in (1023, 1024, 1025, 65_536, 70_000)
    ),
)
