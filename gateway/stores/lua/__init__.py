# The scripts of the Valkey store, one file each, with a comment on what the script does.
#
# A record is one string: a digit for its state, the owner's 16 bytes, when it expires and how long it is held when its
# outcome is unknown (19 digits each, so that they compare as text: a number of Lua is not exact above 2^53), the
# length of its link (5 digits; "-----" for none, "----+" for none yet while somebody waits for the end), the link, and
# the rest, which is MessagePack (see gateway.stores.valkey_records): its last value may be a link of another kind, by
# which the claim is found (see linking.lua).

from importlib.resources import files

_SUFFIX = ".lua"
_FILES = {
    file.name.removesuffix(_SUFFIX): file.read_text(encoding="utf-8")
    for file in files(__package__).iterdir()
    if file.name.endswith(_SUFFIX)
}
_COUNTING, _LINKING = _FILES.pop("counting"), _FILES.pop("linking")
SCRIPTS = {
    name: text.replace("--:counting\n", _COUNTING).replace("--:linking\n", _LINKING) for name, text in _FILES.items()
}
"""Scripts by name. "--:counting" stands for the functions of counting.lua, from where a script needs them; "--:linking"
for those of linking.lua."""
