# Path patterns of other programs: a literal reading of them would leave creates unguarded.

import pytest

from gateway.guard.dialects import explain_dialect
from gateway.guard.routes import parse_route
from gateway.guard.rules import Match
from gateway.guard.template import parse_template
from tests.support.unit import ask, compiled, rule_config

ONE_SEGMENT = {
    "/orders/:id": "id",
    "/orders/:id/items": "id",
    "/orders/:id?": "id",
    "/orders/:id(\\d+)": "id",
    "/orders/<id>": "id",
    "/orders/<int:id>/items": "id",
    "/orders/[id]": "id",
    "/orders/{id:int}": "id",
    "/orders/{id:[0-9]{3}}": "id",
    "/orders/{id?}": "id",
    "/orders/{id=*}": "id",
    "/orders/{order-id}": "order_id",
}
SEVERAL_SEGMENTS = [
    "/orders/*rest",
    "/orders/{*rest}",
    "/orders/{**rest}",
    "/orders/{rest...}",
    "/orders/{rest=**}",
    "/orders/<path:rest>",
    "/orders/[...rest]",
    "/orders/[[...rest]]",
    "/orders/{rest+}",
    "/orders/:rest*",
    "/orders/{rest:path}",
]
WITHOUT_NAME = ["/orders/*", "/**"]
REGULAR_EXPRESSIONS = [
    "^/orders$",
    "/orders$",
    "/orders/(.*)",
    "/orders/.+",
    "/orders/\\d+",
    "/orders/[^/]+",
    "/orders/[0-9]+/items",
    "/orders/(?P<id>[^/]+)",
    "/(orders|carts)",
]
LITERAL = [
    *("/v1/users:batchCreate", "/urn:isbn:1", "/_:x", "/Customers(7)", "/odata/Get(Code=10)", "/Products('x')"),
    *("/entity(id='a:b')", "/f(x,y)/g", "/a(b", "/a)", "/$batch", "/x/$count", "/a$b", "/@me", "/a*b", "/a+b", "/a|b"),
    *("/[a]b", "/x[0]", "/v1/projects/-/x", "/~ada", "/a=b", "/a.b", "/", "/a<b"),
]


@pytest.mark.parametrize(("path", "name"), ONE_SEGMENT.items())
def test_a_variable_in_another_dialect_is_refused_with_ours(path: str, name: str) -> None:
    """The text says how the same variable is written here."""
    with pytest.raises(ValueError, match=f'is no variable here; write "{{{name}}}"'):
        parse_template(path)


@pytest.mark.parametrize("path", SEVERAL_SEGMENTS)
@pytest.mark.parametrize("end", ["", "/"])
def test_a_wildcard_at_the_end_is_refused_with_ours(path: str, end: str) -> None:
    """The text says how the same is written here, with the same name."""
    with pytest.raises(ValueError, match=r'matches only itself here; write "\{rest\*\}" for all segments'):
        parse_template(path + end)


@pytest.mark.parametrize("path", WITHOUT_NAME)
def test_a_wildcard_without_a_name_may_mean_one_segment_or_several(path: str) -> None:
    """Spring's * takes one, Express's takes all."""
    with pytest.raises(ValueError, match=r'write "\{rest\*\}" for all segments that follow, or "\{NAME\}" for any one'):
        parse_template(path)


@pytest.mark.parametrize("path", ["/a/**/b", "/a/{*rest}/b", "/*/b", "/a/:rest*/b"])
def test_a_wildcard_amid_a_path_is_refused(path: str) -> None:
    """Nothing matches a varying number of segments there, and the text says so."""
    with pytest.raises(ValueError, match="takes any one segment, and nothing takes several amid a path"):
        parse_template(path)


@pytest.mark.parametrize("path", REGULAR_EXPRESSIONS)
def test_a_regular_expression_is_refused(path: str) -> None:
    """Anchors, quantifiers, escapes and alternatives are signs of one."""
    with pytest.raises(ValueError, match="it is a regular expression"):
        parse_template(path)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/orders*", "takes a whole segment"),
        ("/*.json", "takes a whole segment"),
        ("/orders/a<id>", "a variable is a whole segment"),
        ("/orders(.:format)", "write one rule with it and one without it"),
        ("/orders/{$}", "a path ends where it ends"),
    ],
)
def test_other_habits_are_refused_each_with_its_own_text(path: str, says: str) -> None:
    """What has no counterpart here is answered with what to do instead."""
    with pytest.raises(ValueError, match=says):
        parse_template(path)


@pytest.mark.parametrize("path", LITERAL)
def test_literal_paths_with_such_characters_match_as_they_stand(path: str) -> None:
    """Verbs behind a colon, OData keys and the like are real paths, and stay possible."""
    assert explain_dialect(path) is None
    if "[" not in path and "<" not in path and "|" not in path:
        assert isinstance(ask(compiled(rule_config(path)), path), Match)


def test_variables_of_our_own_are_no_dialect() -> None:
    """The ways in which variables are written here."""
    assert explain_dialect("/tenants/{tenant}/users/{_id2}/{rest*}") is None


@pytest.mark.parametrize("path", ["/users/:id", "/users/<id>", "/users/(.+)", "/users$"])
def test_a_route_has_no_patterns_either(path: str) -> None:
    """A route that never matches would send its requests to another API."""
    with pytest.raises(ValueError, match="a route has none, write what the path starts with"):
        parse_route(None, path)
