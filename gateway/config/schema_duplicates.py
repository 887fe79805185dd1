# Tables of the rules file about what a duplicate gets.

from typing import Literal

from gateway.config.table import Table

ACCEPT_STATUS = 200
"""The default of `accept_status`, where duplicates are accepted."""


class UpsertConfig(Table, frozen=True, kw_only=True):
    """`upsert`: how a duplicate is sent to the thing that exists."""

    method: Literal["PUT", "PATCH"] = "PUT"
    """The method by which the API changes one."""
