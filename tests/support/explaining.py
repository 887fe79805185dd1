# `gateway explain`, called as the command line calls it.

import argparse
from pathlib import Path

from gateway.commands import explain


def explained(file: Path | str, *words: str) -> int:
    """Explain a request by a rules file; returns the exit code. What it prints goes to standard output."""
    parser = argparse.ArgumentParser()
    explain.configure(parser)
    return explain.execute(parser.parse_args(["-c", str(file), *words]))
