# Says that what was created before stops no create any more, because a rule is another one: at the start by some of the
# claims that the store has, at a reload by the rules before.

from collections import Counter
from collections.abc import Iterable

from gateway.config.against_store import HeldClaims, judge
from gateway.config.schema import Config
from gateway.config.versions import Lost
from gateway.errors import StoreError
from gateway.process.assembly import wall_clock
from gateway.stores.base import Store
from gateway.telemetry import Telemetry

_LOST = "what was created before stops no create any more"


def warn_of(lost: Iterable[Lost], telemetry: Telemetry) -> None:
    """Log each entry that a reload has given another identity."""
    for entry in lost:
        what = "removed, or renamed" if entry.removed else "changed"
        telemetry.event("identity-changed", "warning", rule=entry.rule, entry=entry.entry, note=f"{what}: {_LOST}")


async def look_for_lost(store: Store, config: Config, telemetry: Telemetry) -> None:
    """Look at one part of the claims, which is as good as any other, and log entries that have another identity.

    All of them are counted by `gateway check --against-store`.
    """
    try:
        counted = await store.count_versions(b"", wall_clock())
    except StoreError:
        return  # creates will say so
    held = [HeldClaims(*made_by, count, None) for made_by, (count, _) in counted.claims.items()]
    looked_at = sum(each.count for each in held)
    lost = Counter[tuple[str, str]]()
    for each in judge(config, held, {}).claims:
        if each.made_by in {"another", "renamed"}:
            lost[each.rule, each.entry] += each.count  # of several changes, of which each has left some
    for (rule, entry), count in lost.items():
        note = f"{count} of {looked_at} claims looked at were made by another identity: {_LOST}"
        telemetry.event("identity-changed", "warning", rule=rule, entry=entry, note=note)
