# Tables as plain text, and what keeps a cell from commanding a terminal.

import pytest

from gateway.commands.tables import Column, age, safe, show_pairs, show_table


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("create-user", "create-user"),
        ("Zoë ✓ 名前", "Zoë ✓ 名前"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\tc\x00", r"a\r\nb\tc\x00"),
        ("\x9b31m", r"\x9b31m"),
        ("right\u202eleft", r"right\u202eleft"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_not_printable_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (172_799, "47h"), (172_800, "2d")],
)
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    assert age(seconds) == shown


def test_a_table_in_a_pipe_is_aligned_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(
        [Column("NAME"), Column("N", is_number=True), Column("LINK")], [["a" * 150, "1", "-"], ["b\x1b", "22", "/x"]]
    )
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "NAME" + " " * 146 + "   N  LINK"
    assert second == "a" * 150 + "   1  -"
    assert third == r"b\x1b" + " " * 145 + "  22  /x"


def test_pairs_have_their_values_in_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    show_pairs([("store", "sqlite"), ("", "1 MiB"), ("in flight", "0\n")])
    assert capsys.readouterr().out == "store      sqlite\n           1 MiB\nin flight  0\\n\n"
