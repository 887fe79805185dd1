import pytest

from gateway.process.admin.report_words import next_step
from gateway.rule_history import CallerCount

LOOK = (
    ' Look at their lines in the log (outcome "shadow"). If it is right to stop them, set mode = "enforce" and reload; '
    "if not, change what the rule matches, or its fields."
)


OFF = "It is off: it guards nothing, and the rules behind it do as though it were not there."
NONE, THREE, MANY = CallerCount(0), CallerCount(3), CallerCount(4096, is_more=True)
WORDS: list[tuple[str, int, dict[str, int], CallerCount, float, str]] = [
    ("off", 0, {}, NONE, 0.0, OFF),
    ("shadow", 0, {}, NONE, 90.0, "It has seen no create in 90 seconds; leave it in shadow until it has."),
    ("enforce", 0, {}, NONE, 1.5, "It has seen no create in 1 second."),
    (
        *("shadow", 4000, {}, NONE, 86_400 * 3.5),
        'It would have stopped none of 4,000 creates in 3 days. To enforce it, set mode = "enforce" and reload.',
    ),
    (
        *("shadow", 4000, {"missing-identity": 2, "duplicate": 10}, THREE, 7300.0),
        "It would have stopped 12 of 4,000 creates (0.3%), of 3 callers, in 2 hours: 10 duplicate, 2 missing-identity."
        + LOOK,
    ),
    (
        *("shadow", 9, {"duplicate": 8, "unseen": 1}, MANY, 150.0),
        (
            "It would have stopped 8 of 9 creates (88.9%), of more than 4,096 callers, in 2 minutes: 8 duplicate."
            f"{LOOK} 1 were not looked at, because their bodies came slowly or are large."
        ),
    ),
    (
        *("enforce", 1, {"duplicate": 1}, NONE, 5.0),
        "It has stopped 1 of 1 create (100.0%) in 5 seconds: 1 duplicate.",
    ),
]


@pytest.mark.parametrize(("mode", "creates", "kinds", "callers", "seconds", "text"), WORDS)
def test_it_says_what_it_has_seen_and_what_to_do(
    mode: str, creates: int, kinds: dict[str, int], callers: CallerCount, seconds: float, text: str
) -> None:
    stopped = sum(count for kind, count in kinds.items() if kind != "unseen")
    assert next_step(mode, creates, stopped, kinds, callers, seconds) == text
