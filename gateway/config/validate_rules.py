# What makes sense beyond the types: the rules. Pure.

from collections.abc import Sequence

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_authorize import validate_authorize, validate_questions
from gateway.config.validate_batch import validate_batch
from gateway.config.validate_bodies import validate_bodies
from gateway.config.validate_changes import validate_change_paths, validate_changes
from gateway.config.validate_duplicates import validate_duplicates, validate_exists
from gateway.config.validate_forms import validate_forms
from gateway.config.validate_identity import needless_previous, shared_namespaces, validate_identity
from gateway.config.validate_match import never_matched, validate_match
from gateway.config.validate_outcome import validate_outcome
from gateway.config.validate_override import validate_override
from gateway.config.validate_retries import validate_retries
from gateway.config.validate_values import is_token, name_of, same_names
from gateway.config.validate_verify import validate_verify
from gateway.config.validate_when import validate_when
from gateway.guard.resource import parse_resource
from gateway.guard.statuses import Statuses, parse_statuses


def validate_rules(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Note every problem of the rules, each on its own and then beside each other."""
    for at, rule in enumerate(rules):
        _Rule(rule, ("rules", at), problems).validate()
    same_names([rule.name for rule in rules], ("rules",), problems)
    shared_namespaces(rules, problems)
    never_matched(rules, problems)
    validate_questions(rules, problems)
    validate_change_paths(rules, problems)


class _Rule:
    """One rule and the way to it."""

    def __init__(self, rule: RuleConfig, path: Path, problems: Problems) -> None:
        self.rule = rule
        self.path = path
        self.problems = problems

    def validate(self) -> None:
        name_of(self.rule.name, (*self.path, "name"), self.problems)
        if self.rule.namespace is not None:
            name_of(self.rule.namespace, (*self.path, "namespace"), self.problems)
        variables = validate_match(self.rule.match, (*self.path, "match"), self.problems)
        validate_when(self.rule.match, (*self.path, "match", "when"), variables, self.problems)
        validate_identity(self.rule, self.path, variables, self.problems)
        validate_batch(self.rule, self.path, self.problems)
        validate_forms(self.rule, self.path, self.problems)
        needless_previous(self.rule, self.path, self.problems)
        validate_bodies(self.rule, self.path, self.problems)
        validate_retries(self.rule, self.path, self.problems)
        validate_duplicates(self.rule, self.path, self.problems)
        self.statuses()
        validate_outcome(self.rule.outcome, (*self.path, "outcome"), self.problems)
        self.numbers()
        self.headers()
        validate_authorize(self.rule, self.path, self.problems)
        validate_override(self.rule, self.path, variables, self.problems)
        if self.rule.verify is not None:
            validate_verify(self.rule, self.rule.verify, (*self.path, "verify"), self.problems)
        validate_changes(self.rule, self.path, self.problems)
        if self.rule.resource is not None and self.problems.sound(path := (*self.path, "resource")):
            self.problems.parse(path, parse_resource, self.rule.resource)

    def statuses(self) -> None:
        problems, success, refused = self.problems, (*self.path, "success"), (*self.path, "refused")
        if not self.rule.success and problems.sound(success):
            problems.add(success, 'names no status, so nothing would ever count as created; write ["2xx", "303"]')
        created = self.parsed(success, self.rule.success)
        not_done = self.parsed(refused, self.rule.refused) if problems.written(refused) else {}
        for text, named in created.items():
            if named.needs_retry_after:
                problems.add(
                    success, f"{quote(text)} depends on Retry-After, which only refused may; write the status alone"
                )
        # Success is asked first, so "303" may stand beside the wider "3xx"; a refused status that success takes whole
        # would have no effect. What `refused` says by default simply gives way.
        for text, named in not_done.items():
            taken = next((other for other, wider in created.items() if named.codes <= wider.codes), None)
            if taken:
                problems.add(
                    refused,
                    f"{quote(text)} is refused, and created by {quote(taken)} in success; "
                    "keep it in one of the two lists",
                )
            wider = next((other for other, whole in not_done.items() if _makes_needless(whole, named)), None)
            if wider and not taken:
                problems.add(
                    refused,
                    f"{quote(text)} has no effect, because {quote(wider)} is refused with and without Retry-After; "
                    "keep one of the two",
                )
        exists = self.parsed((*self.path, "exists"), self.rule.exists)
        validate_exists(self.rule, self.path, problems, exists, {**created, **not_done})

    def parsed(self, path: Path, texts: Sequence[str]) -> dict[str, Statuses]:
        """What those texts name that can be read."""
        found = {text: self.problems.parse(path, parse_statuses, text) for text in self.problems.elements(path, texts)}
        return {text: named for text, named in found.items() if named}

    def numbers(self) -> None:
        problems, rule = self.problems, self.rule
        for key, value in (("keep", rule.keep), ("unknown_hold", rule.unknown_hold)):
            if value is not None and value <= 0 and problems.sound(path := (*self.path, key)):
                problems.add(path, 'must be longer than nothing; write a time such as "24h", or "forever"')
        if rule.body_limit <= 0 and problems.sound(path := (*self.path, "body_limit")):
            problems.add(path, 'must be larger than nothing; write a size such as "1MiB"')

    def headers(self) -> None:
        path = (*self.path, "method_override")
        for name in self.problems.elements(path, self.rule.method_override):
            if not is_token(name):
                self.problems.add(
                    path, f'{quote(name)} is no name of a header; write one such as "X-HTTP-Method-Override"'
                )


def _makes_needless(whole: Statuses, named: Statuses) -> bool:
    """Whether `named` waits for a Retry-After that `whole` does without."""
    return named.needs_retry_after and not whole.needs_retry_after and named.codes <= whole.codes
