# What the file says of traces: whether it makes sense. Pure.

import re

from gateway.config.endpoints import is_authority
from gateway.config.problems import Path, Problems
from gateway.config.schema import Config
from gateway.config.validate_values import check_headers, counts, name_of, timeouts
from gateway.http.write import HOP_BY_HOP

_URL = re.compile(r"https?://([^/?#@]+)(/[!-~]*)?", re.IGNORECASE)
_RESERVED = dict.fromkeys(
    (
        *(name.decode() for name in HOP_BY_HOP),
        *("host", "content-length", "content-type", "content-encoding", "user-agent"),
    ),
    "is set by the exporter",
)


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
    check_headers(traces.headers, (*path, "headers"), problems, _RESERVED)
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
