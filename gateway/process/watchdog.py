# The beat of the event loop: tells the service manager that we live, and the operator when everything stood still, and
# how often what happens often did.

import asyncio

from gateway.process.systemd import ServiceManager
from gateway.telemetry import Telemetry

BEAT = 0.1
"""Seconds between two beats."""
STALL = 0.25
"""Seconds by which a beat may be late before that is worth a line: so long nobody was answered."""


async def run_watchdog(telemetry: Telemetry, manager: ServiceManager) -> None:
    """Beat until cancelled. The watchdog hears of us at least twice in its time, unless the loop is stuck."""
    loop = asyncio.get_running_loop()
    every = BEAT if manager.watchdog is None else min(BEAT, manager.watchdog / 4)
    silence = 0.0 if manager.watchdog is None else manager.watchdog / 2
    told = before = counted = loop.time()
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        late = now - before - every
        if late > STALL:
            telemetry.event("loop-stalled", "warning", ms=round(late * 1000))
        if manager.watchdog is not None and now - told + every >= silence:
            manager.alive()
            told = now
        if now - counted >= 1:
            telemetry.tell_repeated()
            counted = now
        before = now
