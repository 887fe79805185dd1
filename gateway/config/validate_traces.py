# What the file says of traces: whether it makes sense. Pure.

import re
from collections.abc import Mapping

from gateway.config.endpoints import is_authority
from gateway.config.problems import Path, Problems, quote
from gateway.config.schema import Config
from gateway.config.validate_values import counts, is_token, name_of, timeouts
from gateway.http.write import HOP_BY_HOP

_URL = re.compile(r"https?://([^/?#@]+)(/[!-~]*)?", re.IGNORECASE)
_VALUE = re.compile(r"[\x20-\x7e\t]*")
_SET_BY_EXPORTER = HOP_BY_HOP | {b"host", b"content-length", b"content-type", b"content-encoding", b"user-agent"}


def validate_traces(config: Config, problems: Problems) -> None:
    """Note every problem of `[traces]`."""
    traces, path = config.traces, ("traces",)
    if traces is None:
        return
    timeouts(traces, path, problems)
    counts(traces, path, problems)
    if traces.service is not None:
        name_of(traces.service, (*path, "service"), problems)
    if problems.sound(endpoint := (*path, "endpoint")):
        _endpoint(traces.endpoint, endpoint, problems)
    if problems.sound(sample := (*path, "sample")) and not 0 <= traces.sample <= 1:
        problems.add(sample, "must be from 0 to 1; write sample = 0.1 for a tenth of all traces")
    _headers(traces.headers, (*path, "headers"), problems)
    trusted = ("forwarding", "trusted_proxies")
    is_nobody = traces.parent == "trusted" and not config.forwarding.trusted_proxies
    if is_nobody and problems.sound(parent := (*path, "parent"), ("forwarding",), trusted):
        problems.add(
            parent,
            '"trusted" continues nobody\'s trace without forwarding.trusted_proxies; write these, or "anyone"',
        )


def _endpoint(url: str, path: Path, problems: Problems) -> None:
    """The URL is not shown: it may hold a password."""
    right = 'write one such as "http://127.0.0.1:4318"'
    found = _URL.fullmatch(url)
    if found is None or not is_authority(found[1]):
        problems.add(path, f"is no http: or https: URL without user, query and fragment; {right}")
    elif found[2] and found[2].rstrip("/").endswith("/v1/traces"):
        problems.add(path, f'ends with "/v1/traces", which is added to it; leave that out, or {right}')


def _headers(headers: Mapping[str, str], path: Path, problems: Problems) -> None:
    """Values are never shown: they are secrets."""
    seen: dict[str, str] = {}
    for name, value in headers.items():
        place = (*path, name)
        if not problems.sound(place):
            continue
        first = seen.setdefault(name.lower(), name)
        if not is_token(name):
            problems.add(place, f'{quote(name)} is no name of a header; write one such as "Authorization"')
        elif name.lower().encode() in _SET_BY_EXPORTER:
            problems.add(place, f"{quote(name)} is set by the exporter; leave it out")
        elif first != name:
            problems.add(place, f"{quote(name)} is there already, as {quote(first)}; keep one of the two")
        elif not _VALUE.fullmatch(value):
            problems.add(
                place, "has a line break, or a character that is not ASCII, in its value; write visible characters"
            )
