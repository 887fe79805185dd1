# The scenes of `gateway demo` as data, with the expected result of each. Pure: no I/O, no clock.

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

PROBLEM_TYPE = "urn:problem-type:gateway:"


class User(msgspec.Struct, frozen=True):
    """The body of a create."""

    name: str
    email: str
    username: str


class Answer(msgspec.Struct, frozen=True):
    """The result of a create: a response, or the reason why there was none."""

    status: int | None = None
    location: str | None = None
    problem: dict[str, object] | None = None
    error: str | None = None

    @property
    def slug(self) -> str | None:
        """The last part of the problem type, when the gateway itself answered."""
        kind = str((self.problem or {}).get("type", ""))
        return kind.removeprefix(PROBLEM_TYPE) if kind.startswith(PROBLEM_TYPE) else None


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """Identical creates, sent concurrently, and the expected result: `created` are accepted, all others stopped."""

    user: User
    times: int = 1
    api_dies: bool = False
    """Whether the API commits the row and dies before it answers."""
    created: int = 0
    stopped_with: int = 409
    slugs: tuple[str, ...] = ()
    """The problems that may stop the others."""
    conflict: str | None = None
    """The `conflictField` of each problem."""
    members: tuple[str, ...] = ()
    """Members that each problem must have."""
    show_body: bool = False


class Restart(msgspec.Struct, frozen=True):
    """Restart the API after it died, or kill the gateway with `kill -9` and restart it."""

    what: Literal["api", "gateway"]


class Scene(msgspec.Struct, frozen=True):
    """One scene. `reached` creates reach the API in it, and each of those becomes a row."""

    name: str
    title: str
    steps: tuple[Send | Restart, ...]
    reached: int
    moral: str


ADA = User("Ada Lovelace", "ada@example.com", "ada")
OTHER_ADA = User("Ada Byron", "byron@example.com", "ada")
BYRON = User("Ada Byron", "byron@example.com", "byron")
GRACE = User("Grace Hopper", "grace@example.com", "grace")
EDITH = User("Edith Clarke", "edith@example.com", "edith")

SCENES = (
    Scene(
        "first-create",
        "The first create goes through",
        (Send(user=ADA, created=1),),
        1,
        "The API's own answer comes back untouched.",
    ),
    Scene(
        "duplicate",
        "The same create again stops at the gateway",
        (
            Send(
                user=ADA,
                slugs=("duplicate",),
                members=("title", "conflictField", "existingResourceLink", "suggestedNextStep"),
                show_body=True,
            ),
        ),
        0,
        "The API never saw it; the answer says what exists and what to do next.",
    ),
    Scene(
        "other-email",
        "A taken username does not use up a free email",
        (
            Send(user=OTHER_ADA, slugs=("duplicate",), conflict="username"),
            Send(user=BYRON, created=1),
        ),
        1,
        "All of a create's claims are taken together or not at all.",
    ),
    Scene(
        "fifty-at-once",
        "Fifty identical creates at once",
        (Send(user=GRACE, times=50, created=1, slugs=("in-progress", "duplicate")),),
        1,
        "One went through; the others met it while it was under way.",
    ),
    Scene(
        "outcome-unknown",
        "The API dies after it stored the row and before it answered",
        (
            Send(user=EDITH, api_dies=True, stopped_with=502, slugs=("outcome-unknown",)),
            Restart("api"),
            Send(user=EDITH, slugs=("outcome-unknown",)),
        ),
        1,
        "From outside nobody can know what happened, so it is not sent again: one row.",
    ),
    Scene(
        "kill-gateway",
        "The gateway itself is killed",
        (Restart("gateway"), Send(user=ADA, slugs=("duplicate",))),
        0,
        "What was created is remembered: the claim was on disk before the create left.",
    ),
)


class Outcome(msgspec.Struct, frozen=True):
    """The result of a scene: the answers to each of its sends, what was added, and what was not as expected."""

    sends: tuple[tuple[Answer, ...], ...]
    reached: int
    rows: int | None
    """None when the scene was aborted; the API may be down then."""
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the results were as expected."""
        return not self.failures


class Tally(msgspec.Struct, frozen=True):
    """Counts over all scenes."""

    sent: int
    reached: int
    rows: int
    duplicates: int


def judge_send(send: Send, answers: Sequence[Answer]) -> list[str]:
    """Return what was not as expected, one line each; empty when all was."""
    problems = []
    created = sum(answer.status == 201 for answer in answers)
    if created != send.created:
        problems.append(f"{created} of {len(answers)} creates were answered 201; expected were {send.created}")
    complaints = Counter(_complaint(send, answer) for answer in answers)
    return [*problems, *(f"{count} x {text}" for text, count in complaints.items() if text)]


def judge_scene(scene: Scene, reached: int, rows: int) -> list[str]:
    """Return which counts of a scene are not as expected, one line each."""
    problems = []
    if reached != scene.reached:
        problems.append(f"{reached} creates reached the API; expected were {scene.reached}")
    if rows != scene.reached:
        problems.append(f"the API stored {rows} rows; expected were {scene.reached}")
    return problems


def duplicates(users: Sequence[User]) -> int:
    """Return how many rows repeat an email or a username of a row before them."""
    emails: set[str] = set()
    names: set[str] = set()
    found = 0
    for user in users:
        found += user.email in emails or user.username in names
        emails.add(user.email)
        names.add(user.username)
    return found


def _complaint(send: Send, answer: Answer) -> str:
    if answer.status == 201:
        return ""
    if answer.status is None:
        return f"no answer: {answer.error}"
    problem = answer.problem or {}
    if answer.status != send.stopped_with or answer.slug not in send.slugs:
        expected = f"{send.stopped_with} {' or '.join(send.slugs)}" if send.slugs else "201"
        return f"{answer.status} {answer.slug or 'without a problem of the gateway'}; expected was {expected}"
    if send.conflict is not None and problem.get("conflictField") != send.conflict:
        return f"conflictField is {problem.get('conflictField')!r}; expected was {send.conflict!r}"
    missing = [member for member in send.members if not problem.get(member)]
    return f"the problem lacks {', '.join(missing)}" if missing else ""
