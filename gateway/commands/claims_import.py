# `gateway claims import`: claims for what exists already, out of an API's own data, or out of an export.

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_plus

from gateway.commands import curl_options
from gateway.commands.admin_client import NotDone
from gateway.commands.claims_target import Target, open_target
from gateway.commands.import_screen import Progress, show_summary
from gateway.commands.import_source import Batch, Source
from gateway.errors import GatewayError
from gateway.process.import_shapes import Asked, Part, Problem
from gateway.stores.exported import read_header

DESCRIPTION = """\
Claims the identities of things that were created before the gateway came, so that they are not created again. A line of
FILE is what the create's body would be; what creates have beside their bodies is given once, for all lines. Or moves
claims here that `gateway claims export` has written.

  $ gateway claims import -c gateway.toml --rule create-user --link '/users/{body.id}' users.jsonl
  $ gateway claims import -c gateway.toml --rule create-user --header 'X-Tenant: acme' acme.jsonl
  $ gateway claims import -c new.toml claims.export

Asks the gateway that runs with the rules file, through its admin listener. While none runs, the store of the file is
opened. What is held already stays as it is, and is reported. Run again, it finds what it has imported, and changes
nothing: after Ctrl-C, a lost connection or a kill, begin again, or go on with --from-line.

Exit codes: 0 all lines are imported, or held already; 1 some are not; 2 the command line is invalid.
"""
_GONE = 409


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, beside those of the listener."""
    parser.add_argument("file", metavar="FILE", help="JSON objects, one a line, or an export; - for stdin")
    parser.add_argument("--rule", metavar="NAME", help="the rule whose creates the lines are; not for an export")
    parser.add_argument(
        *("-H", "--header"),
        metavar="'NAME: VALUE'",
        type=curl_options.header,
        action="append",
        default=[],
        help="a header that the rule reads",
    )
    parser.add_argument(
        "--path", metavar="NAME=VALUE", type=_pair, action="append", default=[], help="a variable of the rule's path"
    )
    parser.add_argument(
        "--query", metavar="NAME=VALUE", type=_pair, action="append", default=[], help="a parameter of the query"
    )
    parser.add_argument("--client", metavar="IP", type=curl_options.address, help="who connects")
    parser.add_argument("--link", metavar="TEMPLATE", help="where things live, such as '/users/{body.id}'")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, and say what would be changed")
    parser.add_argument(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="what to do at a line that cannot be read (default: %(default)s)",
    )
    parser.add_argument("--from-line", metavar="N", type=_line, default=1, help="the first line; default: 1")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the audit")


def execute(args: argparse.Namespace) -> int:
    """Import, print, return the exit code. Raises GatewayError when it cannot begin."""
    file = _open(args.file)
    source = Source(file)
    try:
        header = source.header()
        progress = Progress(os.fstat(file.fileno()).st_size or None, is_quiet=args.json)
        return asyncio.run(_run(args, source, progress, header))
    finally:
        source.close()


async def _run(args: argparse.Namespace, source: Source, progress: Progress, header: bytes | None) -> int:
    asked = _asked(args, header)
    progress.next_line = args.from_line
    error: str | None = None
    async with open_target(args, reads=args.dry_run) as target:
        begun = await target.begin(asked)
        batches = source.batches(args.from_line, begun.max_line, begun.max_part, is_export=header is not None)
        try:
            with progress.shown():
                error = await _add_all(target, source.read_ahead(batches), progress, skips=args.on_error == "skip")
            if error is None and header is not None:
                error = _cut_off(source, progress, args.from_line)
            await target.end()
        except asyncio.CancelledError:
            with suppress(GatewayError):
                await target.end()
            _show(args, progress, _go_on("interrupted", progress))
            raise
        except GatewayError as failure:
            is_gone = isinstance(failure, NotDone) and failure.status == _GONE
            error = str(failure) if is_gone else _go_on(str(failure), progress)
    _show(args, progress, error)
    return 0 if error is None and not progress.part.wrong else 1


def _show(args: argparse.Namespace, progress: Progress, error: str | None) -> None:
    show_summary(progress, error, dry_run=args.dry_run, as_json=args.json)
    if error is not None and not args.json:
        print(f"gateway: {error}", file=sys.stderr)


async def _add_all(target: Target, batches: AsyncIterator[Batch], progress: Progress, *, skips: bool) -> str | None:
    """Add the lines of all batches; the reason why it has stopped at a line, if it has."""
    async for batch in batches:
        part = await target.add(batch.first, batch.lines, skips=skips) if batch.lines else Part()
        if batch.wrong is not None and not part.is_stopped:
            part.problems.append(Problem(batch.first + len(batch.lines), batch.wrong))
            part.wrong += 1
            part.is_stopped = not skips
            part.lines += skips
        progress.count(part, batch.size, batch.first + part.lines)
        if part.is_stopped:
            return _stopped(progress)
    return None


def _stopped(progress: Progress) -> str:
    line = progress.next_line
    return (
        f"stopped at line {line}: mend it and go on with --from-line {line}, or leave such lines out (--on-error skip)"
    )


def _go_on(why: str, progress: Progress) -> str:
    return (
        f"{why.rstrip('.')}; all before line {progress.next_line} is done: go on with --from-line {progress.next_line}"
    )


def _cut_off(source: Source, progress: Progress, from_line: int) -> str | None:
    """Why an export is not whole; None when it is, as far as it was read."""
    if source.end is None:
        return "the export has no end: it was cut off, and what is missing was not imported. Export the store again"
    if from_line == 1 and progress.part.lines != source.end.claims:
        return f"the export has {progress.part.lines} of its {source.end.claims} claims: export the store again"
    return None


def _asked(args: argparse.Namespace, header: bytes | None) -> Asked:
    headers: dict[str, str | list[str]] = {}
    for name, value in args.header:
        found = headers.setdefault(name, [])
        if isinstance(found, list):
            found.append(value)
    if args.reason is not None and not (args.reason.strip() and args.reason.isprintable()):
        raise GatewayError("--reason: write a text without line breaks and control characters")
    return Asked(
        rule=args.rule,
        headers=headers,
        query="&".join([f"{quote_plus(name)}={quote_plus(value)}" for name, value in args.query]),
        path=dict(args.path),
        client=args.client,
        link=args.link,
        export=None if header is None else read_header(header),
        from_line=args.from_line,
        reason=args.reason,
        dry_run=args.dry_run,
    )


def _open(name: str) -> BinaryIO:
    try:
        return open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")
    except OSError as error:
        raise GatewayError(f"cannot read the file {name}: {error.strerror}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f'{text!r} is no name with a value: write "tenant=acme"')
    return name, value


def _line(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a line: lines are counted from 1")
    return int(text)
