# What an API asks of a request before it creates something; everything else is a dry run, or another operation.

from collections.abc import Callable
from typing import Any

Get = Callable[[str], str | None]
"""The value of a name, as the framework gives it to ordinary code."""

CREATES: dict[str, Callable[[Get, Get, Get], bool]] = {
    "maps": lambda query, header, cookie: query("dryRun") is None,
    "stages": lambda query, header, cookie: query("stage") == "final",
    "targets": lambda query, header, cookie: header("X-Target") == "Store.Put",
    "soaps": lambda query, header, cookie: (header("SOAPAction") or "").strip('" ') == "urn:Create",
    "trials": lambda query, header, cookie: header("X-Dry-Run") is None,
    "baskets": lambda query, header, cookie: cookie("mode") == "live",
    "drafts": lambda query, header, cookie: cookie("draft") is None,
}
"""By a parameter of the query, a header field or a cookie."""
CALLS = {"calls": ("method", "user.create", "params"), "graphs": ("operationName", "CreateUser", "variables")}
"""By a value in the body: its key, what it must be, and the key of the object with the e-mail."""


def called(kind: str, data: Any) -> Any:
    """The e-mail in a body that creates, if it does; in a list, each element is a call (JSON-RPC 2.0, section 6)."""
    if isinstance(data, list):
        return next((found for each in data if (found := called(kind, each)) is not None), None)
    key, wanted, arguments = CALLS[kind]
    if not isinstance(data, dict) or data.get(key) != wanted:
        return None
    found = data.get(arguments)
    return found.get("email") if isinstance(found, dict) else None
