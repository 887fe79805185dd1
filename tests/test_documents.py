# docs/ and the documents beside it, held against the program that they are about.

import ast
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from gateway import cli
from gateway.commands.demo.scenes import SCENES
from gateway.config import load
from gateway.errors import CodingNotAccepted
from gateway.guard.decision import Conflict
from gateway.guard.verdict import Verdict
from gateway.http import existing, problem
from gateway.model import Claim, Record, State
from gateway.proxy import answers
from gateway.proxy.change_ending import SUCCEEDED
from gateway.proxy.judgement import OUTCOMES
from gateway.telemetry import RequestRecord, Telemetry

ROOT = Path(__file__).parents[1]
AT_THE_TOP = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
DOCUMENTS = [*AT_THE_TOP, *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "gateway").rglob("*.py"))}
CALLS = [node for text in SOURCES.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
SAMPLE = tomllib.loads((ROOT / "config" / "gateway.toml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PROGRAMS = {
    "make", "gateway", "curl", "docker", "install", "kubectl", "python3", "pip", "/opt/gateway/bin/pip", "systemctl",
}  # fmt: skip
"""What the documents have their readers call."""
READERS_OWN = {"gateway.toml", "new-gateway.toml"}
"""Files that a reader is told to write."""


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def section(document: str, heading: str) -> str:
    """The text from a heading to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", TEXTS[document], re.MULTILINE | re.DOTALL)
    assert found, f"{document} has no heading {heading}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of every table, heads left out."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("| ---"):
            found.pop()
        elif line.startswith("| "):
            found.append([cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")])
    return found


def ticked(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def names(document: str, heading: str) -> list[str]:
    """What stands in backticks in the first column of a section's tables."""
    return [name for row in rows(section(document, heading)) for name in ticked(row[0])]


def shown_commands() -> Iterator[list[str]]:
    """Every command after a "$ " in a document, as a shell would split it.

    The virtual environment is left out, and "> FILE" behind it.
    """
    for name, text in TEXTS.items():
        for block in blocks(text, "console"):
            lines = block.replace("\\\n", " ").splitlines()
            assert all(line.startswith("$ ") for line in lines), f"{name}: output has a block of its own"
            for line in lines:
                program, *arguments = shlex.split(re.sub(r" > \S+$", "", line[2:]), comments=True)
                yield [program.removeprefix(".venv/bin/"), *arguments]


COMMANDS = list(shown_commands())


def calls_of(name: str) -> list[ast.Call]:
    """Every call in gateway/ of a function or method of this name."""
    return [call for call in CALLS if name in {getattr(call.func, "attr", None), getattr(call.func, "id", None)}]


def texts_in(call: ast.Call) -> list[str]:
    """The texts among a call's positional arguments."""
    return [
        node.value
        for argument in call.args
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


# Commands


def test_only_known_programs_are_shown() -> None:
    assert {program for program, *_ in COMMANDS} == PROGRAMS


def test_every_gateway_command_shown_is_taken_as_it_stands() -> None:
    for program, *arguments in COMMANDS:
        if program == "gateway":
            try:
                cli.parser().parse_args(arguments)
            except SystemExit:
                pytest.fail(f"gateway does not take {arguments}")


def test_every_make_target_named_exists_and_readme_shows_the_two_that_matter() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in {target for text in TEXTS.values() for target in re.findall(r"\bmake ([\w-]+)(?=`|\n)", text)}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    readme = [block.strip() for block in blocks(TEXTS["README.md"], "console")]
    assert "$ make run" in readme
    assert "$ make test" in readme


def test_every_file_that_a_command_names_exists() -> None:
    files = {word for words in COMMANDS for word in words if re.fullmatch(r"[\w./-]+\.(toml|lock|json)", word)}
    assert "config/gateway.toml" in files
    assert [file for file in files - READERS_OWN if not (ROOT / file).is_file()] == []


def test_commands_send_to_the_addresses_of_the_sample() -> None:
    sent_to = {found for words in COMMANDS for word in words for found in re.findall(r"http://[^/ ]+", word)}
    assert sent_to == {f"http://{SAMPLE['server']['listen']}", SAMPLE["upstream"]["url"]}


def test_every_verb_is_documented() -> None:
    shown = {arguments[0] for program, *arguments in COMMANDS if program == "gateway"}
    documented = {verb for text in TEXTS.values() for verb in re.findall(r"`gateway ([a-z]+)", text)}
    assert set(cli.COMMANDS) - shown - documented == set()


def test_the_changelog_says_what_is_unreleased() -> None:
    section("CHANGELOG.md", "[Unreleased]")
    assert set(cli.COMMANDS) <= set(ticked(section("CHANGELOG.md", "Added")))


# What is shown


def test_the_demo_shown_is_the_demo_played() -> None:
    readme = TEXTS["README.md"]
    shown = re.findall(r"^  (\d)  (.+)$", readme, re.MULTILINE)
    assert shown
    for number, title in shown:
        scene = SCENES[int(number) - 1]
        assert title == scene.title
        assert scene.moral in readme
        assert f"reached the API: {scene.reached} " in readme
    sent = sum(getattr(step, "times", 0) for scene in SCENES for step in scene.steps)
    assert f"{sent} creates sent, {sum(scene.reached for scene in SCENES)} reached the API, no duplicate" in readme


def test_the_409_shown_is_the_409_sent() -> None:
    (block,) = blocks(TEXTS["README.md"], "json")
    shown = json.loads(block)
    rule = SAMPLE["rules"][0]
    claim = Claim(b"", rule["name"], rule["unique"][0]["name"], 0)
    first, expires = (round(datetime.fromisoformat(shown[at]).timestamp() * 1000) for at in ("firstSeen", "expiresAt"))
    record = Record(b"", b"", State.CREATED, claim.rule, claim.entry, first, expires, 0, "/users/1")
    sent = answers.conflict(Conflict.DUPLICATE, claim, record, first, shows_link=True).render(None, b"")
    head, _, body = sent.decode().partition("\r\n\r\n")
    assert list(json.loads(body).items()) == list(shown.items())
    *_, answer = blocks(TEXTS["README.md"], "http")
    assert set(answer.splitlines()) - {"..."} <= set(head.split("\r\n"))


@pytest.mark.parametrize("document", ["README.md", "docs/operations.md"])
def test_every_rules_file_shown_is_free_of_problems(document: str, tmp_path: Path) -> None:
    shown = blocks(TEXTS[document], "toml")
    assert shown
    for text in shown:
        file = tmp_path / "gateway.toml"
        file.write_text(text, encoding="utf-8")
        assert load(file, {}).rules


def test_every_link_inside_the_documents_leads_somewhere() -> None:
    broken, count = [], 0
    for path in DOCUMENTS:
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text(encoding="utf-8")):
            file, _, anchor = link.partition("#")
            goal = path.parent / file if file else path
            if not goal.is_file() or (anchor and anchor not in anchors(goal.read_text(encoding="utf-8"))):
                broken.append(f"{path.name}: {link}")
            count += 1
    assert broken == []
    assert count > 20


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Answers


def test_every_slug_is_documented_with_its_statuses_and_no_other_is() -> None:
    table = rows(section("docs/answers.md", "By slug"))
    documented = {(ticked(row[0])[0], int(status)) for row in table for status in row[1].split(", ")}
    about_the_api = {(slug, status) for slug in ("upstream-unreachable", "outcome-unknown") for status in (502, 504)}
    of_a_body = {("missing-identity", CodingNotAccepted.status)}
    assert documented == {(slug, kind.status) for slug, kind in problem.KINDS.items()} | about_the_api | of_a_body


def test_every_member_of_a_problem_is_documented_in_its_order() -> None:
    members = [field.encode_name for field in msgspec.structs.fields(problem.Problem)]
    assert names("docs/answers.md", "Members of the body") == members


def test_every_proxy_error_type_is_documented_and_no_other_is() -> None:
    results = {text for name in ("NotSent", "NoResponse") for call in calls_of(name) for text in texts_in(call)}
    assert set(names("docs/answers.md", "Header fields")) == results | {kind.error for kind in problem.KINDS.values()}


# Operations


def test_every_field_of_a_request_s_line_is_documented_in_its_order() -> None:
    log = io.StringIO()
    Telemetry(log, style="json").request(FULL_RECORD)
    assert names("docs/operations.md", "Lines about requests") == list(json.loads(log.getvalue()))
    assert len(json.loads(log.getvalue())) == len(msgspec.structs.fields(RequestRecord)) + len({"time", "event"})


FULL_RECORD = RequestRecord(
    method="POST",
    rule="create-user",
    outcome="unguarded",
    status=201,
    upstream_status=201,
    duration_ms=1.5,
    upstream_ms=1.0,
    fingerprint="6ef3b0e41e1e",
    unguarded="missing-identity",
    would="unguarded",
    client_gone=True,
    request_id="9d0c4ae9f6a84f0dbf4a6a1e1e7f8f5c",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)


def test_every_outcome_that_is_no_slug_is_documented_and_no_other_is() -> None:
    rooms = "".join(
        SOURCES[ROOT / "gateway" / "proxy" / name]
        for name in (
            *("handler.py", "create.py", "conflicts.py", "authorize.py", "upsert.py", "forward.py", "sender.py"),
            "shadow.py",
        )
    )
    told = {
        *OUTCOMES.values(),
        *SUCCEEDED.values(),
        *re.findall(r'outcome = "([a-z-]+)"', rooms),
        existing.ACCEPTED,
        existing.REDIRECTED,
    }
    slugs = {*problem.KINDS, "upstream-unreachable"}
    assert set(names("docs/operations.md", "Outcomes")) == told - slugs
    assert "upgraded" in told


def test_every_event_is_documented_with_its_level_and_facts_and_no_other_is() -> None:
    told: dict[str, tuple[str, set[str]]] = {}
    for kind in ("event", "repeated"):
        for call in calls_of(kind):
            name, level = [*texts_in(call), "info"][:2]
            known, facts = told.setdefault(name, (level, {"times"} if kind == "repeated" else set()))
            assert known == level, name
            facts.update(keyword.arg for keyword in call.keywords if keyword.arg)
    table = rows(section("docs/operations.md", "Other lines"))
    assert {ticked(name)[0]: (level, set(ticked(facts))) for name, level, facts, _ in table} == told


def test_every_metric_and_label_is_documented_and_no_other_is() -> None:
    suffixes = {"_counter": "_total", "_gauges": "", "_gauge": "", "_histogram": "_seconds"}
    sent = {"gateway_build_info": ["version", "python"]}
    for made, suffix in suffixes.items():
        for call in calls_of(made):
            name = f"gateway_{texts_in(call)[0]}{suffix}"
            sent[name] = [] if made == "_gauge" else list(ast.literal_eval(call.args[2]))
    table = rows(section("docs/operations.md", "Metrics"))
    assert {ticked(name)[0]: ticked(labels) for name, labels, *_ in table} == sent
    named = set(re.findall(r"`(gateway_\w+)", "".join(TEXTS.values())))
    assert named == set(sent)


def test_every_outcome_and_event_to_watch_exists() -> None:
    watched = ticked(section("docs/operations.md", "What to watch"))
    events = {texts_in(call)[0] for kind in ("event", "repeated") for call in calls_of(kind)}
    known = {*OUTCOMES.values(), *problem.KINDS, *Verdict, "unauthorized", "unguarded"} | events
    assert {value for text in watched for value in re.findall(r'"([a-z-]+)"', text)} <= known


def test_every_path_of_the_admin_listener_is_documented_and_no_other_is() -> None:
    folder = ROOT / "gateway" / "process" / "admin"
    modules = "".join([text for path, text in SOURCES.items() if path.is_relative_to(folder)])
    served = re.findall(r'method="(GET|POST)",\s+path="([^"]+)"', modules)
    documented = [(row[1], ticked(row[0])[0]) for row in rows(section("docs/operations.md", "The admin listener"))]
    assert sorted(documented) == sorted(served)


def test_every_package_is_documented_in_its_layer() -> None:
    contract = PROJECT["tool"]["importlinter"]["contracts"][0]
    layers = [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]
    documented: list[set[str]] = [set() for _ in layers]
    for layer, package, _ in rows(section("docs/architecture.md", "The layers")):
        documented[int(layer) - 1].update(ticked(package))
    assert documented == layers


# Contributing


def test_every_file_and_test_that_contributors_are_told_of_exists() -> None:
    told = ticked(re.sub(r"^```.*?^```", "", TEXTS["CONTRIBUTING.md"], flags=re.MULTILINE | re.DOTALL))
    files = {name for name in told if re.fullmatch(r"(?:gateway|tests|docs|config|campaigns)/[\w./*-]*", name)}
    assert len(files) > 20
    assert [name for name in files if not any(ROOT.glob(name.rstrip("/")))] == []
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = {name for name in told if re.fullmatch(r"test_\w+", name)}
    assert len(tests) > 10
    assert [name for name in tests if f"def {name}(" not in written] == []


def test_the_list_of_make_targets_has_all_of_them_in_lines_that_fit_a_terminal() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    listed = re.findall(r"^([a-z-]+):.* ## (.+)$", makefile, re.MULTILINE)
    assert sorted(phony.split()) == sorted(target for target, _ in listed)
    assert set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) == set(phony.split())
    assert [target for target, comment in listed if len(f"  {'':16} {comment}") > 80] == []
