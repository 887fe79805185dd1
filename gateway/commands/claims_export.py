# `gateway claims export`: all claims of a store as text, to be kept or moved.

import argparse
import asyncio
import json
import sys

import msgspec

from gateway.commands.claims_target import open_target
from gateway.errors import GatewayError
from gateway.stores.exported import Summary, read_end

DESCRIPTION = """\
Writes all claims to standard output, one a line, with their stored answers, which stay encrypted. `gateway claims
import` takes that into a store of any kind, with the same fingerprint key.

  $ gateway claims export -c gateway.toml > claims.export

Asks the gateway that runs with the rules file, through its admin listener. While none runs, the store of the file is
opened: only then nothing changes meanwhile, so stop all gateways to move a store. What is in flight is exported as of
unknown outcome. What was done is said on standard error; with --json, as {"claims": ..., "in_flight": ...}.

Exit codes: 0 all claims are written; 1 they are not; 2 the command line is invalid.
"""
_LONGEST_END = 256


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, beside those of the listener."""
    parser.add_argument("--rule", metavar="NAME", help="only claims of this rule")


def execute(args: argparse.Namespace) -> int:
    """Export, return the exit code. Raises GatewayError when it is not whole."""
    summary = asyncio.run(_run(args))
    if args.json:
        print(json.dumps(msgspec.to_builtins(summary)), file=sys.stderr)
    else:
        left = f"; {summary.in_flight:,} of them in flight, exported as of unknown outcome" if summary.in_flight else ""
        print(f"{summary.claims:,} {'claim' if summary.claims == 1 else 'claims'}{left}", file=sys.stderr)
    return 0


async def _run(args: argparse.Namespace) -> Summary:
    last = b""
    async with open_target(args, reads=True) as target:
        async for piece in target.export(args.rule):
            await asyncio.to_thread(sys.stdout.buffer.write, piece)
            last = (last + piece)[-_LONGEST_END:]
        await asyncio.to_thread(sys.stdout.buffer.flush)
    summary = read_end(last.rstrip(b"\n").rpartition(b"\n")[2])
    if summary is None:
        raise GatewayError("the export broke off: what was written is not all")
    return summary
