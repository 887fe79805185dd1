# What makes a server one that must not be asked to keep claims: creates are refused until it is well again.

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from campaigns.cluster.nodes import Cluster
from campaigns.crash.upstream import CountingUpstream
from campaigns.promotions.sites import Pair, Site, answers
from tests.support import faults
from tests.support.client import create
from tests.support.postgresql import PostgresServer, new_folder, new_server
from tests.support.tally import PATIENCE

SMALL_DISK = 192 * 2**20
HEALTHY_WITHIN = 5.0
"""Seconds."""
_LOOKED_AT = 90.0
"""Seconds after which a fault must have been noticed: settings are looked at once a minute."""
_CREATES = 50
"""Sent while all gateways refuse, to each."""


@dataclass
class Refusals:
    """What was seen of one fault."""

    fault: str
    noticed_after: float
    """Seconds until all gateways refused."""
    refused: int
    forwarded: int
    """How many of the creates that were sent while all refused reached the API, of these and of the load."""
    others: list[str]
    """What was answered to others of them."""
    reasons: set[str]
    healthy_after: float
    """Seconds until each gateway created again."""


Fault = Callable[[Site], contextlib.AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def _set(site: Site, **settings: str) -> AsyncIterator[None]:
    await asyncio.to_thread(site.primary.set, **settings)
    yield
    await asyncio.to_thread(site.primary.set, **dict.fromkeys(settings, ""))


@contextlib.asynccontextmanager
async def hot_standby(site: Site) -> AsyncIterator[None]:
    """The primary starts as a standby, and is promoted in the end."""
    server = site.primary
    await asyncio.to_thread(server.stop)
    (server.data / "standby.signal").touch()
    await asyncio.to_thread(server.start)
    yield
    await asyncio.to_thread(server.promote)


@contextlib.asynccontextmanager
async def standby_gone(site: Site) -> AsyncIterator[None]:
    """Commits have nobody to wait for."""
    assert isinstance(site, Pair)
    await asyncio.to_thread(site.standby.stop, "immediate")
    yield
    await asyncio.to_thread(site.standby.start)


@contextlib.asynccontextmanager
async def disk_full(site: Site) -> AsyncIterator[None]:
    """No block is left; a server that ended for it is started again once there are some."""
    with faults.filled(site.primary.data.parent):
        yield
    if not await asyncio.to_thread(_comes_back, site.primary):
        with contextlib.suppress(RuntimeError):  # it has no process to be stopped
            await asyncio.to_thread(site.primary.stop, "immediate")
        await asyncio.to_thread(site.primary.start)


def _comes_back(server: PostgresServer) -> bool:
    return server.is_running() and answers(server)


FAULTS: dict[str, tuple[Fault, str]] = {
    "read-only": (lambda site: _set(site, default_transaction_read_only="on"), "read-only"),
    "hot-standby": (hot_standby, "standby|session is read-only"),
    "asynchronous-commits": (lambda site: _set(site, synchronous_commit="off"), "synchronous_commit is off"),
    "no-standby": (standby_gone, "0 synchronous standbys"),
    "disk-full": (disk_full, "No space left|could not extend|could not write|does not answer"),
}
"""By name, with what one of the reasons must contain."""


@contextlib.asynccontextmanager
async def small() -> AsyncIterator[Site]:
    """A server on a small disk, which nobody cleans up in the background."""
    folder = new_folder()
    with faults.small_disk(folder, SMALL_DISK):
        settings = {"autovacuum": "off", "max_wal_size": "64MB", "min_wal_size": "32MB"}
        server = await asyncio.to_thread(new_server, folder, settings)
        try:
            yield Site(server)
        finally:
            await asyncio.to_thread(server.stop, "immediate")


async def look_at(name: str, site: Site, cluster: Cluster, api: CountingUpstream) -> Refusals:
    """Have a fault, until all gateways have refused creates because of it, and then have it end."""
    loop, numbers, (fault, _) = asyncio.get_running_loop(), itertools.count(), FAULTS[name]
    others: list[str] = []

    async def slugs() -> list[str]:
        """What a new create is answered by each gateway."""
        names = [f"{name}-fault-{next(numbers)}" for _ in cluster.ports]
        sent = [
            create(port, email, headers=[("X-Identity", email)])
            for port, email in zip(cluster.ports, names, strict=True)
        ]
        return [seen.slug or str(seen.status) for seen in await asyncio.gather(*sent)]

    async with contextlib.AsyncExitStack() as stack:
        began = loop.time()
        await stack.enter_async_context(fault(site))
        before = [id(event) for event in cluster.events("store-failure")]
        await _within(_LOOKED_AT, lambda: _all(slugs, "store-unavailable"), f"{name} is not noticed")
        noticed = loop.time() - began
        reached = api.counts.total()
        for _ in range(_CREATES):
            others += [slug for slug in await slugs() if slug != "store-unavailable"]
            await asyncio.sleep(0.01)
        forwarded = api.counts.total() - reached
        failures = [event for event in cluster.events("store-failure") if id(event) not in before]
    ended = loop.time()
    await _within(PATIENCE, lambda: _all(slugs, "201", "200", "202"), f"{name} has not ended")
    refused = _CREATES * len(cluster.ports) - len(others)
    reasons = {str(event["reason"]) for event in failures}
    return Refusals(name, noticed, refused, forwarded, others, reasons, loop.time() - ended)


async def _all(slugs: Callable[[], Awaitable[list[str]]], *wanted: str) -> bool:
    return set(await slugs()) <= set(wanted)


async def _within(seconds: float, look: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not await look():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(otherwise) from None


def broken(seen: Refusals) -> Iterator[str]:
    """What is not as it must be."""
    expected = FAULTS[seen.fault][1]
    if seen.forwarded or seen.others:
        yield f"{seen.fault}: {seen.forwarded} creates were forwarded, {len(seen.others)} not refused {seen.others[:3]}"
    if not any(part in reason for part in expected.split("|") for reason in seen.reasons):
        yield f"{seen.fault}: no reason says {expected}: {sorted(seen.reasons)}"
    if seen.healthy_after > HEALTHY_WITHIN:
        yield f"{seen.fault}: creates passed only {seen.healthy_after:.1f} s after its end"
