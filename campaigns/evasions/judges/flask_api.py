# The API of a judge in Flask, as an ordinary one is written.

import hashlib
from typing import Any

import msgpack
from flask import Flask, Response, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix

from campaigns.evasions.judges.created import TOKEN, all_created, create
from campaigns.evasions.judges.middleware import rewritten
from campaigns.evasions.judges.packs import email_of
from campaigns.evasions.judges.xml_readers import by_element_tree

app = Flask(__name__)
app.url_map.strict_slashes = False
app.wsgi_app = rewritten(ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1))


@app.before_request
def require_token() -> None:
    """Answer 401 to strangers."""
    if request.path != "/created" and request.headers.get("Authorization") != f"Bearer {TOKEN}":
        abort(401)


@app.get("/created")
def created() -> Any:
    """All that was created; for the campaign."""
    return Response(all_created(), mimetype="application/json")


@app.post("/users")
def users() -> Any:
    """JSON, as Flask reads it."""
    return _of_email("users", request.get_json())


@app.post("/notes")
def notes() -> Any:
    """JSON, whatever its type is."""
    return _of_email("notes", request.get_json(force=True))


@app.post("/members")
def members() -> Any:
    """JSON or a form."""
    return _of_email("members", request.get_json() if request.is_json else request.form)


@app.post("/signups")
def signups() -> Any:
    """A form."""
    return _of_email("signups", request.form)


@app.post("/uploads")
def uploads() -> Any:
    """A file in a form."""
    photo = request.files.get("photo")
    return _of("uploads", hashlib.sha256(photo.read()).hexdigest() if photo else None)


@app.post("/risks")
def risks() -> Any:
    """JSON with another field."""
    return _of("risks", request.get_json().get("risk"))


@app.post("/orders")
def orders() -> Any:
    """A field of the query."""
    return _of("orders", request.args.get("ref"))


@app.post("/parcels")
def parcels() -> Any:
    """A header field."""
    return _of("parcels", request.headers.get("X-Ref"))


@app.post("/visits")
def visits() -> Any:
    """A cookie."""
    return _of("visits", request.cookies.get("ref"))


@app.post("/seats")
def seats() -> Any:
    """JSON beside three fields of a tenant."""
    email = request.get_json().get("email")
    tenant = [request.headers.get("X-Tenant"), request.args.get("tenant"), request.cookies.get("tenant")]
    return _of("seats", email and [*tenant, email])


@app.post("/customers")
def customers() -> Any:
    """XML, by ElementTree."""
    try:
        return _of("customers", by_element_tree(request.data))
    except ValueError:
        abort(400)


@app.post("/packs")
def packs() -> Any:
    """MessagePack, as its own package reads it, or JSON."""
    if request.mimetype != "application/msgpack":
        return _of_email("packs", request.get_json())
    try:
        return _of_email("packs", email_of(msgpack.unpackb(request.data)))
    except ValueError:
        abort(400)


@app.post("/teams/<team>/places")
def places(team: str) -> Any:
    """A part of the path."""
    return _of("places", team)


def _of_email(kind: str, data: Any) -> Any:
    return _of(kind, data.get("email") if hasattr(data, "get") else None)


def _of(kind: str, value: Any) -> Any:
    if value is None:
        abort(422)
    return create(kind, value), 201
