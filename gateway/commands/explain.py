# `gateway explain`: what the gateway makes of one request, without sending it anywhere.

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.commands import curl_options
from gateway.commands.explain_lines import lines
from gateway.commands.explain_rule import guarded, unreadable
from gateway.config import fingerprint_key, load
from gateway.config.compile import compile_routes, compile_rules
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.guard.admission import Admission
from gateway.guard.content import JSON_TYPE
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.form_type import URLENCODED
from gateway.guard.identity import RequestView
from gateway.guard.rules import Match, Refusal
from gateway.guard.when import body_limit, choose, takers
from gateway.http.forwarding import OFF, Forwarding, Peer
from gateway.http.headers import Headers
from gateway.http.problem import KINDS
from gateway.http.write import end_to_end
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
        is_in_file = len(body) > (body_limit(match) or 0) and takers(
            [each.rule for each in (match, *match.others)], headers
        )
        seen = RequestView(headers, admitted.target.query, match.variables, b"" if is_in_file else body)
        match, error = choose(match, seen)
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
        found = guarded(match.rule, view, _fingerprinter(config)) if error is None else unreadable(match.rule, error)
    return found | {"upstream": admitted.upstream} if config.upstreams and found["forwarded"] else found


def _peer(config: Config, client: str) -> Peer:
    settings = config.forwarding
    forwarding = Forwarding(settings.trusted_proxies, settings.headers, OFF, OFF, iter(()))
    return forwarding.peer(client, is_tls=False)


def _fingerprinter(config: Config) -> Fingerprinter | None:
    """The one that `run` would use; None while its secret has not been made, or goes with the process."""
    secret = fingerprint_key(config)
    store = parse_store(config.store.url)
    if secret is None and isinstance(store, SqliteStoreUrl):
        kept = existing(store.path)
        secret = kept.value if kept else None
    return None if secret is None else Fingerprinter(secret)
