# Claims as people read them.

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.commands.tables import Column, age, safe, show_pairs, show_table, terminal_width

ROOM_FOR_ALL = 120
"""Columns of a terminal from which on fingerprints are shown whole."""
_SHORT = 12
"""Digits of one that are shown otherwise, as in the log."""

Claim = Mapping[str, Any]


def show_claims(claims: Sequence[Claim]) -> None:
    """List claims."""
    if not claims:
        print("no claims")
        return
    columns = [
        Column("FINGERPRINT", is_whole=True),
        Column("STATE", is_whole=True),
        Column("AGE", is_number=True, is_whole=True),
        Column("RULE"),
        Column("ENTRY"),
        Column("LINK"),
    ]
    show_table(columns, [_row(claim) for claim in claims])


def show_claim(claim: Claim) -> None:
    """Show one claim with all that is known of it."""
    show_pairs(_pairs(claim))


def show_found(found: Mapping[str, Any]) -> None:
    """Show the claims of a sample, and what would become of it."""
    print(f"rule     {safe(found['rule'] or 'none')}")
    print(f"happens  {safe(found['happens'])}")
    if not found["claims"]:
        return
    print()
    has_items = any("item" in claim for claim in found["claims"])
    columns = [
        *([Column("ITEM", is_number=True)] if has_items else []),
        Column("ENTRY"),
        Column("STATE", is_whole=True),
        Column("AGE", is_number=True, is_whole=True),
        Column("FINGERPRINT", is_whole=True),
        Column("LINK"),
    ]
    rows = []
    for each in found["claims"]:
        claim = each["claim"] or {}
        rows.append(
            [
                *([str(each.get("item", "-"))] if has_items else []),
                each["entry"] + (" (as it was before)" if each.get("previous") else ""),
                each["state"],
                age(claim["age"]) if claim else "-",
                _fingerprint(each["fingerprint"]),
                claim.get("link") or "-",
            ]
        )
    show_table(columns, rows)


def show_outcome(verb: str, answers: Sequence[Mapping[str, Any]]) -> None:
    """Say what became of each claim that was to be released or settled; failures go to standard error."""
    is_released = False
    for answer in answers:
        if "error" in answer:
            print(f"gateway: {answer['fingerprint'][:_SHORT]}: {safe(answer['error'])}", file=sys.stderr)
            continue
        claim = answer["claim"]
        name = f"{claim['fingerprint'][:_SHORT]}  {safe(claim['rule'])} / {safe(claim['entry'])}"
        done = answer["released"] if verb == "release" else answer["settled"]
        is_released = is_released or (done and verb == "release")
        if verb == "release":
            what = f"released, was {claim['state']}" if done else f"would be released, is {claim['state']}"
        else:
            link = f" at {safe(claim['link'])}" if claim["link"] else ""
            until = f" until {claim['expires_at']}" if claim["expires_at"] else ""
            what = f"{'is' if done else 'would be'} created{link}{until}"
        print(f"{name}  {what}")
    if is_released:
        print("The next create of each identity is forwarded. If the first one happened after all, there will be two.")


def _row(claim: Claim) -> list[str]:
    return [
        _fingerprint(claim["fingerprint"]),
        claim["state"],
        age(claim["age"]),
        claim["rule"],
        claim["entry"],
        claim["link"] or "-",
    ]


def _fingerprint(text: str) -> str:
    width = terminal_width()
    return text if width is None or width >= ROOM_FOR_ALL else text[:_SHORT]


def _pairs(claim: Claim) -> list[tuple[str, str]]:
    return [
        ("fingerprint", claim["fingerprint"]),
        ("rule", claim["rule"]),
        ("entry", claim["entry"]),
        ("state", claim["state"]),
        ("first seen", f"{claim['first_seen']}, {age(claim['age'])} ago"),
        ("expires", claim["expires_at"] or ("when it settles" if claim["state"] == "in_flight" else "never")),
        ("link", claim["link"] or "-"),
        ("caller", claim["caller"] or "-"),
        ("operation", claim["operation"]),
    ]
