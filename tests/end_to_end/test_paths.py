# Paths that end otherwise than a rule says: with a suffix, or with any number of segments.

from tests.conftest import StartGateway
from tests.support.client import create, create_bytes, request_bytes
from tests.support.program import Table, create_user_rule
from tests.support.shorthands import exchange
from tests.support.upstream import RawUpstream


def rule(path: str, *fields: str, name: str = "create-user", **match: object) -> Table:
    unique = [{"name": "identity", "fields": list(fields or ("body.email",))}]
    return create_user_rule(name=name, match={"path": path, **match}, unique=unique)


async def test_a_tail_is_guarded_at_every_depth_and_its_value_is_what_it_takes(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("/index.php/{rest*}", "path.rest")])
    for path in ("/index.php", "/index.php/users", "/index.php/users/7", "/index.php/users%207"):
        assert (await create(program.port, path=path)).status == 201, path
        for again in (path, f"{path}/", path.replace("index", "INDEX"), path.replace("u", "%75"), f"{path}?a=b"):
            assert (await create(program.port, path=again)).slug == "duplicate", again
    for path in ("/index.php//users", "/index.php/a/../users", "/index.php/users%2f7", "/x/../index.php/users"):
        assert (await create(program.port, path=path)).slug == "ambiguous-path", path
    assert (await create(program.port, path="/index.phpx/users")).status == 201
    assert len(upstream.requests) == 5


SUFFIXED = [
    *("/users.json", "/users.xml", "/users.anything", "/users.", "/USERS.Json", "/users.json/", "/users.json?a=b"),
    *("/users%2ejson", "/users%2E", "/%75sers.json", "/users.%6ason", "/users.json.bak", "/users/.json"),
    *("http://api.example/users.json", "//users.json", "/users.json;a=b", "/x/../users.json"),
]


async def test_a_suffix_behind_a_guarded_path_is_refused_before_the_api_sees_it(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    for path in SUFFIXED:
        seen = await exchange(program.port, create_bytes("ada@example.org", path=path), "POST")
        assert (seen.status, seen.slug) == (400, "ambiguous-path"), path
    override = [("X-HTTP-Method-Override", "POST")]
    seen = await exchange(program.port, request_bytes("GET", "/users.json", override), "GET")
    assert seen.slug == "ambiguous-path"
    assert not upstream.connections


async def test_with_a_method_that_no_rule_guards_it_passes_as_it_came(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway()
    targets = ["/users.json", "/users.", "/users%2exml?a=b", "/users/.json", "/users.json/"]
    for target in targets:
        assert (await exchange(program.port, request_bytes("GET", target), "GET")).status == 200, target
    assert [request.target for request in upstream.requests] == targets


async def test_a_rule_on_the_path_with_its_suffix_guards_it(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("/users"), rule("/users.json", name="json")])
    for path in ("/users", "/users.json"):
        assert (await create(program.port, path=path)).status == 201, "two rules, two identities"
        assert (await create(program.port, path=path)).slug == "duplicate"
    assert (await create(program.port, path="/users.xml")).slug == "ambiguous-path"
    assert len(upstream.requests) == 2


async def test_a_listed_suffix_makes_no_other_thing(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[rule("/users", extensions=["json", "XML"])])
    first = ["/users", "/users.json", "/Users.Xml", "/users%2ejson/"]
    for at, path in enumerate(first):
        assert (await create(program.port, f"{at}@example.org", path=path)).status == 201, path
        for again in first:
            assert (await create(program.port, f"{at}@example.org", path=again)).slug == "duplicate", again
    for path in ("/users.html", "/users.json.xml", "/users.", "/users.json;a"):
        assert (await create(program.port, path=path)).slug == "ambiguous-path", path
    assert [request.target for request in upstream.requests] == first, "the API gets the path as it came"


async def test_a_suffix_on_a_variable_is_a_part_of_it_unless_it_is_listed(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    plain = rule("/tenants/{tenant}", "path.tenant", name="plain")
    listing = rule("/groups/{group}", "path.group", name="listing", extensions=["json"])
    program = await gateway(rules=[plain, listing])
    for path in ("/tenants/a", "/tenants/a.json", "/groups/a", "/groups/a.xml"):
        assert (await create(program.port, path=path)).status == 201, path
    for path in ("/groups/a.json", "/groups/a.JSON/", "/tenants/a.json/"):
        assert (await create(program.port, path=path)).slug == "duplicate", path
    assert len(upstream.requests) == 4


async def test_a_literal_that_has_a_dot_itself_is_guarded_as_it_stands(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=[rule("/index.php/{rest*}", "path.rest")])
    assert (await create(program.port, path="/index.php")).status == 201
    assert (await create(program.port, path="/index.php/users.json")).status == 201, "the tail is a variable"
    for path in ("/index.php.bak", "/index.php.", "/INDEX.php%2ebak/"):
        assert (await create(program.port, path=path)).slug == "ambiguous-path", path
    assert (await create(program.port, path="/index")).status == 201
    assert len(upstream.requests) == 3


async def test_a_variable_within_a_segment_is_what_the_literal_text_leaves(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """Verbs behind a colon, OData's keys, suffixes: as APIs have them beside the plain path."""
    paths = ["/v1/instances/{id}:undelete", "/odata/Customers({id})/Orders", "/orders/{id}.json"]
    program = await gateway(rules=[rule(path, "path.id", name=f"rule-{at}") for at, path in enumerate(paths)])
    for same in (
        ["/v1/instances/a:undelete", "/V1/instances/%61:undelete/", "/v1/instances/a%3AUnDelete?x=y"],
        ["/odata/Customers('A')/Orders", "/odata/customers(%27A%27)/orders"],
        ["/orders/7.json", "/Orders/7%2Ejson"],
    ):
        assert (await create(program.port, path=same[0])).status == 201
        for again in same[1:]:
            assert (await create(program.port, path=again)).slug == "duplicate", again
    assert (await create(program.port, path="/v1/instances/b:undelete")).status == 201
    assert (await create(program.port, path="/v1/instances/a:delete")).header("Idempotency-Status") is None
    assert (await create(program.port, path="/v1/instances/a:undelete.json")).slug == "ambiguous-path"
    assert len(upstream.requests) == 5


async def test_an_encoded_slash_in_a_variable_is_a_part_of_it_and_goes_on_as_it_came(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """GitLab's projects, and RabbitMQ's default host."""
    issue = rule("/api/v4/projects/{id}/issues", "path.id", name="issue")
    queue = rule("/api/queues/{host}/{name}", "path.host", "path.name", name="queue")
    program = await gateway(rules=[issue, queue])
    sent = ["/api/v4/projects/grp%2Fapp/issues", "/api/v4/projects/100%25/issues", "/api/queues/%2F/jobs"]
    for path in sent:
        assert (await create(program.port, path=path)).status == 201, path
        for again in (path, path.replace("%2F", "%2f"), f"{path}/"):
            assert (await create(program.port, path=again)).slug == "duplicate", again
    for path in ("/api/v4/projects/grp%252Fapp/issues", "/api/v4/projects/grp%2F/issues", "/api/queues%2Fa/jobs"):
        assert (await create(program.port, path=path)).slug == "ambiguous-path", path
    assert [request.target for request in upstream.requests] == sent
