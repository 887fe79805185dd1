# What campaigns say in the end: lines on what had to hold, each with whether it did.

from collections.abc import Iterable


def tell(verdicts: Iterable[tuple[str, bool]]) -> bool:
    """Print each line with its verdict; whether all of them hold."""
    all_hold = True
    for line, holds in verdicts:
        print(f"{'ok  ' if holds else 'NOT '} {line}")
        all_hold = all_hold and holds
    return all_hold
