# How APIs go through the items of a request.

import json
from collections.abc import Iterable
from typing import Any

LINES = "application/x-ndjson"


def emails(items: Any) -> Iterable[Any]:
    """Those of the items, one by one. Raises ValueError at the first that has none."""
    for item in items:
        if not isinstance(item, dict) or item.get("email") is None:
            raise ValueError
        yield item["email"]


def as_list(data: Any) -> Any:
    """One object, or a list of them."""
    return [data] if isinstance(data, dict) else data


def lines(body: bytes) -> Iterable[Any]:
    """JSON texts, one in each line, as str.splitlines ends lines. Raises ValueError."""
    return [json.loads(line) for line in body.decode().splitlines() if line.strip()]
