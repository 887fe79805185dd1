# The API of a judge in Django, as an ordinary one is written: with format suffixes, and one path in any case.

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgpack
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from campaigns.evasions.judges.batches import LINES, as_list, emails, lines
from campaigns.evasions.judges.conditions import CALLS, CREATES, called
from campaigns.evasions.judges.created import TOKEN, all_created, create
from campaigns.evasions.judges.packs import as_stored
from campaigns.evasions.judges.raw_paths import project_in, queue_in
from campaigns.evasions.judges.xml_readers import by_lxml

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of-a-judge",
)


def created(_: HttpRequest) -> HttpResponse:
    """All that was created; for the campaign."""
    return HttpResponse(all_created(), content_type="application/json")


def guarded(kind: str, value_of: Callable[..., Any]) -> Callable[..., JsonResponse]:
    """A view that answers 401 to strangers, and creates what `value_of` reads."""

    def view(request: HttpRequest, **variables: str) -> JsonResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return JsonResponse({"error": "credentials are missing"}, status=401)
        if request.method != "POST":
            return JsonResponse({"error": "method not allowed"}, status=405)
        try:
            value = value_of(request, **variables)
        except ValueError:
            return JsonResponse({"error": "not JSON"}, status=400)
        if value is None:
            return JsonResponse({"error": "a field is missing"}, status=422)
        return JsonResponse(create(kind, value), status=201)

    view.__name__ = kind
    exempt: Callable[..., JsonResponse] = csrf_exempt(view)
    return exempt


def json_email(request: HttpRequest, key: str = "email") -> Any:
    """JSON as views of Django read it: whatever its type is."""
    data = json.loads(request.body)
    return data.get(key) if isinstance(data, dict) else None


def any_email(request: HttpRequest) -> Any:
    """JSON or a form."""
    return json_email(request) if request.content_type == "application/json" else request.POST.get("email")


def photo(request: HttpRequest) -> Any:
    """A file in a form."""
    file = request.FILES.get("photo")
    return hashlib.sha256(file.read()).hexdigest() if file else None


def seat(request: HttpRequest) -> Any:
    """JSON beside three fields of a tenant."""
    email = json_email(request)
    tenant = [request.headers.get("X-Tenant"), request.GET.get("tenant"), request.COOKIES.get("tenant")]
    return email and [*tenant, email]


def packed_email(request: HttpRequest) -> Any:
    """MessagePack, whatever its type is, in which text and binary data are one, as in its first version; or JSON."""
    if request.content_type == "application/json":
        return json_email(request)
    data = msgpack.unpackb(request.body, raw=True, strict_map_key=False)
    return as_stored(data.get(b"email")) if isinstance(data, dict) else None


def conditional(kind: str) -> Callable[[HttpRequest], Any]:
    """JSON, where a parameter, a field or a cookie says that it is to be created."""

    def value_of(request: HttpRequest) -> Any:
        is_create = CREATES[kind](request.GET.get, request.headers.get, request.COOKIES.get)
        return json_email(request) if is_create else None

    return value_of


def batch(kind: str, items_of: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """A view that creates each of the items."""

    def value_of(request: HttpRequest) -> Any:
        *before, last = emails(items_of(request))
        for email in before:
            create(kind, email)
        return last

    return guarded(kind, value_of)


def any_items(request: HttpRequest) -> Any:
    """Lines, a list or one object."""
    return lines(request.body) if request.content_type == LINES else as_list(json.loads(request.body))


urlpatterns = [
    path("created", created),
    re_path(r"(?i)^users(?:\.json)?/?$", guarded("users", json_email)),
    re_path(r"^notes(?:\.json)?/?$", guarded("notes", json_email)),
    re_path(r"^members(?:\.json)?/?$", guarded("members", any_email)),
    path("signups", guarded("signups", lambda request: request.POST.get("email"))),
    path("uploads", guarded("uploads", photo)),
    path("risks", guarded("risks", lambda request: json_email(request, "risk"))),
    re_path(r"^orders/?$", guarded("orders", lambda request: request.GET.get("ref"))),
    re_path(r"^parcels/?$", guarded("parcels", lambda request: request.headers.get("X-Ref"))),
    re_path(r"^visits/?$", guarded("visits", lambda request: request.COOKIES.get("ref"))),
    re_path(r"^seats/?$", guarded("seats", seat)),
    path("customers", guarded("customers", lambda request: by_lxml(request.body))),
    path("packs", guarded("packs", packed_email)),
    *(re_path(f"^{kind}/?$", guarded(kind, conditional(kind))) for kind in CREATES),
    *(path(kind, guarded(kind, lambda it, kind=kind: called(kind, json.loads(it.body)))) for kind in CALLS),
    path("projects/<path:_>", guarded("projects", lambda request, _: project_in(request.environ["RAW_URI"]))),
    path("queues/<path:_>", guarded("queues", lambda request, _: queue_in(request.environ["RAW_URI"]))),
    path("files/<path:rest>", guarded("files", lambda _, rest: rest)),
    path("instances/<str:name>:undelete", guarded("instances", lambda _, name: name)),
    path("Customers(<str:name>)/Orders", guarded("lines", lambda _, name: name)),
    re_path(r"(?i)^docs/(?P<name>[^/]+)\.json/?$", guarded("docs", lambda _, name: name)),
    path("invites", batch("invites", lambda request: json.loads(request.body)["items"])),
    path("imports", batch("imports", any_items)),
    path("letters", guarded("letters", lambda request: request.POST.get("email"))),
    path("photos", guarded("photos", photo)),
    path("teams/<str:team>/places", guarded("places", lambda _, team: team)),
]
app: WSGIHandler = get_wsgi_application()
