# The entry point of this package: loads a rules file into a Config, or reports all of its problems.

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.problems import Problems, one_line
from gateway.config.reader import read
from gateway.config.schema import Config
from gateway.config.validate import NO_TOKEN, can_be_token, validate
from gateway.errors import ConfigError
from gateway.guard.fingerprint import MIN_SECRET

_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")

_PLAINLY = {
    "Invalid value": "no value starts here; a string needs quotes",
    "Cannot overwrite a value": "this key has a value already; keep one of the two",
}
"""Clearer texts for the parser's shortest messages."""


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """Read a rules file.

    Raises ConfigError with every problem at once; a file that cannot be read, or is not valid TOML, has only one.
    """
    problems = Problems(_parse(_text(path), path))
    config = read(problems, environ)
    validate(config, problems)
    if lines := problems.lines():
        raise ConfigError(lines)
    return config


def fingerprint_key(config: Config, base: Path | None = None) -> bytes | None:
    """Return the fingerprint secret of the configuration, from `key` or `key_file`; None when it has neither.

    A relative `key_file` is relative to `base`, by default the working directory. Line breaks at the end of the file
    are not part of the key. Raises ConfigError; its text never contains the key.
    """
    if config.fingerprint.key_file is None:
        return None if config.fingerprint.key is None else config.fingerprint.key.encode()
    return _read_secret("fingerprint.key_file", "key", (base or Path()) / config.fingerprint.key_file)


def admin_token(config: Config) -> bytes | None:
    """Return the token of the admin listener, from `token` or `token_file`, read as the fingerprint key is."""
    if config.admin.token_file is None:
        return None if config.admin.token is None else config.admin.token.encode()
    return read_token(Path(config.admin.token_file), "admin.token_file")


def read_token(path: Path, where: str) -> bytes:
    """Return the token in a file, which `where` names. Raises ConfigError; its text never contains the token."""
    token = _read_secret(where, "token", path)
    if not can_be_token(token.decode("latin-1")):
        raise _one(f"{where}: the token in {path} {NO_TOKEN}")
    return token


def _read_secret(where: str, name: str, path: Path) -> bytes:
    try:
        secret = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise _one(f"{where}: {path} cannot be read: {error.strerror}") from error
    right = f'"openssl rand -hex 32" prints a {name} that is long enough ({MIN_SECRET} bytes or more)'
    if not secret:
        raise _one(f"{where}: {path} is empty; {right}")
    if len(secret) < MIN_SECRET:
        raise _one(f"{where}: the {name} in {path} is shorter than {MIN_SECRET} bytes; {right}")
    return secret


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _one(f"{path}: there is no such file") from None
    except OSError as error:
        raise _one(f"{path}: cannot be read: {error.strerror}") from error
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _one(f"{path}, line {line}: this is not UTF-8, which TOML is always written in") from None
    if text.startswith("\ufeff"):
        raise _one(f"{path}: starts with a byte-order mark; save it as UTF-8 without one")
    return text


def _parse(text: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _one(f"{path}: is nested too deeply to be read") from None
    except ValueError as error:  # besides TOMLDecodeError, int() refuses thousands of digits with a plain one
        what = _WHERE.sub("", str(error))
        where = _WHERE.search(str(error))
        place = str(path)
        if where:
            line = where["line"] or len(text.splitlines())
            place += f", line {line}" + (f", column {where['column']}" if where["column"] else "")
        raise _one(f"{place}: this is not TOML: {_PLAINLY.get(what, what[:1].lower() + what[1:])}") from None


def _one(problem: str) -> ConfigError:
    return ConfigError([one_line(problem)])
