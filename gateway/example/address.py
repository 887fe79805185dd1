# Parses the listen address of the example API. Pure.

from urllib.parse import urlsplit


def parse_address(text: str) -> tuple[str, int]:
    """Split "HOST:PORT" or "[HOST]:PORT" into its two parts; raises ValueError, with an example of a valid address."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.netloc != text or parts.username is not None:
        raise ValueError(f'{text!r} is not a listen address: write "127.0.0.1:9000"')
    return host, port
