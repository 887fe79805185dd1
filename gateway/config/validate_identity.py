# What a rule says of identities and of who sends a create: whether it makes sense. Pure.

from collections.abc import Sequence

from gateway.config.problems import Path, Problems, nearest, quote
from gateway.config.schema_rule import TYPES, PreviousConfig, RuleConfig, ScopeConfig, UniqueConfig
from gateway.config.validate_values import has_types, is_always_there, is_token, name_of, same_names
from gateway.config.versions import earlier, present, version, versions_alike
from gateway.guard.field import WHOLE, Field, Source, parse_alternatives
from gateway.guard.normalize import NORMALISERS
from gateway.guard.pattern import parse_pattern
from gateway.guard.question import place as place_of
from gateway.guard.strict_xml import MAX_DEPTH, is_local_name


def validate_identity(rule: RuleConfig, path: Path, variables: Sequence[str] | None, problems: Problems) -> None:
    """Note every problem of `scope`, `unique` and `caller`; `path` leads to the rule.

    `variables` are those of its template, None when they cannot be known.
    """
    _Identity(rule, path, variables, problems).validate()


class _Identity:
    """The parts of one rule that read fields, and the way to it."""

    def __init__(self, rule: RuleConfig, path: Path, variables: Sequence[str] | None, problems: Problems) -> None:
        self.rule = rule
        self.path = path
        self.variables = variables
        self.problems = problems

    def validate(self) -> None:
        self.scope(self.rule.scope, (*self.path, "scope"))
        self.unique()
        for at, entry in enumerate(self.rule.unique):
            if entry.previous is not None:
                self.previous(entry, entry.previous, (*self.path, "unique", at, "previous"))
        self.caller()

    def scope(self, scope: Sequence[str | ScopeConfig], path: Path) -> None:
        sound = [at for at, _ in enumerate(scope) if self.problems.sound((*path, at))]
        for at, item in enumerate(scope):
            if isinstance(item, ScopeConfig):
                if self.problems.sound(field := (*path, at, "field")):
                    self.alternatives(item.field, field)
                self.normalisers(item.normalize, (*path, at, "normalize"))
            elif at in sound:
                self.alternatives(item, path)

    def unique(self) -> None:
        path, problems, entries = (*self.path, "unique"), self.problems, self.rule.unique
        if not entries and self.rule.key is None and problems.sound(path) and problems.sound((*self.path, "key")):
            problems.add(
                path,
                'has no entry, and the rule has no key; write unique = [{ name = "email", fields = ["body.email"] }], '
                'or key = { header = "Idempotency-Key" }',
            )
        for at, entry in enumerate(entries):
            place = (*path, at)
            name_of(entry.name, (*place, "name"), problems)
            self.fields(entry.fields, (*place, "fields"), entry)
            self.normalisers(entry.normalize, (*place, "normalize"))
            self.types(entry.types, entry.fields, place)
            if entry.pattern is not None and problems.sound(pattern := (*place, "pattern")):
                problems.parse(pattern, parse_pattern, entry.pattern)
        same_names([entry.name for entry in entries], path, problems)

    def previous(self, entry: UniqueConfig, before: PreviousConfig, path: Path) -> None:
        """What an entry was."""
        problems = self.problems
        self.fields(before.fields, (*path, "fields"), entry)
        self.normalisers(before.normalize, (*path, "normalize"))
        if before.types is not None:
            self.types(before.types, before.fields, path)
        self.scope(before.scope or (), (*path, "scope"))
        for key, name in (("name", before.name), ("namespace", before.namespace)):
            if name is not None:
                name_of(name, (*path, key), problems)

    def fields(self, texts: Sequence[str], path: Path, entry: UniqueConfig) -> None:
        if not texts and self.problems.sound(path):
            self.problems.add(path, 'names no field; write fields = ["body.email"]')
        for text in self.problems.elements(path, texts):
            self.alternatives(text, path, entry)

    def normalisers(self, names: Sequence[str], path: Path) -> None:
        for name in self.problems.elements(path, names):
            if name not in NORMALISERS:
                self.problems.add(path, _unknown_normaliser(name))

    def types(self, names: Sequence[str], fields: Sequence[str], path: Path) -> None:
        types, problems = (*path, "types"), self.problems
        if names == TYPES or not problems.sound(types):
            return
        if not names:
            problems.add(types, 'names no type; write types = ["string", "integer"]')
        for twice in sorted({name for name in names if names.count(name) > 1}):
            problems.add(types, f"{quote(twice)} stands there twice; write it once")
        if problems.sound((*path, "fields")) and not any(has_types(text) for text in fields):
            problems.add(
                types, "has no effect without a field of a body or a token: all other values are strings; remove it"
            )

    def caller(self) -> None:
        for text in self.problems.elements(path := (*self.path, "caller"), self.rule.caller):
            field = self.problems.parse(path, parse_alternatives, text)
            if field is not None and field.alternatives:
                self.problems.add(path, f"{quote(text)} has alternatives; list them as fields, which need not be there")
            elif field is not None:
                self.field(field, path)

    def alternatives(self, text: str, path: Path, entry: UniqueConfig | None = None) -> None:
        """A field of the scope, or of an entry."""
        found = self.problems.parse(path, parse_alternatives, text)
        for at, field in enumerate(found.each if found else ()):
            self.field(field, path)
            if entry is None and field.source in WHOLE:
                self.problems.add(path, f"{quote(field.text)} is all of a body, which is no scope; write it in unique")
            for before in found.each[:at] if found else ():
                is_same = place_of(before) == place_of(field)
                if is_same or is_always_there(before, entry):
                    why = "is the same" if is_same else "is always there"
                    self.problems.add(
                        path, f"{quote(field.text)} is never read, because {quote(before.text)} {why}; leave it out"
                    )
                    break

    def field(self, field: Field, path: Path) -> None:
        error = wrong_field(field, self.variables)
        if error:
            self.problems.add(path, error)


def _unknown_normaliser(name: str) -> str:
    meant = nearest(name, NORMALISERS)
    hint = f'; did you mean "{meant}"?' if meant else ""
    return f"unknown normaliser {quote(name)}; known are {', '.join(NORMALISERS)}{hint}"


def wrong_field(field: Field, variables: Sequence[str] | None) -> str | None:
    """Why a rule cannot have a field, and what would be right; `variables` are those of its path, None if not known."""
    if field.source is Source.HEADER and not is_token(field.name):
        return f'{quote(field.text)} names no header; write one such as "header.X-Tenant"'
    if field.source is Source.XML:
        return _wrong_element(field)
    if field.source is Source.PATH and variables is not None and field.name not in variables:
        known = f"its variables are {', '.join(variables)}" if variables else "it has no variables"
        return f'{quote(field.text)} is not in match.path; {known}, and "{{{field.name}}}" as a segment adds one'
    return None


def _wrong_element(field: Field) -> str | None:
    wrong = next((name for name in field.names if not is_local_name(name)), None)
    if wrong is not None:
        return (
            f"{quote(field.text)} has {quote(wrong)}, which is no local name of an element; leave prefixes out, "
            'as in "xml.Envelope.Body.User.email"'
        )
    if len(field.keys) > MAX_DEPTH:
        return f"{quote(field.text)} has more than {MAX_DEPTH} levels, and no deeper body is read; name fewer"
    return None


def needless_previous(rule: RuleConfig, path: Path, problems: Problems) -> None:
    """Note each `previous` that claims nothing: an entry that changed has another identity. `path` leads to the rule.

    The rest of the rule must have been looked at.
    """
    if not problems.sound(path):
        return
    for at, entry in enumerate(rule.unique):
        before = earlier(rule, entry)
        number = None if before is None else version(rule, before)
        same = [other for other in rule.unique if number in versions_alike(rule, present(rule, other))]
        if same:
            whose = "the entry has now" if entry in same else f"entry {quote(same[0].name)} has"
            problems.add(
                (*path, "unique", at, "previous"),
                f"is an identity that {whose}, so it claims nothing; write what was otherwise, or leave it out",
            )


def shared_namespaces(rules: Sequence[RuleConfig], problems: Problems) -> None:
    """Rules that share a namespace must be able to make the same identity, or sharing it guards nothing."""
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for at, rule in enumerate(rules):
        path = ("rules", at)
        if rule.mode == "off" or not problems.sound((*path, "name"), (*path, "namespace"), (*path, "scope")):
            continue
        for place, entry in enumerate(rule.unique):
            if not problems.sound((*path, "unique", place)):
                continue
            namespace = rule.namespace or rule.name
            there = first.setdefault((namespace, entry.name), (at, place))
            for key, difference in _disagreements(rule, entry, rules[there[0]], rules[there[0]].unique[there[1]]):
                wrong = (*path, "scope") if key == "scope" else (*path, "unique", place, key)
                if not problems.sound(wrong):  # a scope is the same for all of a rule's entries
                    continue
                problems.add(
                    wrong,
                    f"{difference} in {problems.rule(('rules', there[0]))}, which shares namespace {quote(namespace)} "
                    f"and entry {quote(entry.name)}: the two could never agree; write both alike, "
                    "or give the rule a namespace of its own",
                )


def _disagreements(
    rule: RuleConfig, entry: UniqueConfig, other: RuleConfig, entry_there: UniqueConfig
) -> list[tuple[str, str]]:
    """The keys in which two entries differ so that no request of one can equal one of the other."""
    found = []
    if len(rule.scope) != len(other.scope):
        found.append(("scope", f"{_count(rule.scope)} here, {_count(other.scope)}"))
    for here, there in zip(rule.scope_items, other.scope_items, strict=False):
        if here.normalize != there.normalize:
            named = f"{_listed(here.normalize)} for {quote(here.field)} here"
            found.append(("scope", f"{named}, {_listed(there.normalize)}"))
            break
    if len(entry.fields) != len(entry_there.fields):
        found.append(("fields", f"{_count(entry.fields)} here, {_count(entry_there.fields)}"))
    if entry.normalize != entry_there.normalize:
        found.append(("normalize", f"{_listed(entry.normalize)} here, {_listed(entry_there.normalize)}"))
    return found


def _count(fields: Sequence[object]) -> str:
    return "1 field" if len(fields) == 1 else f"{len(fields) or 'no'} fields"


def _listed(names: Sequence[str]) -> str:
    return f"[{', '.join([quote(name) for name in names])}]"
