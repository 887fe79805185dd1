# `gateway check --against-store`: what a rules file does to the claims that the store holds. Asks the gateway that has
# the store; where none runs, reads the store's file, and changes nothing in it.

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from gateway.commands.admin_client import Listener, NothingListens, call, listener_of
from gateway.config import read_token
from gateway.config.against_store import HeldClaims, Judged, MadeBy, Verdict, judge
from gateway.config.endpoints import SqliteStoreUrl, parse_store
from gateway.config.schema import Config
from gateway.config.versions import IdentityConfig
from gateway.errors import GatewayError
from gateway.model import FOREVER
from gateway.process.admin.version_shapes import VersionPage
from gateway.process.assembly import wall_clock
from gateway.proxy.answers import rfc_3339
from gateway.stores.read_versions import read_versions

Progress = Callable[[float], None]
_BY: dict[MadeBy, str] = {
    "this": "by this identity",
    "previous": "by what it was before",
    "beside": "beside those of another identity",
    "another": "by another identity",
    "renamed": "under another name",
    "earlier release": "by an earlier release",
    "key": "for keys",
    "removed": "by what the file does not have",
}


class StoreCheck(msgspec.Struct, frozen=True):
    """What a rules file does to a store, and who was asked."""

    asked: str
    verdict: Verdict

    def lines(self) -> list[str]:
        """What is held, for people."""
        claims = [f"store: {_line(each)}" for each in self.verdict.claims]
        return [f"store: {self.asked} has {'these' if claims else 'no'} claims", *claims]


def check_store(config: Config, args: argparse.Namespace) -> StoreCheck:
    """Ask, and judge. Raises GatewayError when nobody can be asked."""
    listener = _listener(config, args)
    store = parse_store(config.store.url)
    can_read = isinstance(store, SqliteStoreUrl) and args.admin is None
    with _progress() as progress:
        if not (can_read and listener.address == "off"):
            try:
                held, in_force = _ask(listener, args.timeout, progress)
                return StoreCheck(f"the gateway at {listener.address}", judge(config, held, in_force))
            except NothingListens as error:
                if not can_read:
                    raise GatewayError(f"{error}; start a gateway that has the store, or name one by --admin") from None
        path = store.path if isinstance(store, SqliteStoreUrl) else ""
        return StoreCheck(f"the file {path}", judge(config, _read(path, progress), {}))


def _listener(config: Config, args: argparse.Namespace) -> Listener:
    if args.token_file is not None:
        return Listener(args.admin or config.admin.listen, read_token(args.token_file, "--token-file"))
    listener = listener_of(config)
    return listener if args.admin is None else Listener(args.admin, listener.token)


def _ask(listener: Listener, timeout: float, progress: Progress) -> tuple[list[HeldClaims], dict[int, IdentityConfig]]:
    """Add up what a running gateway counts, part by part."""
    found: dict[tuple[str, str, int | None], HeldClaims] = {}
    in_force: dict[int, IdentityConfig] = {}
    total, counted, query = 0, 0, ""
    while True:
        page = msgspec.convert(call(listener, "GET", f"/claims/versions{query}", timeout), VersionPage)
        total = page.total or total
        in_force |= {entry.version: entry.identity for entry in page.in_force}
        for each in page.claims:
            counted += each.count
            before = found.get(made_by := (each.rule, each.entry, each.version))
            found[made_by] = _add(before, HeldClaims(*made_by, each.count, each.until, each.forever))
        progress(min(1.0, counted / max(total, 1)))
        if page.next is None:
            return [*found.values()], in_force
        query = "?" + urlencode({"cursor": page.next})


def _add(one: HeldClaims | None, other: HeldClaims) -> HeldClaims:
    """The claims of both."""
    if one is None:
        return other
    # times of one form are in order as texts
    until = max([time for time in (one.until, other.until) if time is not None], default=None)
    forever = one.forever or other.forever
    return msgspec.structs.replace(
        one, count=one.count + other.count, until=None if forever else until, forever=forever
    )


def _read(path: str, progress: Progress) -> list[HeldClaims]:
    if not Path(path).exists() or not Path(path).stat().st_size:
        return []
    tally = read_versions(path, wall_clock(), progress)
    return [
        HeldClaims(*made_by, count, None if last in {None, FOREVER} else rfc_3339(last or 0), last == FOREVER)
        for made_by, (count, last) in tally.items()
    ]


def _line(judged: Judged) -> str:
    claims = f"{judged.count:,} {'claim' if judged.count == 1 else 'claims'}"
    until = ", for ever" if judged.forever else f", until {judged.until}" if judged.until else ""
    return f'rule "{judged.rule}", entry "{judged.entry}": {claims} made {_BY[judged.made_by]}{until}'


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # what is piped needs no rich, which takes long to import
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("counting claims", total=1.0)
        yield lambda done: bar.update(task, completed=done)
