# Names of parameters that some server takes for the same, and values that some server reads otherwise.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import IdentityError
from gateway.guard.parameters import decode_parameter, is_alike, parameter_name


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        (
            "ref",
            ["Ref", "REF", " ref", "\tref", "ref\x00z", "ref[]", "ref[a]", "ref]", "ref[", "[ref]", "[[ref", "ref.x"],
        ),
        ("ref", ["?ref", "??[ref", "ref]x", ".ref", "ref.", "'ref'[x]", "ref ", "ref[][x]"]),
        ("risk", ["ri\u017fk", "ris\u212a"]),
        ("order_ref", ["order.ref", "order ref", "order_ref[]", "order[ref", "Order.Ref", "order.ref[x]"]),
        ("order.ref", ["order_ref", "order[ref]", "order", "order[]", "order.ref.x", "order.Ref", "order['ref']"]),
        (
            "user[email]",
            ["user", "user[]", "user[][email]", "user[email", "user[email][]", "user[Email]", "user.email"],
        ),
        (
            "user[email]",
            ["user[email]x", "user[ email]", "[user][email]", "USER[EMAIL]", 'user["email"]', "user[email]]"],
        ),
        ("items[]", ["items", "items[x]", "items[", "items[0]"]),
        ("a[b][c]", ["a", "a[b]", "a[b][]", "a.b.c", "a[][c]", "a[b].c"]),
    ],
)
def test_names_that_are_alike(wanted: str, others: list[str]) -> None:
    assert [other for other in others if not is_alike(other, parameter_name(wanted))] == []


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        ("ref", ["reff", "xref", "re", "", "[", ".", "x[ref]", "x.ref", "\x00ref", "r.ef", "_ref", "ref_x"]),
        ("order_ref", ["orderref", "_order_ref", "order", "order.x", "x[order_ref]", "order[x]"]),
        ("user[email]", ["user[name]", "user[emails]", "users", "user_email", "x[user][email]", "user.name", "email"]),
        ("order.ref", ["order.other", "order_other", "ref"]),
        ("", ["", "a", "[", "\x00"]),
    ],
)
def test_names_that_are_apart(wanted: str, others: list[str]) -> None:
    assert [other for other in others if is_alike(other, parameter_name(wanted))] == []


@pytest.mark.parametrize("part", ["%u0072", "a%U00e9b", "%ff", "%c0%b2"])
def test_what_only_some_servers_decode_is_refused(part: str) -> None:
    with pytest.raises(IdentityError):
        decode_parameter(part, "it")


@given(st.text("refREF[].\x00 \t'%_a", max_size=12), st.text("ref[].", min_size=1, max_size=6))
def test_any_name_is_alike_or_not_and_case_makes_no_difference(other: str, wanted: str) -> None:
    name = parameter_name(wanted)
    assert is_alike(other, name) == is_alike(other.upper(), name) == is_alike(other, parameter_name(wanted.upper()))


@given(st.text("abc_", min_size=1, max_size=4), st.lists(st.text("xyz", min_size=1, max_size=2), max_size=3))
def test_a_name_below_another_one_is_alike(base: str, below: list[str]) -> None:
    nested = base + "".join(f"[{step}]" for step in below)
    assert is_alike(nested, parameter_name(base))
    assert is_alike(base, parameter_name(nested))
