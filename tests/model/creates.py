# What the model's clients send, and what its API makes of it. A small world: few identities, so that they meet.

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import msgspec

from gateway.config.schema import Config
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.table import Duration
from gateway.http.headers import Headers
from gateway.upstream.results import NoResponse, NotSent, ResponseBroken, UpstreamResponse
from tests.model.profiles import PROFILE
from tests.model.profiles import RULE as PROFILE_RULE
from tests.model.reference import FOREVER, UNREADABLE, Answer, Ending, Key, Kind, Sent
from tests.model.signups import RULE as SIGNUP_RULE
from tests.model.signups import SIGNUP
from tests.model.tasks import SAID, TASK, TASK_RULE, body
from tests.support.handler import FINGERPRINTER

SECOND = 1000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

TAKEN = frozenset({409})
"""By this some APIs say that a thing exists."""
USER = Kind("create-user", keep=DAY, unknown_hold=DAY, exists=TAKEN, exists_entry="username")
INVITE = Kind("invite", keep=12 * HOUR, unknown_hold=60 * SECOND)
ORDER = Kind("order", keep=HOUR, unknown_hold=HOUR, failed_is_free=True)
TENANT = Kind(
    "tenant",
    keep=FOREVER,
    unknown_hold=FOREVER,
    success=frozenset({200, 201}),
    refused=frozenset(range(400, 500)),
)
PAYMENT = Kind(
    "payment",
    keep=DAY,
    unknown_hold=HOUR,
    exists=TAKEN,
    exists_entry="reference",
    retry_window=600 * SECOND,
    replays=True,
)
JOB = Kind("job", keep=HOUR, unknown_hold=60 * SECOND, replays=True, waits=True)
KEY = "Idempotency-Key"
NOBODY = Sent()

CONFIG = Config(
    upstream=UpstreamConfig(url="http://api.example"),
    rules=(
        RuleConfig(
            name=USER.name,
            reject_after=Duration(0),
            match=MatchConfig(path="/users"),
            unique=(
                UniqueConfig(name="email", fields=("body.email",), missing="skip", empty="missing"),
                UniqueConfig(name="username", fields=("body.username",)),
            ),
            namespace="person",
            resource="header.Location",
            exists=("409",),
            exists_entry="username",
        ),
        RuleConfig(
            name=INVITE.name,
            reject_after=Duration(0),
            match=MatchConfig(path="/invites"),
            unique=(
                UniqueConfig(name="phone", fields=("body.phone",)),
                UniqueConfig(name="email", fields=("body.email",)),
            ),
            namespace="person",
            resource="/things/{body.id}",
            keep=Duration(12 * 3600),
            unknown_hold=Duration(60),
        ),
        RuleConfig(
            name=ORDER.name,
            reject_after=Duration(0),
            match=MatchConfig(path="/orders"),
            unique=(UniqueConfig(name="number", fields=("header.X-Number",)),),
            keep=Duration(3600),
            failed="free",
        ),
        RuleConfig(
            name=TENANT.name,
            reject_after=Duration(0),
            match=MatchConfig(path="/{region}/tenants"),
            scope=("path.region",),
            unique=(
                UniqueConfig(name="name", fields=("body.name",)),
                UniqueConfig(name="domain", fields=("body.domain", "query.top")),
            ),
            keep=Duration("inf"),
            success=("200", "201"),
            refused=("4xx",),
        ),
        RuleConfig(
            name=PAYMENT.name,
            reject_after=Duration(0),
            match=MatchConfig(path="/payments"),
            key=KeyConfig(),
            unique=(UniqueConfig(name="reference", fields=("body.reference",)),),
            resource="header.Location",
            exists=("409",),
            unknown_hold=Duration(3600),
            retry="replay",
            retry_window=Duration(600),
        ),
        RuleConfig(
            name=JOB.name,
            match=MatchConfig(path="/jobs"),
            key=KeyConfig(required=True),
            keep=Duration(3600),
            unknown_hold=Duration(60),
            retry="replay",
            in_flight="wait",
            wait_timeout=Duration(24 * 3600),
            max_waiting_clients=1000,
        ),
        TASK_RULE,
        SIGNUP_RULE,
        PROFILE_RULE,
    ),
)


@dataclass(frozen=True)
class Create:
    """One request."""

    kind: Kind
    keys: tuple[Key, ...]
    head: bytes
    body: bytes
    is_held_back: bool = False
    """Whether the client waits for 100 Continue before it sends the body."""
    sent: Sent = NOBODY

    def __repr__(self) -> str:
        return f"<{self.kind.name} {' '.join('.'.join(key[2:]) for key in self.keys)} {self.sent.content}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


def _create(kind: Kind, keys: list[Key], target: str, *lines: str, **fields: str) -> Create:
    body = msgspec.json.encode(fields)
    lines = (f"POST {target} HTTP/1.1", "Host: api", "Content-Type: application/json", *lines)
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return Create(kind, tuple(keys), head.encode(), body, is_held_back="Expect: 100-continue" in lines)


def _user(email: str, username: str) -> Create:
    """Without an email it has one claim."""
    keys: list[Key] = [("person", "email", email)] if email else []
    keys.append(("person", "username", username))
    return _create(USER, keys, "/users", email=email, username=username)


def _invite(phone: str, email: str) -> Create:
    keys: list[Key] = [("person", "phone", phone), ("person", "email", email)]
    return _create(INVITE, keys, "/invites", phone=phone, email=email)


def _order(number: str, expectation: str) -> Create:
    return _create(ORDER, [("order", "number", number)], "/orders", f"X-Number: {number}", *filter(None, [expectation]))


def _tenant(region: str, name: str) -> Create:
    keys: list[Key] = [("tenant", "name", region, name), ("tenant", "domain", region, "example", "org")]
    return _create(TENANT, keys, f"/{region}/tenants?top=org", name=name, domain="example")


def _keyed(kind: Kind, keys: list[Key], caller: str, key: str, **fields: str) -> Create:
    lines = [f"Authorization: {caller}" if caller else "", f"{KEY}: {key}" if key else ""]
    if key:
        keys = [(kind.name, KEY, caller, key), *keys]
    create = _create(kind, keys, f"/{kind.name}s", *filter(None, lines), **fields)
    return replace(create, sent=Sent(caller, key, create.body.decode()))


def _payment(caller: str, key: str, reference: str, amount: str) -> Create:
    return _keyed(PAYMENT, [("payment", "reference", reference)], caller, key, reference=reference, amount=amount)


def _signup(email: str) -> Create:
    create = _create(SIGNUP, [("signup", "email", email.casefold())], "/signups", email=email)
    return replace(create, sent=Sent(content=email))


PERSONS = [
    *[_user(email, username) for email, username in product(["ada@x", "bob@x", ""], ["u1", "u2"])],
    *[_invite(phone, email) for phone, email in product(["1", "2"], ["ada@x", "bob@x"])],
]
"""Of two rules that share a namespace."""
OTHERS = [
    *[_order(number, expectation) for number, expectation in product(["7", "8"], ["", "Expect: 100-continue"])],
    *[_tenant(region, name) for region, name in product(["eu", "us"], ["acme", "umbrella"])],
    *[_create(TASK, [("task", "number", number)], "/tasks", f"X-Number: {number}") for number in ("7", "8")],
]
JOBS = [_keyed(JOB, [], caller, "k1", file=file) for caller, file in product(["ada", "bob"], ["x", "y"])]
"""A second one with the same key waits for the first."""
KEYED = [
    *[_payment(*each) for each in product(["ada", ""], ["k1", ""], ["r1", "r2"], ["5"])],
    *[_payment(*each) for each in (("ada", "k1", "r1", "6"), ("ada", "", "r1", "6"), ("bob", "k1", "r1", "5"))],
    *JOBS,
]
"""Of rules with keys, whose callers get their answers again."""
CREATES = PERSONS + OTHERS + KEYED
SIGNUPS = [_signup(email) for email in ("a@x", "A@x")]
"""Two spellings of one identity."""
PROFILES = [_keyed(PROFILE, [("profile", "email", "a@x")], caller, "", email="a@x") for caller in ("ada", "bob", "")]
KEYS = sorted({key for create in CREATES + SIGNUPS + PROFILES for key in create.keys})


class _Rest:
    """What is still to come of an answer's body; the end, or a break."""

    def __init__(self, *pieces: bytes, breaks_off: bool) -> None:
        self._pieces = list(pieces)
        self._breaks_off = breaks_off

    async def read(self) -> bytes:
        if self._pieces:
            return self._pieces.pop(0)
        if self._breaks_off:
            raise ResponseBroken
        return b""

    def abandon(self) -> None:
        """Nobody waits for it."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a request that is sent."""

    name: str
    ending: Ending
    told: tuple[int, str | None]
    """The status that the client gets, and the slug when the gateway answers."""
    result: Callable[[int], UpstreamResponse | NotSent | NoResponse]
    """By the number of the thing that is created; may raise."""
    says: str = ""
    """What an answer's body says, for rules that ask for it."""

    @property
    def is_readable(self) -> bool:
        """Whether an answer says all that it has to say."""
        return self.says != UNREADABLE

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))


def _answer(
    status: int,
    number: int,
    *,
    says: str = "",
    pieces: int = 1,
    breaks_off: bool = False,
    retry_after: bytes | None = None,
) -> UpstreamResponse:
    data = body(number, says)
    block = b"Content-Type: application/json\r\nLocation: /things/%d\r\nContent-Length: %d\r\n" % (number, len(data))
    if retry_after is not None:
        block += b"Retry-After: %b\r\n" % retry_after
    if pieces == 1:
        return UpstreamResponse(status, b"Status", Headers(block), data, None, length_known=True)
    rest = _Rest(data[4:6], *([] if breaks_off else [data[6:]]), breaks_off=breaks_off)
    return UpstreamResponse(status, b"Status", Headers(block), data[:4], rest, length_known=True)


def _status(status: int, says: str = "", pieces: int = 1) -> Outcome:
    name = f"{status} {says}".rstrip()
    return Outcome(
        name, status, (status, None), lambda number: _answer(status, number, says=says, pieces=pieces), says=says
    )


def _broken(status: int) -> Outcome:
    return Outcome(
        f"{status} that breaks off",
        status,
        (status, None),
        lambda number: _answer(status, number, pieces=2, breaks_off=True),
        says=UNREADABLE,
    )


def _fault(number: int) -> UpstreamResponse:
    raise ZeroDivisionError(number)


FAULT = Outcome("a fault in the gateway itself", "no answer", (0, None), _fault)
NO_ANSWER = Outcome("no answer", "no answer", (502, "outcome-unknown"), lambda _: NoResponse("connection_terminated"))
COMMON = [
    _status(201),
    Outcome("never reached", "not sent", (502, "upstream-unreachable"), lambda _: NotSent("connection_refused")),
    NO_ANSWER,
    _status(500),
    _status(422),
    _status(409),
    Outcome("201 in pieces", 201, (201, None), lambda number: _answer(201, number, pieces=3)),
    _broken(201),
    FAULT,
]
STATUSES = [200, 204, 301, 302, 303, 304, 307, 400, 401, 403, 404, 408, 429, 501, 502, 503, 504]
RARE = [
    *map(_status, STATUSES),
    *[_status(status, says, pieces) for status in (200, 400, 500) for says in SAID for pieces in (1, 3) if says],
    *map(_broken, (400, 500)),
    Outcome(
        "503 with Retry-After",
        "503 with Retry-After",
        (503, None),
        lambda number: _answer(503, number, retry_after=b"120"),
    ),
    Outcome(
        "503 with a Retry-After that says nothing", 503, (503, None), lambda n: _answer(503, n, retry_after=b"soon")
    ),
    Outcome(
        "not reached in time",
        "not sent",
        (504, "upstream-unreachable"),
        lambda _: NotSent("connection_timeout", timed_out=True),
    ),
    Outcome(
        "no answer in time",
        "no answer",
        (504, "outcome-unknown"),
        lambda _: NoResponse("http_response_timeout", timed_out=True),
    ),
]
OUTCOMES = [*COMMON, *COMMON, *RARE]
"""About one in two is common."""


def link(create: Create, outcome: Outcome, number: int) -> str | None:
    """Where the created thing lives, as far as an answer lets its rule know."""
    if create.kind in {USER, PAYMENT, PROFILE} or (create.kind is INVITE and outcome.is_readable):
        return f"/things/{number}"
    return None


def answer(outcome: Outcome, number: int) -> Answer | None:
    """Say what can be stored of an answer."""
    if isinstance(outcome.ending, int) and outcome.is_readable:
        return outcome.ending, body(number, outcome.says)
    return None


def fingerprint(key: Key) -> bytes:
    """Make the fingerprint that a key stands for."""
    namespace, entry, *values = key
    if entry == KEY:
        caller, value = values
        hashed = FINGERPRINTER.caller([[caller]]) if caller else b""
        return FINGERPRINTER.key(namespace, hashed, value.encode())
    scoped = 1 if namespace == "tenant" else 0
    return FINGERPRINTER.fingerprint(namespace, entry, values[:scoped], values[scoped:])
