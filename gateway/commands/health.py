# `gateway health`: asks a running gateway whether it can take creates. What a container's HEALTHCHECK calls.

import argparse
import asyncio
import json
from pathlib import Path

import aiohttp

from gateway.config import load
from gateway.config.endpoints import TcpAddress, parse_listen

SUMMARY = "ask a running gateway whether it is ready"

DESCRIPTION = """\
Asks the admin listener named in the rules file whether the gateway is ready: it listens, is not draining, and
its store commits.

  $ gateway health -c gateway.toml
  ready

Exit codes: 0 it is ready, 1 it is not or cannot be reached, 2 the command line is wrong.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=3.0, help="how long to wait (default: 3)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def execute(args: argparse.Namespace) -> int:
    """Ask, print what was said, return the exit code."""
    listen = load(args.config).admin.listen
    if listen == "off":
        answer = {"ready": False, "reason": 'admin.listen is "off", so there is nobody to ask'}
    else:
        answer = asyncio.run(_ask(listen, args.timeout))
    if args.json:
        print(json.dumps(answer))
    else:
        print("ready" if answer["ready"] else f"not ready: {answer['reason']}")
    return 0 if answer["ready"] else 1


async def _ask(listen: str, timeout: float) -> dict[str, object]:
    address = parse_listen(listen)
    connector: aiohttp.BaseConnector
    if isinstance(address, TcpAddress):
        connector, url = aiohttp.TCPConnector(), f"http://{address}/readyz"
    else:
        connector, url = aiohttp.UnixConnector(address.path), "http://admin/readyz"
    patience = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=patience) as session,
            session.get(url) as response,
        ):
            answer: dict[str, object] = await response.json()
            return answer
    except TimeoutError:
        return {"ready": False, "reason": f"{listen} gave no answer within {timeout:g} s"}
    except (aiohttp.ClientConnectorError, FileNotFoundError):
        return {"ready": False, "reason": f"nobody listens on {listen}"}
    except (aiohttp.ClientError, OSError, ValueError):
        return {"ready": False, "reason": f"what listens on {listen} is no admin listener of a gateway"}
