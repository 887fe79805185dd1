# The heartbeat of the event loop: notifies the service manager's watchdog, logs stalls of the loop, and has telemetry
# log and count what it gathers.

import asyncio

from gateway.process.systemd import ServiceManager
from gateway.telemetry import Telemetry

HEARTBEAT = 0.1
"""Seconds between two heartbeats."""
LATELY = 15.0
"""Seconds of which the longest delay of a heartbeat is known; up to twice that, so that no scrape misses one."""
STALL = 0.25
"""Seconds by which a heartbeat may be late before a stall is logged: the loop handled no request for that long."""


async def run_watchdog(telemetry: Telemetry, manager: ServiceManager) -> None:
    """Run until cancelled. The watchdog is notified at least twice per interval, unless the loop is blocked."""
    loop = asyncio.get_running_loop()
    every = HEARTBEAT if manager.watchdog is None else min(HEARTBEAT, manager.watchdog / 4)
    notify_every = 0.0 if manager.watchdog is None else manager.watchdog / 2
    notified = before = counted = began = loop.time()
    longest = 0.0
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        late = now - before - every
        longest = max(longest, late)
        telemetry.loop_lag = max(telemetry.loop_lag, late)
        if now - began >= LATELY:
            telemetry.loop_lag, longest, began = longest, 0.0, now
        if late > STALL:
            telemetry.event("loop-stalled", "warning", ms=round(late * 1000))
        if manager.watchdog is not None and now - notified + every >= notify_every:
            manager.alive()
            notified = now
        if now - counted >= 1:
            telemetry.log_repeated()
            telemetry.count_durations()
            counted = now
        before = now
