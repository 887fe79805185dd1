# Checks the TLS files of a configuration for anything that would make every handshake fail. Reads files; the current
# time, in seconds since the epoch, is passed in.

import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gateway.config.schema import Config, ServerTlsConfig
from gateway.config.schema_upstreams import UpstreamTlsConfig

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_RENEW = "write the path of one that is valid now"


class Validity(msgspec.Struct, frozen=True):
    """When a certificate is valid: seconds since the epoch."""

    begins: float
    ends: float


class CertificateFile(msgspec.Struct, frozen=True):
    """A file of certificates that is in use."""

    setting: str
    """The key of the rules file that names it."""
    path: str
    not_after: float
    """When it can be used no more, in seconds since the epoch: once the first of a chain expires, or the last of the
    authorities to choose from."""


class Unusable(Exception):
    """A file that is not a certificate or key; the text gives the reason."""


def problems(config: Config, now: float) -> list[str]:
    """Return all problems of the TLS files of a configuration, one line each."""
    server = [] if config.server.tls is None else server_problems(config.server.tls, now)
    return server + upstream_problems(config, now)


def server_problems(tls: ServerTlsConfig, now: float) -> list[str]:
    """Return all problems of the files of `[server.tls]`, one line each."""
    found = _pair("server.tls", tls.certificate, tls.key, now)
    return found if tls.client_ca is None else [*found, *_authorities("server.tls.client_ca", tls.client_ca, now)]


def upstream_problems(config: Config, now: float) -> list[str]:
    """Return all problems of the files of `[upstream.tls]` and `[upstreams.NAME.tls]`, one line each."""
    return [problem for where, tls in _of_upstreams(config) for problem in _client(where, tls, now)]


def certificate_file(setting: str, path: str | None) -> list[CertificateFile]:
    """Say when the certificate in a file expires, or one that it was signed with; nothing if it cannot be read."""
    return _file(setting, path, min)


def authorities_file(setting: str, path: str | None) -> list[CertificateFile]:
    """Say when the last of the authorities in a file expires; nothing if it cannot be read."""
    return _file(setting, path, max)


def _file(setting: str, path: str | None, choose: Callable[[list[float]], float]) -> list[CertificateFile]:
    if path is None:
        return []
    try:
        return [CertificateFile(setting, path, choose([validity.ends for validity in _validities(path)]))]
    except Unusable:  # it has just been replaced
        return []


def upstream_files(config: Config) -> list[CertificateFile]:
    """The files of `[upstream.tls]` and `[upstreams.NAME.tls]`."""
    found = []
    for where, tls in _of_upstreams(config):
        found += certificate_file(f"{where}.certificate", tls.certificate) + authorities_file(f"{where}.ca", tls.ca)
    return found


def _of_upstreams(config: Config) -> Iterator[tuple[str, UpstreamTlsConfig]]:
    upstreams = {} if config.upstream is None else {"upstream": config.upstream}
    upstreams |= {f"upstreams.{name}": upstream for name, upstream in config.upstreams.items()}
    for where, upstream in upstreams.items():
        if upstream.tls is not None:
            yield f"{where}.tls", upstream.tls


def _client(where: str, tls: UpstreamTlsConfig, now: float) -> list[str]:
    found = [] if tls.ca is None else _authorities(f"{where}.ca", tls.ca, now)
    if tls.certificate is not None and tls.key is not None:
        found += _pair(where, tls.certificate, tls.key, now)
    return found


def _pair(where: str, certificate: str, key: str, now: float) -> list[str]:
    """Problems of a certificate, of its key, and of the combination."""
    found = []
    try:
        for number, validity in enumerate(_validities(certificate), 1):
            if reason := _untimely(validity, now):
                which = "the certificate" if number == 1 else f"certificate {number}"
                found.append(f"{where}.certificate: {which} in {certificate} {reason}; {_RENEW}")
    except Unusable as error:
        found.append(f"{where}.certificate: {error}")
        certificate = ""
    try:
        _check_key(key)
        if certificate:
            _match(certificate, key)
    except Unusable as error:
        found.append(f"{where}.key: {error}")
    return found


def _authorities(where: str, path: str, now: float) -> list[str]:
    """Problems of a CA file. Bundles contain some expired certificates: one valid certificate is enough."""
    try:
        reasons = [_untimely(validity, now) for validity in _validities(path)]
    except Unusable as error:
        return [f"{where}: {error}"]
    return [f"{where}: no authority in {path} can be used: it {reasons[-1]}; {_RENEW}"] if all(reasons) else []


def _untimely(validity: Validity, now: float) -> str | None:
    """Why a certificate is not valid now; None when it is."""
    if now > validity.ends:
        return f"expired on {_date(validity.ends)}"
    if now < validity.begins:
        return f"is not valid before {_date(validity.begins)}"
    return None


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _validities(path: str) -> list[Validity]:
    """The validity of each certificate in a file, at least one. Raises Unusable."""
    blocks = _CERTIFICATE.findall(_text(path))
    if not blocks:
        raise Unusable(f'{path} holds no certificate; write the path of a PEM file, with "-----BEGIN CERTIFICATE-----"')
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="\n".join(blocks))
        return [_validity(ssl.PEM_cert_to_DER_cert(block)) for block in blocks]
    except (ssl.SSLError, ValueError) as error:
        raise Unusable(f"{path} holds a certificate that cannot be read; create it again") from error


def _check_key(path: str) -> None:
    """Raise Unusable for a file that holds no private key, or an encrypted one."""
    text = _text(path)
    if _ENCRYPTED.search(text):
        raise Unusable(
            f"the key in {path} is encrypted; write it without a passphrase, in a file that only you can read"
        )
    if not _KEY.search(text):
        raise Unusable(f'{path} holds no private key; write the path of a PEM file, with "-----BEGIN PRIVATE KEY-----"')


def _match(certificate: str, key: str) -> None:
    """Raise Unusable when OpenSSL does not accept the certificate with the key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(f"the key in {key} is not that of the certificate in {certificate}") from error
        raise Unusable(f"{key} or {certificate} cannot be used for TLS: {error.reason or error}") from error


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from error


def _validity(der: bytes) -> Validity:
    """Read a certificate's validity (RFC 5280 4.1). OpenSSL has parsed it before, so its structure is valid."""
    certificate = next(_elements(der))[1]
    fields = [(tag, content) for tag, content in _elements(next(_elements(certificate))[1]) if tag != 0xA0]
    begins, ends = _elements(fields[3][1])  # after serialNumber, signature and issuer
    return Validity(_seconds(*begins), _seconds(*ends))


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of consecutive elements (X.690 8.1), definite lengths only, as in DER."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length


def _seconds(tag: int, content: bytes) -> float:
    """Parse a time (RFC 5280 4.1.2.5). UTCTime (tag 23) has a two-digit year, from 1950 to 2049."""
    text = content.decode("ascii")
    if tag == 23:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
