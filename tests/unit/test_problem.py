# The gateway's own answers: well-formed, precise, and silent about whose values they are.

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.upstream
from gateway.guard.decision import Conflict
from gateway.http.problem import KINDS, TYPE, Reply, problem
from gateway.model import FOREVER, Claim, Record, State
from gateway.proxy.answers import conflict, no_answer
from gateway.upstream.results import NoResponse, NotSent
from tests.support import wire

NOW = 1_700_000_000_123
HOUR = 3600 * 1000
CANARY = "canary-7b1f"

REGISTERED = {
    *("dns_timeout", "dns_error", "destination_not_found", "destination_unavailable", "destination_ip_prohibited"),
    *("destination_ip_unroutable", "connection_refused", "connection_terminated", "connection_timeout"),
    *("connection_read_timeout", "connection_write_timeout", "connection_limit_reached", "tls_protocol_error"),
    *("tls_certificate_error", "tls_alert_received", "http_request_error", "http_request_denied"),
    *("http_response_incomplete", "http_response_header_section_size", "http_response_header_size"),
    *("http_response_body_size", "http_response_trailer_section_size", "http_response_trailer_size"),
    *("http_response_transfer_coding", "http_response_content_coding", "http_response_timeout", "http_upgrade_failed"),
    *("http_protocol_error", "proxy_internal_response", "proxy_internal_error", "proxy_configuration_error"),
    "proxy_loop_detected",
}
"""The proxy error types of RFC 9209 2.3."""
PROXY_STATUS = re.compile(r'(?P<token>[A-Za-z*][!-~]*); error=(?P<error>[a-z_]+); details="(?P<details>[ !#-\[\]-~]*)"')
"""One item of a structured field (RFC 8941) with these two parameters."""


class Parsed:
    """An answer, read by the test kit's strict reader and by llhttp, which must agree."""

    def __init__(self, answer: bytes) -> None:
        head, separator, self.body = answer.partition(b"\r\n\r\n")
        line, self.headers = wire.parse_head(head + separator)
        self.status, self.reason = wire.parse_status_line(line)
        self.pieces: list[bytes] = []
        self.is_complete = False
        self.keeps_alive: bool | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(answer)

    def on_headers_complete(self) -> None:
        assert self._parser.get_status_code() == self.status
        self.keeps_alive = self._parser.should_keep_alive()

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.is_complete = True

    def header(self, name: str) -> str | None:
        found = wire.values(self.headers, name)
        assert len(found) < 2
        return found[0] if found else None

    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


def checked(reply: Reply, connection: bytes | None = None) -> Parsed:
    """An answer that holds all that every answer must."""
    parsed = Parsed(reply.render(connection, b""))
    assert parsed.status == reply.status == parsed.json()["status"]
    assert parsed.is_complete
    assert b"".join(parsed.pieces) == parsed.body
    assert parsed.header("Content-Length") == str(len(parsed.body))
    assert parsed.header("Content-Type") == "application/problem+json"
    assert parsed.header("Cache-Control") == "no-store"
    proxy_status = PROXY_STATUS.fullmatch(parsed.header("Proxy-Status") or "")
    assert proxy_status
    assert proxy_status["token"] == "idempotency-gateway"
    assert proxy_status["error"] in REGISTERED
    assert (
        parsed.json()["type"] == TYPE + proxy_status["details"] == "urn:problem-type:gateway:" + proxy_status["details"]
    )
    assert parsed.json()["title"]
    assert parsed.json()["detail"].endswith(".")
    return parsed


CLAIM = Claim(b"f" * 32, "create-user", "email", HOUR)


def met(how: Conflict, expires_at: int | None = NOW + HOUR, resource: str | None = None, now: int = NOW) -> Parsed:
    state = {
        Conflict.IN_PROGRESS: State.IN_FLIGHT,
        Conflict.DUPLICATE: State.CREATED,
        Conflict.OUTCOME_UNKNOWN: State.UNKNOWN,
        Conflict.KEY_REUSED: State.CREATED,
    }[how]
    record = Record(CLAIM.fingerprint, b"owner", state, "other-rule", "other", NOW - HOUR, expires_at, HOUR, resource)
    return checked(conflict(how, CLAIM, record, now, shows_link=True))


SLUGS = [
    ("duplicate", 409, "http_request_denied"),
    ("in-progress", 409, "http_request_denied"),
    ("outcome-unknown", 409, "http_request_denied"),
    ("key-reused", 422, "http_request_denied"),
    ("key-missing", 400, "http_request_denied"),
    ("key-malformed", 400, "http_request_denied"),
    ("missing-identity", 422, "http_request_denied"),
    ("duplicate-in-batch", 422, "http_request_denied"),
    ("too-many-items", 413, "http_request_denied"),
    ("body-too-large", 413, "http_request_denied"),
    ("ambiguous-path", 400, "http_request_denied"),
    ("method-override", 400, "http_request_denied"),
    ("hidden-field", 400, "http_request_denied"),
    ("unusual-request", 400, "http_request_denied"),
    ("request-incomplete", 400, "http_request_denied"),
    ("bad-request", 400, "http_request_error"),
    ("target-too-long", 414, "http_request_error"),
    ("head-too-large", 431, "http_request_error"),
    ("request-timeout", 408, "http_request_error"),
    ("not-supported", 501, "http_request_error"),
    ("version-not-supported", 505, "http_request_error"),
    ("no-route", 404, "destination_not_found"),
    ("too-many-connections", 503, "connection_limit_reached"),
    ("store-unavailable", 503, "proxy_internal_error"),
    ("overloaded", 503, "proxy_internal_error"),
    ("spool-unavailable", 503, "proxy_internal_error"),
    ("internal-error", 500, "proxy_internal_error"),
]


class TestProblem:
    @pytest.mark.parametrize(("slug", "status", "error"), SLUGS)
    def test_each_slug_has_its_status_and_proxy_error(self, slug: str, status: int, error: str) -> None:
        parsed = checked(problem(slug, "It is so."))
        assert parsed.status == status
        assert f"error={error};" in (parsed.header("Proxy-Status") or "")
        assert parsed.json()["type"].endswith(f":{slug}")
        assert parsed.json()["detail"] == "It is so."

    def test_no_slug_is_forgotten(self) -> None:
        assert {slug for slug, _, _ in SLUGS} == set(KINDS)

    @pytest.mark.parametrize("slug", KINDS)
    def test_what_is_not_known_is_left_out(self, slug: str) -> None:
        keys = set(checked(problem(slug, "It is so.")).json())
        assert keys <= {"type", "title", "status", "detail", "suggestedNextStep"}
        keys = set(checked(problem(slug, "It is so.", "create-user")).json())
        assert keys <= {"type", "title", "status", "detail", "suggestedNextStep", "rule"}

    @pytest.mark.parametrize("slug", KINDS)
    def test_what_passes_by_itself_says_when_to_try_again(self, slug: str) -> None:
        waits = slug in {"in-progress", "store-unavailable", "spool-unavailable", "overloaded", "too-many-connections"}
        assert checked(problem(slug, "It is so.")).header("Retry-After") == ("1" if waits else None)

    @pytest.mark.parametrize("connection", [None, b"close", b"keep-alive"])
    def test_the_connection_field_is_the_one_that_is_given(self, connection: bytes | None) -> None:
        parsed = checked(problem("missing-identity", "It is so."), connection)
        assert parsed.header("Connection") == (None if connection is None else connection.decode())
        assert parsed.keeps_alive is (connection != b"close")

    def test_what_leaves_the_next_request_uncertain_ends_the_connection(self) -> None:
        assert {slug for slug in KINDS if problem(slug, "It is so.").closes} == {
            *("bad-request", "body-too-large", "head-too-large", "internal-error", "not-supported"),
            *("request-incomplete", "request-timeout", "target-too-long", "too-many-connections"),
            "version-not-supported",
        }

    def test_an_answer_to_head_has_the_head_alone(self) -> None:
        whole = problem("ambiguous-path", "It is so.").render(None, b"")
        head = problem("ambiguous-path", "It is so.").render(None, b"", head_only=True)
        assert whole.startswith(head)
        assert head.endswith(b"\r\n\r\n")
        assert len(whole) - len(head) == int(Parsed(whole).header("Content-Length") or 0) > 0

    @given(st.text(), st.text())
    def test_no_text_breaks_the_answer(self, detail: str, rule: str) -> None:
        parsed = checked(problem("missing-identity", detail + ".", rule))
        assert parsed.json()["detail"] == detail + "."
        assert parsed.json()["rule"] == rule
        assert len(parsed.headers) == 4


class TestConflict:
    @pytest.mark.parametrize("how", Conflict)
    def test_it_names_the_rule_and_the_entry_that_was_asked_for(self, how: Conflict) -> None:
        answer = met(how).json()
        assert answer["type"] == f"urn:problem-type:gateway:{how.value}"
        assert answer["status"] == (422 if how is Conflict.KEY_REUSED else 409)
        assert (answer["rule"], answer["conflictField"]) == ("create-user", "email")
        assert '"email"' in answer["detail"]
        assert answer["suggestedNextStep"]
        assert answer["firstSeen"] == "2023-11-14T21:13:20.123Z"

    def test_a_duplicate_shows_the_resource_and_no_other_answer_does(self) -> None:
        assert met(Conflict.DUPLICATE, resource="/users/1").json()["existingResourceLink"] == "/users/1"
        assert "existingResourceLink" not in met(Conflict.DUPLICATE).json()
        for how in (Conflict.IN_PROGRESS, Conflict.OUTCOME_UNKNOWN):
            assert "existingResourceLink" not in met(how, resource="/users/1").json()

    @pytest.mark.parametrize(
        ("how", "expires_at", "said"),
        [
            (Conflict.DUPLICATE, NOW + HOUR, "2023-11-14T23:13:20.123Z"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 877, "2023-11-14T22:13:21.000Z"),
            (Conflict.IN_PROGRESS, None, None),
            (Conflict.DUPLICATE, FOREVER, None),
            (Conflict.OUTCOME_UNKNOWN, FOREVER, None),
        ],
    )
    def test_the_expiry_is_said_unless_there_is_none(
        self, how: Conflict, expires_at: int | None, said: str | None
    ) -> None:
        assert met(how, expires_at).json().get("expiresAt") == said

    @pytest.mark.parametrize(
        ("how", "expires_at", "seconds"),
        [
            (Conflict.DUPLICATE, NOW + HOUR, None),
            (Conflict.DUPLICATE, FOREVER, None),
            (Conflict.IN_PROGRESS, None, "1"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 1, "1"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 1000, "1"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 1001, "2"),
            (Conflict.OUTCOME_UNKNOWN, NOW + HOUR, "3600"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 24 * HOUR, "86400"),
            (Conflict.OUTCOME_UNKNOWN, NOW + 48 * HOUR, "86400"),
            (Conflict.OUTCOME_UNKNOWN, FOREVER, "86400"),
        ],
    )
    def test_retry_after_says_when_it_may_be_free(
        self, how: Conflict, expires_at: int | None, seconds: str | None
    ) -> None:
        assert met(how, expires_at).header("Retry-After") == seconds

    @given(st.integers(0, 10**14), st.integers(1, 10**14))
    def test_a_client_that_waits_as_told_is_not_too_early_within_a_day(self, now: int, hold: int) -> None:
        seconds = int(met(Conflict.OUTCOME_UNKNOWN, now + hold, now=now).header("Retry-After") or 0)
        assert 1 <= seconds <= 86400
        assert seconds * 1000 >= min(hold, 86_400_000)
        assert (seconds - 1) * 1000 < hold

    @given(st.integers(0, 5 * 10**12))  # a hundred years, the longest time that can be configured, and some
    def test_times_are_rfc_3339_in_utc_to_the_millisecond(self, time: int) -> None:
        said = met(Conflict.DUPLICATE, time).json()["expiresAt"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said)
        read = datetime.fromisoformat(said)
        assert read.tzinfo == UTC
        assert round(read.timestamp() * 1000) == time

    def test_nothing_of_the_first_caller_is_shown(self) -> None:
        """Another caller's owner token and rule, and the fingerprint, are no business of the second one."""
        record = Record(CANARY.encode(), CANARY.encode(), State.CREATED, CANARY, CANARY, NOW, NOW + HOUR, HOUR)
        answer = conflict(Conflict.DUPLICATE, CLAIM, record, NOW, shows_link=True).render(None, b"")
        assert CANARY.encode() not in answer
        assert CANARY.encode().hex().encode() not in answer
        assert CLAIM.fingerprint not in answer

    def test_braces_in_an_entrys_name_are_left_alone(self) -> None:
        claim = Claim(b"f" * 32, "r", "{0} {x}", HOUR)
        record = Record(b"f" * 32, b"o", State.CREATED, "r", "{0} {x}", NOW, NOW + HOUR, HOUR)
        assert (
            '"{0} {x}"' in checked(conflict(Conflict.DUPLICATE, claim, record, NOW, shows_link=True)).json()["detail"]
        )


class TestUpstream:
    @pytest.mark.parametrize(
        ("kind", "slug", "retry_after"),
        [(NotSent, "upstream-unreachable", "1"), (NoResponse, "outcome-unknown", None)],
    )
    @pytest.mark.parametrize(("timed_out", "status"), [(True, 504), (False, 502)])
    def test_what_was_not_sent_may_be_sent_again_and_what_was_sent_may_not(
        self,
        kind: Callable[..., NotSent | NoResponse],
        slug: str,
        retry_after: str | None,
        timed_out: bool,
        status: int,
    ) -> None:
        result = kind("connection_timeout", timed_out=timed_out)
        parsed = checked(no_answer(result, "create-user"), b"close")
        assert (parsed.status, parsed.header("Retry-After")) == (status, retry_after)
        assert parsed.json()["type"].endswith(f":{slug}")
        assert parsed.json()["rule"] == "create-user"
        assert "error=connection_timeout;" in (parsed.header("Proxy-Status") or "")
        assert not parsed.keeps_alive

    def test_every_error_that_the_upstream_package_names_is_registered(self) -> None:
        (package,) = gateway.upstream.__path__
        text = "".join(file.read_text(encoding="utf-8") for file in Path(package).glob("*.py"))
        named = set(re.findall(r'"((?:dns|destination|connection|tls|http|proxy)_[a-z_]+)"', text))
        assert len(named) > 5
        assert named <= REGISTERED


MORE = b"X-Request-Id: 7\r\nX-Other: 8\r\n"


@pytest.mark.parametrize("head_only", [False, True])
def test_header_lines_that_are_given_go_along(*, head_only: bool) -> None:
    record = Record(b"f" * 32, b"o", State.CREATED, "r", "e", NOW, NOW + HOUR, HOUR)
    replies = [
        problem("duplicate", "It is so."),
        no_answer(NotSent("dns_error"), None),
        no_answer(NoResponse("connection_terminated"), None),
        conflict(Conflict.DUPLICATE, CLAIM, record, NOW, shows_link=True),
    ]
    for reply in replies:
        answer = reply.render(b"close", MORE, head_only=head_only)
        head, _, _ = answer.partition(b"\r\n\r\n")
        _, headers = wire.parse_head(head + b"\r\n\r\n")
        assert headers[-3:] == [("Connection", "close"), ("X-Request-Id", "7"), ("X-Other", "8")]
