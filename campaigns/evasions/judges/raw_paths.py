# Paths as APIs read them that take encoded slashes for a part of a name: split first, then decoded (RFC 3986 2.2).

from urllib.parse import unquote, urlsplit


def segments_of(target: str) -> list[str]:
    """The segments of a request target, each decoded once; one slash at the end makes no difference."""
    path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    return [unquote(segment) for segment in path.removesuffix("/").split("/")[1:]]


def project_in(target: str) -> str | None:
    """Of /projects/{id}/issues the id."""
    found = segments_of(target)
    return found[1] if len(found) == 3 and found[1] and found[::2] == ["projects", "issues"] else None


def queue_in(target: str) -> list[str] | None:
    """Of /queues/{vhost}/{name} both."""
    found = segments_of(target)
    return found[1:] if len(found) == 3 and found[0] == "queues" and all(found) else None
