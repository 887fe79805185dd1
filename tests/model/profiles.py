# Creates whose duplicates are sent to the thing that exists, and what the API makes of such a change.

from typing import get_args

from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.table import Duration
from gateway.http.headers import Headers
from gateway.upstream.results import NoResponse, UpstreamResponse
from tests.model.reference import Changes, Kind

CHANGES: tuple[Changes, ...] = get_args(Changes)
PROFILE = Kind("profile", keep=3600_000, unknown_hold=60_000, upserts=True)
RULE = RuleConfig(
    name=PROFILE.name,
    reject_after=Duration(0),
    match=MatchConfig(path="/profiles"),
    unique=(UniqueConfig(name="email", fields=("body.email",)),),
    keep=Duration(3600),
    unknown_hold=Duration(60),
    resource="header.Location",
    duplicate="upsert",
)
_STATUSES: dict[Changes, int] = {"changed": 200, "gone": 410, "missing": 404}


def answer_change(changes: Changes) -> UpstreamResponse | NoResponse:
    """The API's answer to a change of a thing."""
    if changes == "lost":
        return NoResponse("connection_terminated")
    block = Headers(b"Content-Length: 2\r\n")
    return UpstreamResponse(_STATUSES[changes], b"Status", block, b"{}", None, length_known=True)
