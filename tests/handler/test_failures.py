# A fault in the gateway itself: its client is told, half an answer does not look whole, and nobody else notices.

import json
from io import StringIO
from typing import Any, cast

import pytest

from gateway.config.schema import Config
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_rule import MatchConfig, RuleConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.front.exchange import Exchange
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.handler import Handler
from gateway.proxy.stored_answers import AnswerCipher
from gateway.stores.memory import MemoryStore
from gateway.telemetry import Telemetry
from gateway.upstream.open import open_upstreams
from tests.support.behaviours import answer
from tests.support.client import BrokenBodyError, Client, request_bytes
from tests.support.handler import FINGERPRINTER, fronted, make_rooms
from tests.support.upstream import RawUpstream

CANARY = "canary-7b1f"


class Faulty:
    """Fails where a request's target says."""

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.head.target == "/told":
            exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun")
        if exchange.head.target != "/fine":
            raise ZeroDivisionError(CANARY)
        exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")


@pytest.fixture
def seen() -> list[BaseException]:
    return []


async def test_its_client_is_told_and_the_connection_ends(seen: list[BaseException]) -> None:
    async with fronted(Faulty(), failed=seen.append) as port:
        for body in (None, b"x" * 300_000):
            async with Client(port) as client:
                await client.send_raw(request_bytes("PUT", "/untold", (), body) + request_bytes("GET", "/fine"))
                response = await client.read_response("PUT")
                assert (response.status, response.slug) == (500, "internal-error")
                assert response.header("Connection") == "close"
                assert CANARY.encode() not in response.body
                assert await client.wait_for_end() in {"closed", "reset"}
        async with Client(port) as client:
            assert (await client.request("GET", "/fine")).body == b"fine"
    assert [type(error) for error in seen] == [ZeroDivisionError] * 2


async def test_an_answer_to_head_has_no_body_then_either(seen: list[BaseException]) -> None:
    async with fronted(Faulty(), failed=seen.append) as port, Client(port) as client:
        response = await client.request("HEAD", "/untold")
        assert response.status == 500
        assert await client.wait_for_end() == "closed"


async def test_an_answer_that_had_begun_does_not_look_whole(seen: list[BaseException]) -> None:
    async with fronted(Faulty(), failed=seen.append) as port, Client(port) as client:
        with pytest.raises((BrokenBodyError, ConnectionError)):
            await client.request("GET", "/told")
    assert len(seen) == 1


async def test_an_answer_that_cannot_be_encrypted_reaches_its_client_all_the_same(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its create is settled as created; a retry hears so."""

    def fail(*_: object) -> bytes:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(AnswerCipher, "encrypt", fail)
    config = Config(
        upstream=UpstreamConfig(url=upstream.url),
        rules=(RuleConfig(name="create", match=MatchConfig(path="/users"), key=KeyConfig(), retry="replay"),),
    )
    log, upstreams = StringIO(), open_upstreams(config)
    telemetry = Telemetry(log, style="json", requests="none")
    handler = Handler(make_rooms(config, MemoryStore(), upstreams, telemetry=telemetry))
    upstream.default = answer(201, (), b"made")
    async with fronted(handler) as port, Client(port) as client:
        seen = [await client.request("POST", "/users", [("Idempotency-Key", "k")]) for _ in range(2)]
    upstreams.close()
    assert [(each.status, each.slug) for each in seen] == [(201, None), (409, "duplicate")]
    assert [json.loads(line)["event"] for line in log.getvalue().splitlines()] == ["answer-not-stored"]
    assert CANARY not in log.getvalue()


def test_the_log_says_where_and_not_what() -> None:
    """What an error says may be a value of a request."""
    log = StringIO()
    telemetry = Telemetry(log, style="json")
    parts: dict[str, Any] = dict.fromkeys(HandlerDependencies.__struct_fields__) | {
        "telemetry": telemetry,
        "fingerprinter": FINGERPRINTER,
        "status_header": "off",
    }
    rooms = HandlerDependencies(**parts)
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError(CANARY)
    Handler(rooms).failed(caught.value)
    told = json.loads(log.getvalue())
    assert (told["event"], told["level"], told["reason"]) == ("handler-failed", "error", "ZeroDivisionError")
    assert cast("str", told["where"]).startswith("test_failures.py:")
    assert CANARY not in log.getvalue()
