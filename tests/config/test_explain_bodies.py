# `gateway explain` with XML and MessagePack, given as to curl.

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.explaining import explained

RULES = """
[upstream]
url = "http://127.0.0.1:9000"
[store]
url = "memory:"
[[rules]]
name = "create-user"
match = { path = "/soap", when = [{ field = "xml.Envelope.Body.CreateUser", exists = true }] }
unique = [{ name = "email", fields = ["xml.Envelope.Body.CreateUser.email"], normalize = ["trim"] }]
verify = { path = "/users?email={xml.Envelope.Body.CreateUser.email}" }
[[rules]]
name = "measurement"
match = { path = "/measurements" }
unique = [{ name = "reading", fields = ["body.device", "body.sequence"] }]
msgpack = true
"""
CREATE = b"<Envelope>\r\n<Body><CreateUser>\n<email> ada@x.org\n</email></CreateUser></Body></Envelope>"
XML = ("-H", "Content-Type: text/xml")

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text(RULES, encoding="utf-8")
    Path("create.xml").write_bytes(CREATE)
    Path("get.xml").write_bytes(CREATE.replace(b"CreateUser", b"GetUser"))
    Path("odd.xml").write_bytes(CREATE.replace(b"ada", b"<![CDATA[canary]]>"))

    def run(*words: str) -> int:
        return explained("gateway.toml", "--json", *words)

    return run


def test_a_body_is_given_by_the_name_of_a_file(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/soap", "--data-binary", "@create.xml", *XML) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["claims"][0]["identity"] == {"xml.Envelope.Body.CreateUser.email": "ada@x.org"}
    assert found["when"] == ["xml.Envelope.Body.CreateUser exists"]
    assert found["verify"] == "/users?email=%20ada%40x.org%0A"


def test_what_is_no_create_and_what_cannot_be_read_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("/soap", "--data-binary", "@get.xml", *XML) == 0
    assert "passes untouched: no rule guards it" in capsys.readouterr().out
    assert run("/soap", "-d", "@odd.xml", *XML) == 1
    told = capsys.readouterr().out
    assert "422 missing-identity: xml.Envelope.Body.CreateUser.email holds a comment, a CDATA section" in told
    assert "canary" not in told
    assert run("/soap", "-d", "{}") == 1
    assert "xml.Envelope.Body.CreateUser can be read in more than one way" in capsys.readouterr().out


def test_messagepack_is_shown_as_json_would_be(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("reading").write_bytes(b"\x83\xa6device\xa2d1\xa8sequence\xcd\x00\x07\xa4data\xc4\x02\r\n")
    assert run("/measurements", "--data-binary", "@reading", "-H", "Content-Type: application/msgpack") == 0
    assert json.loads(capsys.readouterr().out)["claims"][0]["identity"] == {"body.device": "d1", "body.sequence": 7}
    assert run("/measurements", "--data-binary", "@reading") == 1
    assert "422 missing-identity" in capsys.readouterr().out
