# What a judge created: the values that it read, in their order. No judge looks here before it creates something.

import json
import threading
from typing import Any

TOKEN = "of-a-customer"
"""What a caller sends as `Authorization: Bearer …`."""

_created: list[tuple[str, Any]] = []
_lock = threading.Lock()


def create(kind: str, value: Any) -> dict[str, Any]:
    """Create one more thing; what the answer says of it."""
    with _lock:
        _created.append((kind, value))
        return {"id": len(_created), "kind": kind}


def all_created() -> str:
    """Kind and value of each thing, in the order in which they were created; JSON in ASCII."""
    with _lock:
        return json.dumps(_created)
