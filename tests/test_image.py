# The Dockerfile, held against docs/operations.md and the program. Whether it builds only a container engine can say.

import json
import re

from gateway import cli
from tests.test_documents import PROJECT, ROOT, section, ticked

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def test_the_image_is_what_the_documents_say() -> None:
    said = section("docs/operations.md", "In a container") + section("docs/operations.md", "Starting and stopping")
    uid = re.search(r"uid and gid (\d+)", said)
    assert uid
    assert f"USER {uid[1]}:{uid[1]}\n" in DOCKERFILE
    assert re.search(rf"useradd --uid {uid[1]} --gid {uid[1]} ", DOCKERFILE)
    file = "/etc/gateway/gateway.toml"
    assert "VOLUME /var/lib/gateway\n" in DOCKERFILE
    assert {"/var/lib/gateway", file} <= set(ticked(said))
    assert f":{file}:ro" in said
    program, arguments = instruction("ENTRYPOINT"), instruction("CMD")
    assert program == ["/opt/gateway/bin/gateway"]
    assert arguments == ["run", "-c", file]
    assert instruction(r"HEALTHCHECK .*CMD") == [*program, "health", "-c", file]
    for call in (arguments, ["health", "-c", file]):
        cli.parser().parse_args(call)
    assert "HEALTHCHECK --interval=10s " in DOCKERFILE
    assert "`gateway health` every 10 s" in said
    assert "STOPSIGNAL SIGTERM\n" in DOCKERFILE
    assert "-p 8080:8080" in said
    assert "EXPOSE 8080\n" in DOCKERFILE


def instruction(name: str) -> list[str]:
    """The words of the one instruction of this name, which must be in exec form: the image has no shell to use."""
    (found,) = re.findall(rf"^{name} +(\[.*\])$", DOCKERFILE, re.MULTILINE)
    words: list[str] = json.loads(found)
    return words


def test_the_image_gets_every_file_that_its_recipe_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)]
    assert {file for files in copied for file in files} == allowed
    assert all((ROOT / file).exists() for file in allowed)


def test_the_image_s_python_is_one_that_the_project_supports() -> None:
    bases = re.findall(r"^FROM python:(\d+)\.(\d+)-slim", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    lowest = re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["project"]["requires-python"])
    assert lowest
    assert tuple(map(int, bases[0])) >= tuple(map(int, lowest.groups()))
