# The API of a judge in Flask, as an ordinary one is written.

import hashlib
from collections.abc import Iterable
from typing import Any

import msgpack
from flask import Flask, Response, abort, request
from werkzeug.middleware.proxy_fix import ProxyFix

from campaigns.evasions.judges.batches import LINES, as_list, emails, lines
from campaigns.evasions.judges.conditions import CALLS, CREATES, called
from campaigns.evasions.judges.created import TOKEN, all_created, create
from campaigns.evasions.judges.middleware import rewritten
from campaigns.evasions.judges.packs import email_of
from campaigns.evasions.judges.raw_paths import project_in, queue_in
from campaigns.evasions.judges.xml_readers import by_element_tree

app = Flask(__name__)
app.url_map.strict_slashes = False
app.wsgi_app = rewritten(ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1))


@app.before_request
def require_token() -> None:
    """Answer 401 to strangers."""
    if request.path != "/created" and request.headers.get("Authorization") != f"Bearer {TOKEN}":
        abort(401)


@app.before_request
def queues() -> Any:
    """Two parts of a path that may have slashes in them, also where no route of Flask takes the path as decoded."""
    if request.method != "POST" or not request.path.startswith("/queues/"):
        return None
    return _of("queues", queue_in(request.environ["RAW_URI"]))


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


@app.post(f"/<any({','.join(CREATES)}):kind>")
def conditional(kind: str) -> Any:
    """JSON, where a parameter, a field or a cookie says that it is to be created."""
    is_create = CREATES[kind](request.args.get, request.headers.get, request.cookies.get)
    return _of_email(kind, request.get_json() if is_create else None)


@app.post(f"/<any({','.join(CALLS)}):kind>")
def calls(kind: str) -> Any:
    """JSON that says what is called."""
    return _of(kind, called(kind, request.get_json()))


@app.post("/projects/<path:_>")
def projects(_: str) -> Any:
    """A part of the path that may have a slash in it."""
    return _of("projects", project_in(request.environ["RAW_URI"]))


@app.post("/files/<path:rest>")
def files(rest: str) -> Any:
    """All of a path's end."""
    return _of("files", rest)


@app.post("/instances/<name>:undelete")
def instances(name: str) -> Any:
    """A part of a segment."""
    return _of("instances", name)


@app.post("/Customers(<name>)/Orders")
def lines_of_customers(name: str) -> Any:
    """Another one."""
    return _of("lines", name)


@app.post("/docs/<name>.json")
def docs(name: str) -> Any:
    """Before a suffix."""
    return _of("docs", name)


@app.post("/invites")
def invites() -> Any:
    """Many items."""
    return _each("invites", request.get_json()["items"])


@app.post("/imports")
def imports() -> Any:
    """Many items, with nothing around them."""
    return _each("imports", lines(request.data) if request.mimetype == LINES else as_list(request.get_json()))


@app.post("/letters")
def letters() -> Any:
    """A form of any size."""
    return _of_email("letters", request.form)


@app.post("/photos")
def photos() -> Any:
    """A file of any size."""
    found = request.files.get("photo")
    return _of("photos", hashlib.sha256(found.read()).hexdigest() if found else None)


def _each(kind: str, items: Iterable[Any]) -> Any:
    found = [create(kind, email) for email in emails(items)]
    return found, 201


def _of_email(kind: str, data: Any) -> Any:
    return _of(kind, data.get("email") if hasattr(data, "get") else None)


def _of(kind: str, value: Any) -> Any:
    if value is None:
        abort(422)
    return create(kind, value), 201
