# What a Valkey server must be set to, so that a claim that it confirmed is not lost.

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.errors import StoreError
from gateway.stores.demands import Demands

Ask = Callable[..., Awaitable[Any]]


async def require(demands: Demands, facts: Mapping[str, Any], ask: Ask, *, in_cluster: bool = False) -> None:
    """Raise StoreError for a server that cannot keep the promise; `facts` is what it says of itself.

    `in_cluster` says whether the URL is that of a cluster: only then is the server looked for anew when claims move.
    """
    is_node = bool(int(facts.get("cluster_enabled", 0)))
    if is_node and not in_cluster:
        raise StoreError(
            "the server is a node of a cluster, in which claims may move to another node; write "
            '"valkey+cluster://HOST:PORT,HOST:PORT" with some of its nodes'
        )
    if in_cluster and not is_node:
        raise StoreError('the server is no node of a cluster; write "valkey://HOST:PORT"')
    if facts.get("role") != "master":
        raise StoreError("the server is a replica, which takes no claims; name the primary, or use Sentinel")
    if int(facts.get("loading", 0)):
        raise StoreError("the server is still loading its data")
    connected = int(facts.get("connected_slaves", 0))
    if connected < demands.replicas:
        raise StoreError(f"the server has {connected} replicas, and store.replicas demands {demands.replicas}")
    if not demands.is_trusted:
        await _require_settings(demands, facts, ask)


async def _require_settings(demands: Demands, facts: Mapping[str, Any], ask: Ask) -> None:
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise StoreError(
            f"maxmemory-policy is {policy}, by which the server throws claims away when its memory is full; set it to "
            "noeviction"
        )
    if not int(facts.get("aof_enabled", 0)):
        raise StoreError(
            "appendonly is no, so that a restart of the server forgets claims; set it to yes, or write "
            "store.trust_server = true if it keeps what it confirmed in another way"
        )
    if facts.get("aof_last_write_status", "ok") != "ok":
        raise StoreError("the server cannot write its append-only file: its disk is full, or fails")
    if demands.durability == "power" and await _setting(ask, "appendfsync") != "always":
        raise StoreError(
            "appendfsync is not always, so that a power cut takes claims that were confirmed; set it, or write "
            'store.durability = "process"'
        )


async def _setting(ask: Ask, name: str) -> str:
    try:
        found = await ask("CONFIG", "GET", name)
    except Exception as error:
        raise StoreError(
            f"the server does not say what {name} is; allow CONFIG GET, or write store.trust_server = true"
        ) from error
    pairs = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    value = next(iter(pairs.values()), b"")
    return value.decode() if isinstance(value, bytes) else str(value)
