# Opens a store on a Valkey server: looks at its settings, and at whose claims it has. Needs the extra `redis`.

from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreError
from gateway.stores.base import Opened
from gateway.stores.demands import Demands
from gateway.stores.nodes import Nodes, system_clock
from gateway.stores.opening import node_name, opening
from gateway.stores.recovery import Recovery
from gateway.stores.valkey import ValkeyStore
from gateway.stores.valkey_checks import require
from gateway.stores.valkey_find import Finder
from gateway.stores.valkey_link import Link, reason
from gateway.stores.valkey_records import Keys
from gateway.stores.valkey_sentinels import FAILURES
from gateway.stores.valkey_server import ValkeyServer


async def open_valkey(
    url: ValkeyStoreUrl,
    demands: Demands,
    key_check: bytes,
    *,
    prefix: str = "idempotency-gateway",
    commit_timeout: float = 0.8,
    max_waiting: int = 4096,
    node_timeout: float = 15.0,
    failover_grace: float = 2.0,
    wall_clock: Callable[[], int] = system_clock,
    restored: Callable[[int, int], None] = lambda _restored, _taken: None,
    polls: Callable[[str], None] = lambda _why: None,
    abandoned: Callable[[int], None] = lambda _unknown: None,
) -> Opened:
    """Connect to a Valkey server, or to Redis, or to the node of a cluster that has the claims. Times in seconds.

    `wall_clock` gives milliseconds since the epoch.

    `restored` hears of claims that were put back on a server that had lost them, and of those that others held by then;
    `polls` why it is not told when other gateways' operations end, but looks for that, time after time; `abandoned` of
    claims whose outcome is unknown because another gateway has stopped.
    Raises StoreOpenError when it cannot be reached, is not set as `demands` say, or has claims that were written with
    another fingerprint key.
    """
    keys, node = Keys(prefix), node_name()
    timeout = max(commit_timeout, 1.0)
    link = Link(Finder(url, timeout, keys.server), timeout)

    async def check(facts: Mapping[str, Any]) -> None:
        await require(demands, facts, link.ask, in_cluster=url.cluster)
        if await link.ask("GET", keys.key_check) is None:  # a full server reads all the same
            await link.ask("SET", keys.key_check, key_check, "NX")
        if await link.ask("GET", keys.key_check) != key_check:
            raise StoreError("its claims were written with another fingerprint key; restore that one")

    server = ValkeyServer(link, keys, node, Nodes(node, node_timeout), check, wall_clock, abandoned)
    recovery = Recovery(server, grace=failover_grace, told=restored)
    async with opening(link.close, FAILURES, reason):
        await recovery.ready()
        is_new = not (await server.look()).commits
    store = ValkeyStore(
        link,
        keys,
        server,
        recovery,
        polls=polls,
        commit_timeout=commit_timeout,
        max_waiting=max_waiting,
        node_timeout=node_timeout,
        replicas=demands.replicas,
    )
    return Opened(store, 0, is_new)
