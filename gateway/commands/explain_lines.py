# What `gateway explain` has found out, as lines for people.

import json
from typing import Any


def lines(found: dict[str, Any]) -> list[str]:
    """One line for each thing that was found out, the names in a column."""
    rows = [*_rule(found), *_passing(found)]
    rows += [("scope", f"{text} = {_shown(value)}") for text, value in found.get("scope", {}).items()]
    if "items" in found:
        rows.append(("items", str(found["items"])))
    for claim in found.get("claims", []):
        of_item = f" of item {claim['item']}" if "item" in claim else ""
        before = ", as it was before" if claim.get("previous") else ""
        rows.append(("claim", claim["entry"] + of_item + before))
        rows += [("  scope", f"{text} = {_shown(value)}") for text, value in claim.get("scope", {}).items()]
        rows += [("  identity", f"{text} = {_shown(value)}") for text, value in claim["identity"].items()]
        rows.append(("  fingerprint", claim["fingerprint"] or "(its key is made when the gateway first runs)"))
    rows += [("skipped", f"{name}: it lacks a field") for name in found.get("skipped", [])]
    if "caller" in found:
        rows.append(("caller", found["caller"]))
    if "authorize" in found:
        rows.append(("who may know", _who_may_know(**found["authorize"], caller=found["caller"])))
    if "key" in found:
        key = found["key"]
        rows.append(("key", f"{key['header']}: {'sent' if key['sent'] else 'not sent'}"))
        if key["sent"]:
            rows.append(("  fingerprint", key["fingerprint"] or "(its key is made when the gateway first runs)"))
    for entry in found.get("outcome", []):
        rows.append(("outcome", f"{entry['is']} when {' and '.join(entry['when'])}"))
    if "verify" in found:
        rows.append(("verify", f"GET {found['verify']}" if found["verify"] else "(its values cannot be asked for)"))
    rows += [("answer", f"{slug}: {shape}") for slug, shape in found.get("answers", {}).items()]
    if "upstream" in found:
        rows.append(("upstream", found["upstream"]))
    rows.append(("happens", found["happens"]))
    return [f"{label:<15}{text}" for label, text in rows]


def _rule(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("rule", found["rule"] or ("none" if found["forwarded"] else "(refused before one was chosen)"))]
    if "namespace" in found:
        rows.append(("namespace", found["namespace"]))
    if "does" in found:
        rows.append(("does", f"{found['does']} {found['resource']}"))
    if "when" in found:
        rows.append(("when", " and ".join(found["when"])))
    return rows


def _passing(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What lets a create pass."""
    rows = []
    if "mode" in found:
        rows.append(("mode", found["mode"]))
    if "except" in found:
        rows.append(("except", f"{' or '.join(found['except']['conditions'])}: {_holds(found['except'])}"))
    if "override" in found:
        override = found["override"]
        who = " and ".join(override["callers"]) or "for everybody"
        rows.append(("override", f"{override['header']}, {who}: {_holds(override)}"))
    return rows


def _holds(found: dict[str, Any]) -> str:
    return "holds" if found["holds"] else "does not hold"


def _who_may_know(path: str, before: str, cache: str, caller: str) -> str:
    asked = "anything is claimed" if before == "claim" else "an answer tells of another create"
    remembered = "asked each time" if caller == "anonymous" or cache == "0s" else f"remembered for {cache}"
    return f"whom the API answers GET {path} with 2xx, asked before {asked}; {remembered}"


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
