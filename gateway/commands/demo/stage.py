# The processes of the demo: the example API, the gateway and their files in a temporary directory.

import asyncio
import json
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from gateway.commands.demo.scenes import Answer, Restart, Send, User
from gateway.commands.processes import Child, ChildError, free_addresses, start_example, start_gateway
from gateway.example.api import CRASH_AFTER_COMMIT, CRASH_HEADER

API_DELAY = 0.3
"""Seconds that the API takes for a create, so that fifty concurrent ones overlap."""

ANSWER_TIMEOUT = 30.0
"""Seconds after which a create counts as unanswered."""

RULES = """\
[server]
listen = "{gateway}"

[admin]
listen = "off"

[upstream]
url = "http://{api}"

[store]
url = {store}

[[rules]]
name = "create-user"
match = {{ methods = ["POST"], path = "/users" }}
unique = [
  {{ name = "email", fields = ["body.email"], normalize = ["trim", "casefold"] }},
  {{ name = "username", fields = ["body.username"] }},
]
resource = "header.Location"
keep = "24h"
"""


class Stage:
    """An example API and a gateway in front of it, alive while the `async with` block is.

    Entering raises gateway.commands.processes.ChildError when one of them does not start.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="gateway-demo-", ignore_cleanup_errors=True)
        self.path = Path(self._directory.name)
        self.api_address, self.gateway_address = free_addresses(2)
        store = json.dumps(f"sqlite:{self.path / 'gateway.db'}")
        self.rules = RULES.format(gateway=self.gateway_address, api=self.api_address, store=store)
        self._config = self.path / "gateway.toml"
        self._api: Child | None = None
        self._gateway: Child | None = None

    async def __aenter__(self) -> Self:
        self._config.write_text(self.rules, "utf-8")
        try:
            self._api = await self._start_api()
            self._gateway = await self._start_gateway()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def send(self, send: Send) -> list[Answer]:
        """Send the creates concurrently to the gateway; return the answers in the order of their arrival."""
        headers = {CRASH_HEADER: CRASH_AFTER_COMMIT} if send.api_dies else {}
        async with self._session() as session:
            creates = [_create(session, self.gateway_address, send.user, headers) for _ in range(send.times)]
            return [await done for done in asyncio.as_completed(creates)]

    async def restart(self, restart: Restart) -> None:
        """Restart what the scene requires. Raises ChildError."""
        if restart.what == "api":
            if self._api is not None:
                await self._api.stop()
            self._api = await self._start_api()
        else:
            if self._gateway is not None:
                await self._gateway.kill()
            self._gateway = await self._start_gateway()

    async def rows(self) -> list[User]:
        """Return the users stored by the API, asked directly. Raises ChildError when it does not answer."""
        try:
            async with self._session() as session, session.get(f"http://{self.api_address}/users") as answer:
                return msgspec.json.decode(await answer.read(), type=list[User])
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ChildError(f"the example API does not answer: {error}") from error

    def reached(self) -> int:
        """Return how many creates have reached the API, from the API's own log."""
        return sum(line.startswith("api: POST ") for line in self._log("api.log"))

    def final_request_grace(self) -> list[str]:
        """Return the end of the gateway's log, for error messages."""
        return self._log("gateway.log")[-10:]

    def _session(self) -> aiohttp.ClientSession:
        # One connection per create, as with fifty clients, and none reused from a process that was killed.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT))

    async def _start_api(self) -> Child:
        database, log = str(self.path / "api.db"), self.path / "api.log"
        return await start_example(self.api_address, database, API_DELAY, allow_crash=True, log=log)

    async def _start_gateway(self) -> Child:
        return await start_gateway(self.gateway_address, self._config, log=self.path / "gateway.log")

    async def _close(self) -> None:
        for child in (self._gateway, self._api):
            if child is not None:
                await child.stop()
        self._directory.cleanup()

    def _log(self, name: str) -> list[str]:
        return (self.path / name).read_text("utf-8", "replace").splitlines()


async def _create(session: aiohttp.ClientSession, address: str, user: User, headers: dict[str, str]) -> Answer:
    try:
        async with session.post(
            f"http://{address}/users",
            data=msgspec.json.encode(user),
            headers={"Content-Type": "application/json", **headers},
        ) as answer:
            problem = None
            if answer.content_type == "application/problem+json":
                problem = msgspec.json.decode(await answer.read(), type=dict[str, object])
            return Answer(status=answer.status, location=answer.headers.get("Location"), problem=problem)
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        return Answer(error=str(error) or type(error).__name__)
