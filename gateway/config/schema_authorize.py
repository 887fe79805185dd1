# `authorize` of a rule: who may know what exists. Knows nothing of files or of the wire.

from typing import Literal

from gateway.config.table import Duration, Table


class AuthorizeConfig(Table, frozen=True, kw_only=True):
    """`authorize`: a question to the API, with a caller's own credentials, before an answer tells of other creates."""

    path: str
    """What is asked for by GET: a path of the API that only those may read who may know."""
    cache: Duration = Duration(60)
    """For how long a caller whom the API allowed is not asked about again; "0s" asks each time."""
    before: Literal["answer", "claim"] = "answer"
    """When it is asked: before an answer tells of another create, or before anything is claimed."""
