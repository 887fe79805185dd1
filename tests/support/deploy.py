# The files of deploy/, as text that a test can change, and as what they say.
#
# A check takes the files of one folder and returns a list of problems. So a test can hold that the files as they are
# have none, and that each check finds the slip it is there for.

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from gateway.config import load
from gateway.config.schema import Config
from tests.test_documents import ROOT

DEPLOY = ROOT / "deploy"
IMAGE_USER = 10001
PROGRAM = "/opt/gateway/bin/gateway"
PYTHON = "/opt/gateway/bin/python"

Files = Mapping[str, str]
"""The files of one folder, by their path within it."""


class Slip(NamedTuple):
    """A change that makes a file wrong, and a piece of what is then said about it."""

    file: str
    old: str
    new: str
    found: str

    def made_in(self, files: Files) -> Files:
        """The files with this change in them."""
        assert files[self.file].count(self.old) == 1, f"{self.old!r} does not stand exactly once in {self.file}"
        return {**files, self.file: files[self.file].replace(self.old, self.new)}


def files_of(folder: str) -> Files:
    """Every file of one folder of deploy/."""
    base = DEPLOY / folder
    return {
        path.relative_to(base).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(base.rglob("*"))
        if path.is_file()
    }


def written(files: Files, directory: Path) -> Path:
    """Write the files below a directory, for a tool that reads files."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


SECRETS = {"VALKEY_PASSWORD": "secret", "PGPASSWORD": "secret", "FINGERPRINT_KEY": "k" * 32}
"""What rules files in deploy/ take from the environment."""


def rules_file(text: str, directory: Path) -> Config:
    """What a rules file says; ConfigError when it has problems."""
    path = directory / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, SECRETS)


def rights() -> list[str]:
    """The words by which docs/stores.md gives a user of Valkey what a gateway needs."""
    text = (ROOT / "docs" / "stores.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"^ACL SETUSER gateway on >PASSWORD (.+)$", text, re.MULTILINE)
    return str(found).split()


def documents(text: str) -> list[dict[str, Any]]:
    """The YAML documents of a file. A key that stands twice is an error."""
    return list(YAML(typ="safe", pure=True).load_all(text))


def port_of(address: str) -> int:
    """The port at the end of an address or URL."""
    return int(address.rpartition(":")[2])


def everywhere(address: str) -> bool:
    """Whether an address to listen on can be reached from outside a container."""
    return address.rpartition(":")[0] in {"0.0.0.0", "[::]"}


def seconds(text: str) -> float:
    """A time as systemd and compose write it: "30", "45s", "1min"."""
    found = re.fullmatch(r"(\d+)(s|min|m)?", text)
    assert found, f"{text!r} is no time that these tests read"
    return int(found[1]) * (60 if found[2] in {"min", "m"} else 1)


def size(text: str) -> int:
    """Bytes, as Kubernetes ("512Mi") and compose ("512m") write them."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|m|g|mb|gb)", text)
    assert found, f"{text!r} is no size that these tests read"
    return int(found[1]) * {"m": 1024**2, "g": 1024**3}[found[2][0].lower()]


def draining(config: Config) -> float:
    """Seconds that a gateway with these rules may take to stop."""
    return (config.server.drain_grace or 0) + config.server.drain_timeout


def memory_wanted(config: Config) -> int:
    """Bytes: the bodies it may hold, and room for the program, its cache, and bodies while they are read."""
    return config.server.max_buffered + 256 * 1024**2


def unless(holds: object, problem: str) -> Iterator[str]:
    """The problem, when something does not hold."""
    if not holds:
        yield problem
