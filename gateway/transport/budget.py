# Memory budgets, each for all connections together: for bodies that rules read, for those that are passed on, and for
# answers.


class Budget:
    """The bytes that may be buffered at once. Mutable state: `limit`, which a reload may change, and `used`."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def __repr__(self) -> str:
        return f"Budget({self.used} of {self.limit})"

    def has_space(self, size: int) -> bool:
        """Whether `size` more bytes, which have already arrived, may be buffered."""
        return self.used + size <= self.limit

    def has_space_to_come(self, size: int) -> bool:
        """Whether a body of `size` bytes may begin to be received.

        The last quarter is reserved for bodies that arrive at once, as nearly all creates do: slow clients must not
        block them.
        """
        return self.used + size <= self.limit * 3 // 4

    @property
    def is_used_up(self) -> bool:
        """Whether what is passed on must be read in small pieces, each once the one before has left.

        The other half is left for those pieces.
        """
        return self.used >= self.limit // 2
