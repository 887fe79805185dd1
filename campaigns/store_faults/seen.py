# The observed effects of a store fault: the responses to creates, what the API received, and what is held afterwards.

from collections import Counter
from dataclasses import dataclass

from campaigns.store_faults.load import MARK, Load
from tests.support.burst import burst
from tests.support.client import Client, create_bytes
from tests.support.program import GatewayProgram
from tests.support.scrape import read_scrape
from tests.support.upstream import RawUpstream

AT_ONCE = 50
LONGEST_MS = 1000.0
HEALTHY_WITHIN = 5.0
HELD = {"duplicate", "outcome-unknown", "in-progress"}


@dataclass
class Seen:
    """What was seen of one fault. The counts from `uncommitted` on must be 0."""

    fault: str
    creates: int = 0
    """New ones sent while it lasted."""
    refused: int = 0
    """Creates, also known ones, that were answered 503."""
    passed: int = 0
    """Requests that no rule guards, while it lasted."""
    unguarded: int = 0
    """Creates that were forwarded without a guard because on_failure = "forward" says so."""
    longest_ms: float = 0
    """Of all refusals, until the client had it."""
    healthy_after: float = 0
    """Seconds from the fault's end until readiness is 200 and a new create is created."""
    uncommitted: int = 0
    """Guarded creates that the API got, and that are not held when they come again, there and then or after a kill."""
    forwarded_and_refused: int = 0
    """Creates that the API got, and that were answered 503."""
    left_taken: int = 0
    """Creates that were answered 503, and are not free afterwards."""
    without_retry_after: int = 0
    unexpected: int = 0
    """Creates with any other answer than one that says what happened, or with none."""
    pass_errors: int = 0
    unmarked: int = 0
    """Unguarded creates whose answer is not marked, or that the metrics do not count."""
    ready_amid: bool = False
    """Whether it said that it was ready while it refused everything."""

    def broken(self) -> list[str]:
        """The invariants that do not hold, but for those of time."""
        counts = ("uncommitted", "forwarded_and_refused", "left_taken", "without_retry_after", "unexpected")
        names = (*counts, "pass_errors", "unmarked", "ready_amid")
        return [f"{name} = {getattr(self, name)}" for name in names if getattr(self, name)]

    def too_slow(self) -> list[str]:
        """The bounds of time that do not hold."""
        found = []
        if self.longest_ms > LONGEST_MS:
            found.append(f"a refusal took {self.longest_ms:.0f} ms")
        if self.healthy_after > HEALTHY_WITHIN:
            found.append(f"healthy only after {self.healthy_after:.1f} s")
        return found


def note_answers(load: Load, api: RawUpstream, seen: Seen) -> None:
    """Fill in what the answers say, and what the API got besides."""
    counts = _got(api)
    refused = [sent for sent in load.sent if sent.status == 503]
    seen.creates, seen.passed = len(load.of("new", "during")), len(load.of("passed", "during"))
    seen.refused = len(refused)
    seen.longest_ms = max((sent.ms for sent in refused), default=0)
    seen.forwarded_and_refused = sum(sent.kind == "new" and counts[sent.email] > 0 for sent in refused)
    seen.without_retry_after = sum(sent.retry_after is None for sent in refused)
    seen.pass_errors = sum(sent.status != 200 for sent in load.of("passed"))
    for sent in load.of("new"):
        is_refused = sent.slug == "store-unavailable" and sent.answered != "before"
        seen.unexpected += sent.status != 201 and not is_refused
    for sent in load.of("known"):
        seen.unexpected += sent.slug not in {"duplicate", "store-unavailable"} and sent.mark is None


async def note_unguarded(program: GatewayProgram, load: Load, seen: Seen) -> None:
    """Compare the marks that clients saw with what the metrics count."""
    marks = [sent.mark for sent in load.sent if sent.mark is not None]
    async with Client(program.admin_port) as client:
        metrics = read_scrape(await client.request("GET", "/metrics"))
    counted = int(metrics.value("gateway_requests_total", rule="create-user", outcome="unguarded") or 0)
    seen.unguarded = len(marks)
    seen.unmarked = abs(counted - len(marks)) + sum(mark != MARK for mark in marks)


async def send_again(program: GatewayProgram, load: Load, api: RawUpstream, seen: Seen) -> None:
    """Send every create again, twice, with a kill in between: what the API got is held, what was refused is free."""
    unguarded = {sent.email for sent in load.sent if sent.mark is not None}
    refused = {sent.email for sent in load.of("new") if sent.status == 503}
    got = _got(api)
    guarded = sorted(got.keys() - unguarded)
    uncommitted: set[str] = set()
    for is_killed in (False, True):
        if is_killed:
            await program.kill()
            await program.start()
        told = await _slugs(program, guarded)
        uncommitted |= {email for email, slug in told.items() if slug not in HELD}
        if not is_killed:
            seen.left_taken = sum(
                slug is not None for slug in (await _slugs(program, sorted(refused - got.keys()))).values()
            )
    uncommitted |= {email for email, count in _got(api).items() if count > 1 and email not in unguarded}
    seen.uncommitted = len(uncommitted)


async def _slugs(program: GatewayProgram, emails: list[str]) -> dict[str, str | None]:
    """Send each create once; what the gateway says of it, None for an answer of the API's."""
    if not emails:
        return {}
    outcomes = await burst(program.port, [create_bytes(email) for email in emails], AT_ONCE)
    return {emails[outcome.index]: outcome.slug or (None if outcome.status == 201 else "lost") for outcome in outcomes}


def _got(api: RawUpstream) -> Counter[str]:
    """How many creates of each email the API got."""
    return Counter(request.json()["email"] for request in api.requests if request.method == "POST")
