# What is kept of an answer for retries, how it is encrypted, and what stays in memory.

import os

import pytest

from gateway.http.headers import Headers
from gateway.proxy import stored_answers
from gateway.proxy.stored_answers import AnswerCipher, RecentAnswers, for_retries
from gateway.upstream.results import UpstreamResponse

OWNER, OTHER = b"o" * 16, b"p" * 16
CIPHER = AnswerCipher(b"k" * 32)


def answer(body: bytes = b"made", status: int = 201, fields: bytes = b"Location: /users/1\r\n") -> UpstreamResponse:
    return UpstreamResponse(status, b"Created", Headers(fields), body, None, length_known=True)


def said(response: UpstreamResponse | None) -> tuple[int, bytes, bytes, bytes] | None:
    """What an answer says."""
    if response is None:
        return None
    return response.status, response.reason, response.headers.block, response.body


def test_a_retry_gets_no_field_that_is_about_that_moment_or_that_connection() -> None:
    fields = (
        b"Location: /users/1\r\nDate: now\r\nSet-Cookie: a=b\r\nProxy-Status: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
    )
    assert for_retries(answer(fields=fields)).headers.block == b"Location: /users/1\r\nContent-Length: 4\r\n"
    assert for_retries(answer(b"", 204)).headers.block == b"Location: /users/1\r\n"


@pytest.mark.parametrize("body", [b"", b"made", b"x" * 511, b"x" * 512, os.urandom(70_000)])
def test_what_was_encrypted_is_read_by_its_own_operation_alone(body: bytes) -> None:
    kept = for_retries(answer(body))
    stored = CIPHER.encrypt(OWNER, kept)
    assert said(CIPHER.decrypt(OWNER, stored)) == said(kept)
    assert CIPHER.decrypt(OTHER, stored) is None
    assert AnswerCipher(b"l" * 32).decrypt(OWNER, stored) is None
    for changed in (b"", stored[:-1], stored[:1] + bytes([stored[1] ^ 1]) + stored[2:], b"\x01" + stored[1:]):
        assert CIPHER.decrypt(OWNER, changed) is None
    assert CIPHER.encrypt(OWNER, kept) != stored


def test_a_large_answer_is_compressed() -> None:
    assert len(CIPHER.encrypt(OWNER, answer(b"x" * 10_000))) < 500


def test_the_oldest_answers_leave_the_memory_first(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = for_retries(answer())
    monkeypatch.setattr(stored_answers, "MAX_RECENT", 2 * (len(kept.headers.block) + len(kept.body)))
    recent = RecentAnswers()
    for owner in (b"1", b"1", b"2", b"3"):
        recent.remember(owner, kept)
    assert [recent.get(owner) is not None for owner in (b"1", b"2", b"3", b"4")] == [False, True, True, False]
