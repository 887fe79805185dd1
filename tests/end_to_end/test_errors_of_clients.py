# Client libraries that know errors of their own kind: they see one of these for a duplicate, with the templates of
# config/answers.toml.

import asyncio
import contextlib
import tomllib
from collections.abc import Callable

import httpx2
import pytest
import scim2_client
import scim2_client.engines.httpx2
import scim2_models
import stripe

from tests.conftest import StartGateway
from tests.support import behaviours
from tests.support.config import ROOT
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

RULES = tomllib.loads((ROOT / "config" / "answers.toml").read_text(encoding="utf-8"))["rules"]
BARE = [{key: value for key, value in rule.items() if key != "answers"} for rule in RULES]
CUSTOMER = behaviours.answer(200, [("Content-Type", "application/json")], b'{"id": "cus_1", "object": "customer"}')
USER = (
    b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "1", "userName": "tess",'
    b' "meta": {"resourceType": "User", "location": "/scim/v2/Users/1"}}'
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stripe wait a moment before it retries, and have no proxy of the environment between."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.05)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def create_customer(port: int, key: str, email: str = "ada@example.org", order: str = "7") -> str:
    with contextlib.closing(stripe.RequestsClient(timeout=PATIENCE)) as http_client:
        client = stripe.StripeClient(
            "sk_test_1",
            base_addresses={"api": f"http://127.0.0.1:{port}"},
            http_client=http_client,
            max_network_retries=2,
        )
        made = client.v1.customers.create({"email": email}, {"idempotency_key": key, "headers": {"X-Order-Id": order}})
    return made.id


async def raised_by(call: Callable[..., object], *arguments: object) -> Exception:
    """What a client, which blocks, raises in a thread of its own."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - which one is what the tests are about
        await asyncio.to_thread(call, *arguments)
    return raised.value


async def test_stripe_raises_for_a_duplicate_what_it_raises_for_one_of_the_api(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    program = await gateway(rules=RULES)
    upstream.script(CUSTOMER)
    assert await asyncio.to_thread(create_customer, program.port, "k-1") == "cus_1"
    assert await asyncio.to_thread(create_customer, program.port, "k-1") == "cus_1", "a retry is a replay"
    error = await raised_by(create_customer, program.port, "k-2")
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, "resource_already_exists", "order")
    assert error.user_message == (
        'A resource with the same "order" was created before. Do not send it again. Use the existing resource.'
    )
    reused = await raised_by(create_customer, program.port, "k-1", "bob@example.org")
    assert isinstance(reused, stripe.IdempotencyError)
    assert 'The same "Idempotency-Key" was sent before' in str(reused)
    told = [line["outcome"] for line in await program.request_lines(4)]
    assert told == ["created", "replayed", "duplicate", "key-reused"], "what cannot change is not retried"
    assert len(upstream.requests) == 1


async def test_stripe_raises_an_error_for_an_unknown_outcome(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=RULES)
    upstream.script(behaviours.close_without_answer())
    error = await raised_by(create_customer, program.port, "k-1")
    assert isinstance(error, stripe.APIError)
    assert (error.http_status, error.error and error.error.code) == (409, "outcome-unknown")
    assert len(upstream.requests) == 1


def create_user(port: int) -> object:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}/scim/v2", timeout=PATIENCE, trust_env=False) as http_client:
        provider = scim2_models.ScimProvider([scim2_models.User])
        client = scim2_client.engines.httpx2.SyncSCIMClient(http_client, provider=provider)
        return client.create(scim2_models.User(user_name="tess"))


async def test_a_scim_client_raises_uniqueness(upstream: RawUpstream, gateway: StartGateway) -> None:
    program = await gateway(rules=RULES)
    upstream.script(behaviours.answer(201, [("Content-Type", "application/scim+json")], USER))
    made = await asyncio.to_thread(create_user, program.port)
    assert isinstance(made, scim2_models.User)
    error = await raised_by(create_user, program.port)
    assert isinstance(error, scim2_models.UniquenessException)
    assert 'A resource with the same "userName" was created before.' in str(error)
    assert len(upstream.requests) == 1


async def test_without_the_templates_neither_sees_an_error_of_its_own_kind(
    upstream: RawUpstream, gateway: StartGateway
) -> None:
    """So that what the tests above see comes from the templates."""
    program = await gateway(rules=BARE)
    upstream.script(CUSTOMER, behaviours.answer(201, [("Content-Type", "application/scim+json")], USER))
    await asyncio.to_thread(create_customer, program.port, "k-1")
    await asyncio.to_thread(create_user, program.port)
    assert type(await raised_by(create_customer, program.port, "k-2")) is stripe.APIError
    assert isinstance(await raised_by(create_user, program.port), scim2_client.UnexpectedContentTypeException)
