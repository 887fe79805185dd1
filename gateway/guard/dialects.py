# Path patterns as other programs write them. As literal text they would never match, and creates would pass
# unguarded. Pure.
#
# Only what can hardly be meant literally is recognised. A colon, a parenthesis, a star, a dollar sign or a bracket may
# be part of a segment: "/users:batchCreate", "/Customers(7)", "/$batch", "/@me", "/a*b".

import re

_NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_REGEX = re.compile(
    r"^\^|\$$"  # anchors
    r"|\\[dDsSwW./]"  # \d, \w, \.
    r"|\(\?"  # (?:…), (?P<id>…)
    r"|\.[*+]"  # .*, .+
    r"|\[[^\]]*\][*+?{]"  # [0-9]+
    r"|\([^()]*\|[^()]*\)"  # (a|b)
    r"|[)\]}][*+]"  # (…)+
)
_ONE_SEGMENT = re.compile(
    rf":(?P<colon>{_NAME})(?:[?*+(].*)?"  # Express, Rails, Sinatra: :id, :id?, :id(…)
    rf"|<(?:[^<>:]*:)?(?P<angle>{_NAME})>"  # Flask: <id>, <int:id>
    rf"|\[(?P<square>{_NAME})\]"  # Next.js: [id]
    rf"|\{{[*+]{{0,2}}(?P<brace>{_NAME})(?:[:=?].*|\.\.\.)?\}}"  # {id:int}, {id?}, {*rest}, {id=*}, {rest...}
)
_SEVERAL_SEGMENTS = re.compile(
    rf"\*+(?P<star>{_NAME})?"  # *, **, *rest
    rf"|\[\[?\.\.\.(?P<square>{_NAME})\]?\]"  # [...rest], [[...rest]]
    rf"|<path:(?P<angle>{_NAME})>"
    rf"|:(?P<colon>{_NAME})[*+]"
    rf"|\{{\*{{1,2}}(?P<before>{_NAME})\}}|\{{(?P<behind>{_NAME})(?:\.\.\.|\+|:path|=\*\*)\}}"
)
_OURS = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\*?\}")


def explain_dialect(path: str) -> str | None:
    """Say what in a path is written as elsewhere, and what would be right; None when nothing is."""
    segments = path.removesuffix("/").split("/")
    for at, segment in enumerate(segments):
        if _OURS.fullmatch(segment):
            continue
        several = _SEVERAL_SEGMENTS.fullmatch(segment)
        if several is not None:
            return _instead_of(several, is_last=at == len(segments) - 1)
        one = _ONE_SEGMENT.fullmatch(segment)
        if one is not None:
            return f'"{segment}" is no variable here; write "{{{_name(one)}}}"'
        if segment == "{$}":
            return '"{$}" marks no end here; a path ends where it ends, leave it out'
        if "(?" in segment or "{" in segment or "}" in segment:
            continue
        if segment.startswith("*") or segment.endswith("*"):
            return f'"{segment}" matches only itself here; {{NAME}} takes a whole segment, whatever it is'
        if re.search(r"<[^<>]*>", segment):
            return f'"{segment}" matches only itself here; a variable is a whole segment, as in "/users/{{id}}"'
        if re.search(r"\(\.?:", segment):
            return f'"{segment}" has an optional part; write one rule with it and one without it'
    if _REGEX.search(path):
        return (
            "it is a regular expression; write literal segments, {NAME} for any one, "
            "and at the end {rest*} for all that follow"
        )
    return None


def _instead_of(several: re.Match[str], *, is_last: bool) -> str:
    here = f'"{several[0]}" matches only itself here; '
    if not is_last:
        return (
            f"{here}{{NAME}} takes any one segment, and nothing takes several amid a path: "
            "write one rule for each number of segments"
        )
    if several.lastgroup is None:
        return f'{here}write "{{rest*}}" for all segments that follow, or "{{NAME}}" for any one'
    return f'{here}write "{{{_name(several)}*}}" for all segments that follow'


def _name(found: re.Match[str]) -> str:
    return found[found.lastgroup or 0].replace("-", "_")
