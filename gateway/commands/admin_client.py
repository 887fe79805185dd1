# A client for the admin listener of a running gateway.

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(str(answer.get("error", "the gateway did not say why it was not done")))
        self.answer = answer


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
        raise NotDone(answer)
    return answer


async def ask(
    method: str, path: str, listener: Listener, timeout: float, body: object = None
) -> tuple[int, dict[str, Any]]:
    """Send one request; returns the status and the JSON object. `timeout` in seconds. Raises Unanswered."""
    if listener.address == "off":
        raise Unanswered(OFF)
    address = parse_listen(listener.address)
    connector: aiohttp.BaseConnector
    if isinstance(address, TcpAddress):
        connector, url = aiohttp.TCPConnector(), f"http://{address}{path}"
    else:
        connector, url = aiohttp.UnixConnector(address.path), f"http://admin{path}"
    headers = {} if listener.token is None else {"Authorization": f"Bearer {listener.token.decode('latin-1')}"}
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit, headers=headers) as session,
            session.request(method, url, json=(body or {}) if method == "POST" else None) as response,
        ):
            return response.status, msgspec.json.decode(await response.read(), type=dict[str, Any])
    except TimeoutError:
        raise Unanswered(f"{listener.address} gave no answer within {timeout:g} s") from None
    except (aiohttp.ClientConnectorError, FileNotFoundError):
        raise NothingListens(f"nothing listens on {listener.address}") from None
    except (aiohttp.ClientError, OSError, ValueError, msgspec.MsgspecError):
        raise Unanswered(f"what listens on {listener.address} is not the admin listener of a gateway") from None


def _address(text: str) -> str:
    try:
        parse_listen(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
