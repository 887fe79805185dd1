# A client for the admin listener of a running gateway.

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

from gateway.config import admin_token, load, read_token
from gateway.config.endpoints import TcpAddress, parse_listen
from gateway.config.schema import Config
from gateway.errors import GatewayError

OFF = 'admin.listen is "off", so there is no admin listener to ask'
TIMEOUT = 30.0
"""Seconds to wait for an answer, unless told otherwise."""
_FAILED = 400
"""The first status of those that say that something was not done."""


class Unanswered(GatewayError):
    """There is no admin listener, or it did not answer; the text says which."""


class NothingListens(Unanswered):
    """Nothing takes connections at the address."""


class NotDone(GatewayError):
    """The listener has answered that something was not done; the text is its reason."""

    def __init__(self, answer: Mapping[str, Any], status: int) -> None:
        super().__init__(str(answer.get("error", "the gateway did not say why it was not done")))
        self.answer = answer
        self.status = status


class Listener(msgspec.Struct, frozen=True):
    """Where a gateway listens for operators, and what it wants to be shown."""

    address: str
    token: bytes | None = None

    def __repr__(self) -> str:
        return f"Listener({self.address})"


def add_listener(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which gateway is asked."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "-c", "--config", metavar="FILE", type=Path, help="the gateway's rules file, which has its admin listener"
    )
    which.add_argument("--admin", metavar="ADDRESS", type=_address, help="its admin listener, without a rules file")
    add_access(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def add_other_listener(parser: argparse._ArgumentGroup) -> None:
    """Add those that say which gateway is asked, if it is not that of the rules file, which is given in any case."""
    parser.add_argument("--admin", metavar="ADDRESS", type=_address, help="its admin listener; default: of the file")
    add_access(parser)


def add_access(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add those that say how it is asked."""
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="its admin token; default: of the rules file")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=TIMEOUT, help=f"how long to wait (default: {TIMEOUT:g})"
    )


def given_listener(args: argparse.Namespace) -> Listener:
    """The listener that arguments name. Raises ConfigError."""
    token = None if args.token_file is None else read_token(args.token_file, "--token-file")
    if args.admin is not None:
        return Listener(args.admin, token)
    config = load(args.config)
    return Listener(config.admin.listen, token) if token is not None else listener_of(config)


def listener_of(config: Config) -> Listener:
    """The listener of a rules file. Raises ConfigError when its token cannot be read."""
    return Listener(config.admin.listen, admin_token(config))


def call(listener: Listener, method: str, path: str, timeout: float, body: object = None) -> dict[str, Any]:
    """Ask, and return the JSON object that was answered. Raises Unanswered, and NotDone."""
    status, answer = asyncio.run(ask(method, path, listener, timeout, body))
    if status >= _FAILED:
        raise NotDone(answer, status)
    return answer


async def ask(
    method: str, path: str, listener: Listener, timeout: float, body: object = None
) -> tuple[int, dict[str, Any]]:
    """Send one request; returns the status and the JSON object. `timeout` in seconds. Raises Unanswered."""
    async with Connection(listener, timeout) as connection:
        return await connection.ask(method, path, body)


class Connection:
    """Asks one listener, again and again; use it with `async with`. Mutable state: the session."""

    def __init__(self, listener: Listener, timeout: float) -> None:
        """`timeout` in seconds, for each answer. Raises Unanswered when there is no listener."""
        if listener.address == "off":
            raise Unanswered(OFF)
        self._listener = listener
        self._timeout = timeout
        self._base = ""
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Connection({self._listener.address})"

    async def __aenter__(self) -> Self:
        address, token = parse_listen(self._listener.address), self._listener.token
        connector: aiohttp.BaseConnector
        if isinstance(address, TcpAddress):
            connector, self._base = aiohttp.TCPConnector(), f"http://{address}"
        else:
            connector, self._base = aiohttp.UnixConnector(address.path), "http://admin"
        headers = {} if token is None else {"Authorization": f"Bearer {token.decode('latin-1')}"}
        self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Send one request; returns the status and the JSON object. Raises Unanswered."""
        limit = aiohttp.ClientTimeout(total=self._timeout)
        with self._explained():
            async with self._request(method, path, body, limit) as response:
                return response.status, msgspec.json.decode(await response.read(), type=dict[str, Any])

    async def stream(self, path: str) -> AsyncIterator[bytes]:
        """The body that is answered to a GET, piece by piece. Raises Unanswered, also in between, and NotDone."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=self._timeout)
        with self._explained():
            async with self._request("GET", path, None, limit) as response:
                if response.status >= _FAILED:
                    answer = msgspec.json.decode(await response.read(), type=dict[str, Any])
                    raise NotDone(answer, response.status)
                async for piece in response.content.iter_any():
                    yield piece

    def _request(
        self, method: str, path: str, body: object, limit: aiohttp.ClientTimeout
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("not connected")
        data = msgspec.json.encode({} if body is None else body) if method == "POST" else None
        headers = {} if data is None else {"Content-Type": "application/json"}
        return self._session.request(method, f"{self._base}{path}", data=data, headers=headers, timeout=limit)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Make Unanswered of what goes wrong between here and there."""
        address = self._listener.address
        try:
            yield
        except TimeoutError:
            raise Unanswered(f"{address} gave no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientConnectorError, FileNotFoundError):
            raise NothingListens(f"nothing listens on {address}") from None
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
            raise Unanswered(f"{address} has broken the connection off") from None
        except (aiohttp.ClientError, OSError, ValueError, msgspec.MsgspecError):
            raise Unanswered(f"what listens on {address} is not the admin listener of a gateway") from None


def _address(text: str) -> str:
    try:
        parse_listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
