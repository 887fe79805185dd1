# What a stranger, who has no credentials, may send for somebody else's thing, so that this one cannot create it.

import dataclasses

from campaigns.evasions.message import JSON, Attempt, Message, by_stranger, shown
from campaigns.evasions.rules import ORDINARY, TENANT
from campaigns.evasions.table import batches, conditions, encoded_paths, packs, spooled, stranger_bodies, xml_bodies
from campaigns.evasions.table.stranger_fields import CREDENTIALS, LINES, QUERIES


def _line(line: bytes) -> Attempt:
    has_type = line.lower().startswith(b"content-type")
    return by_stranger("field", shown(line), fields=(line,) if has_type else (JSON, line))


_SOME = (*conditions.ATTEMPTS[::2], *encoded_paths.ATTEMPTS[::3], *batches.ATTEMPTS[::2], *spooled.ATTEMPTS[::4])
"""Of the longest tables a part."""

ATTEMPTS = (
    *(
        Attempt("ordinary", kind, Message(each.target, each.fields, each.body, is_stranger=True), kind)
        for kind, each in ORDINARY.items()
    ),
    *(by_stranger("credentials", shown(line), fields=(JSON, line)) for line in CREDENTIALS),
    *map(_line, LINES),
    *(by_stranger("query", shown(f"?{query}"), f"/users?{query}") for query in QUERIES),
    *(
        Attempt(
            "query",
            shown(f"?ref=r<n>&{query}"),
            Message(f"/orders?ref=r<n>&{query}", (), b"", is_stranger=True),
            "orders",
        )
        for query in QUERIES
    ),
    *(
        by_stranger("method", f"{method!r}", method=method)
        for method in (b"post", b"Post", b"PUT", b"GET", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"X")
    ),
    *(
        by_stranger("version", version.decode(), version=version)
        for version in (b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.9", b"http/1.1")
    ),
    *(
        by_stranger("target", target, target)
        for target in (
            "http://api.example/users",
            "http://[::1]/users",
            "/users/",
            "/USERS",
            "/users.json",
            "/users%2f",
            "/users;x",
            "//users",
            "/users%ff",
            "/users%00",
        )
    ),
    *(
        Attempt("scope", name, Message(f"/seats?{query}", (JSON, *lines), is_stranger=True), "seats")
        for name, query, lines in (
            ("a bad query", "tenant=t&%ff=%", TENANT),
            ("a bad cookie", "tenant=t", (TENANT[0], b"Cookie: tenant=t; a[=\xff")),
            ("a bad field", "tenant=t", (*TENANT, b"X-Tenant-Id: \xff")),
        )
    ),
    Attempt(
        "place", "an escape that is no UTF-8", Message("/teams/t<n>%ff/places", (), b"", is_stranger=True), "places"
    ),
    Attempt("place", "NUL", Message("/teams/t<n>%00/places", (), b"", is_stranger=True), "places"),
    *stranger_bodies.ATTEMPTS,
    *(
        Attempt(each.group, each.name, dataclasses.replace(each.message, is_stranger=True), each.kind)
        for each in (*xml_bodies.ATTEMPTS, *packs.ATTEMPTS, *_SOME)
    ),
)
