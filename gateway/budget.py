# Bytes of request bodies in memory, those of all requests together. Knows nothing else.


class Budget:
    """What may be held at once. Mutable state: `limit`, which a reload may change, and `held`, both in bytes."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def __repr__(self) -> str:
        return f"Budget({self.held} of {self.limit})"

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be held."""
        return self.held + size <= self.limit

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more may be held."""
        return self.held >= self.limit
