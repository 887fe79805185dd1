# WSGI middleware of a kind that the documentation of frameworks recommends: fields of a request that change its method
# or its path.

from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

METHODS = {"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"}


def rewritten(application: Application) -> Application:
    """Take the method from X-HTTP-Method-Override, a prefix from X-Script-Name, and the path as IIS and Symfony do."""

    def call(environ: Environ, start_response: Any) -> Iterable[bytes]:
        method = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        if method in METHODS:
            environ["REQUEST_METHOD"] = method
        prefix = environ.get("HTTP_X_SCRIPT_NAME", "")
        if prefix:
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
        for name in ("HTTP_X_ORIGINAL_URL", "HTTP_X_REWRITE_URL"):
            if environ.get(name, "").startswith("/"):
                environ["PATH_INFO"], _, environ["QUERY_STRING"] = environ[name].partition("?")
        return application(environ, start_response)

    return call
