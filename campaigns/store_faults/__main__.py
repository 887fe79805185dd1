# Faults of the store under load: whether creates are forwarded without a commit, how fast they are refused, and how
# fast the gateway recovers. Run it with `make store-faults`.

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import msgspec

from campaigns.store_faults.cases import FAULTS, Fault, chosen
from campaigns.store_faults.load import Load, answer_some_late
from campaigns.store_faults.seen import Seen, note_answers, note_unguarded, send_again
from tests.support import faults
from tests.support.client import Client, create
from tests.support.program import GatewayProgram, rules
from tests.support.tally import PATIENCE
from tests.support.upstream import RawUpstream

KNOWN = 50
LEAST = 20
"""Requests of a kind that must have been answered before a phase is over, however short it may be."""
DISK = 32 * 2**20
_BREATH = 0.05


async def look_at(fault: Fault, seconds: float, directory: Path) -> Seen:
    """Inject one fault into a gateway under load, for so long, and observe the effects."""
    with ExitStack() as stack:
        (directory / "store").mkdir(parents=True)
        if fault.small_disk:
            stack.enter_context(faults.small_disk(directory / "store", DISK))
        async with RawUpstream(answer_some_late) as api:
            toml = rules(
                api.url, store="sqlite:store/gateway.db", on_failure=fault.on_failure, log={"requests": "none"}
            )
            async with GatewayProgram(directory, toml) as program:
                known = [f"known-{number}@example.org" for number in range(KNOWN)]
                for email in known:
                    assert (await create(program.port, email)).status == 201
                seen = Seen(fault.name)
                load = Load(program.port, known)
                await _inject(fault, seconds, program, load, seen)
                note_answers(load, api, seen)
                await note_unguarded(program, load, seen)
                await send_again(program, load, api, seen)
    return seen


async def _inject(fault: Fault, seconds: float, program: GatewayProgram, load: Load, seen: Seen) -> None:
    loop = asyncio.get_running_loop()
    async with load.running():
        await load.until(LEAST, lambda sent: sent.kind == "new")
        until = loop.time() + seconds
        load.phase = "during"
        while True:
            with fault.begin(program):
                left = until - loop.time()
                await asyncio.sleep(max(0, min(left, left if fault.repeats is None else fault.repeats)))
                if is_over := loop.time() >= until:
                    await _until_felt(fault, load)
                    if fault.refuses or fault.on_failure == "forward":
                        seen.ready_amid = await _is_ready(program)
            if is_over:
                break
            await asyncio.sleep(_BREATH)
        ended = loop.time()
        load.phase = "after"
        await _until_healthy(program)
        seen.healthy_after = loop.time() - ended
        for kind in ("new", "known", "passed"):
            await load.until(LEAST, lambda sent, kind=kind: sent.kind == kind and sent.phase == "after")  # type: ignore[misc]


async def _until_felt(fault: Fault, load: Load) -> None:
    """Wait until enough came in the fault's time, so that a short one shows something too."""
    await load.until(LEAST, lambda sent: sent.kind == "passed" and sent.phase == "during")
    await load.until(LEAST, lambda sent: sent.kind == "new" and sent.phase == "during")
    if fault.refuses:
        await load.until(LEAST, lambda sent: sent.status == 503)
    if fault.on_failure == "forward":
        await load.until(LEAST, lambda sent: sent.mark is not None)


async def _is_ready(program: GatewayProgram) -> bool:
    async with Client(program.admin_port) as client:
        return (await client.request("GET", "/readyz")).status == 200


async def _until_healthy(program: GatewayProgram) -> None:
    """Wait until it is ready, and creates. AssertionError when it does not come to that."""
    try:
        async with asyncio.timeout(PATIENCE):
            number = 0
            while not await _is_ready(program) or await _is_refused(program, number):
                number += 1
                await asyncio.sleep(_BREATH)
    except TimeoutError:
        raise AssertionError(f"not healthy again after {PATIENCE:g} s") from None


async def _is_refused(program: GatewayProgram, number: int) -> bool:
    """Whether a new create is not created, or not under guard."""
    answer = await create(program.port, f"healthy-{number}@example.org")
    return answer.status != 201 or answer.header("Idempotency-Gateway") is not None


def become_root() -> None:
    """Start this program anew as root of a user namespace, which may mount, if it is not root and can have one."""
    command = ["unshare", "--map-root-user", "--mount"]
    if os.geteuid() == 0 or shutil.which("unshare") is None:
        return
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        os.execvp("unshare", [*command, sys.executable, "-m", "campaigns.store_faults", *sys.argv[1:]])


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.store_faults",
        description="Faults of the store under load, and their effects.",
        epilog="\n".join(f"{fault.name:<17} {fault.what}" for fault in FAULTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=30, help="how long each is held (default: %(default)s)")
    parser.add_argument("--faults", type=chosen, default=FAULTS, help="their names, with commas between; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write what was seen to a file")
    return parser.parse_args()


def line(seen: Seen) -> str:
    """Say what was seen of one fault."""
    return (
        f"{seen.fault:<17}{seen.creates:>8}{seen.uncommitted + seen.forwarded_and_refused:>13}{seen.unguarded:>10}"
        f"{seen.refused:>7}{seen.longest_ms:>9.0f}{seen.left_taken:>8}{seen.passed:>8}{seen.pass_errors:>8}"
        f"{seen.healthy_after:>10.2f}"
    )


HEADING = (
    f"{'fault':<17}{'creates':>8}{'uncommitted':>13}{'unguarded':>10}{'503s':>7}{'longest':>9}{'stuck':>8}"
    f"{'passed':>8}{'errors':>8}{'healthy':>10}\n{'':<17}{'amid it':>8}{'forwards':>13}{'marked':>10}"
    f"{'':>7}{'ms':>9}{'claims':>8}{'amid it':>8}{'':>8}{'after s':>10}"
)


def main() -> int:
    """Exit code 0 when every invariant held under every fault that can be had here; 1 when not."""
    options = arguments()
    become_root()
    print(HEADING)
    found: list[Seen] = []
    problems: list[str] = []
    for fault in options.faults:
        if lacks := fault.lacks():
            print(f"{fault.name:<17} not looked at: needs {lacks}")
            continue
        with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
            seen = asyncio.run(look_at(fault, options.seconds, Path(directory)))
        print(line(seen), flush=True)
        found.append(seen)
        problems += [f"{fault.name}: {problem}" for problem in (*seen.broken(), *seen.too_slow())]
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    for problem in problems:
        print(f"NOT as it must be: {problem}")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
