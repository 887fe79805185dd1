# The operator's page: its files, as they are, with fields that let it load and run nothing else. It holds no data; what
# it shows, its script asks the admin API for.

from importlib.resources import files

from aiohttp import web

from gateway.process.admin.answers import Refused

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


_FILES = {file.name: file.read_bytes() for file in files(__package__).iterdir() if _suffix(file.name) in _TYPES}


async def page_file(request: web.Request) -> web.Response:
    """Answer with the page, or one of its other files. Raises Refused where there is no such file."""
    name = request.match_info.get("file", "index.html")
    if name not in _FILES:
        raise Refused(404, "There is no such path.")
    fields = {"Content-Security-Policy": _POLICY, "Content-Type": _TYPES[_suffix(name)]}
    return web.Response(body=_FILES[name], headers=fields)
