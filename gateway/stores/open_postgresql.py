# Opens a store on a PostgreSQL server: looks at its settings, and at whose claims it has. Needs the extra `postgresql`.

from collections.abc import Callable

from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.stores.base import Opened
from gateway.stores.demands import Demands
from gateway.stores.nodes import Nodes, system_clock
from gateway.stores.opening import node_name, opening
from gateway.stores.postgresql import PostgresqlStore
from gateway.stores.postgresql_checks import require
from gateway.stores.postgresql_link import FAILURES, Link, reason
from gateway.stores.postgresql_server import PostgresqlServer
from gateway.stores.recovery import Recovery


async def open_postgresql(
    url: PostgresqlStoreUrl,
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
    """Connect to a PostgreSQL server. Times in seconds; `wall_clock` gives milliseconds since the epoch.

    `prefix` is the name of the store's schema.

    `restored` hears of claims that were put back on a server that had lost them, and of those that others held by then;
    `polls` why it is not told when other gateways' operations end, but looks for that, time after time; `abandoned` of
    claims whose outcome is unknown because another gateway has stopped.
    Raises StoreOpenError when it cannot be reached, is not set as `demands` say, or has claims that were written with
    another fingerprint key.
    """
    link = Link(url.url, prefix, max(commit_timeout, 1.0), lock_timeout=max(0.1, 0.75 * commit_timeout))
    node = node_name()

    async def check() -> None:
        await require(demands, link)

    server = PostgresqlServer(link, node, Nodes(node, node_timeout), check, key_check, wall_clock, abandoned)
    recovery = Recovery(server, grace=failover_grace, told=restored)
    async with opening(link.close, FAILURES, reason):
        await recovery.ready()
    store = PostgresqlStore(
        link,
        server,
        recovery,
        polls=polls,
        commit_timeout=commit_timeout,
        max_waiting=max_waiting,
        node_timeout=node_timeout,
    )
    return Opened(store, 0, server.is_new)
