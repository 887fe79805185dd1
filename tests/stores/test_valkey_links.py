# Links on Valkey: what gateways of earlier releases read and leave behind, and how long sets of them last.

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreError
from gateway.model import FOREVER, FREE, Claim, Kept, Record, Reserved, Settlement, State
from gateway.stores import lua, valkey_link
from gateway.stores.demands import Demands
from gateway.stores.open_valkey import open_valkey
from gateway.stores.valkey import ValkeyStore
from gateway.stores.valkey_records import in_flight, moment, read_record, settled
from tests.support import valkey
from tests.support.postgresql_store import until
from tests.support.stores import CREATED, HOUR, KEY, NOW, claim, left_open, open_shared, owner

HERE, LINK = b"h" * 16, b"\n" * 16
DAY = 24 * HOUR
_UNLINKED = """
local function unlink() end
local function link() end
"""


class _OlderTail(msgspec.Struct, array_like=True, frozen=True):
    """The tail of a record as the release before links had it."""

    rule: str
    entry: str
    first_seen: int
    caller: bytes | None
    payload: bytes | None


async def opened(prefix: str, **changes: Any) -> ValkeyStore:
    store = (await open_shared(prefix, **changes)).store
    assert isinstance(store, ValkeyStore)
    return store


@pytest.fixture
async def store() -> ValkeyStore:
    return await opened(valkey.new_prefix())


async def older_one(prefix: str, monkeypatch: pytest.MonkeyPatch) -> ValkeyStore:
    """The store of a gateway that knows of no links."""
    scripts = {name: text.replace(lua._LINKING, _UNLINKED) for name, text in lua.SCRIPTS.items() if name != "linked"}
    monkeypatch.setattr(valkey_link, "SCRIPTS", scripts)
    made = await opened(prefix)
    monkeypatch.undo()
    return made


def linked(name: str, link: bytes | None = HERE, version: int | None = 7) -> Claim:
    return msgspec.structs.replace(claim(name), caller=b"c" * 32, link=link, version=version)


def at(link: bytes | None, expires_at: int = NOW + DAY) -> Settlement:
    return Settlement(State.CREATED, expires_at, "/users/1", link=link)


async def make(store: ValkeyStore, name: str, number: int, ended: Settlement) -> Record:
    assert isinstance(await store.reserve([linked(name)], owner(number), NOW), Reserved)
    assert await store.settle(owner(number), [linked(name)], ended, NOW)
    record = await store.get(claim(name).fingerprint, NOW)
    assert record is not None
    return record


class TestRecords:
    older = _OlderTail("create-user", "entry-a", NOW, b"c" * 32, None)

    def test_a_claim_without_version_and_link_is_stored_as_before(self) -> None:
        head = b"1" + owner(1) + moment(NOW) + moment(HOUR) + b"-----"
        assert in_flight(linked("a", None, None), owner(1), NOW) == head + msgspec.msgpack.encode(self.older)

    @pytest.mark.parametrize(("link", "version"), [(LINK, 7), (LINK, None), (None, 2**31 - 1)])
    def test_earlier_releases_read_what_is_written_now(self, link: bytes | None, version: int | None) -> None:
        for record in (
            in_flight(linked("a", link, version), owner(1), NOW),
            settled(linked("a", HERE, version), owner(1), NOW, at(link)),
        ):
            tail = record[60 + (int(record[55:60]) if record[55:60].isdigit() else 0) :]
            assert msgspec.msgpack.decode(tail, type=_OlderTail) == self.older

    def test_records_of_earlier_releases_are_read(self) -> None:
        data = (
            b"2" + owner(1) + moment(NOW + DAY) + moment(HOUR) + b"00008/users/1" + msgspec.msgpack.encode(self.older)
        )
        assert read_record(claim("a").fingerprint, data) == Record(
            *(claim("a").fingerprint, owner(1), State.CREATED, "create-user", "entry-a", NOW, NOW + DAY, HOUR),
            *("/users/1", b"c" * 32, None, None, None),
        )

    @pytest.mark.parametrize("version", [None, 7])
    async def test_a_claim_gets_a_link_that_had_none(self, store: ValkeyStore, version: int | None) -> None:
        """As an operator settles it."""
        made = linked("a", None, version)
        await store.reserve([made], owner(1), NOW)
        assert await store.settle(owner(1), [made], at(LINK), NOW)
        (record,) = await store.find_linked(LINK, NOW)
        assert (record.version, record.link, record.caller) == (version, LINK, b"c" * 32)
        stored = await store._ask("GET", store._keys.claim + made.fingerprint)
        assert stored == settled(made, owner(1), NOW, at(LINK)), "it is put back as the same"

    async def test_what_a_later_release_has_written_behind_it_stays(self, store: ValkeyStore) -> None:
        made = await make(store, "a", 1, at(LINK))
        key = store._keys.claim + made.fingerprint
        data = (await store._ask("GET", key)).replace(b"\x97\xab", b"\x98\xab") + b"\x2a"
        await store._ask("SET", key, data)
        assert await store.resettle(owner(1), [linked("a")], State.CREATED, at(HERE, NOW + 2 * DAY), NOW)
        stored = await store._ask("GET", key)
        assert stored[68:] == data[68:]
        assert read_record(made.fingerprint, stored).expires_at == NOW + 2 * DAY


class TestOlderGateways:
    @pytest.mark.parametrize("way", ["forgets", "frees", "purges", "takes"])
    async def test_what_they_leave_behind_is_told_when_it_is_read(
        self, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch, way: str
    ) -> None:
        older = await older_one(store._keys.claim[1:-4].decode(), monkeypatch)
        kept, gone = await make(store, "a", 1, at(LINK)), await make(store, "b", 2, at(LINK, NOW + 1))
        if way == "forgets":
            assert await older.forget(gone.fingerprint)
        elif way == "frees":
            assert await older.resettle(owner(2), [linked("b")], State.CREATED, FREE, NOW)
        elif way == "purges":
            assert (await older.purge(NOW + 1, 10)).removed == 1
        else:
            await older.reserve([linked("b", None, None)], owner(3), NOW + 1)
        assert await store._ask("ZCARD", store._keys.links + LINK) == 2
        assert list(await store.find_linked(LINK, NOW)) == [kept]
        assert await store._ask("ZCARD", store._keys.links + LINK) == 1

    async def test_they_settle_their_own_as_before(self, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
        older = await older_one(store._keys.claim[1:-4].decode(), monkeypatch)
        made = [linked("a", None, None)]
        await older.reserve(made, owner(1), NOW)
        assert await older.settle(owner(1), made, CREATED, NOW)
        record = await store.get(claim("a").fingerprint, NOW)
        assert record is not None
        assert (record.state, record.version, record.link) == (State.CREATED, None, None)

    async def test_many_that_are_stale_do_not_hide_those_that_are_there(
        self, store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor is anything found that has another link."""
        monkeypatch.setattr("gateway.stores.valkey_listing.LOOKED_AT", 4)
        elsewhere = await make(store, "b", 2, at(HERE))
        members = [bytes([number]) + b"\x00" * 47 for number in range(9)] + [elsewhere.fingerprint + elsewhere.owner]
        await store._ask("ZADD", store._keys.links + LINK, *[part for member in members for part in (0, member)])
        there = await make(store, "a", 1, at(LINK))
        assert there.fingerprint[0] > len(members)
        assert list(await store.find_linked(LINK, NOW)) == [there]
        assert await store._ask("ZCARD", store._keys.links + LINK) == 1


class TestExpiry:
    """What older gateways leave behind goes at last, and nothing that is held before that."""

    async def left(self, store: ValkeyStore, link: bytes = LINK) -> int:
        """Milliseconds; -1 for no end, -2 for none there."""
        return int(await store._ask("PTTL", store._keys.links + link))

    async def test_a_set_lasts_longer_than_its_claims(self, store: ValkeyStore) -> None:
        await make(store, "a", 1, at(LINK))
        assert DAY < await self.left(store) <= 2 * DAY
        await make(store, "b", 2, at(LINK, NOW + 3 * DAY))
        await make(store, "c", 3, at(LINK, NOW + HOUR))
        assert 3 * DAY < await self.left(store) <= 4 * DAY

    async def test_it_has_no_end_while_a_claim_has_none(self, store: ValkeyStore) -> None:
        await make(store, "a", 1, at(LINK))
        await store.reserve([linked("b", LINK)], owner(2), NOW)
        assert await self.left(store) == -1
        assert await store.settle(owner(2), [linked("b", LINK)], FREE, NOW)
        await make(store, "c", 3, at(LINK))
        assert await self.left(store) == -1, "what was in it may have had no end"
        await make(store, "d", 4, at(HERE, FOREVER))
        assert await self.left(store, HERE) == -1

    async def test_a_set_without_claims_is_gone(self, store: ValkeyStore) -> None:
        await make(store, "a", 1, at(LINK))
        assert await self.left(store, HERE) == -2
        await store.forget(claim("a").fingerprint)
        assert await self.left(store) == -2

    async def test_what_was_added_lasts_as_long(self, store: ValkeyStore) -> None:
        made = claim("a")
        record = Record(
            *(
                made.fingerprint,
                owner(1),
                State.CREATED,
                "rule",
                "entry",
                NOW,
                NOW + DAY,
                HOUR,
                None,
                None,
                None,
                7,
                LINK,
            )
        )
        assert list(await store.add([Kept(record)], NOW)) == [None]
        assert DAY < await self.left(store) <= 2 * DAY


async def test_replicas_must_have_what_is_added(tmp_path: Path) -> None:
    primary = await asyncio.to_thread(valkey.new_server, tmp_path / "primary")
    replica = await asyncio.to_thread(
        valkey.new_server, tmp_path / "replica", None, replicaof=f"127.0.0.1 {primary.port}"
    )
    try:
        with primary.client() as client:

            async def is_followed() -> bool:
                found: dict[str, Any] = client.info("replication").get("slave0", {})
                return found.get("state") == "online"

            await until(is_followed)
        url, demands = ValkeyStoreUrl((("127.0.0.1", primary.port),)), Demands("process", replicas=1)
        store = (await open_valkey(url, demands, KEY, failover_grace=0.01)).store
        left_open.append(store)
        record = Record(*(bytes(32), owner(1), State.CREATED, "rule", "entry", NOW, NOW + DAY, HOUR))
        valkey.process_of(replica).send_signal(signal.SIGSTOP)
        with pytest.raises(StoreError, match="too few replicas"):
            await store.add([Kept(record)], NOW)
        valkey.process_of(replica).send_signal(signal.SIGCONT)

        async def is_added() -> bool:
            with contextlib.suppress(StoreError):
                return list(await store.add([Kept(record)], NOW)) == [record]
            return False

        await until(is_added)
        with replica.client(decode_responses=False) as client:
            assert client.exists(b"{idempotency-gateway}:c:" + bytes(32))
    finally:
        valkey.process_of(replica).send_signal(signal.SIGCONT)
        for server in (replica, primary):
            server.stop()
