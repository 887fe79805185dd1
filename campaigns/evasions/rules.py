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


def _when(kind: str, field: str, path: str = "body.email", **test: Any) -> Table:
    entry = {**EMAIL, "fields": [path]}
    return _rule(kind, unique=[entry], match={"path": f"/{kind}", "when": [{"field": field, **test}]})


SPOOLED = {"body_limit": "1KiB", "spool_limit": "1MiB"}

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
    _when("maps", "query.dryRun", exists=False),
    _when("stages", "query.stage", equals="final"),
    _when("targets", "header.X-Target", equals="Store.Put"),
    _when("soaps", "header.SOAPAction", matches="*urn:Create*"),
    _when("trials", "header.X-Dry-Run", exists=False),
    _when("baskets", "cookie.mode", equals="live"),
    _when("drafts", "cookie.draft", exists=False),
    _when("calls", "body.method", "body.params.email", equals="user.create"),
    _when("graphs", "body.operationName", "body.variables.email", equals="CreateUser"),
    _rule("projects", "path.id", match={"path": "/projects/{id}/issues"}),
    _rule("queues", "path.vhost", "path.name", match={"path": "/queues/{vhost}/{name}"}),
    _rule("files", "path.rest", match={"path": "/files/{rest*}"}),
    _rule("instances", "path.name", match={"path": "/instances/{name}:undelete"}),
    _rule("lines", "path.name", match={"path": "/Customers({name})/Orders"}),
    _rule("docs", "path.name", match={"path": "/docs/{name}.json"}),
    _rule("invites", unique=[{**EMAIL, "fields": ["item.email"]}], each="body.items"),
    _rule("imports", unique=[{**EMAIL, "fields": ["item.email"]}], each="body"),
    _rule("letters", unique=[{**EMAIL, "fields": ["form.email"]}], **SPOOLED),
    _rule("photos", "file.photo.sha256", **SPOOLED),
)
"""`users`: JSON as the framework reads it. `notes`: JSON, whatever its type is. `members`: JSON or a form. `signups`: a
form. `uploads`: a file in one. `risks`: JSON, a key with an s and a k. `orders`: a field of the query. `parcels`: a
header field. `visits`: a cookie. `seats`: JSON beside three fields of a tenant. `customers`: XML. `packs`: MessagePack
or JSON. `places`: a part of the path.

Under conditions: `maps` and `stages` by the query, `targets`, `soaps` and `trials` by a header field, `baskets` and
`drafts` by a cookie, `calls` and `graphs` by the body. Paths with encoded slashes: `projects` and `queues`; all of an
end: `files`; a part of a segment: `instances`, `lines` and `docs`. Batches: `invites` in an object, `imports` alone.
Uploads that go by way of a file: `letters` by a field, `photos` by a file."""

URLENCODED = b"Content-Type: application/x-www-form-urlencoded"
XML = b"Content-Type: application/xml"
MSGPACK = b"Content-Type: application/msgpack"
MULTIPART = b"Content-Type: multipart/form-data; boundary=x"
UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    b"photo<n>\r\n\r\n--x--\r\n"
)
LETTER = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nada<n>@example.org\r\n--x--\r\n'
TWO = b'[{"email": "ada<n>@example.org"}, {"email": "bob<n>@example.org"}]'
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
    "maps": Message("/maps"),
    "stages": Message("/stages?stage=final"),
    "targets": Message("/targets", (JSON, b"X-Target: Store.Put")),
    "soaps": Message("/soaps", (JSON, b'SOAPAction: "urn:Create"')),
    "trials": Message("/trials"),
    "baskets": Message("/baskets", (JSON, b"Cookie: mode=live")),
    "drafts": Message("/drafts"),
    "calls": Message("/calls", body=b'{"method": "user.create", "params": {"email": "ada<n>@example.org"}}'),
    "graphs": Message("/graphs", body=b'{"operationName": "CreateUser", "variables": {"email": "ada<n>@example.org"}}'),
    "projects": Message("/projects/grp%2Ft<n>/issues", (), b""),
    "queues": Message("/queues/%2F/t<n>", (), b""),
    "files": Message("/files/a/t<n>", (), b""),
    "instances": Message("/instances/t<n>:undelete", (), b""),
    "lines": Message("/Customers(t<n>)/Orders", (), b""),
    "docs": Message("/docs/t<n>.json", (), b""),
    "invites": Message("/invites", body=b'{"items": %b}' % TWO),
    "imports": Message("/imports", body=TWO),
    "letters": Message("/letters", (MULTIPART,), LETTER),
    "photos": Message("/photos", (MULTIPART,), UPLOAD),
}
_WITHOUT_CASE = frozenset(
    {
        *("users", "notes", "members", "signups", "customers", "packs", "maps", "stages", "targets", "soaps", "trials"),
        *("baskets", "drafts", "calls", "graphs", "invites", "imports", "letters"),
    }
)
"""Kinds whose value is an e-mail."""
_AROUND = "".join([chr(code) for code in range(0x10000) if code <= 0x20 or chr(code).isspace()]) + "\ufeff"
"""What some language's trim takes away."""


def normalised(kind: str, value: Any) -> Any:
    """A value as a judge read it, as the rule of its kind compares it; 1 and "1" are two."""
    if isinstance(value, list) and kind == "seats":
        return json.dumps([*value[:3], normalised("users", value[3])])
    if isinstance(value, str) and kind in _WITHOUT_CASE:
        composed = unicodedata.normalize("NFC", value.strip(_AROUND))
        folded = composed.casefold().replace("i\u0307", "i")
        value = unicodedata.normalize("NFC", folded)
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, sort_keys=True)
