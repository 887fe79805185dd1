# Validates values beyond their types: the gateway's own answers in the language of an API, and whose pages may read
# them. Pure.

import re

from gateway.config.endpoints import is_host
from gateway.config.problems import Path, Problems, nearest, quote
from gateway.config.schema import Config
from gateway.config.schema_answers import AnswerConfig
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_values import is_token
from gateway.guard.answer_shapes import SLUGS, Language, check_template, language_of, split_template
from gateway.http.cors import ANY
from gateway.http.existing import ACCEPTED
from gateway.http.problem import NO_CONTENT

_WRITTEN_BY_GATEWAY = {
    "cache-control", "connection", "content-encoding", "content-length", "content-type", "date", "idempotency-gateway",
    "idempotent-replayed", "keep-alive", "proxy-connection", "proxy-status", "retry-after", "te", "trailer",
    "transfer-encoding", "upgrade", "vary",
}  # fmt: skip
_VALUE = re.compile(r"(?:[!-~](?:[ -~\t]*[!-~])?)?")
"""RFC 9110 5.5, in ASCII."""
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\[\]:/?#@]+)(?::([0-9]{1,5}))?")
"""RFC 6454 6.2: scheme, host and port."""
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_EXAMPLE = 'one such as "https://app.example.com"'
_JSON_ALONE = (
    'without body, what the gateway says is sent, which is JSON; write a type such as "application/json", or a body'
)


def validate_cors(config: Config, problems: Problems) -> None:
    """Note every problem of `[cors]`."""
    path = ("cors", "origins")
    if config.cors is None or not problems.sound(path):
        return
    origins = config.cors.origins
    if not origins:
        problems.add(path, 'names no origin; write origins = ["https://app.example.com"], or leave [cors] out')
    elif ANY in origins and len(origins) > 1:
        problems.add(path, '"*" means any origin, so it stands alone; write ["*"], or the origins without it')
    for at, text in enumerate(origins):
        if text != ANY:
            problems.parse((*path, at), _check_origin, text)


def _check_origin(text: str) -> None:
    """Raises ValueError with a text that says what would be right for what is not as browsers write origins."""
    if text == "null":
        raise ValueError(
            '"null" is the origin of every sandboxed frame and local file, so any site could read with it; '
            'write the origin of the pages, such as "https://app.example.com"'
        )
    read = _ORIGIN.fullmatch(text.lower())
    if read is None or text != text.lower():
        near = None if "@" in text else _ORIGIN.match(text.lower())
        raise ValueError(
            f"{quote(text)} is no origin as browsers write it: scheme, host and port in lower case, without user, path "
            f"and slash at the end; write {quote(near[0]) if near else _EXAMPLE}"
        )
    scheme, host, port = read.groups()
    if not is_host(host):
        raise ValueError(
            f"{quote(text)} has no host that browsers write; write {_EXAMPLE}, each subdomain on its own because there "
            'are no wildcards, and other letters than ASCII as in "xn--bcher-kva.example"'
        )
    if port is not None and (port == _DEFAULT_PORTS.get(scheme) or not 0 < int(port) < 65536 or port[0] == "0"):
        raise ValueError(f'{quote(text)} has a port that browsers do not write; write "{scheme}://{host}"')


def validate_answers(config: Config, problems: Problems) -> None:
    """Note every problem of the rules' own answers."""
    taken = _WRITTEN_BY_GATEWAY | {config.server.status_header.lower(), config.forwarding.request_id.lower()}
    for at, rule in enumerate(config.rules):
        for slug in rule.answers:
            path = ("rules", at, "answers", slug)
            if slug not in SLUGS:
                problems.add(path, _unknown(slug))
            elif problems.sound(path):
                _Answer(rule, slug, path, problems).validate(taken)


def _unknown(slug: str) -> str:
    meant = nearest(slug, SLUGS)
    hint = f'; did you mean "{meant}"?' if meant else ""
    return f"{quote(slug)} is no answer that a rule can shape; known are {', '.join(SLUGS)}{hint}"


class _Answer:
    """One answer of a rule, and the way to it."""

    def __init__(self, rule: RuleConfig, slug: str, path: Path, problems: Problems) -> None:
        self.rule = rule
        self.slug = slug
        self.answer = rule.answers[slug]
        self.path = path
        self.problems = problems

    def validate(self, taken: set[str]) -> None:
        answer, status = self.answer, self.answer.status
        if answer == AnswerConfig():
            keys = "headers" if self.slug == ACCEPTED else "status, headers"
            self.problems.add(self.path, f"says nothing; write {keys}, or content_type and body")
        self.use()
        if self.slug == ACCEPTED:
            if status is not None:
                self.add("status", "is what the rule's accept_status says, one of 200, 202 and 204; write it there")
            status = self.rule.accept_status
        elif status is not None and not 200 <= status <= 599:
            self.add("status", f"{status} is no status of an answer; write one from 200 to 599")
        if status in NO_CONTENT:
            for key in ("content_type", "body"):
                if getattr(answer, key) is not None:
                    self.add(key, f"an answer with status {status} has no body; leave {key} out")
        else:
            self.body()
        self.headers(taken)

    def use(self) -> None:
        """Note an answer that is never given, because the rule's `duplicate` gives another one in its place."""
        rule_path = self.path[:2]
        if not self.problems.sound((*rule_path, "duplicate"), (*rule_path, "authorize")):
            return
        accepts = self.rule.duplicate == "accept"
        if self.slug == ACCEPTED and not accepts:
            self.problems.add(
                self.path, 'has no effect without duplicate = "accept"; write that too, or leave this out'
            )
        elif self.slug == "duplicate" and accepts and self.rule.authorize is None:
            self.problems.add(self.path, f'has no effect beside duplicate = "accept"; name it "{ACCEPTED}"')

    def body(self) -> None:
        answer, language = self.answer, None
        if answer.content_type is not None:
            language = self.problems.parse((*self.path, "content_type"), language_of, answer.content_type)
        elif answer.body is not None:
            self.add("content_type", 'is missing beside body; write what it is, such as "application/json"')
        if answer.body is not None:
            self.template(answer.body, language)
        elif language is not None and language is not language_of("application/json"):
            self.add("content_type", _JSON_ALONE)

    def template(self, text: str, language: Language | None) -> None:
        parts = self.problems.parse((*self.path, "body"), split_template, text)
        if parts is not None and language is not None:
            self.problems.parse((*self.path, "body"), lambda _: check_template(parts, language), text)

    def headers(self, taken: set[str]) -> None:
        seen: set[str] = set()
        for name, value in self.answer.headers.items():
            path, lower = (*self.path, "headers", name), name.lower()
            if not is_token(name):
                self.problems.add(path, f'{quote(name)} is no name of a header; write one such as "X-Error-Code"')
            elif lower in taken or lower.startswith("access-control-"):
                self.problems.add(path, f"{quote(name)} is written by the gateway itself{_elsewhere(lower)}")
            elif lower in seen:
                self.problems.add(path, f"{quote(name)} stands there twice; keep one of the two")
            seen.add(lower)
            if not _VALUE.fullmatch(value):
                self.problems.add(
                    path,
                    f"{quote(value)} is no value of a header; write ASCII without line breaks, other control "
                    "characters, and blanks around it",
                )

    def add(self, key: str, text: str) -> None:
        self.problems.add((*self.path, key), text)


def _elsewhere(name: str) -> str:
    if name == "content-type":
        return "; write content_type instead"
    return "; write [cors] instead" if name.startswith("access-control-") else "; leave it out"
