# What came of the campaign, and what had to.

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from campaigns.monitoring.scenarios import SCENARIOS, Scenario
from campaigns.monitoring.shipped import alerts
from campaigns.monitoring.stage import Stage

ABSENT = "GatewayAbsent"
BY_PROMTOOL = {"GatewayInternalError", "GatewayStoreWentBack"}
"""What no scenario brings about: a defect of the gateway, and a server that has lost its last commits."""
_LAG = 500
"""Milliseconds of a stall from which on GatewayLoopLag is right, whatever the machine was busy with."""


@dataclass
class Campaign:
    """What came of it."""

    stages: list[Stage] = field(default_factory=list)
    fired: dict[str, set[str]] = field(default_factory=dict)
    shows: dict[str, bool] = field(default_factory=dict)
    """Of each expression of the dashboard, by panel and text, whether it has shown a value."""
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The last that each alert told people."""

    def unexpected(self, stage: Stage) -> set[str]:
        """Alerts that fired and had no reason to."""
        return self.fired.get(stage.name, set()) - set(stage.fires) - self.excused(stage)

    def excused(self, stage: Stage) -> set[str]:
        """Alerts that would be right although the scenario is about something else."""
        return {"GatewayLoopLag"} if any(stall >= _LAG for stall in stage.stalls) else set()


def verdicts(campaign: Campaign, scenarios: Collection[Scenario]) -> Iterable[tuple[str, bool]]:
    """Say what had to hold, and whether it did."""
    for stage in campaign.stages:
        fired, unexpected = campaign.fired.get(stage.name, set()), campaign.unexpected(stage)
        missing, excused = set(stage.fires) - fired, campaign.excused(stage)
        when = "" if stage.fired_after is None else f" after {stage.fired_after:.0f} s"
        line = f"{stage.name}: {', '.join(sorted(stage.fires)) or 'nothing'} fired{when}"
        line += f"; did not fire: {', '.join(sorted(missing))}" if missing else ""
        line += f"; fired as well: {', '.join(sorted(unexpected))}" if unexpected else ""
        line += "" if stage.is_over is None else ", and ended" if stage.is_over else ", and did not end"
        if excused & fired - set(stage.fires):
            line += f"; {', '.join(excused)} as well, for the machine was busy"
        yield line, not missing and not unexpected and stage.is_over is not False
    yield f"no gateway is scraped: {ABSENT} fired", campaign.fired.get("", set()) == {ABSENT}
    if len(scenarios) == len(SCENARIOS):
        played = {name for scenario in SCENARIOS for name in scenario.fires} | {ABSENT}
        every = {alert["alert"] for alert in alerts()}
        yield (
            f"{len(played)} of {len(every)} alerts have a scenario, the others promtool alone",
            played == every - BY_PROMTOOL,
        )
    unclear = [name for name, alert in campaign.told.items() if "<" in "".join(alert["annotations"].values())]
    yield f"{len(campaign.told)} alerts told people something in words" + "".join(unclear), not unclear
    if campaign.shows:
        empty = [shows for shows, holds in campaign.shows.items() if not holds]
        yield f"{len(campaign.shows)} expressions of the dashboard, {len(empty)} without a series", not empty
        for each in empty:
            yield f"no series: {each}", False
