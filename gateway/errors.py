# Exceptions that cross package boundaries. Each is raised in one package and handled in one other.


class GatewayError(Exception):
    """An error that the operator must fix. Its text says what is wrong, where, and what would be valid."""


class ConfigError(GatewayError):
    """The rules file is invalid. `problems` holds every problem found, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreOpenError(GatewayError):
    """The store cannot be opened: foreign, corrupt, newer, in use, or inaccessible. It was not modified."""


class StoreInUse(StoreOpenError):
    """Another process has the store open."""


class StoreError(Exception):
    """The store is unavailable. Nothing was reserved; a settlement is kept and retried."""


class StoreBusy(StoreError):
    """The store commits, but is overloaded."""


class IdentityError(Exception):
    """An identity cannot be read from a request. The text names the field and the reason, never a value."""

    status = 422
    """Of the answer that says so."""

    def __init__(self, reason: str, *, is_absent: bool = False) -> None:
        super().__init__(reason)
        self.is_absent = is_absent


class LineError(Exception):
    """A line of an import that is none. The text says what would be right, and never has a value."""


class RepeatedItems(Exception):
    """Items of one batch have the same identity. `repeats` names each of those that came before: index and entry."""

    def __init__(self, repeats: tuple[tuple[int, str], ...], text: str) -> None:
        super().__init__(text)
        self.repeats = repeats


class CodingNotAccepted(IdentityError):
    """A body has a content coding that its rule does not accept.

    `accepted` are those that it does: without any, only plain bodies.
    """

    status = 415

    def __init__(self, accepted: tuple[str, ...]) -> None:
        super().__init__("the body has a Content-Encoding that the rule does not accept")
        self.accepted = accepted


class BodyTooLarge(Exception):
    """A body, as sent or after decompression, or what must be in memory of it, is larger than the rule's limit."""

    def __init__(self, limit: int, what: str = "the body") -> None:
        super().__init__(f"{what} is larger than {limit} bytes")
        self.limit = limit
        self.what = what


class Overloaded(Exception):
    """The memory budget for bodies that rules read is used up."""


class SpoolError(Exception):
    """A body that goes to a file, or comes from one, could not be written or read: the disk's doing."""


class RequestBroken(Exception):
    """A request's body ended early, stalled or has invalid framing: the client's doing."""


class Malformed(Exception):
    """A message, or its key, that is invalid or not acceptable. `slug` names the answer; `detail` contains no value."""

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
