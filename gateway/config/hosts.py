# Hosts and ports in addresses of the rules file. Pure.

import ipaddress
import re

_HOST_NAME = re.compile(r"(?!-)(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def parse_host(text: str, shown: str | None) -> str:
    """Check a host, and remove the brackets of an IPv6 address. Error texts may contain only `shown`."""
    subject = f'"{shown}"' if shown else "the URL"
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError(f'{subject} has no IPv6 address in its brackets; write one such as "[::1]:8080"') from None
    if ":" in text:
        raise ValueError(f'{subject} needs brackets around its IPv6 address; write it as in "[::1]:8080"')
    if re.fullmatch(r"[0-9.]+", text):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise ValueError(f'{subject} has no valid IPv4 address; write one such as "127.0.0.1"') from None
    if not _HOST_NAME.fullmatch(text):
        raise ValueError(f'{subject} has no valid host; write a name such as "localhost", or an IP address')
    return text


def parse_port(text: str, *, lowest: int, shown: str) -> int:
    """Check a port. Raises ValueError with a text that may contain only `shown`."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not lowest <= int(text) <= 65535:
        raise ValueError(f"{shown} has no valid port; write a number from {lowest} to 65535")
    return int(text)
