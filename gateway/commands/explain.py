# `gateway explain`: what the gateway makes of one request, without sending it anywhere.

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.commands import curl_options
from gateway.commands.explain_lines import lines
from gateway.config import fingerprint_key, load
from gateway.config.compile import compile_routes, compile_rules
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.config.table import Duration
from gateway.config.units import format_duration
from gateway.errors import BodyTooLarge, IdentityError, Malformed
from gateway.guard.admission import Admission
from gateway.guard.answer_shapes import AnswerShape
from gateway.guard.claims import claims
from gateway.guard.condition import describe
from gateway.guard.content import JSON_TYPE
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.form_type import URLENCODED
from gateway.guard.identity import RequestView, identify, sent_values
from gateway.guard.question import fill
from gateway.guard.rule import Rule
from gateway.guard.rules import Match, Refusal
from gateway.guard.when import choose
from gateway.http.forwarding import OFF, Forwarding, Peer
from gateway.http.headers import Headers
from gateway.http.problem import KINDS
from gateway.http.write import end_to_end
from gateway.model import Claim
from gateway.process.secret import existing

SUMMARY = "say which rule a request meets, where it goes, and what its identity is"

DESCRIPTION = """\
Takes a request as curl would, and says what the gateway makes of it: the rule, each identity with its values
after normalising, its fingerprint, where it goes when there are several upstreams, and what would happen.
Sends nothing, and does not look into the store.
It prints identity values: they are yours, and this is your terminal. Logs never hold them.

  $ gateway explain -c gateway.toml -X POST /users -d '{"email": " Ada@Example.com", "username": "ada"}'
  $ gateway explain -c gateway.toml /photos -F album=7 -F photo=@cat.png
  $ gateway explain -c gateway.toml /soap --data-binary @create.xml -H 'Content-Type: text/xml'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say which arguments the command takes."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, required=True, help="the rules file")
    parser.add_argument("target", metavar="PATH", help="the request's path, with its query")
    parser.add_argument("-X", "--request", metavar="METHOD", type=curl_options.method, help="default: POST")
    body = parser.add_mutually_exclusive_group()
    body.add_argument(
        *("-d", "--data", "--data-binary"),
        metavar="BODY",
        type=curl_options.data,
        default=b"",
        help="the body, or @FILE, or @- for stdin; line ends stay",
    )
    body.add_argument(
        "--data-urlencode",
        metavar="NAME=VALUE",
        type=curl_options.data_urlencode,
        action="append",
        default=[],
        help="a field of a form; NAME@FILE takes the value from a file",
    )
    body.add_argument(
        "-F",
        "--form",
        metavar="NAME=VALUE",
        type=curl_options.form_part,
        action="append",
        default=[],
        help="a field of a multipart form; NAME=@FILE is a file",
    )
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        type=curl_options.header,
        action="append",
        default=[],
        help="a header; Content-Type is application/json, or that of a form, unless one is given",
    )
    parser.add_argument(
        "--client",
        metavar="IP",
        type=curl_options.address,
        default="127.0.0.1",
        help="who connects; default: this host",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def execute(args: argparse.Namespace) -> int:
    """Print what would happen; exit code 1 when the gateway would refuse the request."""
    config = load(args.config)
    headers = [(name.encode(), value.encode()) for name, value in args.header]
    body, content_type = _body(args)
    if body and not any(name.lower() == b"content-type" for name, _ in headers):
        headers.append((b"Content-Type", content_type.encode()))
    found = explain(config, args.request or "POST", args.target, Headers.of(headers), body, args.client)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines(found)))
    return 0 if found["forwarded"] else 1


def _body(args: argparse.Namespace) -> tuple[bytes, str]:
    """The body that was given in one of three ways, and its type."""
    if args.form:
        return curl_options.multipart_body(args.form)
    if args.data_urlencode:
        return b"&".join(args.data_urlencode), URLENCODED
    return args.data, JSON_TYPE


def explain(
    config: Config, method: str, target: str, headers: Headers, body: bytes, client: str = "127.0.0.1"
) -> dict[str, Any]:
    """Judge one request as the gateway would before it asks its store. `client` is the address that connects."""
    default = None if config.upstream is None else "[upstream]"
    routes = compile_routes(config, {name: name for name in config.upstreams}, default)
    rules = compile_rules(config)
    admitted = Admission(rules, routes).admit(method, target, headers)
    if isinstance(admitted, Refusal):
        happens = f"{KINDS[admitted.slug].status} {admitted.slug}: {admitted.detail}"
        return {"rule": None, "forwarded": False, "happens": happens}
    match, error = admitted.match, None
    if match is not None and match.is_open:
        match, error = choose(match, RequestView(headers, admitted.target.query, match.variables, body))
    if match is None:
        happens = "passes untouched: no rule guards it"
        asked = rules.match(method, admitted.target, headers)
        if isinstance(asked, Match):
            names = [f'"{each.rule.name}"' for each in (asked, *asked.others)]
            happens += f", as the conditions of {', '.join(names)} do not hold"
        found: dict[str, Any] = {"rule": None, "forwarded": True, "happens": happens}
    else:
        line = f"{method} {target}".encode()
        address = _peer(config, client).client_address(end_to_end(headers))
        view = RequestView(headers, admitted.target.query, match.variables, body, line, address)
        found = _guarded(config, match, view) if error is None else _unreadable(match.rule, error)
    return found | {"upstream": admitted.upstream} if config.upstreams and found["forwarded"] else found


def _peer(config: Config, client: str) -> Peer:
    settings = config.forwarding
    forwarding = Forwarding(settings.trusted_proxies, settings.headers, OFF, OFF, iter(()))
    return forwarding.peer(client, is_tls=False)


def _guarded(config: Config, match: Match, request: RequestView) -> dict[str, Any]:
    rule = match.rule
    found: dict[str, Any] = {"rule": rule.name, "namespace": rule.namespace}
    if rule.when is not None:
        found["when"] = [describe(each.field.text, each) for each in rule.when.conditions]
    if rule.answers:
        found["answers"] = {slug: _answer(shape) for slug, shape in rule.answers.items()}
    limit = rule.formats.limit
    if rule.needs_body and len(request.body) > limit:
        return found | _refused(rule, "body-too-large", f"the rule reads at most {limit} bytes")
    try:
        fingerprinter = _fingerprinter(config)
        wanted = claims(rule, request, fingerprinter or Fingerprinter(b""))
        scope, identities = identify(rule, request) if rule.entries else ((), ())
    except Malformed as error:
        return found | _refused(rule, error.slug, error.detail)
    except (BodyTooLarge, IdentityError) as error:
        return found | _unreadable(rule, error)
    found["scope"] = {part.field.text: value for part, value in zip(rule.scope, scope, strict=False)}
    found["claims"] = [
        {
            "entry": identity.entry.name,
            "identity": {
                field.text: value for field, value in zip(identity.entry.fields, identity.values, strict=True)
            },
            "fingerprint": None if fingerprinter is None else claim.fingerprint.hex(),
        }
        for identity, claim in zip(identities, [claim for claim in wanted if not claim.is_key], strict=True)
    ]
    claimed = {identity.entry for identity in identities}
    if skipped := [entry.name for entry in rule.entries if entry not in claimed]:
        found["skipped"] = skipped
    if not wanted:
        return found | {"forwarded": True, "happens": "forwarded without a guard: it has no key"}
    first = wanted[0]
    if rule.tells_retries or rule.authorize is not None:
        found["caller"] = "anonymous" if first.caller is None else "known"
    if rule.key is not None:
        found["key"] = {
            "header": rule.key.header,
            "sent": first.is_key,
            "fingerprint": first.fingerprint.hex() if first.is_key and fingerprinter is not None else None,
        }
    if rule.verify is not None:
        found["verify"] = fill(rule.verify.question, sent_values(rule, request))
    return found | _asked_of_api(rule) | {"forwarded": True, "happens": _happens(rule, first)}


def _unreadable(rule: Rule, error: IdentityError | BodyTooLarge) -> dict[str, Any]:
    found = {"rule": rule.name}
    if isinstance(error, BodyTooLarge):
        return found | _refused(rule, "body-too-large", str(error))
    if rule.forwards_missing:
        return found | {"forwarded": True, "happens": f'forwarded without a guard (missing = "forward"): {error}'}
    return found | _refused(rule, "missing-identity", str(error), error.status)


def _asked_of_api(rule: Rule) -> dict[str, Any]:
    """What the rule makes of the API's word: who may know, and what its answers mean."""
    found: dict[str, Any] = {}
    if rule.authorize is not None:
        found["authorize"] = {
            "path": rule.authorize.path,
            "before": "claim" if rule.authorize.before_claim else "answer",
            "cache": format_duration(Duration(rule.authorize.cache)),
        }
    if rule.outcomes is not None:
        found["outcome"] = [
            {"is": entry.verdict, "when": [describe(each.field.text, each) for each in entry.when]}
            for entry in rule.outcomes.entries
        ]
    return found


def _refused(rule: Rule, slug: str, why: str, status: int | None = None) -> dict[str, Any]:
    """`status` where it is not that of the slug."""
    shape = rule.answers.get(slug)
    if shape is not None and shape.status is not None:
        status = shape.status
    elif status is None:
        status = KINDS[slug].status
    return {"forwarded": False, "happens": f"{status} {slug}: {why}"}


def _answer(shape: AnswerShape) -> str:
    """What of an answer the rule writes itself."""
    status = [] if shape.status is None else [str(shape.status)]
    kind = [] if shape.content_type is None else [shape.content_type]
    return " ".join([*status, *kind]) or "with header fields of its own"


def _happens(rule: Rule, first: Claim) -> str:
    text = "forwarded when all its claims are free, otherwise 409"
    if first.is_key:
        text += "; 422 when its key was sent with another request"
    if rule.authorize is not None:
        text += "; 401 or 403 of the API to a caller who may not know"
    if rule.replay_limit and first.payload is not None:
        text += "; when its caller sends it again, the API's answer once more"
    match rule.duplicate:
        case "accept":
            text += f"; a duplicate of what was created gets {rule.accept_status}"
        case "redirect":
            text += "; a duplicate of what was created gets 303 to it, where its link is known and may be shown"
        case "upsert":
            text += (
                f"; a duplicate of what was created is sent to its link by {rule.upsert_method}, where that is known"
            )
    if rule.exists:
        text += f'; when the API answers a status of exists, "{rule.exists_entry}" counts as created'
    if rule.verify is not None:
        text += "; when the outcome of an earlier one is unknown, the API is asked first"
    if rule.answers:
        text += "; the answers named above have the shape that the rule gives them"
    return text


def _fingerprinter(config: Config) -> Fingerprinter | None:
    """The one that `run` would use; None while its secret has not been made, or goes with the process."""
    secret = fingerprint_key(config)
    store = parse_store(config.store.url)
    if secret is None and isinstance(store, SqliteStoreUrl):
        kept = existing(store.path)
        secret = kept.value if kept else None
    return None if secret is None else Fingerprinter(secret)
