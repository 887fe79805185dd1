# What a PostgreSQL server must be set to, so that a claim that it confirmed is not lost.

import re

from gateway.errors import StoreError
from gateway.stores.demands import Demands
from gateway.stores.postgresql_link import Link

_DURABLE = ("on", "remote_write", "remote_apply")
_COUNTED = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?([0-9]+)\s*\(", re.IGNORECASE)


async def require(demands: Demands, link: Link) -> None:
    """Raise StoreError for a server that cannot keep the promise, and what a connection fails with."""
    ((is_standby, read_only, isolation, encoding),) = await link.run("role")
    if is_standby:
        raise StoreError("the server is a standby, which takes no claims; name the primary, or all hosts in the URL")
    if read_only == "on":
        raise StoreError("default_transaction_read_only is on, so that no claim can be written; set it to off")
    if isolation != "read committed":
        raise StoreError(
            f"default_transaction_isolation is {isolation}, with which gateways get into each other's way; set it to "
            "read committed for the gateway's user"
        )
    if encoding != "UTF8":
        raise StoreError(f"client_encoding is {encoding}; leave it out of the URL")
    if demands.replicas:
        await _require_standbys(demands.replicas, link)
    if not demands.is_trusted:
        await _require_settings(demands, link)


async def _require_settings(demands: Demands, link: Link) -> None:
    ((synchronous, fsync, full_pages),) = await link.run("durability")
    if synchronous == "off":
        raise StoreError(
            "synchronous_commit is off, so that a crash of the server takes claims that were confirmed; set it to on "
            "for the gateway's user, or write store.trust_server = true if it keeps what it confirmed in another way"
        )
    if demands.durability == "power" and synchronous not in _DURABLE:
        raise StoreError(
            f"synchronous_commit is {synchronous}, which does not wait for standbys; set it to on, or write "
            'store.durability = "process"'
        )
    ((names, _, connected, _, _),) = await link.run("standbys")
    if synchronous in _DURABLE and connected < waited_for(names):
        raise StoreError(
            f"a commit waits for {waited_for(names)} standbys, and the server has {connected}; start one, or change "
            "synchronous_standby_names"
        )
    for name, value in (("fsync", fsync), ("full_page_writes", full_pages)):
        if value != "on":
            raise StoreError(
                f"{name} is off, so that a crash of its machine destroys what it keeps; set it to on, or write "
                "store.trust_server = true if it keeps what it confirmed in another way"
            )


async def _require_standbys(wanted: int, link: Link) -> None:
    ((names, synchronous, connected, synchronised, unseen),) = await link.run("standbys")
    awaited = waited_for(names)
    if awaited < wanted:
        raise StoreError(
            f"a commit waits for {awaited} standbys, and store.replicas demands {wanted}; set "
            f"synchronous_standby_names, such as to ANY {wanted} (*)"
        )
    if synchronous not in _DURABLE:
        raise StoreError(f"synchronous_commit is {synchronous}, which does not wait for standbys; set it to on")
    if unseen:
        raise StoreError(
            "the server does not say which standbys it has; grant the gateway's user pg_monitor, or leave out "
            "store.replicas"
        )
    if synchronised < wanted:
        raise StoreError(
            f"the server has {synchronised} synchronous standbys ({connected} in all), and store.replicas demands "
            f"{wanted}"
        )


def waited_for(names: str) -> int:
    """For how many standbys a commit waits, with this value of synchronous_standby_names."""
    if not names.strip():
        return 0
    counted = _COUNTED.match(names)
    return int(counted[1]) if counted else 1
