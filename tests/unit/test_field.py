# The grammar of "body.email": what is read, and what is refused with a text that helps.

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.guard.field import FILE_PROPERTIES, Source, parse_field

KNOWN = "body, form, file, xml, header, query, path, cookie, host, client, jwt, item, json"


@pytest.mark.parametrize(
    ("text", "source", "keys"),
    [
        ("body.email", Source.BODY, ("email",)),
        ("body.user.email", Source.BODY, ("user", "email")),
        ("body.items[0].sku", Source.BODY, ("items", 0, "sku")),
        ("body[0]", Source.BODY, (0,)),
        ("body[1][20].x", Source.BODY, (1, 20, "x")),
        ("body.0", Source.BODY, ("0",)),
        ("body.a-b_C9", Source.BODY, ("a-b_C9",)),
        ('body."odd.key".x', Source.BODY, ("odd.key", "x")),
        ('body."a[0]"', Source.BODY, ("a[0]",)),
        ('body.""', Source.BODY, ("",)),
        ('body."\\u00e9\\t\\"\\\\"', Source.BODY, ('é\t"\\',)),
        ("body.'C:\\x'", Source.BODY, ("C:\\x",)),
        ('body."it\'s"', Source.BODY, ("it's",)),
        ("xml.User", Source.XML, ("User",)),
        ("xml.Envelope.Body.create-user", Source.XML, ("Envelope", "Body", "create-user")),
        ('xml."Größe"', Source.XML, ("Größe",)),
        ("form.email", Source.FORM, ("email",)),
        ('form."user[email]"', Source.FORM, ("user[email]",)),
        *[(f"file.a-b.{name}", Source.FILE, ("a-b", name)) for name in FILE_PROPERTIES],
        ('file."docs[]".size', Source.FILE, ("docs[]", "size")),
        ("header.X-Tenant", Source.HEADER, ("X-Tenant",)),
        ('header."X.Odd"', Source.HEADER, ("X.Odd",)),
        ("query.ref", Source.QUERY, ("ref",)),
        ('query."items[]"', Source.QUERY, ("items[]",)),
        ("path.tenant", Source.PATH, ("tenant",)),
        ("cookie.session", Source.COOKIE, ("session",)),
        ("host", Source.HOST, ("Host",)),
        ("client.ip", Source.CLIENT, ("ip",)),
        ("json", Source.JSON, ("json",)),
        ("body", Source.BYTES, ("body",)),
        ("jwt.realm.roles[0]", Source.JWT, ("realm", "roles", 0)),
    ],
)
def test_a_field_is_read(text: str, source: Source, keys: tuple[str | int, ...]) -> None:
    field = parse_field(text)
    assert (field.text, field.source, field.keys) == (text, source, keys)
    assert [type(key) for key in field.keys] == [type(key) for key in keys]


def test_a_field_that_is_no_body_has_one_name() -> None:
    assert parse_field("header.X-Tenant").name == "X-Tenant"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", f'no known source; a field starts with one of {KNOWN}, as in "body.email"'),
        ("email", "no known source"),
        ("host.name", 'goes too deep; write "host", or "header.NAME" for a header'),
        ("host[0]", "goes too deep"),
        ("hosts", "no known source"),
        ("client.name", 'nothing that is known of a client; write "client.ip"'),
        ("client.ip.x", "goes too deep"),
        (".email", "no known source"),
        ("Body.email", "no known source"),
        ("bodyemail", "no known source"),
        ("headers.X", "no known source"),
        ("forms.sku", "no known source"),
        ("form", 'names no value; write "form.NAME"'),
        ("form.user.email", 'write "form.NAME", and a name such as user[email] quoted, as in form."user[email]"'),
        ("form.items[0]", "goes too deep; a form has names and nothing below them"),
        ("xml", 'names no value; write "xml.NAME"'),
        ("xml.users[0].email", "counts elements; write their names alone"),
        ("xml.a..b", 'cannot be read from "..b" on'),
        ("file", 'names no value; write "file.NAME"'),
        ("file.doc", 'write "file.NAME.sha256", or one of filename, sha256, size, content_type behind NAME'),
        ("file.doc.md5", "is no property of a file"),
        ("file.doc.sha256.x", "is no property of a file"),
        ("file[0].size", "is no property of a file"),
        ("bytes", "no known source"),
        ("json.a", 'goes too deep; write "json" for all of a body, or "body.NAME" for a value in it'),
        ("json[0]", "goes too deep"),
        ("header", 'names no value; write "header.NAME"'),
        ("body.", 'cannot be read from "." on'),
        ("body..a", 'cannot be read from "..a" on'),
        ("body.a.", 'cannot be read from "." on'),
        ("body.a b", 'cannot be read from " b" on'),
        ("body.é", 'cannot be read from ".é" on'),
        ("body .a", 'cannot be read from " .a" on'),
        ("body.a[", r'cannot be read from "[" on'),
        ("body.a[]", 'asks for every element of a list; write each = "body.a" for the rule, and item.NAME'),
        ("body[*].id", 'asks for every element of a list; write each = "body" for the rule'),
        ("body.a.*.id", 'asks for every element of a list; write each = "body.a" for the rule'),
        ("body.a[-1]", r'cannot be read from "[-1]" on'),
        ("body.a[1.0]", r'cannot be read from "[1.0]" on'),
        ("body.a[٣]", r'cannot be read from "[٣]" on'),
        ("body.a[0000000001]", r'cannot be read from "[0000000001]" on'),
        ("body.a.[0]", r'cannot be read from ".[0]" on'),
        ("body[0]a", 'cannot be read from "a" on'),
        ('body."a', "a key with other characters than letters"),
        ('body."a"b', 'cannot be read from "b" on'),
        ("body.'it''s'", "cannot be read from \"'s'\" on"),
        ('body."\\x"', r'has a quoted key that TOML cannot read: "\x"'),
        ('body."a\nb"', "TOML cannot read"),
        ("body.'a\nb'", "TOML cannot read"),
        ("header.X.Y", 'goes too deep; only fields of a body, of XML or of a token do, write "header.NAME"'),
        ("query.items[0]", 'write "query.NAME"'),
        ("cookie[0]", 'write "cookie.NAME"'),
    ],
)
def test_what_is_no_field_is_refused_with_what_would_be_right(text: str, says: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared whole below
        parse_field(text)
    assert says in str(raised.value)
    assert str(raised.value).startswith(f'"{text}" ')


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"])), min_size=1, max_size=4))
def test_any_key_can_be_written_quoted(keys: list[str]) -> None:
    quoted = [key.replace("\\", "\\\\").replace('"', '\\"') for key in keys]
    assert parse_field("body" + "".join(f'."{key}"' for key in quoted)).keys == tuple(keys)


@given(st.text("body.headrfilsz\"'[]0 \\\n", max_size=16) | st.text())
def test_any_text_is_a_field_or_refused(text: str) -> None:
    try:
        field = parse_field(text)
    except ValueError:
        return
    assert field.keys
    assert field.source is Source.BODY or len(field.keys) == (2 if field.source is Source.FILE else 1)
