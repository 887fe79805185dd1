# The statements, each in a file of its own with a comment on what it decides.

from importlib.resources import files


def read(name: str) -> str:
    """The text of one statement."""
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
