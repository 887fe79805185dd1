# `gateway explain`: what the gateway makes of one request, without sending it anywhere.

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.commands.explain_lines import lines
from gateway.commands.explain_rule import guarded
from gateway.commands.request_arguments import add_request, read_request
from gateway.config import fingerprint_key, load
from gateway.config.compile import compile_routes, compile_rules, compile_shadow
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.guard.admission import Admission
from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.sample import Sample, judge
from gateway.http.forwarding import OFF, Forwarding, Peer
from gateway.http.headers import Headers
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
    add_request(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def execute(args: argparse.Namespace) -> int:
    """Print what would happen; exit code 1 when the gateway would refuse the request."""
    config = load(args.config)
    given, body = read_request(args)
    headers = Headers.of([(name.encode(), value.encode()) for name, value in given])
    found = explain(config, args.request, args.target, headers, body, args.client)
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines(found)))
    return 0 if found["forwarded"] else 1


def explain(
    config: Config, method: str, target: str, headers: Headers, body: bytes, client: str = "127.0.0.1"
) -> dict[str, Any]:
    """Judge one request as the gateway would before it asks its store. `client` is the address that connects."""
    default = None if config.upstream is None else "[upstream]"
    routes = compile_routes(config, {name: name for name in config.upstreams}, default)
    secret = _fingerprinter(config)
    address = _peer(config, client).client_address(end_to_end(headers))
    sample = Sample(method, target, headers, body, address)
    judged = judge(
        Admission(compile_rules(config), routes, compile_shadow(config)), sample, secret or Fingerprinter(b"")
    )
    found: dict[str, Any] = {"rule": None}
    if judged.rule is not None:
        found = guarded(judged.rule, judged, is_final=secret is not None)
    found["forwarded"] = judged.is_forwarded
    if judged.happens is not None:
        found["happens"] = judged.happens
    return found | {"upstream": judged.upstream} if config.upstreams and judged.is_forwarded else found


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
