# A client for the admin listener of a running gateway.

import aiohttp

from gateway.config.endpoints import TcpAddress, parse_listen
from gateway.errors import GatewayError

OFF = 'admin.listen is "off", so there is no admin listener to ask'


class Unanswered(GatewayError):
    """There is no admin listener, or it did not answer; the text says which."""


async def ask(method: str, path: str, listen: str, timeout: float) -> tuple[int, dict[str, object]]:
    """Send one request; returns the status and the JSON object. `timeout` in seconds. Raises Unanswered."""
    if listen == "off":
        raise Unanswered(OFF)
    address = parse_listen(listen)
    connector: aiohttp.BaseConnector
    if isinstance(address, TcpAddress):
        connector, url = aiohttp.TCPConnector(), f"http://{address}{path}"
    else:
        connector, url = aiohttp.UnixConnector(address.path), f"http://admin{path}"
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit) as session,
            session.request(method, url, json={} if method == "POST" else None) as response,
        ):
            answer: dict[str, object] = await response.json()
            return response.status, answer
    except TimeoutError:
        raise Unanswered(f"{listen} gave no answer within {timeout:g} s") from None
    except (aiohttp.ClientConnectorError, FileNotFoundError):
        raise Unanswered(f"nothing listens on {listen}") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise Unanswered(f"what listens on {listen} is not the admin listener of a gateway") from None
