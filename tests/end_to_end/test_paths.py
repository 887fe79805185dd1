# Templates over the wire: tails.

from tests.conftest import StartGateway
from tests.support.client import create
from tests.support.program import Table, create_user_rule
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
