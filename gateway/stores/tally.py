# Counts of claims by what made them, added up. Pure.

MadeBy = tuple[str, str, int | None]
"""A rule, an entry, and an identity version."""


class Tally(dict[MadeBy, tuple[int, int | None]]):
    """As VersionCounts.claims."""

    def count(self, made_by: MadeBy, count: int, last: int | None) -> None:
        """Add claims, the last of which expires at a time; None for claims in flight."""
        before, other = self.get(made_by, (0, None))
        self[made_by] = (before + count, max([time for time in (last, other) if time is not None], default=None))
