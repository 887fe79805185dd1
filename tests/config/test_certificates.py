# The TLS files that a configuration names: each thing that would make every handshake fail is found, and named.

import datetime
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gateway.commands import provision
from gateway.config import load
from gateway.config.schema import Config, ServerConfig, ServerTlsConfig
from gateway.config.schema_upstreams import UpstreamConfig, UpstreamTlsConfig
from gateway.tls import certificates
from tests.support.authority import Authority
from tests.support.config import written

NOW = datetime.datetime(2035, 6, 7, 8, 9, 10, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority whose files are in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Authority(Path())


def issue(authority: Authority, name: str, begins: datetime.timedelta, ends: datetime.timedelta) -> tuple[str, str]:
    """A certificate and its key, valid in a span around NOW."""
    return authority.issue(name, not_before=NOW + begins, not_after=NOW + ends)


def found(certificate: str, key: str, client_ca: str | None = None) -> list[str]:
    """What is wrong with the files of a listener."""
    tls = ServerTlsConfig(certificate=certificate, key=key, client_ca=client_ca)
    return certificates.server_problems(tls, NOW.timestamp())


def test_a_certificate_with_its_key_is_fine(authority: Authority) -> None:
    assert found(*issue(authority, "fine", -DAY, DAY)) == []


def test_a_certificate_of_the_last_century_is_read(authority: Authority) -> None:
    """Its year has two digits, which mean 1950 to 2049."""
    long_ago = datetime.datetime(1961, 2, 3, tzinfo=datetime.UTC)
    assert found(*issue(authority, "old", long_ago - NOW, DAY)) == []


def test_both_may_stand_in_one_file(authority: Authority) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    Path("both.pem").write_text(Path(certificate).read_text() + Path(key).read_text())
    assert found("both.pem", "both.pem") == []


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (-2 * DAY, -DAY, "expired on 2035-06-06 08:09:10 UTC"),
        (DAY, 2 * DAY, "is not valid before 2035-06-08 08:09:10 UTC"),
        (15 * 365 * DAY, 20 * 365 * DAY, "is not valid before 2050-06-03 08:09:10 UTC"),
    ],
)
def test_a_certificate_out_of_its_time_is_named(
    authority: Authority, begins: datetime.timedelta, ends: datetime.timedelta, said: str
) -> None:
    assert found(*issue(authority, "late", begins, ends)) == [
        f"server.tls.certificate: the certificate in late.crt {said}; write the path of one that is valid now"
    ]


def test_an_expired_certificate_further_on_in_the_file_is_named_by_its_place(authority: Authority) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    late, _ = issue(authority, "late", -2 * DAY, -DAY)
    Path("chain.crt").write_text(Path(certificate).read_text() + Path(late).read_text())
    (problem,) = found("chain.crt", key)
    assert problem.startswith("server.tls.certificate: certificate 2 in chain.crt expired on")


def test_a_key_of_another_certificate_is_found(authority: Authority) -> None:
    certificate, _ = issue(authority, "one", -DAY, DAY)
    _, key = issue(authority, "two", -DAY, DAY)
    assert found(certificate, key) == ["server.tls.key: the key in two.key is not that of the certificate in one.crt"]


def test_files_that_are_not_there_are_each_named(authority: Authority) -> None:
    assert found("none.crt", "none.key", "none-ca.crt") == [
        "server.tls.certificate: none.crt cannot be read: No such file or directory",
        "server.tls.key: none.key cannot be read: No such file or directory",
        "server.tls.client_ca: none-ca.crt cannot be read: No such file or directory",
    ]


def test_files_in_each_others_place_are_each_named(authority: Authority) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    one, two = found(key, certificate)
    assert one.startswith("server.tls.certificate: fine.key holds no certificate; write")
    assert two.startswith("server.tls.key: fine.crt holds no private key; write")


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_certificate_that_was_cut_off_is_found(authority: Authority, length: int) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    text = Path(certificate).read_text()
    begin, end = "-----BEGIN CERTIFICATE-----\n", "\n-----END CERTIFICATE-----\n"
    Path("cut.crt").write_text(begin + text.removeprefix(begin)[:length] + end)
    (problem,) = found("cut.crt", key)
    assert problem.startswith("server.tls.certificate: cut.crt holds a certificate that cannot be read")


def test_a_key_that_was_cut_off_is_found(authority: Authority) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    Path("cut.key").write_text("\n".join(Path(key).read_text().splitlines()[:2]))
    (problem,) = found(certificate, "cut.key")
    assert problem.startswith("server.tls.key: cut.key or fine.crt cannot be used for TLS: ")


@pytest.mark.parametrize(
    "form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL], ids=["new", "old"]
)
def test_a_key_with_a_passphrase_is_found_and_nobody_is_asked_for_it(
    authority: Authority, form: serialization.PrivateFormat
) -> None:
    certificate, key = issue(authority, "fine", -DAY, DAY)
    made = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    locked = made.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"sesame"))
    Path("locked.key").write_bytes(locked)
    (problem,) = found(certificate, "locked.key")
    assert problem.startswith("server.tls.key: the key in locked.key is encrypted; write it without a passphrase")


def test_a_directory_is_no_certificate(authority: Authority) -> None:
    _, key = issue(authority, "fine", -DAY, DAY)
    assert found(".", key) == ["server.tls.certificate: . cannot be read: Is a directory"]


def test_of_several_authorities_one_that_is_valid_is_enough(authority: Authority) -> None:
    pair = issue(authority, "fine", -DAY, DAY)
    late, _ = issue(authority, "late", -2 * DAY, -DAY)
    Path("bundle.crt").write_text(Path(late).read_text() + Path(pair[0]).read_text())
    assert found(*pair, client_ca="bundle.crt") == []
    (problem,) = found(*pair, client_ca=late)
    assert problem.startswith("server.tls.client_ca: no authority in late.crt can be used: it expired on")


def test_all_tables_are_looked_through(authority: Authority) -> None:
    config = Config(
        server=ServerConfig(tls=ServerTlsConfig(certificate="a", key="b")),
        upstream=UpstreamConfig(url="https://x", tls=UpstreamTlsConfig(ca="c")),
        upstreams={"api": UpstreamConfig(url="https://x", tls=UpstreamTlsConfig(certificate="d", key="e"))},
    )
    problems = certificates.problems(config, NOW.timestamp())
    assert [problem.partition(":")[0] for problem in problems] == [
        *("server.tls.certificate", "server.tls.key", "upstream.tls.ca"),
        *("upstreams.api.tls.certificate", "upstreams.api.tls.key"),
    ]


def test_nothing_is_said_against_files_that_are_right(authority: Authority) -> None:
    pair = issue(authority, "fine", -DAY, DAY)
    tls = UpstreamTlsConfig(ca=authority.file, certificate=pair[0], key=pair[1])
    for config in (UpstreamConfig(url="https://x", tls=tls), UpstreamConfig(url="https://x")):
        assert certificates.problems(Config(upstream=config), NOW.timestamp()) == []


def test_the_check_command_looks_at_them_by_todays_date(authority: Authority) -> None:
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    authority.issue("fine", not_before=now - DAY, not_after=now + DAY)
    authority.issue("late", not_before=now - 2 * DAY, not_after=now - DAY)
    text = """
        [server]
        tls = { certificate = "NAME.crt", key = "NAME.key" }
        [upstream]
        url = "https://localhost"
        tls = { ca = "ca.crt" }
        [store]
        url = "memory:"
    """
    assert provision.problems(load(written(Path(), text.replace("NAME", "fine")))) == []
    (problem,) = provision.problems(load(written(Path(), text.replace("NAME", "late"))))
    assert "expired" in problem
