# A problem as a page for people: what a browser shows that posted a form twice. Pure.
#
# It loads nothing and runs nothing, and its Content-Security-Policy says so: only its own style, by its hash.

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from html import escape

from gateway.http.problem import Problem, Reply

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; font: 1.125rem/1.5 system-ui, sans-serif; color: #1c1c1e; background: #f7f7f8; }
main { max-width: 34rem; margin: 12vh auto 2rem; padding: 0 1.25rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.75rem; line-height: 1.25; }
p { margin: 0 0 1rem; }
a { display: inline-block; padding: .5rem 1rem; border-radius: .4rem; text-decoration: none; }
a { color: #fff; background: #0b57d0; }
small { display: block; margin-top: 2rem; color: #5c5c63; }
@media (prefers-color-scheme: dark) {
  body { color: #e9e9ec; background: #161618; }
  a { color: #0b1b33; background: #a8c7fa; }
  small { color: #a3a3ab; }
}
"""
_FIELDS = (
    b"Content-Security-Policy: default-src 'none'; style-src 'sha256-%b'; base-uri 'none'; form-action 'none'\r\n"
    b"X-Content-Type-Options: nosniff\r\n" % b64encode(sha256(_STYLE.encode()).digest())
)
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{detail}</p>
{more}<small>{status} {slug}</small>
</main>
</body>
</html>
"""
_PAGE_ADDRESS = re.compile(r"(?:https?://|(?![^/?#]*:))[^\s\x00-\x1f\x7f\\]+", re.IGNORECASE)
"""A link that begins with no scheme, or with one of these two. Browsers drop white space from a scheme."""


@lru_cache(maxsize=256)
def html_page(reply: Reply, document: Problem) -> Reply:
    """Write an answer, and what it says, as an HTML page."""
    text = _PAGE.format(
        title=escape(document.title),
        style=_STYLE,
        detail=escape(document.detail),
        more="".join([f"<p>{line}</p>\n" for line in _more(document)]),
        status=document.status,
        slug=escape(reply.slug),
    )
    return reply.in_form(document.status, "text/html; charset=utf-8", text.encode(), _FIELDS)


def is_page_address(link: str) -> bool:
    """Whether a link can be followed without harm: relative, or http or https; `javascript:` would run in the page."""
    return _PAGE_ADDRESS.fullmatch(link) is not None


def _more(document: Problem) -> list[str]:
    lines = [] if document.suggested_next_step is None else [escape(document.suggested_next_step)]
    link = document.existing_resource_link
    if link is not None and is_page_address(link):
        lines.append(f'<a href="{escape(link)}">Open the existing resource</a>')
    return lines
