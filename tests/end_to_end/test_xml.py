# XML: elements as identities and as conditions, what every reader reads alike, and what is refused.

import gzip
from collections.abc import Iterable
from typing import Any

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import GatewayProgram
from tests.support.shorthands import JSON, entry, rule
from tests.support.upstream import RawUpstream

XML = ("Content-Type", "application/xml")
SOAP_11 = ("Content-Type", "text/xml; charset=utf-8")
SOAP_12 = ("Content-Type", 'application/soap+xml; charset=utf-8; action="urn:users#CreateUser"')
USER = rule("user", "/users", entry("xml.User.email", normalize=["email"]))
CREATE = ("xml.Envelope.Body.CreateUser", "xml.Envelope.Body.CreateUser.email")


def user(email: str) -> bytes:
    return f"<User><email>{email}</email></User>".encode()


def envelope(content: str, prefix: str = "soap") -> bytes:
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    head, body = f"<{prefix}:Header/>", f"<{prefix}:Body>{content}</{prefix}:Body>"
    return f'<{prefix}:Envelope xmlns:{prefix}="{space}">{head}{body}</{prefix}:Envelope>'.encode()


def create_user(email: str) -> bytes:
    return envelope(f'<m:CreateUser xmlns:m="urn:users"><m:email>{email}</m:email></m:CreateUser>')


GET_USER = envelope('<m:GetUser xmlns:m="urn:users"><m:email>a@x.org</m:email></m:GetUser>')


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


async def test_an_element_is_one_identity_however_its_text_is_spelt(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[USER])
    first = (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\r\n<User xmlns="urn:u">\n <email>ada@x.org</email></User>'
    )
    bodies = [
        first,
        b"<x:User xmlns:x='urn:x'><x:email>\n Ada@X.org\n</x:email><!-- c --></x:User>",
        b"<User><email>&#97;da&#x40;x.org</email></User>",
        user("&#xfeff;ada@x.org&#xa0;"),
        user("eve@x.org"),
    ]
    assert await answers(program, "/users", bodies, XML) == [201, "duplicate", "duplicate", "duplicate", 201]
    assert await answers(program, "/users", [user("ada@x.org")], ("Content-Type", "text/xml")) == ["duplicate"]
    assert await answers(program, "/users", [user("ada@x.org")], ("Content-Type", "application/vnd.u+xml")) == [
        "duplicate"
    ]
    assert bytes(upstream.requests[0].body) == first, "it goes on as it came"


async def test_what_readers_read_in_two_ways_never_reaches_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[USER])
    odd = [
        *(b"", b"{}", b"<User/>", b"<User><email/><email>a</email></User>", b"<User><Email>a</Email></User>"),
        *(
            user("<![CDATA[a]]>"),
            user("a<!-- -->"),
            user("<b>a</b>"),
            user(" "),
            user("&#xa0;"),
            user("&a;"),
            user("\xff" * 2000),
        ),
        b"<!DOCTYPE User [<!ENTITY a 'b'>]>" + user("&a;"),
        b'<?xml version="1.0" encoding="utf-16"?>' + user("a"),
        user("a").decode().encode("utf-16"),
        b"<User>" * 70 + b"</User>" * 70,
        b"<User>" + b"<b/>" * 20_000 + b"</User>",
        b"<User email='canary'/>",
    ]
    assert set(await answers(program, "/users", odd, XML)) == {"missing-identity"}
    for kind in ("application/json", "text/plain", "text/xml; charset=utf-16", "multipart/related; type=x"):
        assert await answers(program, "/users", [user("a")], ("Content-Type", kind)) == ["missing-identity"], kind
    assert await answers(program, "/users", [user("a")]) == ["missing-identity"]
    async with Client(program.port) as client:
        seen = await client.request("POST", "/users", [XML], odd[-1])
        assert "xml.User.email stands there as an attribute" in seen.json()["detail"]
        assert b"canary" not in seen.body
        seen = await client.request("POST", "/users", [XML, ("Content-Encoding", "gzip")], gzip.compress(user("a")))
        assert (seen.status, seen.header("Accept-Encoding")) == (415, "identity")
    assert not upstream.connections


async def test_codings_and_the_limit_are_those_of_the_rule(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**USER, "content_encodings": ["gzip"], "body_limit": "64KiB"}])
    zipped = [gzip.compress(user(email)) for email in ("a@x.org", "A@x.org")]
    assert await answers(program, "/users", zipped, XML, ("Content-Encoding", "gzip")) == [201, "duplicate"]
    large = [gzip.compress(user("a" * 70_000))]
    assert await answers(program, "/users", large, XML, ("Content-Encoding", "gzip")) == ["body-too-large"]
    assert await answers(program, "/users", [user("a" * 70_000)], XML) == ["body-too-large"]
    assert len(upstream.requests) == 1


async def test_an_operation_of_soap_is_told_by_its_element(upstream: RawUpstream, gateway: StartGateway) -> None:
    made: dict[str, Any] = rule("create-user", "/soap", entry(CREATE[1]))
    made["match"]["when"] = [{"field": CREATE[0], "exists": True}]
    program = await gateway(rules=[made])
    first, other = create_user("ada@x.org"), create_user("eve@x.org")
    assert await answers(program, "/soap", [first, first, other], SOAP_11) == [201, "duplicate", 201]
    assert await answers(program, "/soap", [first], SOAP_12) == ["duplicate"]
    assert await answers(program, "/soap", [GET_USER, GET_USER], SOAP_11) == [201, 201]
    twice = envelope("<CreateUser><email>a</email></CreateUser>" * 2)
    in_case = envelope("<createUser><email>a</email></createUser>")
    assert await answers(program, "/soap", [twice, in_case, b"", b"{}"], SOAP_11) == ["missing-identity"] * 4
    assert await answers(program, "/soap", [first, b"{}"], JSON) == ["missing-identity"] * 2
    async with Client(program.port) as client:
        seen = await client.request("POST", "/soap", [SOAP_11], in_case)
    assert f"{CREATE[0]} can be read in more than one way" in seen.json()["detail"]
    assert len(upstream.requests) == 4


async def test_an_operation_of_soap_is_told_by_its_action(upstream: RawUpstream, gateway: StartGateway) -> None:
    """SOAPAction is quoted by most clients, and not by all."""
    made: dict[str, Any] = rule("create-user", "/soap", entry(CREATE[1]))
    made["match"]["when"] = [
        {"field": "header.SOAPAction", "one_of": ['"urn:users#CreateUser"', "urn:users#CreateUser"]}
    ]
    program = await gateway(rules=[made])
    first = create_user("ada@x.org")
    quoted, bare = ("SOAPAction", '"urn:users#CreateUser"'), ("SOAPAction", "urn:users#CreateUser")
    assert await answers(program, "/soap", [first, first], SOAP_11, quoted) == [201, "duplicate"]
    assert await answers(program, "/soap", [first], SOAP_11, bare) == ["duplicate"]
    get = ("SOAPAction", '"urn:users#GetUser"')
    assert await answers(program, "/soap", [GET_USER, b"no XML"], SOAP_11, get) == [201, 201]
    assert await answers(program, "/soap", [GET_USER], SOAP_11, quoted) == ["missing-identity"]
    assert len(upstream.requests) == 3


async def test_conditions_compare_the_text_of_elements(upstream: RawUpstream, gateway: StartGateway) -> None:
    made: dict[str, Any] = rule("user", "/api", entry("xml.Call.ref"))
    made["match"]["when"] = [{"field": "xml.Call.method", "matches": "create*"}]
    program = await gateway(rules=[made])

    def call(method: str) -> bytes:
        return f"<Call><method>{method}</method><ref>7</ref></Call>".encode()

    assert await answers(
        program, "/api", [call("createUser"), call(" createOrder\n"), call("get"), call("get")], XML
    ) == [*(201, "duplicate", 201, 201)]
    odd = [call("<a/>"), call("<![CDATA[create]]>"), call("x" * 20_000), call("a").replace(b"Call", b"call")]
    assert await answers(program, "/api", odd, XML) == ["missing-identity"] * 4
    assert len(upstream.requests) == 3


async def test_a_value_is_one_in_xml_in_json_and_in_a_form(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("user", "/users", entry("xml.User.email | body.email | form.email"))])
    form = ("Content-Type", "application/x-www-form-urlencoded")
    assert await answers(program, "/users", [user("a")], XML) == [201]
    assert await answers(program, "/users", [b'{"email": "a"}', b'{"email": "b"}', b"{}"], JSON) == [
        *("duplicate", 201, "missing-identity")
    ]
    assert await answers(program, "/users", [b"email=a", b"email=c"], form) == ["duplicate", 201]
    assert await answers(program, "/users", [user("b"), user("c"), b"<User/>"], XML) == [
        *("duplicate", "duplicate", "missing-identity")
    ]
    assert len(upstream.requests) == 3


async def test_only_what_is_certain_not_to_be_there_is_skipped(upstream: RawUpstream, gateway: StartGateway) -> None:
    optional = {"name": "phone", "fields": ["xml.User.phone"], "missing": "skip", "empty": "missing"}
    program = await gateway(rules=[{**USER, "unique": [*USER["unique"], optional]}])
    sure = [user("a@x.org"), b"<User><email>b@x.org</email><phone/></User>"]
    assert await answers(program, "/users", sure, XML) == [201, 201]
    unsure = [
        b"<User><email>c@x.org</email><Phone>1</Phone></User>",
        b"<User phone='1'><email>d@x.org</email></User>",
        b"<User><email>e@x.org</email><phone>1</phone><phone>1</phone></User>",
    ]
    assert await answers(program, "/users", unsure, XML) == ["missing-identity"] * 3
    assert await answers(program, "/users?User[phone]=1", [user("f@x.org")], XML) == ["missing-identity"]
    assert len(upstream.requests) == 2
    alone = await gateway(rules=[{**USER, "unique": [entry("header.X-Ref"), {**optional, "name": "p"}]}])
    ref = ("X-Ref", "7")
    assert await answers(alone, "/users", [b'{"User": {"phone": 1}}'], JSON, ref) == ["missing-identity"]


async def test_a_keyed_create_in_xml_is_compared_by_its_bytes(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**USER, "key": {}}])
    key = ("Idempotency-Key", "k-1")
    bodies = [user("a@x.org"), user("a@x.org"), user("a@x.org") + b" "]
    assert await answers(program, "/users", bodies, XML, key) == [201, "duplicate", "key-reused"]
    assert len(upstream.requests) == 1


async def test_white_space_around_a_text_makes_no_difference(upstream: RawUpstream, gateway: StartGateway) -> None:
    """`<Number> 7 </Number>` is 7 to whoever reads it as a number by a schema."""
    made = rule("user", "/users", entry("xml.User.email"))
    program = await gateway(rules=[{**made, "scope": ["xml.User.tenant"]}])

    def spelt(tenant: str, number: str) -> bytes:
        return f"<User><tenant>{tenant}</tenant><email>{number}</email></User>".encode()

    bodies = [spelt("a", "7"), spelt("a", "\n 7\t"), spelt(" a ", "&#32;7"), spelt("a", "7 7"), spelt("b", "7")]
    assert await answers(program, "/users", bodies, XML) == [201, "duplicate", "duplicate", 201, 201]
    assert len(upstream.requests) == 3


async def test_a_scope_in_xml_keeps_creates_apart(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[{**USER, "scope": ["xml.User.tenant"]}])
    bodies = [user("a@x.org").replace(b"<User>", f"<User><tenant>{name}</tenant>".encode()) for name in "aba"]
    assert await answers(program, "/users", bodies, XML) == [201, 201, "duplicate"]
    assert len(upstream.requests) == 2
