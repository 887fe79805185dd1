# Sends the identical creates of a probe, each exactly once.

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
from multidict import CIMultiDict

from gateway import __version__
from gateway.commands.probe.report import Result

MARKER = "{{unique}}"

ANSWER_LIMIT = 1024 * 1024
"""Bytes of a response's body that are read; the rest is ignored."""

GIVE_UP_AFTER = 3
"""Creates in a row without an answer, after which the rest of a sequence is not sent."""


class Plan(msgspec.Struct, frozen=True):
    """What to send: one request, `count` times in each phase, each given `timeout` seconds."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    count: int
    timeout: float

    @property
    def has_marker(self) -> bool:
        """Whether each phase gets an identity of its own."""
        values = [self.url, *(value for _, value in self.headers)]
        return MARKER.encode() in self.body or any(MARKER in value for value in values)

    def filled(self) -> "Plan":
        """Return the plan with one fresh value in place of the marker."""
        value = secrets.token_hex(6)
        return msgspec.structs.replace(
            self,
            url=self.url.replace(MARKER, value),
            headers=tuple((name, text.replace(MARKER, value)) for name, text in self.headers),
            body=self.body.replace(MARKER.encode(), value.encode()),
        )


async def send_in_sequence(plan: Plan) -> AsyncIterator[Result]:
    """Send one after the other, and yield each result; ends early when there are no answers."""
    unanswered = 0
    async with _session(plan) as session:
        for _ in range(plan.count):
            result = await _send(session, plan)
            yield result
            unanswered = 0 if result.status is not None else unanswered + 1
            if unanswered == GIVE_UP_AFTER:
                return


async def send_at_once(plan: Plan) -> AsyncIterator[Result]:
    """Send all concurrently, each over its own connection, and yield the results as they arrive."""
    async with _session(plan) as session:
        sending = [asyncio.ensure_future(_send(session, plan)) for _ in range(plan.count)]
        for done in asyncio.as_completed(sending):
            yield await done


def _session(plan: Plan) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # One connection per create: a reused one that the API has just closed would look like a lost answer.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=plan.timeout),
        # With a cookie from the first answer, the second create would differ from the first.
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"gateway-probe/{__version__}"},
    )


async def _send(session: aiohttp.ClientSession, plan: Plan) -> Result:
    began = time.perf_counter()
    try:
        async with session.request(
            plan.method,
            plan.url,
            headers=CIMultiDict(plan.headers),
            data=plan.body or None,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        ) as answer:
            seconds = time.perf_counter() - began
            location = answer.headers.get("Location")
            resource = location if location is not None else _id_in(await _body(answer))
            return Result(seconds, status=answer.status, resource=resource)
    except TimeoutError:
        return Result(time.perf_counter() - began, error=f"no answer within {plan.timeout:g} s")
    except aiohttp.ClientConnectionError as error:
        sent = not isinstance(error, aiohttp.ClientConnectorError)
        what = "no answer" if sent else "no connection"
        return Result(time.perf_counter() - began, error=f"{what}: {_reason(error)}", sent=sent)
    except aiohttp.ClientError as error:
        return Result(time.perf_counter() - began, error=f"an answer that is not HTTP: {error}")


def _reason(error: aiohttp.ClientConnectionError) -> str:
    # The number of a TLS error is OpenSSL's, and would be misread as an errno.
    if isinstance(error, aiohttp.ClientOSError) and not isinstance(error, aiohttp.ClientSSLError):
        return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return str(error)


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    try:
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > ANSWER_LIMIT:
                break
    except (aiohttp.ClientError, TimeoutError):
        return b""  # the status has arrived, and shows whether the create was accepted
    return bytes(body)


def _id_in(body: bytes) -> str | None:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = value.get("id") if isinstance(value, dict) else None
    return f"id {found}" if isinstance(found, str | int | float) else None
