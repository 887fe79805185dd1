# What the front builds on in aiohttp: the public names that it uses are there, and no name of its own hides a private
# one.

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.http import HttpRequestParser

import gateway.front
from gateway.front.connection import ClientConnection
from gateway.front.server import DownstreamServer
from gateway.front.transport import ClientTransport

(FRONT,) = gateway.front.__path__
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in Path(FRONT).glob("*.py")}


def slots(kind: type) -> Iterator[str]:
    for each in kind.__mro__:
        found = each.__dict__.get("__slots__", ())
        yield from (found,) if isinstance(found, str) else found


def attributes(tree: ast.AST) -> set[str]:
    """The names that a module or class reads or writes on `self`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }


def test_no_attribute_of_a_connection_has_the_name_of_a_private_one_of_aiohttp() -> None:
    private = {name for name in (*slots(web.RequestHandler), *dir(web.RequestHandler)) if name.startswith("_")}
    own = set(ClientConnection.__slots__) | set(ClientTransport.__slots__)
    own |= attributes(ast.parse(SOURCES["connection.py"])) | attributes(ast.parse(SOURCES["transport.py"]))
    taken = sorted(name for name in own & private if not name.startswith("__"))
    assert taken == [], f"aiohttp's RequestHandler uses these names itself: rename ours in gateway/front: {taken}"


def test_no_attribute_of_the_server_has_the_name_of_a_private_one_of_aiohttp() -> None:
    source = inspect.getsource(web.Server)
    private = {name for name in attributes(ast.parse(source)) if name.startswith("_")}
    taken = sorted(private & attributes(ast.parse(SOURCES["server.py"])))
    assert taken == [], f"aiohttp's Server uses these names itself: rename ours in front/server.py: {taken}"
    assert issubclass(DownstreamServer, web.Server)


@pytest.mark.parametrize(
    "name", ["close", "connection_lost", "connection_made", "data_received", "eof_received", "pause_reading",
             "resume_reading", "resume_writing", "start", "writing_paused"]
)  # fmt: skip
def test_what_a_connection_takes_from_aiohttp_is_there(name: str) -> None:
    assert hasattr(web.RequestHandler, name), f"aiohttp's RequestHandler has no {name}; see front/transport.py"


@pytest.mark.parametrize("name", ["connection_lost", "connection_made", "connections"])
def test_what_the_server_takes_from_aiohttp_is_there(name: str) -> None:
    assert hasattr(web.Server, name), f"aiohttp's Server has no {name} any more; see front/server.py"


def test_the_parser_of_heads_is_llhttp() -> None:
    assert HttpRequestParser.__module__ == "aiohttp._http_parser", "this aiohttp was built without llhttp"
