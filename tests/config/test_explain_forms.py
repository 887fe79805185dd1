# `gateway explain` with forms, given as to curl.

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.commands.curl_options import FormPart, data_urlencode, form_part
from tests.support.explaining import explained

RULES = """
[upstream]
url = "http://127.0.0.1:9000"
[store]
url = "memory:"
[[rules]]
name = "upload"
match = { path = "/photos" }
unique = [{ name = "photo", fields = ["form.album", "file.photo.sha256", "file.photo.filename"] }]
[[rules]]
name = "sign-up"
match = { path = "/sign-up" }
unique = [{ name = "email", fields = ["form.email"], normalize = ["email"] }]
verify = { path = "/users?email={form.email}" }
[[rules]]
name = "note"
match = { path = "/videos", when = [{ field = "body.kind", equals = "note" }] }
unique = [{ name = "id", fields = ["body.id"] }]
missing = "forward"
[[rules]]
name = "video"
match = { path = "/videos" }
unique = [{ name = "video", fields = ["file.video.size"] }]
body_limit = "64KiB"
spool_limit = "2MiB"
"""

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text(RULES, encoding="utf-8")

    def run(*words: str) -> int:
        return explained("gateway.toml", "--json", *words)

    return run


def test_a_multipart_form_is_given_with_f(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("cat.png").write_bytes(b"\x89PNG\r\n")
    assert run("/photos", "-F", "album=7", "-F", "photo=@cat.png") == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["identity"] == {
        "form.album": "7",
        "file.photo.sha256": hashlib.sha256(b"\x89PNG\r\n").hexdigest(),
        "file.photo.filename": "cat.png",
    }
    assert run("/photos", "-F", "album=7") == 1
    assert "file.photo.sha256 is absent" in capsys.readouterr().out


def test_a_file_may_be_as_large_as_the_gateway_takes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.mp4").write_bytes(b"x" * 1_500_000)
    assert run("/videos", "-F", "video=@a.mp4") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["claims"][0]["identity"]) == ("video", {"file.video.size": "1500000"})
    Path("a.mp4").write_bytes(b"x" * 2_500_000)
    assert run("/videos", "-F", "video=@a.mp4") == 1
    assert "413 body-too-large: the body is larger than 2097152 bytes" in capsys.readouterr().out


def test_a_urlencoded_form_is_given_with_data_urlencode(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/sign-up", "--data-urlencode", "x=1", "--data-urlencode", "email=Ada+a@x.org") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["claims"][0]["identity"] == {"form.email": "ada+a@x.org"}
    assert found["verify"] == "/users?email=Ada%2Ba%40x.org"
    assert run("/sign-up", "-H", "Content-Type: application/x-www-form-urlencoded", "-d", "email=a&email=b") == 1
    assert "stands there more than once" in capsys.readouterr().out


def test_a_body_is_given_in_one_way(run: Run) -> None:
    for words in (("-F", "a=b", "-d", "c"), ("-F", "a=b", "--data-urlencode", "c=d"), ("-F", "a"), ("-F", "a=@none")):
        with pytest.raises(SystemExit):
            run("/sign-up", *words)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a=b", FormPart("a", b"b", None, None)),
        ("a=b=c", FormPart("a", b"b=c", None, None)),
        ("a=b;type=text/plain", FormPart("a", b"b", None, "text/plain")),
        ("a=<it.json", FormPart("a", b"{}", None, None)),
        ("a=@it.json", FormPart("a", b"{}", "it.json", "application/json")),
        ('a=@it.json;type=x/y;filename="b;c"', FormPart("a", b"{}", "b;c", "x/y")),
        ("a=@none.odd-type;filename=x", None),
    ],
)
def test_a_part_is_written_as_for_curl(text: str, part: FormPart | None, run: Run) -> None:
    Path("it.json").write_text("{}", encoding="utf-8")
    if part is None:
        with pytest.raises(argparse.ArgumentTypeError):
            form_part(text)
    else:
        assert form_part(text) == part


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("a=b c&d", b"a=b+c%26d"),
        ("=b=c", b"b%3Dc"),
        ("b c", b"b+c"),
        ("a%5B%5D=b", b"a%5B%5D=b"),
        ("@it.json", b"%7B%7D"),
        ("a@it.json", b"a=%7B%7D"),
        ("a=@it.json", b"a=%40it.json"),
    ],
)
def test_a_parameter_is_encoded_as_by_curl(text: str, sent: bytes, run: Run) -> None:
    Path("it.json").write_text("{}", encoding="utf-8")
    assert data_urlencode(text) == sent
