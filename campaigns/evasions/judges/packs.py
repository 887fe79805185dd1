# What a judge makes of a value of MessagePack.

from typing import Any


def as_stored(value: Any) -> Any:
    """A value as a column of text would have it: binary data is text, and what JSON does not have is none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list):
        return [as_stored(each) for each in value]
    return value if isinstance(value, str | int | float) else None


def email_of(data: Any) -> Any:
    """The e-mail in a map, if there is one."""
    return {"email": as_stored(data.get("email"))} if isinstance(data, dict) else None
