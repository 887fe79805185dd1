# What a rule says of duplicates, and of things that the API itself says exist: whether it makes sense. Pure.

from collections.abc import Mapping

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import RuleConfig
from gateway.guard.statuses import Statuses

_ACCEPTED = (200, 202, 204)


def validate_duplicates(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note every problem of a rule's keys for duplicates; `path` leads to the rule."""
    kind = (*path, "duplicate")
    if rule.duplicate in {"redirect", "upsert"} and problems.sound(kind):
        if rule.resource is None and problems.sound((*path, "resource")):
            problems.add(
                kind,
                f'"{rule.duplicate}" has to know where the created thing lives; write resource = "header.Location", '
                'or a template such as resource = "/users/{body.id}"',
            )
        elif rule.duplicate == "redirect" and rule.link == "nobody" and problems.sound((*path, "link")):
            problems.add(
                kind, '"redirect" shows the link, which link = "nobody" forbids; write link = "caller", or "anyone"'
            )
    status = rule.accept_status
    if status is not None and problems.sound(place := (*path, "accept_status")):
        if status not in _ACCEPTED:
            problems.add(place, f"{status} is none of 200, 202 and 204; write accept_status = 200")
        elif rule.duplicate != "accept" and problems.sound(kind):
            problems.add(place, 'has no effect without duplicate = "accept"; write that too, or leave this out')
    if rule.upsert is not None and rule.duplicate != "upsert" and problems.sound(kind, place := (*path, "upsert")):
        problems.add(place, 'has no effect without duplicate = "upsert"; write that too, or leave this out')


def validate_exists(
    rule: RuleConfig, path: Path, problems: Problems, exists: Mapping[str, Statuses], others: Mapping[str, Statuses]
) -> None:
    """Note every problem of `exists` and `exists_entry`.

    `exists` is what its entries name, `others` what those of `success`, and those written in `refused`, do.
    """
    place, entry = (*path, "exists"), (*path, "exists_entry")
    for text, named in exists.items():
        if named.needs_retry_after:
            problems.add(place, f"{quote(text)} depends on Retry-After, which only refused may; write the status alone")
        for other, wider in others.items():
            if not named.codes.isdisjoint(wider.codes):
                key = "success" if other in rule.success else "refused"
                problems.add(
                    place, f"{quote(text)} is also named by {quote(other)} in {key}; keep it out of one of them"
                )
    if not problems.sound((*path, "unique")):
        return
    names = [unique.name for unique in rule.unique]
    known = ", ".join(map(quote, names))
    if rule.exists_entry is not None:
        if not rule.exists and problems.sound(place, entry):
            problems.add(entry, 'has no effect without exists; write exists = ["409"] too, or leave this out')
        elif rule.exists_entry not in names and problems.sound(entry):
            hint = f"its entries are {known}" if names else "it has none"
            problems.add(entry, f"{quote(rule.exists_entry)} is no entry of unique; {hint}")
    elif len(names) > 1 and rule.exists and problems.sound(place, entry):
        problems.add(
            place,
            f"does not say which of {known} exists by then; write exists_entry = {quote(names[0])}, or another of them",
        )
    if not names and rule.exists and problems.sound(place, entry):
        problems.add(place, "has no effect without unique: only an identity can exist already, a key cannot")
