# The limit of open file descriptors (ulimit -n): raised at the start, and compared with what the rules file may need.

import math
import resource

from gateway.config.schema import Config

RESERVE = 64
"""Descriptors for the store, the log, the listeners, the operator's connections and those that are refused."""

_NOT_FOR_CLIENTS = RESERVE // 2
"""Descriptors that clients do not get when there are few: for connections to the API, without which a client that was
accepted could only be answered 502, and for the operator's."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, which needs no privilege; the limit that holds then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # not on every system
        return soft
    return hard


def highest_limit() -> int:
    """The limit that `raise_limit` would set."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def ceiling(limit: int) -> float:
    """The descriptor from which on clients get none, under a limit: at least three quarters of it are for them."""
    return math.inf if limit == resource.RLIM_INFINITY else limit - min(_NOT_FOR_CLIENTS, limit // 4)


def shortage(config: Config, limit: int) -> tuple[int, str] | None:
    """How many descriptors clients and pools may need, and what to do, when the limit is lower; otherwise None."""
    upstreams = [*config.upstreams.values(), *([] if config.upstream is None else [config.upstream])]
    kept = sum(upstream.keepalive_connections * len(upstream.all_urls) for upstream in upstreams)
    needed = config.server.max_connections + kept + RESERVE
    if limit == resource.RLIM_INFINITY or needed <= limit:
        return None
    fitting = max(limit - kept - RESERVE, 1)
    return (
        needed,
        f"raise the hard limit (ulimit -Hn, LimitNOFILE=), or set server.max_connections to {fitting} at most",
    )
