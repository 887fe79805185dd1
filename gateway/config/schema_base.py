# What the tables of the rules file are made of. Knows nothing of files or of the wire.

import msgspec


class Duration(float):
    """A length of time in seconds, written "250ms", "30s", "24h" or "7d"; infinite for "forever"."""


class Size(int):
    """A number of bytes, written "64KiB" or "1MiB"."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the file."""
