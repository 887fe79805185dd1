# The API of the failover campaign: it creates, refuses the first create of some identities, and of others says nothing
# of what it has created.

from collections import Counter

from tests.support import behaviours
from tests.support.upstream import Call, perform

FICKLE, SILENT = "fickle", "silent"
"""What the names of such identities begin with."""


class Api:
    """What a RawUpstream does. Mutable state: how often each identity was created."""

    def __init__(self) -> None:
        self.created: Counter[str] = Counter()
        self._refused: set[str] = set()

    async def __call__(self, call: Call) -> None:
        """Answer a create."""
        name = str(call.request.json()["email"])
        call.upstream.requests.clear()
        call.upstream.started.clear()
        if name.startswith(FICKLE) and name not in self._refused:
            self._refused.add(name)
            await perform(behaviours.answer(422), call)
            return
        self.created[name] += 1
        silent = name.startswith(SILENT)
        await perform(behaviours.close_without_answer() if silent else behaviours.answer(201, body=b"{}"), call)
