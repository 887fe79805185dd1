# What opening a store that several gateways share needs, whatever the server.

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.errors import StoreError, StoreOpenError


@contextlib.asynccontextmanager
async def opening(
    close: Callable[[], Awaitable[None]],
    failures: tuple[type[Exception], ...],
    reason: Callable[[BaseException], str],
) -> AsyncIterator[None]:
    """Close the connection, and raise StoreOpenError, when the store turns out not to be usable."""
    expected: tuple[type[Exception], ...] = (StoreError, *failures)
    try:
        yield
    except expected as error:
        await close()
        why = str(error) if isinstance(error, StoreError) else reason(error)
        raise StoreOpenError(f"the store cannot be used: {why}") from error


def node_name() -> bytes:
    """A name that no other process has."""
    return os.urandom(8).hex().encode()
