# `client.ip`: one create from each client, as [forwarding] says whom to believe about it.

from pathlib import Path
from typing import Any

from tests.conftest import StartGateway
from tests.support.client import Client
from tests.support.program import rules
from tests.support.shorthands import entry, rule, verdicts
from tests.support.upstream import RawUpstream

VOTE = rule("vote", "/votes", entry("client.ip", "query.poll"))
XFF, RFC = "X-Forwarded-For", "Forwarded"


async def test_a_stranger_cannot_say_that_it_is_somebody_else(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[VOTE])
    spoofed = [(XFF, "192.0.2.1"), (XFF, "nonsense"), (RFC, "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1")]
    sends: list[tuple[Any, ...]] = [("/votes?poll=1", None, line) for line in spoofed]
    assert await verdicts(program, sends) == [201, "duplicate", "duplicate", "duplicate"]
    hidden = [("X_Forwarded_For", "192.0.2.1"), ("Connection", "X-Forwarded-For")]
    assert await verdicts(program, [("/votes?poll=2", None, line) for line in hidden]) == ["hidden-field"] * 2
    assert len(upstream.requests) == 1


async def test_a_trusted_proxy_says_who_it_is(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=[VOTE], forwarding={"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]})
    lines: list[list[tuple[str, str]]] = [
        [(XFF, "192.0.2.1")],
        [(XFF, "198.51.100.9, ::ffff:192.0.2.1, 10.0.0.1")],
        [(RFC, 'for=198.51.100.9, for="192.0.2.1:80"')],
        [(XFF, "192.0.2.2")],
        [(XFF, "2001:DB8::0:1")],
        [(RFC, 'for="[2001:db8::1]:443"')],
        [],
        [(XFF, "unknown")],
        [(XFF, "192.0.2.3"), (RFC, "for=192.0.2.4")],
    ]
    assert await verdicts(program, [("/votes?poll=1", None, *each) for each in lines]) == [
        *(201, "duplicate", "duplicate", 201, 201, "duplicate", 201),
        *("missing-identity", "missing-identity"),
    ]
    assert not [line for line in program.log if "192.0.2" in str(line)]


async def test_a_unix_socket_has_no_address_but_what_a_trusted_client_of_it_says(
    tmp_path: Path, upstream: RawUpstream, gateway: StartGateway
) -> None:
    vote = rule("vote", "/votes", entry("client.ip", name="ip", missing="skip"), entry("query.voter"))
    for number, trusted in enumerate([[], ["unix"]]):
        path = tmp_path / f"{number}.sock"
        await gateway(
            rules(
                upstream.url,
                rules=[vote],
                server={"listen": f"unix:{path}"},
                forwarding={"trusted_proxies": trusted},
            )
        )
        async with Client(path) as client:
            sends = [("a", []), ("b", []), ("c", [(XFF, "192.0.2.1")]), ("d", [(XFF, "192.0.2.1")])]
            slugs = [
                (await client.request("POST", f"/votes?voter={voter}", [("Host", "x"), *lines])).slug
                for voter, lines in sends
            ]
        assert slugs == [None, None, None, "duplicate" if trusted else None]
