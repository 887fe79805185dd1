# The lists and counts of a SQLite store: by which index they are found, and in how many steps. What they show is in
# test_contract.py and test_agreement.py.

import re
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from gateway.model import FOREVER, Filter, Record, Settlement, State
from gateway.stores import list_walk, sql
from gateway.stores.sqlite import SqliteStore
from tests.support.stores import HOUR, NOW, UNKNOWN, claim, claims, create, files, open_store, owner, take

ANY: dict[str, Any] = {"rule": "create-user", "entry": None, "before": FOREVER}


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    """A store of whose claims few are looked at in a step, and few in a call."""
    monkeypatch.setattr(list_walk, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(list_walk, "UNKNOWN_AT_ONCE", 4)
    monkeypatch.setattr(list_walk, "STEPS", 2)
    return cast("SqliteStore", (await open_store(tmp_path / "gateway.db")).store)


async def pages(store: SqliteStore, only: Filter, limit: int = 3) -> list[tuple[Record, ...]]:
    """What one page after the other shows."""
    found = []
    after: bytes | None = b""
    while after is not None:
        page = await store.list_claims(only, after, limit, NOW)
        found.append(page.records)
        after = page.next
    return found


async def plan(store: SqliteStore, statement: str, parameters: dict[str, Any]) -> str:
    """How SQLite would find what a statement asks for."""
    rows = await store._database.execute_fetchall(f"EXPLAIN QUERY PLAN {sql.read(statement)}", parameters)
    return "; ".join(row[3] for row in rows)


class TestPlans:
    place: ClassVar[dict[str, Any]] = {**ANY, "first_seen": 5, "fingerprint": b"", "rows": 10, "limit": 9, "now": 1}

    @pytest.mark.parametrize(
        ("statement", "index"),
        [("list_unknown", "unknown_by_age ("), ("list_unknown_of_rule", "unknown_by_rule (rule=? AND ")],
    )
    async def test_the_oldest_unknown_claims_are_found_by_an_index(
        self, store: SqliteStore, statement: str, index: str
    ) -> None:
        found = await plan(store, statement, self.place)
        search = f"SEARCH claims USING INDEX {index}(first_seen,fingerprint)>(?,?) AND first_seen<?)"
        assert f"MATERIALIZE looked_at; {search}; SCAN looked_at" in found, "all that is sorted is what a step looks at"

    async def test_the_oldest_of_a_rule_is_found_in_the_index_alone(self, store: SqliteStore) -> None:
        found = await plan(store, "counts", {"now": NOW, "rows": 10})
        assert "SEARCH claims USING COVERING INDEX unknown_by_rule (rule=?)" in found
        assert "SCAN claims" not in found
        assert "B-TREE" not in found

    async def test_other_lists_walk_both_tables_from_where_they_are_and_sort_nothing(self, store: SqliteStore) -> None:
        wanted = {**ANY, "after": b"", "limit": 5, "rows": 10, "end": b"\xff", "now": NOW, "state": None}
        found = await plan(store, "list_claims", wanted)
        for table in ("claims", "in_flight"):
            assert f"SEARCH {table} USING PRIMARY KEY (fingerprint>?)" in found
            assert f"SEARCH {table} USING PRIMARY KEY (fingerprint>? AND fingerprint<?)" in found
        assert "B-TREE" not in found

    async def test_the_first_claims_behind_a_fingerprint_are_found_without_those_behind_them(
        self, store: SqliteStore
    ) -> None:
        found = await plan(store, "scan", {"after": b"", "limit": 2, "now": NOW})
        for table in ("claims", "in_flight"):
            limited = rf"CO-ROUTINE (\(subquery-\d+\)); SEARCH {table} USING PRIMARY KEY \(fingerprint>\?\); SCAN \1"
            assert re.search(limited, found), found

    async def test_the_claims_of_a_resource_are_found_by_an_index_and_not_sorted(self, store: SqliteStore) -> None:
        found = await plan(store, "find_linked", {"link": b"l" * 16, "limit": 9, "now": NOW})
        assert re.search(r"(\(subquery-\d+\)); SEARCH claims USING INDEX claims_by_link \(link=\?\); SCAN \1", found), (
            found
        )
        assert re.search(r"(\(subquery-\d+\)); SCAN in_flight; SCAN \1", found), found

    async def test_a_created_claim_without_a_link_is_in_no_index(self, store: SqliteStore) -> None:
        await create(store, "a", 1)
        await create(store, "b", 2, UNKNOWN)
        count = "SELECT count(*) FROM claims INDEXED BY claims_by_link WHERE link IS NOT NULL"
        assert list(await store._database.execute_fetchall(count)) == [(0,)]
        for index in ("unknown_by_age", "unknown_by_rule"):
            count = f"SELECT count(*) FROM claims INDEXED BY {index} WHERE state = 3"
            assert list(await store._database.execute_fetchall(count)) == [(1,)]
            with pytest.raises(Exception, match="no query solution"):
                await store._database.execute_fetchall(count.replace("3", "2"))


class TestSteps:
    async def test_a_call_that_finds_little_ends_all_the_same_and_the_next_one_goes_on(
        self, store: SqliteStore
    ) -> None:
        for at in range(30):
            await create(store, at, at)
        wanted = claim(7)
        found = await pages(store, Filter(entry=wanted.entry))
        assert [record.fingerprint for page in found for record in page] == [wanted.fingerprint]
        assert len(found) == 1 + 30 // 8, "eight claims a call"

    async def test_so_does_one_among_the_unknown(self, store: SqliteStore) -> None:
        for at in range(30):
            await create(store, at, at, UNKNOWN, now=NOW - at)
        found = await pages(store, Filter(state=State.UNKNOWN, entry=claim(7).entry))
        assert [len(page) for page in found] == [0, 0, 1, 0]

    async def test_a_page_that_is_full_goes_on_behind_its_last_claim(self, store: SqliteStore) -> None:
        for at in range(30):
            await create(store, at, at, UNKNOWN, now=NOW)
        for only in (Filter(), Filter(state=State.UNKNOWN), Filter(state=State.UNKNOWN, rule="create-user")):
            found = await pages(store, only)
            assert {len(page) for page in found[:-1]} == {3}
            assert len({record.fingerprint for page in found for record in page}) == 30

    async def test_the_oldest_in_flight_come_first_however_many_steps_it_takes(self, store: SqliteStore) -> None:
        for at in range(30):
            await take(store, (at,), at, NOW - at)
        found = [record.first_seen for page in await pages(store, Filter(state=State.IN_FLIGHT), 7) for record in page]
        assert found == sorted(range(NOW - 29, NOW + 1))
        assert (await store.overview(NOW)).claims == {("create-user", State.IN_FLIGHT): 30}

    async def test_a_full_batch_in_flight_is_counted_whole(self, store: SqliteStore) -> None:
        await store.reserve(claims(*range(8)), owner(1), NOW)
        assert (await store.overview(NOW)).claims == {("create-user", State.IN_FLIGHT): 8}


class TestOldest:
    async def test_an_expired_claim_that_is_not_yet_removed_is_not_the_oldest(self, store: SqliteStore) -> None:
        for at in range(3):
            await create(store, at, at, Settlement(State.UNKNOWN, NOW), now=NOW - 10 + at)
        assert (await store.overview(NOW)).oldest_unknown == {}
        await create(store, "held", 9, UNKNOWN, now=NOW - 5)
        assert (await store.overview(NOW)).oldest_unknown == {"create-user": NOW - 5}

    async def test_behind_many_of_them_it_is_not_looked_for(self, store: SqliteStore) -> None:
        """Four at once are looked at here: what is said then is older than it is."""
        for at in range(6):
            await create(store, at, at, Settlement(State.UNKNOWN, NOW), now=NOW - 10 + at)
        await create(store, "held", 9, UNKNOWN, now=NOW - 1)
        assert (await store.overview(NOW)).oldest_unknown == {"create-user": NOW - 7}
        while (await store.purge(NOW, 100)).more:
            pass
        assert (await store.overview(NOW)).oldest_unknown == {"create-user": NOW - 1}

    async def test_the_size_is_that_of_the_file_and_of_its_log(self, store: SqliteStore, tmp_path: Path) -> None:
        before = (await store.overview(NOW)).size
        assert before == sum(len(content) for content in files(tmp_path).values())
        await take(store, ("a",), 1, NOW - HOUR)
        after = (await store.overview(NOW)).size
        assert before is not None
        assert after is not None
        assert after > before
