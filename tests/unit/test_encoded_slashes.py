# Encoded slashes and percent signs in a path: a part of a value where each server that takes them for something else
# meets no rule, and reads no other value.

import pytest

from gateway.guard.rules import Match
from tests.support.unit import ask, compiled, met, rule_config

GITLAB = rule_config("/api/v4/projects/{id}/issues", name="issue")
RABBITMQ = rule_config("/api/queues/{vhost}/{name}", name="queue", methods=("PUT",))


@pytest.mark.parametrize(
    ("target", "method", "values"),
    [
        ("/api/v4/projects/grp%2Fapp/issues", "POST", {"id": "grp/app"}),
        ("/api/v4/projects/grp%2fsub%2Fapp/issues/", "POST", {"id": "grp/sub/app"}),
        ("/api/v4/projects/100%25/issues", "POST", {"id": "100%"}),
        ("/api/v4/projects/a%20%2F%C3%A9/issues?x=%2F", "POST", {"id": "a /é"}),
        ("/api/queues/%2F/jobs", "PUT", {"vhost": "/", "name": "jobs"}),
    ],
)
def test_they_are_a_part_of_a_variable(target: str, method: str, values: dict[str, str]) -> None:
    found = ask(compiled(GITLAB, RABBITMQ), target, method)
    assert isinstance(found, Match)
    assert found.variables == values


@pytest.mark.parametrize(
    "target",
    [
        "/api/v4/projects/a%2F/issues",  # a server that decodes first and merges slashes reads "a"
        "/api/v4/projects/%2Fa/issues",
        "/api/v4/projects/a%252Fb/issues",  # decoded twice it is a/b
        "/api/v4/projects/%2541/issues",
        "/api/v4/projects/x%2F..%2Fb/issues",
        "/api/v4/projects/..%2Fb/issues",
        "/api/v4/projects/.%2Fb/issues",
        "/api/v4%2Fprojects/b/issues",
        "/api/v4/projects/b%2Fissues",
        "/api/v4/projects/a%2Fb;v=1/issues",
        "/api/v4/projects/a%2Fb%00/issues",
        "/api/v4/projects/a%2Fb%5Cc/issues",
        "/api/v4/projects//a%2Fb/issues",
    ],
)
def test_what_another_server_reads_as_another_value_or_another_rule_is_refused(target: str) -> None:
    assert met(ask(compiled(GITLAB), target)) == "!ambiguous-path"


def test_a_queue_of_the_default_host_with_a_slash_in_its_name_is_another_queue_to_some_servers() -> None:
    """They merge slashes, and read the queue "b" of the host "a"."""
    assert met(ask(compiled(RABBITMQ), "/api/queues/%2F/a%2Fb", "PUT")) == "!ambiguous-path"


def test_a_path_that_meets_another_rule_once_it_is_decoded_is_refused() -> None:
    other = rule_config("/api/v4/projects/{group}/{app}/issues", name="other")
    target = "/api/v4/projects/grp%2Fapp/issues"
    for rules in (compiled(GITLAB, other), compiled(other, GITLAB)):
        assert met(ask(rules, target)) == "!ambiguous-path"
        assert ask(rules, target, "GET") is None
    assert met(ask(compiled(other), target)) == "!ambiguous-path"


def test_a_tail_takes_no_encoded_slash() -> None:
    """Where it ends is not for the path to say, so that nothing tells a/b from a%2Fb."""
    assert met(ask(compiled(rule_config("/files/{rest*}")), "/files/a%2Fb")) == "!ambiguous-path"


def test_what_no_rule_guards_in_any_reading_passes() -> None:
    assert ask(compiled(GITLAB), "/api/v4/groups/a%2Fb/members") is None
