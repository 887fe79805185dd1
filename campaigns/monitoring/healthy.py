# Mixed traffic with nothing wrong: some of everything that the dashboard shows, and no alert.

import asyncio
import json
import random
from dataclasses import dataclass

from campaigns.monitoring.prometheus import TOKEN
from campaigns.monitoring.stage import Stage
from tests.support.authority import Authority
from tests.support.program import GatewayProgram
from tests.support.tls import TlsClient, server_tls, trusting
from tests.support.upstream import RawUpstream
from tests.support.users_api import UsersApi, verified_rule

ORDERS = {
    "name": "order",
    "match": {"path": "/orders"},
    "unique": [{"name": "ref", "fields": ["body.email"]}],
    "key": {},
    "retry": "replay",
}
WATCHED = {
    "name": "watched",
    "mode": "shadow",
    "match": {"path": "/watched"},
    "unique": [{"name": "email", "fields": ["body.email"]}],
}
"""It would stop four of five creates, which is nothing to be woken for."""
_BREATH = 0.05


@dataclass
class Client:
    """Sends what clients send. Mutable state: how much."""

    program: GatewayProgram
    authority: str
    sent: int = 0

    async def create(self, path: str, email: str, key: str | None = None) -> int:
        """Send a create; gives its status."""
        headers = [("Content-Type", "application/json"), *([("Idempotency-Key", f'"{key}"')] if key else [])]
        async with TlsClient(self.program.port, trusting(self.authority)) as client:
            return (await client.request("POST", path, headers, json.dumps({"email": email}).encode())).status

    async def round(self) -> None:
        """Six users and an order, one of each again; some under a rule in shadow; and a request that no rule guards."""
        self.sent += 1
        for number in range(6):
            assert await self.create("/users", f"{self.sent}-{number}@example.org") == 201
        assert await self.create("/users", f"{self.sent}-0@example.org") == 409
        assert await self.create("/orders", f"{self.sent}", f"k-{self.sent}") == 201
        assert await self.create("/orders", f"{self.sent}", f"k-{self.sent}") == 201, "it is replayed"
        for _ in range(5):
            assert await self.create("/watched", f"{self.sent}") == 201
        async with TlsClient(self.program.port, trusting(self.authority)) as client:
            assert (await client.request("GET", "/healthz")).status == 200

    async def lose_one(self, users: UsersApi) -> None:
        """A create whose answer is lost, and is found out when it comes again."""
        users.on_create = users.commit_and_close
        email = f"{self.sent}-lost@example.org"
        assert await self.create("/users", email) == 502
        users.on_create = users.commit
        for _ in range(100):
            if await self.create("/users", email) == 409:
                return


async def healthy(stage: Stage) -> None:
    """Until the scenario is cancelled; the gateway shows its metrics to nobody without the token."""
    stage.directory.mkdir(parents=True, exist_ok=True)
    authority, users = Authority(stage.directory), UsersApi()
    pair, chance = authority.issue("server"), random.Random(1)
    async with (
        RawUpstream(users) as api,
        stage.gateway(
            api, rules=[verified_rule(), ORDERS, WATCHED], server=server_tls(pair), admin={"token": TOKEN}
        ) as program,
    ):
        client = Client(program, authority.file)
        while True:
            await client.round()
            if chance.random() < 0.2:
                await client.lose_one(users)
            await asyncio.sleep(_BREATH)
