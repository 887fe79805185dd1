# Where claims live, as the rules file says it.

from typing import Literal

from gateway.config.table import Duration, Table


class StoreConfig(Table, frozen=True, kw_only=True):
    """`[store]`: where claims live."""

    url: str = "sqlite:gateway.db"
    """"sqlite:PATH", "valkey://HOST", "postgresql://HOST", or "memory:", which forgets all when the process ends."""
    durability: Literal["process", "power"] = "process"
    """What a claim survives: the end of the process, or of the server, or a power cut too."""
    on_failure: Literal["reject", "forward"] = "reject"
    """What a create meets when the store cannot commit: 503, or the API without a guard."""
    commit_timeout: Duration = Duration(0.8)
    """How long the store may take to commit a create's claims."""
    max_waiting: int = 4096
    """How many creates may wait for the store at once."""
    prefix: str = "idempotency-gateway"
    """What all names on a shared server begin with; the name of the schema on PostgreSQL."""
    replicas: int = 0
    """How many replicas of a server must have a claim before its create is forwarded."""
    trust_server: bool = False
    """Whether the settings of a server that decide what it may lose are not looked at."""
    failover_grace: Duration = Duration(2)
    """How long creates stop after a failover, while what the server lost is put back."""
    node_timeout: Duration = Duration(15)
    """How long a gateway is not heard of until what it had in flight is unknown."""
