# Gateways in every situation that an alert is about, under a real Prometheus with the rules and the dashboard that
# deploy/monitoring ships: what fires, and what is shown. Run it with `make monitoring`.

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from campaigns.monitoring.prometheus import NEEDED, Prometheus, checked, lacks
from campaigns.monitoring.results import ABSENT, Campaign, verdicts
from campaigns.monitoring.scenarios import SCENARIOS, Scenario
from campaigns.monitoring.shipped import shown, variables
from campaigns.monitoring.stage import ENOUGH, Stage
from campaigns.verdicts import tell

AT_ONCE = 4


async def run(directory: Path, scenarios: Sequence[Scenario], *, asks: bool) -> Campaign:
    """Play scenarios; then ask the dashboard's questions if `asks`. At last no gateway is scraped."""
    campaign = Campaign()
    async with Prometheus(_made(directory / "prometheus")) as prometheus:
        watching = asyncio.create_task(_watch(prometheus, campaign))
        began = asyncio.get_running_loop().time()
        await _play(prometheus, campaign, directory, scenarios)
        if asks:
            await _ask(prometheus, campaign, asyncio.get_running_loop().time() - began)
        async with asyncio.timeout(ENOUGH):
            while ABSENT not in (await prometheus.fired()).get("", set()):  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(0.5)
        campaign.fired = await prometheus.fired()
        watching.cancel()
    return campaign


async def _play(prometheus: Prometheus, campaign: Campaign, directory: Path, scenarios: Sequence[Scenario]) -> None:
    """Play the long ones beside all others; what never ends by itself ends with the last of the others."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def play(scenario: Scenario) -> None:
        stage = Stage(scenario.name, scenario.fires, prometheus, directory / scenario.name)
        campaign.stages.append(stage)
        if scenario.is_long:
            await scenario.play(stage)
            return
        async with slots:
            await scenario.play(stage)
            print(f"     {scenario.name}: {', '.join(sorted(scenario.fires))}", flush=True)

    endless = [asyncio.create_task(play(each)) for each in scenarios if not each.fires]
    try:
        async with asyncio.TaskGroup() as group:
            for each in scenarios:
                if each.fires:
                    group.create_task(play(each))
        for task in endless:
            if task.done():
                task.result()
    finally:
        for task in endless:
            task.cancel()
        await asyncio.gather(*endless, return_exceptions=True)


async def _watch(prometheus: Prometheus, campaign: Campaign) -> None:
    """Note what alerts tell while they fire."""
    while True:
        for alert in await prometheus.told():
            campaign.told[alert["labels"]["alertname"]] = alert
        await asyncio.sleep(0.5)


async def _ask(prometheus: Prometheus, campaign: Campaign, seconds: float) -> None:
    """Evaluate each expression of the dashboard as it was during the campaign."""
    for name, selector, label in variables():
        found = await prometheus.values_of(_chosen(selector), label)
        campaign.shows[f"${name}: {selector}"] = bool(found)
    for panel, expression in shown():
        series = await prometheus.over_time(_chosen(expression), seconds)
        values = [float(value) for each in series for _, value in each["values"]]
        campaign.shows[f"{panel}: {expression}"] = any(value == value for value in values)


def _chosen(expression: str) -> str:
    """The expression as Grafana sends it when everything is chosen."""
    chosen = {"$job": ".*", "$instance": ".*", "$rule": ".+", "$__rate_interval": "2s"}
    return re.sub(r"\$\w+", lambda found: chosen[found[0]], expression)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory


def main() -> int:
    """Exit code 0 when all held; 1 when something did not; 2 when there is no Prometheus."""
    parser = argparse.ArgumentParser(
        prog="python -m campaigns.monitoring",
        description="Which alerts fire in which situation, and what the dashboard shows, in a real Prometheus.",
        epilog="A minute is a second, see campaigns/monitoring/compressed.py. Scenarios: "
        + ", ".join(each.name for each in SCENARIOS),
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="scenarios with this in their name")
    options = parser.parse_args()
    if missing := lacks():
        print(
            f"This needs {' and '.join(NEEDED)}, and there is no {' and no '.join(missing)} on the PATH.",
            file=sys.stderr,
        )
        print("On Debian and Ubuntu: apt-get install prometheus", file=sys.stderr)
        return 2
    scenarios = [each for each in SCENARIOS if options.only in each.name]
    found = [] if options.only else checked()
    with tempfile.TemporaryDirectory(prefix="gateway-campaign-") as directory:
        campaign = asyncio.run(run(Path(directory), scenarios, asks=not options.only))
    return not tell([*found, *verdicts(campaign, scenarios)])


if __name__ == "__main__":
    sys.exit(main())
