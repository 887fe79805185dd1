# What a report means, and what to do next, in words. Pure.

from collections.abc import Mapping

from gateway.rule_history import CallerCount

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_OFF = "It is off: it guards nothing, and the rules behind it do as though it were not there."
_ENFORCE = 'set mode = "enforce" and reload'


def next_step(
    mode: str, creates: int, stopped: int, kinds: Mapping[str, int], callers: CallerCount, seconds: float
) -> str:
    """Say what a rule has stopped, or would have, and what to do next.

    `kinds` are what became of creates, or would have, with what is no stop; `callers` are those of what is; `seconds`
    is for how long all was counted.
    """
    if mode == "off":
        return _OFF
    length = _length(seconds)
    if not creates:
        wait = "; leave it in shadow until it has" if mode == "shadow" else ""
        return f"It has seen no create in {length}{wait}."
    did = "would have stopped" if mode == "shadow" else "has stopped"
    if not stopped:
        text = f"It {did} none of {_creates(creates)} in {length}."
        step = f" To enforce it, {_ENFORCE}." if mode == "shadow" else ""
    else:
        share = f"{stopped / creates:.1%}"
        text = f"It {did} {stopped:,} of {_creates(creates)} ({share}){_of(callers)} in {length}: {_listed(kinds)}."
        step = (
            f' Look at their lines in the log (outcome "shadow"). If it is right to stop them, {_ENFORCE}; if not, '
            "change what the rule matches, or its fields."
        )
        step = step if mode == "shadow" else ""
    return text + step + _unlooked(kinds)


def _unlooked(kinds: Mapping[str, int]) -> str:
    text = ""
    if unseen := kinds.get("unseen", 0):
        text += f" {unseen:,} were not looked at, because their bodies came slowly or are large."
    if unguarded := kinds.get("unguarded", 0):
        text += f" {unguarded:,} would have passed without a guard."
    if overridden := kinds.get("overridden", 0):
        text += f" {overridden:,} duplicates would have passed because their callers want it so."
    return text


def _listed(kinds: Mapping[str, int]) -> str:
    stops = {
        kind: count for kind, count in kinds.items() if count and kind not in {"unseen", "unguarded", "overridden"}
    }
    return ", ".join([f"{count:,} {kind}" for kind, count in sorted(stops.items(), key=lambda each: -each[1])])


def _creates(count: int) -> str:
    return "1 create" if count == 1 else f"{count:,} creates"


def _of(callers: CallerCount) -> str:
    if not callers.count:
        return ""
    more = "more than " if callers.is_more else ""
    return f", of {more}{callers.count:,} caller{'' if callers.count == 1 else 's'},"


def _length(seconds: float) -> str:
    name, length = next((unit for unit in _UNITS if seconds >= 2 * unit[1]), _UNITS[-1])
    count = int(seconds // length)
    return f"{count} {name}{'' if count == 1 else 's'}"
