# The SQL of the PostgreSQL store, one file each, with a comment on what it does. `:schema` is the store's schema.
#
# All are read when the module is: nothing must depend on whether there is a descriptor to open a file with.

from importlib.resources import files

_SUFFIX = ".sql"
_STATEMENTS = {
    file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
    for file in files(__package__).iterdir()
    if file.name.endswith(_SUFFIX)
}


class Statements:
    """The statements for one schema."""

    __slots__ = ("_texts",)

    def __init__(self, schema: str) -> None:
        quoted = '"' + schema.replace('"', '""') + '"'
        self._texts = {name: text.replace(":schema", quoted).encode() for name, text in _STATEMENTS.items()}

    def __getitem__(self, name: str) -> bytes:
        """The text of one statement."""
        return self._texts[name]
