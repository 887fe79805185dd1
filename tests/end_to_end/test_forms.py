# Forms: fields and files as identities, what every server reads alike, and what is refused.

import asyncio
import gzip
import hashlib
from collections.abc import Iterable
from typing import Any

import aiohttp
import requests

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, rule
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

URLENCODED = ("Content-Type", "application/x-www-form-urlencoded")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=b0undary")
SIGN_UP = rule("sign-up", "/sign-up", entry("form.email", normalize=["email"]))
UPLOAD = rule("upload", "/photos", entry("form.album", "file.photo.sha256"))


def parts(*fields: tuple[str, bytes]) -> bytes:
    """A multipart body of what stands behind `form-data` in each part, and of its content."""
    lines = [
        b"--b0undary\r\nContent-Disposition: form-data%b\r\n\r\n%b\r\n" % (is_.encode(), text) for is_, text in fields
    ]
    return b"".join(lines) + b"--b0undary--\r\n"


def email(value: bytes) -> tuple[str, bytes]:
    return '; name="email"', value


def photo(content: bytes, name: str = "a.png") -> tuple[str, bytes]:
    return f'; name="photo"; filename="{name}"', content


async def answers(
    program: GatewayProgram, path: str, bodies: Iterable[bytes], *headers: tuple[str, str]
) -> list[int | str]:
    """The slug of each answer, or its status when it is the API's."""
    found: list[int | str] = []
    async with Client(program.port) as client:
        for body in bodies:
            seen = await client.request("POST", path, headers, body)
            found.append(seen.slug or seen.status)
    return found


async def test_a_field_is_one_identity_whichever_form_it_comes_in(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[SIGN_UP])
    first = b"x=1&email=+Ada%40Example.org"
    assert await answers(program, "/sign-up", [first, b"email=ada@example.org", b"email=eve@x.org"], URLENCODED) == [
        *(201, "duplicate", 201)
    ]
    bodies = [parts(email(b"ADA@example.org")), parts(('; name="x"', b"1"), email(b"new@x.org"))]
    assert await answers(program, "/sign-up", bodies, MULTIPART) == ["duplicate", 201]
    assert bytes(upstream.requests[0].body) == first, "it goes on as it came"
    assert bytes(upstream.requests[2].body) == bodies[1]


async def test_a_file_is_known_by_its_content_and_not_by_its_name(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[UPLOAD, rule("doc", "/docs", entry("file.doc.filename", "file.doc.size"))])
    album, noise = ('; name="album"', b"7"), bytes(range(256)) * 40
    bodies = [
        parts(album, photo(noise)),
        parts(album, photo(noise, "b.png")),
        parts(album, photo(noise[:-1])),
        parts(('; name="album"', b"8"), photo(noise)),
    ]
    assert await answers(program, "/photos", bodies, MULTIPART) == [201, "duplicate", 201, 201]
    docs = [parts((f'; name="doc"; filename="{name}"', text)) for name, text in (("a", b"1"), ("a", b"2"), ("b", b"1"))]
    assert await answers(program, "/docs", docs, MULTIPART) == [201, "duplicate", 201]
    assert len(upstream.requests) == 5


async def test_what_is_no_form_is_refused_by_a_rule_for_forms(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[SIGN_UP])
    assert await answers(program, "/sign-up", [b'{"email":"a"}'], JSON) == ["missing-identity"]
    assert await answers(program, "/sign-up", [b"email=a"]) == ["missing-identity"]
    assert await answers(program, "/sign-up", [b"email=a"], ("Content-Type", "text/plain")) == ["missing-identity"]
    async with Client(program.port) as client:
        seen = await client.request("POST", "/sign-up", [JSON], b'{"email":"canary"}')
        assert seen.status == 422
        assert "form.email is absent: the body's Content-Type is not that of a form" in seen.json()["detail"]
        assert b"canary" not in seen.body
        seen = await client.request(
            "POST", "/sign-up", [URLENCODED, ("Content-Encoding", "gzip")], gzip.compress(b"email=a")
        )
        assert (seen.status, seen.header("Accept-Encoding")) == (415, "identity")
        seen = await client.request("POST", "/sign-up?Email=a", [URLENCODED], b"email=a")
        assert (seen.status, seen.slug) == (422, "missing-identity")
    assert not upstream.connections


async def test_what_servers_read_in_two_ways_never_reaches_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[SIGN_UP, UPLOAD])
    urlencoded = [
        *(b"email=a&email=b", b"email[]=a", b"email=a&Email=b", b"email=a;b", b"email=a&x;email=b", b"email=a%00"),
        *(b"_charset_=latin-1&email=a", b"email=%ff", b"email", b"", b"x=1&" * 1000 + b"email=a"),
    ]
    assert set(await answers(program, "/sign-up", urlencoded, URLENCODED)) == {"missing-identity"}
    good = parts(email(b"a"))
    multipart = [
        *(good * 2, b"x\r\n" + good, good + b"x", good.replace(b"\r\n", b"\n"), good[:-4], b"", parts()),
        *(parts(email(b"a"), email(b"b")), parts(email(b"a"), ('; name="email"; filename="b"', b"b"))),
        parts(email(b"a"), ('; name="x"', b"\n--b0undary\nContent-Disposition: form-data; name=email\n\nb")),
        parts(email(b"a"), ('; name="x"; filename="a"; filename*=utf-8\'\'b', b"")),
        parts(email(b"a"), ('; name="x"\r\nContent-Transfer-Encoding: base64', b"YQ==")),
        parts(email(b"\xff")),
        b"--b0undary\r\n" + b"x" * 900_000,
    ]
    assert set(await answers(program, "/sign-up", multipart, MULTIPART)) == {"missing-identity"}
    kinds = [
        "multipart/form-data",
        "multipart/form-data; boundary=b0undary; x=y",
        'multipart/form-data; boundary="a b"',
    ]
    for kind in [*kinds, "multipart/form-data; boundary=b0undary; charset=utf-16"]:
        assert await answers(program, "/sign-up", [good], ("Content-Type", kind)) == ["missing-identity"], kind
    for kind in ("multipart/form-data; boundary=b0undary; Boundary=x", "multipart/form-data+json; boundary=b0undary"):
        assert await answers(program, "/sign-up", [good], ("Content-Type", kind)) == ["unusual-request"], kind
    album = ('; name="album"', b"7")
    for odd in (photo(b"x", ""), photo(b"x", "a/b.png"), ('; name="photo"', b"x")):
        assert await answers(program, "/photos", [parts(album, odd)], MULTIPART) == ["missing-identity"], odd
    assert not upstream.connections


async def test_what_rack_answers_500_before_it_asks_who_sends_never_reaches_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Rails and Sinatra: anybody could leave an outcome unknown with it."""
    program = await gateway(rules=[SIGN_UP])
    deep = "x" + "[a]" * 33
    urlencoded = [f"email=a&{deep}=1".encode(), f"{deep.replace('[', '%5b')}=1&email=a".encode()]
    assert set(await answers(program, "/sign-up", urlencoded, URLENCODED)) == {"missing-identity"}
    multipart = [
        parts(email(b"a"), (f'; name="{deep}"', b"1")),
        parts(email(b"a"), ('; name="x"\r\nContent-Type: text/plain; charset=x', b"1")),
        parts(email(b"a"), *[photo(b"x")] * 101),
    ]
    assert set(await answers(program, "/sign-up", multipart, MULTIPART)) == {"missing-identity"}
    assert not upstream.connections
    taken = [f"email=a&{'x' + '[a]' * 32}=1".encode(), b"email=b&" + b"x[y][z]=1&" * 50]
    assert await answers(program, "/sign-up", taken, URLENCODED) == [201, 201]


async def test_a_form_beyond_the_limit_is_too_large(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**UPLOAD, "body_limit": "64KiB"}])
    body = parts(('; name="album"', b"7"), photo(b"x" * 70_000))
    assert await answers(program, "/photos", [body], MULTIPART) == ["body-too-large"]
    assert not upstream.connections


async def test_a_form_that_cannot_be_read_is_forwarded_where_the_rule_says_so(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[{**SIGN_UP, "missing": "forward"}])
    assert await answers(program, "/sign-up", [b"email=a&email=b"] * 2, URLENCODED) == [201, 201]
    assert len(upstream.requests) == 2


async def test_a_keyed_form_is_compared_by_its_bytes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**SIGN_UP, "key": {}}])
    keyed = (URLENCODED, ("Idempotency-Key", "k-1"))
    bodies = [b"email=a&x=1", b"email=a&x=1", b"x=1&email=a"]
    assert await answers(program, "/sign-up", bodies, *keyed) == [201, "duplicate", "key-reused"]
    assert len(upstream.requests) == 1


def status_for_requests(port: int, **sent: Any) -> int:
    return int(requests.post(f"http://127.0.0.1:{port}/photos", timeout=PATIENCE, **sent).status_code)


async def test_what_ordinary_clients_send_is_read(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[UPLOAD, SIGN_UP])
    content = b"\x89PNG\r\n\x1a\n" + hashlib.sha256(b"x").digest() * 100
    files = {"photo": ("cat é.png", content, "image/png")}
    assert await asyncio.to_thread(status_for_requests, program.port, data={"album": "7"}, files=files) == 201
    form = aiohttp.FormData()
    form.add_field("album", "7")
    form.add_field("photo", content, filename="dog.png", content_type="image/png")
    async with aiohttp.ClientSession(f"http://127.0.0.1:{program.port}") as session:
        async with session.post("/photos", data=form) as seen:
            assert seen.status == 409
        async with session.post("/sign-up", data={"email": "ädä@example.org"}) as seen:
            assert seen.status == 201
        multipart = aiohttp.FormData({"email": "ÄDÄ@example.org"}, default_to_multipart=True)
        async with session.post("/sign-up", data=multipart) as seen:
            assert seen.status == 409
    assert len(upstream.requests) == 2
