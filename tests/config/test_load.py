import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import fingerprint_key, load
from gateway.config.problems import Problems
from gateway.config.reader import read
from gateway.config.schema import Config, FingerprintConfig
from gateway.config.schema_upstreams import UpstreamConfig
from gateway.config.validate import validate
from gateway.errors import ConfigError
from tests.support.config import KEY, RULE, SECRET, UPSTREAM, written


def problems(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(path, environ or {})
    return raised.value.problems


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "absent.toml") == [f"{tmp_path}/absent.toml: there is no such file"]


def test_a_directory_is_no_rules_file(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_bytes_that_are_not_utf8_are_found_by_line(tmp_path: Path) -> None:
    path = written(tmp_path, b'[upstream]\nurl = "\xe9"\n')
    assert problems(path) == [f"{path}, line 2: this is not UTF-8, which TOML is always written in"]


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbf" + UPSTREAM.encode())
    assert problems(path) == [f"{path}: starts with a byte-order mark; save it as UTF-8 without one"]


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 10_000])
def test_toml_that_breaks_its_parser_is_one_problem(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    found = problems(path)
    assert len(found) == 1
    assert found[0].startswith(str(path))


def test_the_environment_is_put_in_wherever_a_string_names_it(tmp_path: Path) -> None:
    path = written(tmp_path, UPSTREAM + RULE + 'scope = ["header.${A}-${B}"]\nnamespace = "$${A}${B}"\n')
    config = load(path, {"A": "X", "B": "Tenant"})
    assert config.rules[0].scope == ("header.X-Tenant",)
    assert config.rules[0].namespace == "${A}Tenant"


def test_what_the_environment_holds_is_not_read_for_variables_again(tmp_path: Path) -> None:
    path = written(tmp_path, UPSTREAM + RULE + 'namespace = "${A}"\n')
    assert load(path, {"A": "${B}"}).rules[0].namespace == "${B}"


@pytest.mark.parametrize("place", ["server.listen", "store.durability", "log.format", "upstream.idle_timeout"])
def test_a_value_of_the_environment_is_never_shown(tmp_path: Path, place: str) -> None:
    table, key = place.split(".")
    text = f'{key} = "${{SECRET}}"\n'
    text = UPSTREAM + (text if table == "upstream" else f"[{table}]\n{text}")
    (found,) = problems(written(tmp_path, text), {"SECRET": SECRET})
    assert "${SECRET}" in found
    assert SECRET not in found


@given(st.text(string.printable, min_size=1))
def test_no_fingerprint_key_is_shown_whatever_is_wrong_with_it(key: str) -> None:
    """A short key gives the same text as any other short key."""
    texts = []
    for value in (key[:31], "k"):
        found = Problems({"upstream": {"url": "http://127.0.0.1"}, "fingerprint": {"key": value.replace("${", "$")}})
        validate(read(found, {}), found)
        texts.append(found.lines())
    assert texts[0] == texts[1] != []


class TestFingerprintKey:
    def config(self, **fingerprint: str) -> Config:
        return Config(upstream=UpstreamConfig(url="http://127.0.0.1"), fingerprint=FingerprintConfig(**fingerprint))

    def test_nothing_said_is_none(self) -> None:
        assert fingerprint_key(self.config()) is None

    def test_a_key_in_the_file_is_its_bytes(self) -> None:
        assert fingerprint_key(self.config(key=KEY + "é")) == (KEY + "é").encode()

    def test_a_key_file_is_read_without_its_line_end(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text(KEY + "\r\n")
        assert fingerprint_key(self.config(key_file="key"), tmp_path) == KEY.encode()

    def test_a_key_file_is_relative_to_the_working_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "key").write_text(KEY)
        monkeypatch.chdir(tmp_path)
        assert fingerprint_key(self.config(key_file="key")) == KEY.encode()

    @pytest.mark.parametrize(
        ("content", "text"),
        [(None, "cannot be read: No such file"), (b"\n", "is empty"), (SECRET.encode(), "is shorter than 32 bytes")],
    )
    def test_a_key_file_that_cannot_be_used_is_a_problem(
        self, tmp_path: Path, content: bytes | None, text: str
    ) -> None:
        if content is not None:
            (tmp_path / "key").write_bytes(content)
        with pytest.raises(ConfigError, match=text) as raised:
            fingerprint_key(self.config(key_file="key"), tmp_path)
        assert SECRET not in str(raised.value)
