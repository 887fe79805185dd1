# The SQL statements, one file each, with a comment on what the statement does.

from importlib.resources import files


def read(name: str) -> str:
    """The text of one statement."""
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
