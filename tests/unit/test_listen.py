# Where listening sockets are bound: every address of a host, and how those of a service manager are named.

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from gateway.process.listen import ListenError, Listeners, listen

HERE, NOT_HERE = "127.0.0.1", "192.0.2.1"


def host_with(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these IPv4 addresses."""

    async def found(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)


def hosts(listeners: Listeners) -> list[str]:
    """The addresses of listeners, which are closed."""
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(listener).getsockname()[0] for listener in listeners.sockets]


async def test_every_address_of_a_host_is_listened_on_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host_with(monkeypatch, HERE, "127.0.0.2", HERE)
    listeners = await listen("server.listen", "gateway.example:0", ())
    assert listeners.address.startswith(f"{HERE}:")
    assert hosts(listeners) == [HERE, "127.0.0.2"]


@pytest.mark.parametrize("addresses", [(NOT_HERE, HERE), (HERE, NOT_HERE)])
async def test_an_address_that_this_machine_lacks_is_left_out_when_there_is_another(
    addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    host_with(monkeypatch, *addresses)
    listeners = await listen("server.listen", "gateway.example:0", ())
    assert listeners.address.startswith(f"{HERE}:")
    assert hosts(listeners) == [HERE]


async def test_a_host_without_any_address_of_this_machine_cannot_be_listened_on() -> None:
    with pytest.raises(ListenError, match=r"^admin\.listen: cannot listen on 192\.0\.2\.1:0: Cannot assign"):
        await listen("admin.listen", f"{NOT_HERE}:0", ())


async def test_an_address_in_use_is_no_address_to_leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        host_with(monkeypatch, HERE, "127.0.0.2")
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError, match=r"^server\.listen: cannot listen on gateway\.example:\d+: Address already"
        ):
            await listen("server.listen", f"gateway.example:{port}", ())
        socket.create_server((HERE, port)).close()  # nothing listens there any more


async def test_a_socket_in_the_abstract_namespace_that_was_handed_over_is_named_as_systemd_does() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as handed:
        handed.bind("\0gateway-test-of-names")
        listeners = await listen("server.listen", "127.0.0.1:1", [handed])
        assert (listeners.sockets, listeners.address) == ([handed], "unix:@gateway-test-of-names")
        listeners.remove_file()


async def test_off_is_no_listener() -> None:
    assert await listen("admin.listen", "off", ()) == Listeners((), "off")
