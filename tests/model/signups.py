# Creates whose unknown outcome the gateway finds out, and what the API says when it is asked.

from gateway.config.schema_rule import MatchConfig, RuleConfig, UniqueConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.table import Duration
from gateway.http.headers import Headers
from gateway.upstream.results import UpstreamResponse
from tests.model.reference import Kind, Says

HOUR = 3600 * 1000
MINUTE = 60 * 1000
SIGNUP = Kind("signup", keep=12 * HOUR, unknown_hold=HOUR, absent_after=MINUTE)
RULE = RuleConfig(
    name=SIGNUP.name,
    match=MatchConfig(path="/signups"),
    unique=(UniqueConfig(name="email", fields=("body.email",), normalize=("casefold",)),),
    keep=Duration(12 * 3600),
    verify=VerifyConfig(
        path="/signups?email={body.email}",
        found="body.items[0].id",
        resource="/things/{body.items[0].id}",
        absent_after=Duration(60),
    ),
)
LINK = "/things/1"
"""That to what is found."""
_ANSWERS: dict[Says, tuple[int, bytes]] = {
    "exists": (200, b'{"items": [{"id": 1}]}'),
    "absent": (200, b'{"items": []}'),
    "nothing": (500, b'{"items": []}'),
}


def answer_question(says: Says) -> UpstreamResponse:
    """The API's answer to a question."""
    status, body = _ANSWERS[says]
    block = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return UpstreamResponse(status, b"Status", Headers(block), body, None, length_known=True)
