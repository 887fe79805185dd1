# The SQL statements, one file each, with a comment on what the statement does.
#
# All are read when the module is: a batch must not depend on whether there is a descriptor to open a file with.

from importlib.resources import files

_SUFFIX = ".sql"
_STATEMENTS = {
    file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
    for file in files(__package__).iterdir()
    if file.name.endswith(_SUFFIX)
}
_RECORD = ":record"


def read(name: str) -> str:
    """The text of one statement."""
    return _STATEMENTS[name].replace(_RECORD, _STATEMENTS["record"])
