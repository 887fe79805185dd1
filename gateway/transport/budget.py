# Bytes of request bodies in memory, those of all requests together. Knows nothing else.


class Budget:
    """What may be held at once. Mutable state: `limit`, which a reload may change, and `used`, both in bytes."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def __repr__(self) -> str:
        return f"Budget({self.used} of {self.limit})"

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be held, of a body that is here."""
        return self.used + size <= self.limit

    def has_room_to_come(self, size: int) -> bool:
        """Whether a body of so many bytes may begin to come.

        The last quarter is kept for those that come at once, as nearly all creates do: clients that take their time
        must not keep them out.
        """
        return self.used + size <= self.limit * 3 // 4

    @property
    def is_used_up(self) -> bool:
        """Whether bodies that are passed on are to be held back: creates keep the other half."""
        return self.used >= self.limit // 2
