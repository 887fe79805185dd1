# `gateway claims`: what a gateway holds, and what an operator does about it.

import argparse
import base64
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from gateway.commands import claims_export, claims_import
from gateway.commands.admin_client import Listener, NotDone, add_listener, call, given_listener
from gateway.commands.claims_output import show_claim, show_claims, show_found, show_outcome
from gateway.commands.request_arguments import add_request, read_request

SUMMARY = "see, find and free what a running gateway holds; import and export claims"

DESCRIPTION = """\
Asks a running gateway about its claims through its admin listener, which the rules file names.

  $ gateway claims list -c gateway.toml --state unknown
  $ gateway claims find -c gateway.toml /users -d '{"email": "ada@example.com"}'
  $ gateway claims settle -c gateway.toml --created --link /users/42 --reason 'in the users table' 6ef3b0e41e1e
  $ gateway claims release -c gateway.toml --reason 'not in the users table' 6ef3b0e41e1e

Exit codes: 0 it was answered, or done; 1 it was not done, or no gateway could be asked; 2 the command line is invalid.
"""
_LIST = """\
Lists claims that are held. Those in flight and unknown come with the oldest first.
With --json, one object: {"claims": [...], "next": a cursor, or null}.
"""
_SHOW = (
    "Shows one claim. 12 digits of its fingerprint, as the log shows them, are enough where they tell it from others."
)
_FIND = """\
Finds the claims of a create, given as to curl, and says what would become of it now. The gateway judges it as one that
comes, by the rules that it runs with. The values go to the gateway, which hashes them: it neither keeps nor logs them.
"""
_RELEASE = """\
Frees claims whose create did not happen: the next create of each identity is forwarded. If the first one happened after
all, there will be two. A create in flight is not released. Each release is written down in the audit.
"""
_SETTLE = """\
Says that the creates of claims have happened: duplicates get 409, with the link, where the rule shows it to them. A
claim that is created already may get another link. Each settlement is written down in the audit.
"""
_PAGE = 500
"""Claims that are asked for at once, at most."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verbs and their arguments."""
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    def add(name: str, summary: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        plain = argparse.RawDescriptionHelpFormatter
        verb = verbs.add_parser(name, help=summary, description=text, formatter_class=plain)
        add_listener(verb)
        verb.set_defaults(run=run)
        return verb

    verb = add("list", "list claims", _LIST, _list)
    verb.add_argument("--rule", metavar="NAME", help="only those of this rule")
    verb.add_argument("--entry", metavar="NAME", help="only those of this `unique` entry, or of this key's header")
    verb.add_argument("--state", choices=("in_flight", "created", "unknown"), help="only those in this state")
    verb.add_argument("--older-than", metavar="TIME", help='only those that are older, such as "10m"')
    verb.add_argument("--limit", metavar="N", type=_count, default=50, help="how many at most (default: 50)")
    verb.add_argument("--cursor", metavar="CURSOR", help="go on behind an earlier list")

    verb = add("show", "show one claim", _SHOW, _show)
    verb.add_argument("fingerprint", metavar="FINGERPRINT", type=_fingerprint)

    add_request(add("find", "find the claims of a create", _FIND, _find))

    for name, summary, text, run in (
        ("release", "free claims whose create did not happen", _RELEASE, _release),
        ("settle", "say that a create has happened", _SETTLE, _settle),
    ):
        verb = add(name, summary, text, run)
        verb.add_argument("fingerprints", metavar="FINGERPRINT", type=_fingerprint, nargs="+")
        verb.add_argument("--reason", metavar="TEXT", type=_reason, required=True, help="why, for the audit")
        verb.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be changed")
        if name == "settle":
            verb.add_argument("--created", action="store_true", required=True, help="it was created")
            verb.add_argument("--link", metavar="LINK", help="where what was created lives, such as /users/42")

    for name, summary, module in (
        ("import", "claim what exists already, or what an export has", claims_import),
        ("export", "write all claims, to be kept or moved", claims_export),
    ):
        module.configure(add(name, summary, module.DESCRIPTION, module.execute))


def execute(args: argparse.Namespace) -> int:
    """Run one verb; return the exit code. Raises GatewayError when no gateway can be asked."""
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except NotDone as error:
        if not args.json:
            raise
        print(json.dumps(error.answer, ensure_ascii=False))
        return 1


def _list(args: argparse.Namespace) -> int:
    asked = {"rule": args.rule, "entry": args.entry, "state": args.state, "older_than": args.older_than}
    listener, cursor, claims = given_listener(args), args.cursor, list[dict[str, Any]]()
    while True:
        page = {**asked, "cursor": cursor, "limit": min(_PAGE, args.limit - len(claims))}
        query = urlencode({name: value for name, value in page.items() if value is not None})
        found = call(listener, "GET", f"/claims?{query}", args.timeout)
        claims += found["claims"]
        cursor = found["next"]
        if cursor is None or len(claims) >= args.limit:
            break
    if args.json:
        _print_json({"claims": claims, "next": cursor})
        return 0
    show_claims(claims)
    if cursor is not None:
        print(f"There are more: --limit, or --cursor {cursor}", file=sys.stderr)
    return 0


def _show(args: argparse.Namespace) -> int:
    found = call(given_listener(args), "GET", f"/claims/{args.fingerprint}", args.timeout)
    if args.json:
        _print_json(found)
    else:
        show_claim(found)
    return 0


def _find(args: argparse.Namespace) -> int:
    given, body = read_request(args)
    headers: dict[str, list[str]] = {}
    for name, value in given:
        headers.setdefault(name, []).append(value)
    sample = {"method": args.request, "path": args.target, "headers": headers, "client": args.client}
    if body:
        sample["body_base64"] = base64.b64encode(body).decode()
    found = call(given_listener(args), "POST", "/claims/find", args.timeout, sample)
    if args.json:
        _print_json(found)
    else:
        show_found(found)
    return 0


def _release(args: argparse.Namespace) -> int:
    return _each(args, "release", {"reason": args.reason, "dry_run": args.dry_run})


def _settle(args: argparse.Namespace) -> int:
    body = {"as": "created", "link": args.link, "reason": args.reason, "dry_run": args.dry_run}
    return _each(args, "settle", body)


def _each(args: argparse.Namespace, verb: str, body: dict[str, Any]) -> int:
    """Do it to each claim, and go on when one fails; 1 when any has."""
    listener, answers, has_failed = given_listener(args), list[dict[str, Any]](), False
    for fingerprint in dict.fromkeys(args.fingerprints):
        try:
            answers.append(_change(listener, fingerprint, verb, args.timeout, body))
        except NotDone as error:
            has_failed = True
            answers.append({"fingerprint": fingerprint, **error.answer})
    if args.json:
        _print_json(answers[0] if len(args.fingerprints) == 1 else answers)
    else:
        show_outcome(verb, answers)
    return 1 if has_failed else 0


def _change(listener: Listener, fingerprint: str, verb: str, timeout: float, body: dict[str, Any]) -> dict[str, Any]:
    return call(listener, "POST", f"/claims/{fingerprint}/{verb}", timeout, body)


def _print_json(document: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
    print(json.dumps(document, ensure_ascii=False, indent=2))


def _fingerprint(text: str) -> str:
    lowered = text.lower()
    if not _is_hex(lowered) or not _FEWEST <= len(lowered) <= _ALL:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no fingerprint: write its 64 hexadecimal digits, or the first 12"
        )
    return lowered


_FEWEST, _ALL = 12, 64


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdef" for digit in text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of claims: write 50")
    return int(text)


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: write why")
    return text
