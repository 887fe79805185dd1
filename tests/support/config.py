# What the tests of the configuration share: the golden files and the environment they are read in.

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "config" / "golden"
ROOT = Path(__file__).parents[2]

KEY = "correct horse battery staple, and more"
SECRET = "hunter2-and-more"
ENVIRON = {
    "GATEWAY_KEY": KEY,
    "SECRET": SECRET,
    "API_HOST": "127.0.0.1",
    "SECONDS": "3",
    "SOON": "very soon",
    "EMPTY": "",
    "BYTES": "\udcff",
}

UPSTREAM = '[upstream]\nurl = "http://127.0.0.1:9000"\n'
RULE = """
[[rules]]
name = "create-user"
match = { path = "/users" }
unique = [{ name = "email", fields = ["body.email"] }]
"""


def written(directory: Path, text: str | bytes) -> Path:
    """Write a rules file and return where it is."""
    path = directory / "gateway.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path
