# Errors that cross rooms. Each is raised in one room and handled in one other.


class GatewayError(Exception):
    """Something a person must mend; its text says what was wrong, where, and what would be right."""


class ConfigError(GatewayError):
    """The rules file cannot be used. `problems` holds every one found, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreOpenError(GatewayError):
    """The store cannot be opened: foreign, corrupt, newer, in use, or out of reach. It was left as it was."""


class StoreInUse(StoreOpenError):
    """Another process has the store open."""


class StoreError(Exception):
    """The store cannot decide now. Nothing was taken; what was to be settled is kept and tried again."""


class StoreBusy(StoreError):
    """The store has more to do than it can, although it commits."""


class IdentityError(Exception):
    """An identity cannot be read from a request. The text names the field and the reason, never a value."""


class BodyTooLarge(Exception):
    """A body, as sent or inflated, is larger than the rule reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class Overloaded(Exception):
    """There is no room for another body now."""


class Malformed(Exception):
    """Bytes that are no HTTP message, or none that may pass. `slug` is the answer's; `detail` shows no value."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
