# The API of a judge in FastAPI, as an ordinary one is written.

import hashlib
from typing import Annotated, Any

import msgspec
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from campaigns.evasions.judges.batches import LINES, as_list, emails, lines
from campaigns.evasions.judges.conditions import CALLS, CREATES, called
from campaigns.evasions.judges.created import TOKEN, all_created, create
from campaigns.evasions.judges.packs import email_of
from campaigns.evasions.judges.raw_paths import project_in, queue_in
from campaigns.evasions.judges.xml_readers import by_xmltodict

app = FastAPI()
Credentials = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


class User(BaseModel):
    """A body."""

    email: str


class Users(BaseModel):
    """Many of them."""

    items: list[User]


class Risk(BaseModel):
    """Another body."""

    risk: str


def require_token(credentials: Credentials) -> None:
    """Answer 401 to strangers."""
    if credentials.credentials != TOKEN:
        raise HTTPException(401)


GUARDED: dict[str, Any] = {"status_code": 201, "dependencies": [Depends(require_token)]}


@app.get("/created")
def created() -> Any:
    """All that was created; for the campaign."""
    return Response(all_created(), media_type="application/json")


@app.post("/users", **GUARDED)
def users(user: User) -> Any:
    """JSON, as FastAPI reads it."""
    return create("users", user.email)


@app.post("/notes", **GUARDED)
async def notes(request: Request) -> Any:
    """JSON, whatever its type is."""
    return _of_email("notes", await _json(request))


@app.post("/members", **GUARDED)
async def members(request: Request) -> Any:
    """JSON or a form."""
    is_json = request.headers.get("Content-Type", "").startswith("application/json")
    return _of_email("members", await _json(request) if is_json else await request.form())


@app.post("/signups", **GUARDED)
async def signups(request: Request) -> Any:
    """A form."""
    email = (await request.form()).get("email")
    if not isinstance(email, str):
        raise HTTPException(422)
    return create("signups", email)


@app.post("/uploads", **GUARDED)
async def uploads(request: Request) -> Any:
    """A file in a form."""
    photo = (await request.form()).get("photo")
    if not isinstance(photo, UploadFile):
        raise HTTPException(422)
    return create("uploads", hashlib.sha256(await photo.read()).hexdigest())


@app.post("/risks", **GUARDED)
def risks(risk: Risk) -> Any:
    """JSON with another field."""
    return create("risks", risk.risk)


@app.post("/orders", **GUARDED)
def orders(ref: Annotated[str, Query()]) -> Any:
    """A field of the query."""
    return create("orders", ref)


@app.post("/parcels", **GUARDED)
def parcels(x_ref: Annotated[str, Header()]) -> Any:
    """A header field."""
    return create("parcels", x_ref)


@app.post("/visits", **GUARDED)
def visits(ref: Annotated[str, Cookie()]) -> Any:
    """A cookie."""
    return create("visits", ref)


@app.post("/seats", **GUARDED)
def seats(
    user: User,
    x_tenant: Annotated[str, Header()],
    header_tenant: Annotated[str, Query(alias="tenant")],
    cookie_tenant: Annotated[str, Cookie(alias="tenant")],
) -> Any:
    """JSON beside three fields of a tenant."""
    return create("seats", [x_tenant, header_tenant, cookie_tenant, user.email])


@app.post("/customers", **GUARDED)
async def customers(request: Request) -> Any:
    """XML, by xmltodict."""
    try:
        return _of_email("customers", {"email": by_xmltodict(await request.body())})
    except ValueError:
        raise HTTPException(400) from None


@app.post("/packs", **GUARDED)
async def packs(request: Request) -> Any:
    """MessagePack, by msgspec, or JSON."""
    is_json = request.headers.get("Content-Type", "").startswith("application/json")
    try:
        data = await _json(request) if is_json else msgspec.msgpack.decode(await request.body())
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise HTTPException(400) from None
    return _of_email("packs", email_of(data))


@app.post("/teams/{team}/places", **GUARDED)
def places(team: str) -> Any:
    """A part of the path."""
    return create("places", team)


def conditional(kind: str) -> None:
    """JSON, where a parameter, a field or a cookie says that it is to be created."""

    @app.post(f"/{kind}", **GUARDED)
    async def view(request: Request) -> Any:
        is_create = CREATES[kind](request.query_params.get, request.headers.get, request.cookies.get)
        return _of_email(kind, await _json(request) if is_create else None)


for _kind in CREATES:
    conditional(_kind)


@app.post("/calls", **GUARDED)
@app.post("/graphs", **GUARDED)
async def calls(request: Request) -> Any:
    """JSON that says what is called."""
    kind = request.url.path.strip("/")
    return _of_email(kind, {"email": called(kind, await _json(request))} if kind in CALLS else None)


@app.post("/projects/{_:path}", **GUARDED)
def projects(request: Request) -> Any:
    """A part of the path that may have a slash in it."""
    return _of("projects", project_in(request.scope["raw_path"].decode("latin-1")))


@app.post("/queues/{_:path}", **GUARDED)
def queues(request: Request) -> Any:
    """Two such parts."""
    return _of("queues", queue_in(request.scope["raw_path"].decode("latin-1")))


@app.post("/files/{rest:path}", **GUARDED)
def files(rest: str) -> Any:
    """All of a path's end."""
    return create("files", rest)


@app.post("/instances/{name}:undelete", **GUARDED)
def instances(name: str) -> Any:
    """A part of a segment."""
    return create("instances", name)


@app.post("/Customers({name})/Orders", **GUARDED)
def lines_of_customers(name: str) -> Any:
    """Another one."""
    return create("lines", name)


@app.post("/docs/{name}.json", **GUARDED)
def docs(name: str) -> Any:
    """Before a suffix."""
    return create("docs", name)


@app.post("/invites", **GUARDED)
def invites(users: Users) -> Any:
    """Many items."""
    return [create("invites", user.email) for user in users.items]


@app.post("/imports", **GUARDED)
async def imports(request: Request) -> Any:
    """Many items, with nothing around them."""
    is_lines = request.headers.get("Content-Type", "").startswith(LINES)
    try:
        items = lines(await request.body()) if is_lines else as_list(await request.json())
        return [create("imports", email) for email in emails(items)]
    except ValueError:
        raise HTTPException(400) from None


@app.post("/letters", **GUARDED)
async def letters(request: Request) -> Any:
    """A form of any size."""
    email = (await request.form()).get("email")
    return _of("letters", email if isinstance(email, str) else None)


@app.post("/photos", **GUARDED)
async def photos(request: Request) -> Any:
    """A file of any size."""
    photo = (await request.form()).get("photo")
    return _of("photos", hashlib.sha256(await photo.read()).hexdigest() if isinstance(photo, UploadFile) else None)


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise HTTPException(400) from None


def _of_email(kind: str, data: Any) -> Any:
    return _of(kind, data.get("email") if hasattr(data, "get") else None)


def _of(kind: str, value: Any) -> Any:
    if value is None:
        raise HTTPException(422)
    return create(kind, value)
