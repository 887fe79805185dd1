import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from gateway.config import load, schema, schema_rule
from gateway.config.changes import RESTART
from gateway.config.hints import example
from gateway.config.problems import Problems
from gateway.config.reader import read
from gateway.config.schema_answers import AnswerConfig, CorsConfig
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_duplicates import UpsertConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_store import StoreConfig
from gateway.config.schema_traces import TracesConfig
from gateway.config.schema_upstreams import ForwardingConfig, RouteConfig, UpstreamConfig, UpstreamTlsConfig
from gateway.config.schema_verify import VerifyConfig
from gateway.config.table import Table
from gateway.config.units import parse_duration, parse_size
from gateway.config.validate import validate
from gateway.errors import ConfigError
from gateway.guard.answer import AnswerSource, parse_answer_field
from gateway.guard.answer_shapes import SLUGS
from gateway.guard.field import Source
from gateway.guard.normalize import NORMALISERS
from tests.support.config import KEY, ROOT, RULE, UPSTREAM

REFERENCE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SAMPLE = ROOT / "config" / "gateway.toml"

HEADINGS: dict[type[Table], str] = {
    schema.ServerConfig: "[server]",
    schema.ServerTlsConfig: "[server.tls]",
    schema.AdminConfig: "[admin]",
    UpstreamConfig: "[upstream]",
    UpstreamTlsConfig: "[upstream.tls]",
    RouteConfig: "[[routes]]",
    ForwardingConfig: "[forwarding]",
    CorsConfig: "[cors]",
    StoreConfig: "[store]",
    schema.FingerprintConfig: "[fingerprint]",
    schema.LogConfig: "[log]",
    TracesConfig: "[traces]",
    schema_rule.RuleConfig: "[[rules]]",
    VerifyConfig: "verify",
    schema_rule.MatchConfig: "match",
    schema_rule.UniqueConfig: "unique",
    schema_rule.PreviousConfig: "previous",
    schema_rule.ScopeConfig: "scope",
    KeyConfig: "key",
    OutcomeConfig: "outcome",
    ConditionConfig: "Conditions",
    AuthorizeConfig: "authorize",
    UpsertConfig: "upsert",
    ReleaseConfig: "release",
    UpdateConfig: "update",
    OverrideConfig: "override",
    AnswerConfig: "[rules.answers.SLUG]",
}


def section(heading: str) -> str:
    """The text from a heading to the next one."""
    found = re.search(
        rf"^##+ `?{re.escape(heading)}`?\n(.*?)(?=^#|\Z)", REFERENCE.replace("\n# ", "\n ## "), re.MULTILINE | re.DOTALL
    )
    assert found, f"no heading {heading}"
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading, by their first cell."""
    lines = [line for line in section(heading).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip("`| "): rest for first, *rest in cells}


def tables(kind: type[Table]) -> set[type[Table]]:
    """A struct of the schema and all that stand in it."""
    found = {kind}
    for field in msgspec.structs.fields(kind):
        arguments = get_args(field.type)
        for member in (field.type, *arguments, *[inner for argument in arguments for inner in get_args(argument)]):
            if isinstance(member, type) and get_origin(member) is None and issubclass(member, Table):
                found |= tables(member)
    return found


def test_every_table_of_the_schema_has_a_heading() -> None:
    assert tables(schema.Config) == {schema.Config, *HEADINGS}
    assert {field.name for field in msgspec.structs.fields(schema.Config)} == {
        "upstreams",
        *[heading.strip("[]") for heading in HEADINGS.values() if heading.startswith("[") and "." not in heading],
    }


def test_the_example_of_several_upstreams_is_right() -> None:
    block = re.search(r"```toml\n(.*?)```", section("[upstreams.NAME]"), re.DOTALL)
    assert block
    assert findings(block[1]) == []


@pytest.mark.parametrize("table", HEADINGS, ids=HEADINGS.get)
def test_every_key_is_documented_under_its_table_and_no_other(table: type[Table]) -> None:
    assert set(rows(HEADINGS[table])) == {field.encode_name for field in msgspec.structs.fields(table)}


@pytest.mark.parametrize("table", HEADINGS, ids=HEADINGS.get)
def test_every_default_is_documented_as_it_is(table: type[Table]) -> None:
    for field in msgspec.structs.fields(table):
        kind, default, meaning = rows(HEADINGS[table])[field.encode_name]
        assert meaning, f"{field.name} has a meaning"
        if field.required or field.default is None:
            assert default == ("required" if field.required else "none"), field.name
            continue
        value = tomllib.loads(f"default = {default.strip('`')}")["default"]
        if kind == "duration":
            value = parse_duration(value)
        elif kind == "size":
            value = parse_size(value)
        in_force = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        assert value == (list(in_force) if isinstance(in_force, tuple) else in_force), field.name


@pytest.mark.parametrize("table", HEADINGS, ids=HEADINGS.get)
def test_the_example_of_a_table_is_right(table: type[Table]) -> None:
    """Each section's example is a part of a file that is free of problems."""
    block = re.search(r"```toml\n(.*?)```", section(HEADINGS[table]), re.DOTALL)
    assert block, "the section has an example"
    assert findings(complete(block[1], table)) == []


def complete(text: str, table: type[Table]) -> str:
    """A whole file around an example."""
    if table is schema_rule.MatchConfig:
        return UPSTREAM + RULE.replace('match = { path = "/users" }\n', text)
    if table in {schema_rule.UniqueConfig, schema_rule.PreviousConfig}:
        return UPSTREAM + RULE.replace('unique = [{ name = "email", fields = ["body.email"] }]\n', text)
    if table is schema_rule.ScopeConfig:
        return UPSTREAM + RULE + text
    changes = {UpsertConfig, ReleaseConfig, UpdateConfig}
    own = {KeyConfig, AuthorizeConfig, OverrideConfig, VerifyConfig, AnswerConfig, *changes}
    if table in own and "[[rules]]" not in text:
        return UPSTREAM + RULE + text
    if table is RouteConfig and "[upstreams" not in text:
        text = f'{text}[upstreams.users]\nurl = "http://127.0.0.1:9001"\n'
    if table is UpstreamTlsConfig and "[upstream]" not in text:
        text = f'[upstream]\nurl = "https://api.example.com"\n{text}'
    return text if "[upstream]" in text else UPSTREAM + text


def findings(text: str) -> list[str]:
    found = Problems(tomllib.loads(text))
    environ = {"GATEWAY_KEY": KEY, "GATEWAY_TOKEN": KEY, "API_HOST": "localhost", "API_PORT": "9000"}
    validate(read(found, environ), found)
    return found.lines()


def test_the_first_example_is_a_whole_file() -> None:
    block = re.search(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    assert block
    assert findings(block[1]) == []


def test_every_normaliser_is_documented_by_what_it_does() -> None:
    documented = rows("Normalisers")
    assert set(documented) == set(NORMALISERS)
    for name, (_, before, after) in documented.items():
        given, wanted = (tomllib.loads(f"value = {cell.strip('`')}")["value"] for cell in (before, after))
        assert NORMALISERS[name](str(given)) == wanted, name
        assert given != wanted, f"the example of {name} shows something"


def test_every_source_of_a_field_is_documented_and_no_other_is() -> None:
    sources = [source.value for source in Source if source is not Source.BYTES]
    assert [field.partition(".")[0] for field in rows("Fields") if field != "body"] == sources
    assert re.findall(r'"(\w+)"', section("Fields").partition("source = ")[2].partition("\n")[0]) == sources


def test_every_source_of_a_field_of_an_answer_is_documented_and_no_other_is() -> None:
    documented = [parse_answer_field(field) for field in rows("Fields of an answer")]
    assert [field.source for field in documented] == list(AnswerSource)


def test_every_answer_that_a_rule_can_shape_is_documented_and_no_other_is() -> None:
    listed = section("[rules.answers.SLUG]").partition(" under its slug: ")[2].partition("What comes before")[0]
    assert sorted(re.findall(r"`([a-z-]+)`", listed)) == sorted(SLUGS)


def test_every_key_that_waits_for_a_restart_is_documented_and_no_other_is() -> None:
    lines = "".join(re.findall(r"^- .*$", section("Reloading"), re.MULTILINE))
    assert set(re.findall(r"(?:- |, )`([a-z_.]+)`", lines)) == set(RESTART)


def test_the_sample_loads() -> None:
    config = load(SAMPLE, {})
    assert [rule.name for rule in config.rules] == ["create-user", "create-order"]


def test_every_key_that_the_sample_comments_out_is_right(tmp_path: Path) -> None:
    """With every commented line switched on, only what stands in each other's way is a problem."""
    text, count = re.subn(r"(?m)^#(?=\[|[a-z_]+ = )", "", SAMPLE.read_text(encoding="utf-8"))
    assert count > 10
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load(path, {"GATEWAY_KEY": KEY})
    assert raised.value.problems == ["fingerprint.key_file: stands beside key; keep one of the two"]


@pytest.mark.parametrize("table", HEADINGS, ids=HEADINGS.get)
def test_every_text_that_says_what_would_be_right_is_right(table: type[Table]) -> None:
    """The example of each key reads as a value of that key."""
    left_out = {
        schema.FingerprintConfig: {"key_file"},
        schema.AdminConfig: {"token_file"},
        UpstreamConfig: {"urls", "tls"},
        # The first two need another `duplicate`, the next two fields of items, the last one a form.
        schema_rule.RuleConfig: {"accept_status", "upsert", "each", "item_status", "spool_limit"},
    }.get(table, set())
    keys = [field for field in msgspec.structs.fields(table) if field.name not in left_out]
    lines = [example(table, field.encode_name) for field in keys]
    for field, line in zip(keys, lines, strict=True):
        parsed: dict[str, Any] = tomllib.loads(line)
        assert list(parsed) == [field.encode_name]
        assert parsed[field.encode_name] != "None", "a key without a default has an example of its own"
    text = "\n".join(lines) + "\n"
    if table is schema_rule.MatchConfig:
        text = f"match = {{ {', '.join(lines)} }}\n"
    elif table is schema_rule.UniqueConfig:
        text = f"unique = [{{ {', '.join(lines)} }}]\n"
    elif table is schema_rule.PreviousConfig:
        text = f'unique = [{{ name = "email", fields = ["body.email"], previous = {{ {", ".join(lines)} }} }}]\n'
    elif table is schema_rule.ScopeConfig:
        text = f"scope = [{{ {', '.join(lines)} }}]\n"
    elif table in {KeyConfig, AuthorizeConfig, OverrideConfig, VerifyConfig}:
        text = f"{HEADINGS[table]} = {{ {', '.join(lines)} }}\n"
    elif table is OutcomeConfig:
        text = f"{RULE}outcome = [{{ {', '.join(lines)} }}]\n"
    elif table is ConditionConfig:
        first, *tests = lines
        conditions = ", ".join([f"{{ {first}, {test} }}" for test in tests])
        text = f'{RULE}outcome = [{{ when = [{conditions}], is = "refused" }}]\n'
    elif table is UpsertConfig:
        text = f'resource = "header.Location"\nduplicate = "upsert"\nupsert = {{ {", ".join(lines)} }}\n'
    elif table in {ReleaseConfig, UpdateConfig}:
        text = f'resource = "header.Location"\n{HEADINGS[table]} = [{{ {", ".join(lines)} }}]\n'
    else:
        text = f"{HEADINGS[table].replace('SLUG', 'duplicate')}\n{text}"
    assert findings(complete(text, table)) == []
