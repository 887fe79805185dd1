# `gateway explain`: what the gateway makes of one request, without sending it anywhere.

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.commands import curl_options
from gateway.config import fingerprint_key, load
from gateway.config.compile import compile_routes, compile_rules
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.errors import BodyTooLarge, IdentityError
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.identity import RequestView, identify
from gateway.guard.rules import Match, Refusal
from gateway.http.headers import Headers
from gateway.http.paths import split_target
from gateway.process.secret import existing

SUMMARY = "say which rule a request meets, where it goes, and what its identity is"

DESCRIPTION = """\
Takes a request as curl would, and says what the gateway makes of it: the rule, each identity with its values
after normalising, its fingerprint, where it goes when there are several upstreams, and what would happen.
Sends nothing, and does not look into the store.
It prints identity values: they are yours, and this is your terminal. Logs never hold them.

  $ gateway explain -c gateway.toml -X POST /users -d '{"email": " Ada@Example.com", "username": "ada"}'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("target", metavar="PATH", help="the request's path, with its query")
    parser.add_argument("-X", "--request", metavar="METHOD", type=curl_options.method, help="default: POST")
    parser.add_argument(
        "-d", "--data", metavar="BODY", type=curl_options.data, default=b"", help="the body, or @FILE, or @- for stdin"
    )
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        type=curl_options.header,
        action="append",
        default=[],
        help="a header; Content-Type is application/json unless one is given",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def execute(args: argparse.Namespace) -> int:
    """Print what would happen; exit code 1 when the gateway would refuse the request."""
    config = load(args.config)
    headers = [(name.encode(), value.encode()) for name, value in args.header]
    if args.data and not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", b"application/json"))
    told = explain(config, args.request or "POST", args.target, Headers.of(headers), args.data)
    if args.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print("\n".join(_lines(told)))
    return 0 if told["forwarded"] else 1


def explain(config: Config, method: str, target: str, headers: Headers, body: bytes) -> dict[str, Any]:
    """Judge one request as the gateway would before it asks its store."""
    parts = split_target(target)
    found = compile_rules(config).match(method, parts, headers)
    if isinstance(found, Refusal):
        return _refused(found)
    default = None if config.upstream is None else "[upstream]"
    upstream = compile_routes(config, {name: name for name in config.upstreams}, default).find(parts, headers)
    if isinstance(upstream, Refusal):
        return _refused(upstream)
    if upstream is None:
        return {"rule": None, "forwarded": False, "happens": "404 no-route: no route takes it"}
    if found is None:
        told = {"rule": None, "forwarded": True, "happens": "passes untouched: no rule guards it"}
    else:
        told = _guarded(config, found, RequestView(headers, parts.query, found.variables, body))
    return told | {"upstream": upstream} if config.upstreams and told["forwarded"] else told


def _refused(refusal: Refusal) -> dict[str, Any]:
    return {"rule": None, "forwarded": False, "happens": f"400 {refusal.slug}: {refusal.detail}"}


def _guarded(config: Config, match: Match, request: RequestView) -> dict[str, Any]:
    rule = match.rule
    told: dict[str, Any] = {"rule": rule.name, "namespace": rule.namespace}
    if len(request.body) > rule.body_limit:
        limit = rule.body_limit
        return told | {"forwarded": False, "happens": f"413 body-too-large: the rule reads at most {limit} bytes"}
    try:
        scope, identities = identify(rule, request)
    except BodyTooLarge as error:
        return told | {"forwarded": False, "happens": f"413 body-too-large: {error}"}
    except IdentityError as error:
        if rule.forwards_missing:
            return told | {"forwarded": True, "happens": f'forwarded without a guard (missing = "forward"): {error}'}
        return told | {"forwarded": False, "happens": f"422 missing-identity: {error}"}
    fingerprinter = _fingerprinter(config)
    told["scope"] = {field.text: value for field, value in zip(rule.scope, scope, strict=True)}
    told["claims"] = [
        {
            "entry": identity.entry.name,
            "identity": {
                field.text: value for field, value in zip(identity.entry.fields, identity.values, strict=True)
            },
            "fingerprint": None
            if fingerprinter is None
            else fingerprinter.fingerprint(rule.namespace, identity.entry.name, scope, identity.values).hex(),
        }
        for identity in identities
    ]
    return told | {"forwarded": True, "happens": "forwarded when all its claims are free, otherwise 409"}


def _fingerprinter(config: Config) -> Fingerprinter | None:
    """The one that `run` would use; None while its secret has not been made, or goes with the process."""
    secret = fingerprint_key(config)
    store = parse_store(config.store.url)
    if secret is None and isinstance(store, SqliteStoreUrl):
        kept = existing(store.path)
        secret = kept.value if kept else None
    return None if secret is None else Fingerprinter(secret)


def _lines(told: dict[str, Any]) -> list[str]:
    rows = [("rule", told["rule"] or ("none" if told["forwarded"] else "(refused before one was chosen)"))]
    if "namespace" in told:
        rows.append(("namespace", told["namespace"]))
    rows += [("scope", f"{text} = {_shown(value)}") for text, value in told.get("scope", {}).items()]
    for claim in told.get("claims", []):
        rows.append(("claim", claim["entry"]))
        rows += [("  identity", f"{text} = {_shown(value)}") for text, value in claim["identity"].items()]
        rows.append(("  fingerprint", claim["fingerprint"] or "(its key is made when the gateway first runs)"))
    if "upstream" in told:
        rows.append(("upstream", told["upstream"]))
    rows.append(("happens", told["happens"]))
    return [f"{label:<15}{text}" for label, text in rows]


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
