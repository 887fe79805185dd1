# Ordinary clients in Python: each sends one create as its documentation shows it, and prints the status of the answer.

import asyncio
import http.client
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

HOST = "127.0.0.1"
Send = Callable[[int, str], int]
"""Sends a create to a port, with a text that identifies it; the status."""


def _url(port: int, path: str) -> str:
    return f"http://{HOST}:{port}{path}"


def _user(ref: str) -> dict[str, str]:
    return {"name": "Ada", "email": f"{ref}@example.org"}


def _in_pieces(ref: str) -> Iterator[bytes]:
    text = json.dumps(_user(ref)).encode()
    yield from (text[:9], text[9:])


def requests_json(port: int, ref: str) -> int:
    """A body of JSON."""
    import requests

    return requests.post(_url(port, "/users"), json=_user(ref), timeout=30).status_code


def requests_stream(port: int, ref: str) -> int:
    """A body in chunks."""
    import requests

    fields = {"Content-Type": "application/json"}
    return requests.post(_url(port, "/users"), data=_in_pieces(ref), headers=fields, timeout=30).status_code


def requests_session(port: int, ref: str) -> int:
    """With credentials and cookies."""
    import requests

    with requests.Session() as session:
        session.auth = ("ada", "secret")
        session.cookies.set("theme", "dark%20blue")
        return session.post(_url(port, "/users"), json=_user(ref), timeout=30).status_code


def requests_form(port: int, ref: str) -> int:
    """A form."""
    import requests

    return requests.post(_url(port, "/signups"), params={"ref": ref}, data=_user(ref), timeout=30).status_code


def requests_file(port: int, ref: str) -> int:
    """A form with a file."""
    import requests

    files = {"photo": ("ada.png", b"\x89PNG", "image/png")}
    url = _url(port, "/signups")
    return requests.post(url, params={"ref": ref}, data=_user(ref), files=files, timeout=30).status_code


def httpx_json(port: int, ref: str) -> int:
    """A body of JSON."""
    import httpx

    return int(httpx.post(_url(port, "/users"), json=_user(ref), trust_env=False).status_code)


def httpx_stream(port: int, ref: str) -> int:
    """A body in chunks."""
    import httpx

    fields = {"Content-Type": "application/json"}
    return int(httpx.post(_url(port, "/users"), content=_in_pieces(ref), headers=fields, trust_env=False).status_code)


def httpx_form(port: int, ref: str) -> int:
    """A form."""
    import httpx

    return int(httpx.post(_url(port, "/signups"), params={"ref": ref}, data=_user(ref), trust_env=False).status_code)


def aiohttp_json(port: int, ref: str) -> int:
    """A body of JSON."""
    return asyncio.run(_by_aiohttp(_url(port, "/users"), json=_user(ref)))


def aiohttp_form(port: int, ref: str) -> int:
    """A form."""
    return asyncio.run(_by_aiohttp(_url(port, "/signups"), params={"ref": ref}, data=_user(ref)))


def aiohttp_expect(port: int, ref: str) -> int:
    """A body of JSON that waits for 100."""
    return asyncio.run(_by_aiohttp(_url(port, "/users"), json=_user(ref), expect100=True))


async def _by_aiohttp(url: str, **what: Any) -> int:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.post(url, **what) as response:
        return response.status


def urllib3_json(port: int, ref: str) -> int:
    """A body of JSON."""
    import urllib3

    return urllib3.request("POST", _url(port, "/users"), json=_user(ref), retries=False).status


def urllib3_fields(port: int, ref: str) -> int:
    """A form in parts."""
    import urllib3

    return urllib3.request("POST", _url(port, f"/signups?ref={ref}"), fields=_user(ref), retries=False).status


def http_client_json(port: int, ref: str) -> int:
    """A body of JSON."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("POST", "/users", json.dumps(_user(ref)), {"Content-Type": "application/json"})
    return connection.getresponse().status


def http_client_chunked(port: int, ref: str) -> int:
    """A body in chunks."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    fields = {"Content-Type": "application/json"}
    connection.request("POST", "/users", _in_pieces(ref), fields, encode_chunked=True)
    return connection.getresponse().status


def stripe_create(port: int, ref: str) -> int:
    """A form with an Idempotency-Key, nested in brackets."""
    import stripe

    client = stripe.StripeClient(
        "sk_test_1",
        base_addresses={"api": _url(port, "")},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=30),
    )
    try:
        client.v1.customers.create(
            {"email": f"{ref}@example.org", "metadata": {"ref": ref}, "expand": ["sources"]}, {"idempotency_key": ref}
        )
    except stripe.StripeError as error:
        return error.http_status or 0
    return 201


def _by_boto3(port: int, service: str, ref: str, call: Callable[[Any], Any]) -> int:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    client = boto3.client(
        service,
        region_name="eu-central-1",
        endpoint_url=_url(port, ""),
        aws_access_key_id="id",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    client.meta.events.register("before-sign", lambda request, **_: request.headers.add_header("X-Ref", ref))
    try:
        return int(call(client)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def boto3_dynamodb(port: int, ref: str) -> int:
    """An item into a table."""
    item = {"email": {"S": f"{ref}@example.org"}}
    return _by_boto3(port, "dynamodb", ref, lambda client: client.put_item(TableName="users", Item=item))


def boto3_s3(port: int, ref: str) -> int:
    """An object into a bucket."""
    return _by_boto3(port, "s3", ref, lambda client: client.put_object(Bucket="users", Key=ref, Body=b"x" * 100_000))


CLIENTS: dict[str, Send] = {
    "requests, JSON": requests_json,
    "requests, a stream": requests_stream,
    "requests, a session": requests_session,
    "requests, a form": requests_form,
    "requests, a file": requests_file,
    "httpx, JSON": httpx_json,
    "httpx, a stream": httpx_stream,
    "httpx, a form": httpx_form,
    "aiohttp, JSON": aiohttp_json,
    "aiohttp, a form": aiohttp_form,
    "aiohttp, Expect": aiohttp_expect,
    "urllib3, JSON": urllib3_json,
    "urllib3, a form in parts": urllib3_fields,
    "http.client, JSON": http_client_json,
    "http.client, in chunks": http_client_chunked,
    "stripe, a customer": stripe_create,
    "boto3, a DynamoDB item": boto3_dynamodb,
    "boto3, an S3 object": boto3_s3,
}


def main() -> None:
    """Send one create by the client whose name is given, and print the status."""
    name, port, ref = sys.argv[1:]
    print(CLIENTS[name](int(port), ref))


if __name__ == "__main__":
    main()
