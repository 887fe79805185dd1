# The secret beside a store: made once, read ever after, never made anew for claims that were made with another.

import os
import stat
from pathlib import Path

import pytest

from gateway.errors import StoreOpenError
from gateway.guard.fingerprint import MIN_SECRET
from gateway.process.secret import beside, ephemeral, existing, key_path


def test_a_secret_is_made_beside_a_new_store_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = beside(str(tmp_path / "gateway.db"))
    finally:
        os.umask(before)
    path = tmp_path / "gateway.db.key"
    assert made.made == path == key_path(str(tmp_path / "gateway.db"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == made.value + b"\n"
    assert len(bytes.fromhex(made.value.decode())) == MIN_SECRET
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db.key"], "no draft is left"


def test_it_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    store = str(tmp_path / "gateway.db")
    first = beside(store)
    Path(store).write_bytes(b"claims")
    again = beside(store)
    assert again.value == first.value
    assert again.made is None
    assert existing(store) == again


def test_two_stores_have_two_secrets(tmp_path: Path) -> None:
    assert beside(str(tmp_path / "a")).value != beside(str(tmp_path / "b")).value


def test_nothing_is_there_before_the_first_run(tmp_path: Path) -> None:
    assert existing(str(tmp_path / "gateway.db")) is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_lost_its_secret_gets_no_new_one(tmp_path: Path) -> None:
    store = tmp_path / "gateway.db"
    store.write_bytes(b"claims")
    for look in (beside, existing):
        with pytest.raises(
            StoreOpenError, match=r"gateway\.db is there, and its fingerprint key .*\.key is not; restore"
        ):
            look(str(store))
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db"]
    assert store.read_bytes() == b"claims"


def test_a_store_that_is_still_empty_has_lost_nothing(tmp_path: Path) -> None:
    """The program was killed between making the file and writing the first page."""
    store = tmp_path / "gateway.db"
    store.touch()
    assert beside(str(store)).made is not None


@pytest.mark.parametrize("content", [b"", b"\n", b"0123456789abcdef" * 2 + b"\n", b"x" * (MIN_SECRET - 1) + b"   \n"])
def test_a_secret_that_was_cut_off_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    content = content[: MIN_SECRET - 1]
    path = tmp_path / "gateway.db.key"
    path.write_bytes(content)
    for look in (beside, existing):
        with pytest.raises(StoreOpenError, match=r"the fingerprint key in .*gateway\.db\.key is cut off; restore it"):
            look(str(tmp_path / "gateway.db"))
    assert path.read_bytes() == content


def test_a_key_that_is_a_directory_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gateway.db.key").mkdir()
    with pytest.raises(StoreOpenError, match="cannot be read: Is a directory"):
        beside(str(tmp_path / "gateway.db"))


def test_a_directory_that_is_not_there_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(StoreOpenError, match="cannot be written: No such file or directory"):
        beside(str(tmp_path / "absent" / "gateway.db"))


def test_a_draft_that_a_dead_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container every process has the same number, so a draft must not be named after it."""
    draft = tmp_path / f"gateway.db.key.{os.getpid()}"
    draft.write_bytes(b"half")
    draft.chmod(0o644)
    made = beside(str(tmp_path / "gateway.db"))
    path = tmp_path / "gateway.db.key"
    assert path.read_bytes() == made.value + b"\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert draft.read_bytes() == b"half"


def test_a_secret_that_goes_with_the_process_is_another_each_time() -> None:
    assert ephemeral().value != ephemeral().value
    assert len(ephemeral().value) == MIN_SECRET
    assert ephemeral().made is None


def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    made = beside(str(tmp_path / "gateway.db"))
    assert made.value.decode() not in f"{made!r} {made}"


def test_of_two_that_start_at_once_the_second_takes_the_first_one_s_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither may go on with a secret that is on no disk."""
    store = str(tmp_path / "gateway.db")
    link, first = os.link, []

    def link_too_late(draft: Path, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        first.append(beside(store).value)
        link(draft, path)

    monkeypatch.setattr(os, "link", link_too_late)
    assert [beside(store).value] == first
    assert key_path(store).read_bytes() == first[0] + b"\n"
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.db.key"], "no draft is left"
