# Finds rules that can never match, because earlier ones match all of their requests. Pure.

from collections.abc import Sequence

from gateway.config.conditions import parse_request_condition
from gateway.config.schema_rule import RuleConfig
from gateway.guard.condition import ConditionError, implies
from gateway.guard.template import Partial, Template, parse_template


def unreachable(rules: Sequence[RuleConfig]) -> list[tuple[RuleConfig, RuleConfig]]:
    """Pairs of a rule that can never match and the earlier one that matches instead."""
    shadowed = []
    for at, later in enumerate(rules):
        takers = [_taker(method, later, rules[:at]) for method in later.match.methods]
        found = [taker for taker in takers if taker is not None]
        if takers and len(found) == len(takers):
            shadowed.append((later, found[0]))
    return shadowed


def _taker(method: str, later: RuleConfig, earlier: Sequence[RuleConfig]) -> RuleConfig | None:
    for rule in earlier:
        is_wider = rule.match.host in {None, later.match.host} and _holds_for_all(rule, later)
        if method in rule.match.methods and is_wider and _covers(rule, later):
            return rule
    return None


def _holds_for_all(earlier: RuleConfig, later: RuleConfig) -> bool:
    """Whether the conditions of a rule hold whenever those of a later one do."""
    try:
        wide, narrow = ([parse_request_condition(each) for each in rule.match.when] for rule in (earlier, later))
    except ConditionError:
        return False
    return all(any(implies(given, wanted) for given in narrow) for wanted in wide)


def _covers(earlier: RuleConfig, later: RuleConfig) -> bool:
    try:
        wide, narrow = parse_template(earlier.match.path), parse_template(later.match.path)
    except ValueError:
        return False
    # What the later rule matches by a suffix that it lists, the earlier one takes, or has it refused.
    if takes_all(wide, narrow):
        return True
    if later.match.extensions or narrow.has_tail or not narrow.segments:
        return False
    last = narrow.segments[-1]
    stem, _, suffix = (last if isinstance(last, str) else "").rpartition(".")
    listed = {extension.lower() for extension in earlier.match.extensions}
    shortened = Template((*narrow.segments[:-1], stem), narrow.names)
    return bool(stem) and suffix in listed and takes_all(wide, shortened)


def takes_all(wide: Template, narrow: Template) -> bool:
    """Whether every path of one template is one of the other's, too."""
    if wide.has_tail:
        fits = len(wide.segments) <= len(narrow.segments)
    else:
        fits = len(wide.segments) == len(narrow.segments) and not narrow.has_tail
    return fits and all(map(_takes, wide.segments, narrow.segments))


def _takes(wide: str | Partial | None, narrow: str | Partial | None) -> bool:
    """Whether a segment of a template takes every segment that another one does."""
    if wide is None or wide == narrow:
        return True
    if not isinstance(wide, Partial):
        return False
    if isinstance(narrow, Partial):
        return narrow.prefix.startswith(wide.prefix) and narrow.suffix.endswith(wide.suffix)
    return narrow is not None and wide.value(narrow) is not None
