# The traffic of the soak test: the kinds of requests, their proportions, and their expected responses.

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from campaigns.soak import api, requests
from campaigns.soak.clients import Clients
from campaigns.soak.requests import MIB, OVER_TLS, PLAIN, Identity
from campaigns.soak.told import CREATED, DUPLICATE, FAULTS, IN_PROGRESS, PASSED_FAULTS, Asking
from tests.support.client import request_bytes
from tests.support.tunnels import PIECE, upgraded

_AT_ONCE = 2000
"""Requests in progress at which the gateway counts as not keeping up."""
_LEAVE_AFTER = 0.05


class Traffic(Asking):
    """Sends at a constant rate. Mutable state: requests in progress, and expired identities."""

    def __init__(self, clients: Clients, straight: Clients, seed: int, keep: float, unknown_hold: float) -> None:
        """`straight` go to a bare server: a yardstick for what the machine does. `keep` and the like in seconds."""
        super().__init__(clients, seed, keep, unknown_hold)
        self.answered: Counter[str] = Counter()
        """Operations by kind; some have several requests."""
        self._straight = straight
        self._kind_of = Random(f"soak {seed}")
        self._expired: deque[Identity] = deque(maxlen=1000)
        self._under_way: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, tuple[float, Callable[[], Awaitable[None]]]] = {
            "create": (100, self._create),
            "duplicate": (90, self._duplicate),
            "passed": (120, self._pass),
            "straight": (15, self._go_straight),
            "again": (8, self._again),
            "copies": (4, self._copies),
            "missing": (8, self._missing),
            "chunked": (6, self._chunked),
            "tls": (10, self._over_tls),
            "fault": (16, self._fault),
            "passed fault": (5, self._passed_fault),
            "pipelined": (3, self._pipelined),
            "HTTP/1.0": (4, self._http_1_0),
            "upload": (1, self._upload),
            "download": (1.5, self._download),
            "slow reader": (0.5, self._slow_reader),
            "leaver": (4, self._leave),
            "tunnel": (0.5, self._tunnel),
        }

    async def send(self, rate: float, until: float) -> None:
        """Start so many operations a second until a point of monotonic time, and wait for all of them."""
        names = list(self._kinds)
        chances = list(itertools.accumulate(chance for chance, _ in self._kinds.values()))
        begun, sent = time.monotonic(), 0
        while (now := time.monotonic()) < until:
            for _ in range(int((now - begun) * rate) - sent):
                sent += 1
                self._start(self._kind_of.choices(names, cum_weights=chances)[0])
            await asyncio.sleep(0.004)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _start(self, kind: str) -> None:
        if len(self._under_way) >= _AT_ONCE:
            self._surprise(kind, f"not sent, because {_AT_ONCE} are under way")
            return
        task = asyncio.ensure_future(self._watched(kind, self._kinds[kind][1]))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _watched(self, kind: str, operation: Callable[[], Awaitable[None]]) -> None:
        try:
            await operation()
        except Exception as error:  # noqa: BLE001 whatever a client met, it should not have
            self._surprise(kind, repr(error))
        self.answered[kind] += 1

    # Creates

    async def _create(self, kind: str = "create", create: Callable[[int], bytes] = requests.create) -> None:
        identity = self._fresh()
        told = await self._ask(create(identity.number), kind)
        self._expect(kind, told, {CREATED})
        self._remember(identity)

    async def _chunked(self) -> None:
        await self._create("chunked", partial(requests.create, chunked=True))

    async def _over_tls(self) -> None:
        if self._random.random() < 0.5:
            await self._create("tls", partial(requests.create, api=OVER_TLS))
        else:
            self._expect("tls", await self._ask(requests.get(17, OVER_TLS)), {"200"})

    async def _duplicate(self) -> None:
        now = time.monotonic()
        while self._created and self._created[0].told_at + self._keep + api.CLOCKS < now:
            self._expired.append(self._created.popleft())
        if not self._created:
            return
        identity = self._random.choice(self._created)
        identity.doubts += 1
        told = await self._ask(requests.create(identity.number), "duplicate")
        self._expect_held("duplicate", identity, told, DUPLICATE)
        identity.doubts -= told == DUPLICATE

    async def _again(self) -> None:
        """An expired identity may be created again, whether or not it was purged."""
        if self._expired and not (expired := self._expired.popleft()).doubts:
            identity = Identity(expired.number, time.monotonic())
            self._expect("again", await self._ask(requests.create(identity.number)), {CREATED})
            self._remember(identity)

    async def _copies(self) -> None:
        identity = self._fresh()
        sent = requests.create(identity.number, delay=self._random.randrange(10, 100))
        told = await asyncio.gather(*(self._ask(sent) for _ in range(4)))
        first, *others = sorted(told)
        if first != CREATED or not {DUPLICATE, IN_PROGRESS}.issuperset(others):
            self._surprise("copies", ", ".join(told))
        self._remember(identity)

    async def _missing(self) -> None:
        told = await self._ask(requests.create_without_username(next(self._numbers)))
        self._expect("missing", told, {"422 missing-identity"})

    async def _fault(self) -> None:
        (name, fault), outcomes = self._random.choice(list(FAULTS.items()))
        identity = self._fresh()
        told = await self._ask(requests.create(identity.number, name, fault))
        self._expect(f"{name} {fault}", told, outcomes)
        if then := outcomes.get(told):
            again = await self._ask(requests.create(identity.number))
            self._expect_held(f"{name} {fault}, and again", identity, again, then)

    # What no rule guards

    async def _pass(self) -> None:
        self._expect("passed", await self._ask(requests.get(17), "passed"), {"200"})

    async def _go_straight(self) -> None:
        self._expect("straight", await self._ask(requests.get(17), "straight", clients=self._straight), {"200"})

    async def _passed_fault(self) -> None:
        (name, fault), allowed = self._random.choice(list(PASSED_FAULTS.items()))
        self._expect(f"passed {name} {fault}", await self._ask(requests.get(17, name, fault)), allowed)

    async def _pipelined(self) -> None:
        identity = self._fresh()
        create, other = requests.create(identity.number), requests.get(17)
        told = await self._clients.ask(other + create + create + other, 4)
        if told != ["200", CREATED, DUPLICATE, "200"]:
            self._surprise("pipelined", ", ".join(told))
        self._remember(identity)

    async def _http_1_0(self) -> None:
        identity = self._fresh()
        async with self._clients.streams() as client:
            await client.send_raw(requests.create(identity.number, version="1.0"))
            self._expect("HTTP/1.0", str((await client.read_response("POST")).status), {CREATED})
        self._remember(identity)

    async def _upload(self) -> None:
        pieces = [api.PIECE] * (MIB // len(api.PIECE))
        how = [("Content-Length", str(MIB))] if self._random.random() < 0.5 else []
        async with self._clients.streams() as client:
            answer = await client.request("PUT", f"/{PLAIN}/files", how, pieces)
        self._expect("upload", f"{answer.status} {answer.body.decode()}", {f'200 {{"length": {MIB}}}'})

    async def _download(self) -> None:
        framing = self._random.choice(["length", "chunked", "close"])
        sizes: list[int] = []
        async with self._clients.streams() as client:
            await client.send_raw(requests.download(framing))
            answer = await client.read_response(sink=lambda piece: sizes.append(len(piece)))
        self._expect("download", f"{answer.status}, {sum(sizes)} bytes", {f"200, {MIB} bytes"})

    async def _slow_reader(self) -> None:
        size = await self._clients.read_slowly(requests.download("close", 4 * MIB))
        self._expect("slow reader", "all" if size > 4 * MIB else f"{size} bytes", {"all"})

    async def _tunnel(self) -> None:
        async with self._clients.streams() as client:
            await upgraded(client)
            for _ in range(3):
                await client.send_raw(PIECE)
                if await client.reader.readexactly(len(PIECE)) != PIECE:
                    self._surprise("tunnel", "another echo")
                await asyncio.sleep(self._random.random())

    # Who leaves

    async def _leave(self) -> None:
        leave = self._random.choice(
            [self._leave_create, self._leave_body, self._leave_upload, self._leave_download, self._leave_at_once]
        )
        await leave()

    async def _leave_create(self) -> None:
        """A create continues without its client, and is settled."""
        identity = self._fresh()
        async with self._clients.streams() as client:
            await client.send_raw(requests.create(identity.number, delay=200))
            await asyncio.sleep(_LEAVE_AFTER)
        told = await self._ask(requests.create(identity.number))
        while told == IN_PROGRESS:
            await asyncio.sleep(_LEAVE_AFTER)
            told = await self._ask(requests.create(identity.number))
        self._expect("leaver amid a create", told, {DUPLICATE, CREATED})  # the API checks that none is forwarded twice

    async def _leave_body(self) -> None:
        """A create whose body broke off was never sent."""
        identity = self._fresh()
        async with self._clients.streams() as client:
            await client.send_raw(requests.create(identity.number)[:-10])
        self._expect("leaver amid a body", await self._ask(requests.create(identity.number)), {CREATED})
        self._remember(identity)

    async def _leave_upload(self) -> None:
        async with self._clients.streams() as client:
            head = request_bytes("PUT", f"/{PLAIN}/files", [("Content-Length", str(MIB))])
            await client.send_raw(head + api.PIECE)

    async def _leave_download(self) -> None:
        async with self._clients.streams() as client:
            await client.send_raw(requests.download("length"))
            await client.reader.readexactly(100)
            await client.reset()

    async def _leave_at_once(self) -> None:
        async with self._clients.streams():
            pass
