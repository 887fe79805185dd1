# What a gateway keeps of operations, to put it back on a server that has lost it: as they ended in the end.

import msgspec
import pytest

from gateway.model import FREE, Change, Claim, Record, Settlement, State
from gateway.stores.changed import Changed
from gateway.stores.operations import Known, Operations
from tests.support.stores import CREATED, HOUR, NOW, UNKNOWN, claim, claims, owner

LINK, OTHER = b"1" * 16, b"2" * 16


def ended(operations: Operations) -> list[tuple[str, Settlement | None]]:
    """The entries that would be put back, and how they ended."""
    return [
        (one.claim.entry, None if one.ended is None else msgspec.structs.replace(one.ended, apart=None))
        for one in operations.known()
    ]


def change(
    name: str, number: int, settlement: Settlement = FREE, was: State = State.CREATED, link: bytes | None = None
) -> Change:
    """How an operation's claim on a name changes."""
    return Change(claim(name).fingerprint, owner(number), was, msgspec.structs.replace(settlement, link=link))


def record(name: str, number: int, state: State = State.CREATED) -> Record:
    made = claim(name)
    return Record(made.fingerprint, owner(number), state, made.rule, made.entry, NOW, NOW + HOUR, HOUR)


@pytest.fixture
def operations() -> Operations:
    """Operation 1 has created a and b, and 2 does not know about c."""
    made = Operations()
    for number, names, settlement in ((1, "ab", CREATED), (2, "c", UNKNOWN)):
        made.note_reserved(owner(number), claims(*names), NOW)
        made.note_settled(owner(number), settlement, was_held=True)
    return made


class TestOperations:
    def test_what_another_operation_changed_is_put_back_as_changed(self, operations: Operations) -> None:
        later = msgspec.structs.replace(CREATED, link=LINK)
        operations.note_changed([change("a", 1), change("c", 2, CREATED, State.UNKNOWN, LINK)], is_sure=True)
        assert ended(operations) == [("entry-c", later), ("entry-a", FREE), ("entry-b", CREATED)]

    def test_what_may_have_changed_is_put_back_as_it_was(self, operations: Operations) -> None:
        """Then it is changed once more, where it is as it was before."""
        before = operations.known()
        operations.note_changed([change("a", 1)], is_sure=False)
        assert operations.known() == before
        assert list(operations.changed.missing([record("a", 1)])) == [(record("a", 1), FREE)]

    def test_a_change_from_another_state_is_none(self, operations: Operations) -> None:
        before = ended(operations)
        operations.note_changed([change("a", 1, was=State.UNKNOWN), change("c", 2), change("b", 9)], is_sure=True)
        assert ended(operations) == before

    def test_who_reserves_it_after_that_is_put_back_in_its_place(self, operations: Operations) -> None:
        operations.note_changed([change("a", 1)], is_sure=True)
        operations.note_reserved(owner(3), claims("a"), NOW)
        assert ended(operations) == [
            ("entry-a", FREE), ("entry-a", None), ("entry-c", UNKNOWN), ("entry-b", CREATED),
        ]  # fmt: skip

    def test_an_operation_is_kept_without_what_it_changed(self) -> None:
        operations = Operations()
        operations.note_reserved(owner(1), claims("a"), NOW)
        operations.note_settled(owner(1), msgspec.structs.replace(CREATED, others=(change("b", 2),)), was_held=True)
        assert ended(operations) == [("entry-a", CREATED)]

    @pytest.mark.parametrize("way", ["resettled", "changed"])
    def test_an_outcome_without_a_link_leaves_the_one_that_is_there(self, way: str) -> None:
        operations = Operations()
        operations.note_reserved(owner(1), claims("a", "b"), NOW)
        operations.note_settled(owner(1), msgspec.structs.replace(UNKNOWN, link=LINK), was_held=True)
        if way == "resettled":
            operations.note_resettled(owner(1), claims("a"), State.UNKNOWN, CREATED)
            operations.note_resettled(
                owner(1), claims("b"), State.UNKNOWN, msgspec.structs.replace(CREATED, link=OTHER)
            )
        else:
            others = [change("a", 1, CREATED, State.UNKNOWN), change("b", 1, CREATED, State.UNKNOWN, OTHER)]
            operations.note_changed(others, is_sure=True)
        links = [(entry, None if one is None else one.link) for entry, one in ended(operations)]
        assert links == [("entry-a", LINK), ("entry-b", OTHER)]

    def test_the_answer_goes_to_what_is_still_created(self) -> None:
        operations = Operations()
        operations.note_reserved(owner(1), claims("a"), NOW)
        operations.note_settled(owner(1), msgspec.structs.replace(CREATED, answer=b"secret"), was_held=True)
        (known,) = operations.known()
        assert known.answer == b"secret"
        operations.note_changed([change("a", 1)], is_sure=True)
        assert operations.known() == [Known(claim("a"), owner(1), NOW, FREE, None)]


class TestChanged:
    def test_only_what_is_as_it_was_before_is_missing(self) -> None:
        changed = Changed(60.0, 10)
        changed.note([change("a", 1)], 0.0)
        assert changed.fingerprints == [claim("a").fingerprint]
        there = [record("a", 1), record("a", 2), record("a", 1, State.UNKNOWN), record("b", 1)]
        assert list(changed.missing(there)) == [(record("a", 1), FREE)]

    def test_a_server_may_be_behind_several_changes(self) -> None:
        changed = Changed(60.0, 10)
        changed.note([change("a", 1, CREATED, State.UNKNOWN), change("a", 1)], 0.0)
        assert changed.fingerprints == [claim("a").fingerprint]
        for state, settlement in ((State.UNKNOWN, CREATED), (State.CREATED, FREE)):
            assert list(changed.missing([record("a", 1, state)])) == [(record("a", 1, state), settlement)]

    def test_they_are_kept_for_a_while(self) -> None:
        changed = Changed(60.0, 10)
        changed.note([change("a", 1)], 0.0)
        changed.note([change("b", 1)], 60.0)
        assert len(changed.fingerprints) == 2
        changed.note([change("a", 1)], 60.5)
        assert changed.fingerprints == [claim("b").fingerprint, claim("a").fingerprint]
        changed.note([], 120.3)
        assert changed.fingerprints == [claim("a").fingerprint]

    def test_the_oldest_goes_when_there_are_too_many(self) -> None:
        changed = Changed(60.0, 2)
        changed.note([change(name, 1) for name in "abc"], 0.0)
        assert changed.fingerprints == [claim(name).fingerprint for name in "bc"]


def test_a_claim_is_put_back_with_its_own_version_and_link() -> None:
    operations = Operations()
    made = Claim(bytes(32), "rule", "entry", HOUR, version=7, link=LINK)
    operations.note_reserved(owner(1), [made], NOW)
    assert operations.known() == [Known(made, owner(1), NOW, None, None)]
