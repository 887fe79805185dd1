# What the configuration wants of a server that several gateways share.

from typing import Literal

import msgspec


class Demands(msgspec.Struct, frozen=True):
    """What a server must promise."""

    durability: Literal["process", "power"]
    replicas: int = 0
    is_trusted: bool = False
    """Whether its settings are not looked at."""
