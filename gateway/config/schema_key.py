# The keys that a rule takes from clients, as the rules file has them.

from gateway.config.table import Table


class KeyConfig(Table, frozen=True, kw_only=True):
    """`key`: the header by which a client marks a create and its retries as one."""

    header: str = "Idempotency-Key"
    """The header's name."""
    required: bool = False
    """Whether a create without one is refused."""
    max_length: int = 255
    """How many characters a key may have."""
    ignore: tuple[str, ...] = ()
    """Fields of a JSON body that may differ between a create and its retry."""
    described_by: str | None = None
    """A URL with what clients should know; named in the answer to a create without a key."""
