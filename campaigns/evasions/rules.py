# What the judges create, the rule of each kind, and an ordinary create of it.

import json
import unicodedata
from typing import Any

from campaigns.evasions.message import JSON, Message
from tests.support.program import Table

EMAIL = {"name": "email", "fields": ["body.email"], "normalize": ["email"]}


def _rule(kind: str, *fields: str, **changes: Any) -> Table:
    unique = [{"name": "it", "fields": list(fields)}] if fields else [EMAIL]
    return {"name": kind, "match": {"path": f"/{kind}"}, "unique": unique, **changes}


RULES: tuple[Table, ...] = (
    _rule("users"),
    _rule("notes"),
    _rule("members"),
    _rule("signups", unique=[{**EMAIL, "fields": ["form.email"]}]),
    _rule("uploads", "file.photo.sha256"),
    _rule("risks", "body.risk"),
    _rule("orders", "query.ref"),
    _rule("parcels", "header.X-Ref"),
    _rule("visits", "cookie.ref"),
    _rule("seats", scope=["header.X-Tenant", "query.tenant", "cookie.tenant"]),
    _rule("customers", unique=[{**EMAIL, "fields": ["xml.Customer.email"]}]),
    _rule("packs", msgpack=True),
    _rule("places", "path.team", match={"path": "/teams/{team}/places"}),
)
"""`users`: JSON as the framework reads it. `notes`: JSON, whatever its type is. `members`: JSON or a form. `signups`: a
form. `uploads`: a file in one. `risks`: JSON, a key with an s and a k. `orders`: a field of the query. `parcels`: a
header field. `visits`: a cookie. `seats`: JSON beside three fields of a tenant. `customers`: XML. `packs`: MessagePack
or JSON. `places`: a part of the path."""

URLENCODED = b"Content-Type: application/x-www-form-urlencoded"
XML = b"Content-Type: application/xml"
MSGPACK = b"Content-Type: application/msgpack"
MULTIPART = b"Content-Type: multipart/form-data; boundary=x"
UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"photo<n>\r\n\r\n--x--\r\n"
)
TENANT = (b"X-Tenant: t", b"Cookie: tenant=t")
ORDINARY: dict[str, Message] = {
    "users": Message("/users"),
    "notes": Message("/notes"),
    "members": Message("/members"),
    "signups": Message("/signups", (URLENCODED,), b"email=ada<n>@example.org"),
    "uploads": Message("/uploads", (MULTIPART,), UPLOAD),
    "risks": Message("/risks", body=b'{"risk": "r<n>"}'),
    "orders": Message("/orders?ref=r<n>", (), b""),
    "parcels": Message("/parcels", (b"X-Ref: r<n>",), b""),
    "visits": Message("/visits", (b"Cookie: ref=r<n>",), b""),
    "seats": Message("/seats?tenant=t", (JSON, *TENANT)),
    "customers": Message("/customers", (XML,), b"<Customer><email>ada<n>@example.org</email></Customer>"),
    "packs": Message("/packs", (MSGPACK,), b"\x81\xa5email\xb6ada<n>@example.org"),
    "places": Message("/teams/t<n>/places", (), b""),
}


def normalised(kind: str, value: Any) -> Any:
    """A value as a judge read it, as the rule of its kind compares it; 1 and "1" are two."""
    if isinstance(value, list) and kind == "seats":
        return (*value[:3], normalised("users", value[3]))
    if isinstance(value, str) and kind in {"users", "notes", "members", "signups", "customers", "packs"}:
        composed = unicodedata.normalize("NFC", value.strip())
        value = unicodedata.normalize("NFC", composed.casefold())
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, sort_keys=True)
