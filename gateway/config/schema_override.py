# Tables of the rules file about creates that may pass all the same.

from gateway.config.schema_outcome import ConditionConfig
from gateway.config.table import Table


class OverrideConfig(Table, frozen=True, kw_only=True):
    """`override`: which duplicates are forwarded because who sends them wants it so."""

    header: str
    """The header by which a sender says so."""
    callers: tuple[ConditionConfig, ...]
    """Conditions on who may, all of which must hold; none for everybody."""
