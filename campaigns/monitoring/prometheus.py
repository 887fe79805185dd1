# A real Prometheus with what deploy/monitoring ships, in compressed time. Its targets come and go by a file.

import asyncio
import json
import shutil
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from ruamel.yaml import YAML

from campaigns.monitoring.compressed import SCALE, compress, compress_duration
from campaigns.monitoring.shipped import MONITORING, RULES, scrapes
from gateway.commands.processes import free_addresses
from tests.support.client import Client
from tests.support.tally import PATIENCE

TOKEN = "the token that Prometheus shows to all gateways"
NEEDED = ("prometheus", "promtool")
INTERVAL = 30 / SCALE
"""Seconds between scrapes and evaluations: they stand for 30 s, twice what is shipped, to spare the machine."""
_BREATH = 0.1


def lacks() -> list[str]:
    """The programs that are needed and not there."""
    return [name for name in NEEDED if shutil.which(name) is None]


def checked() -> list[tuple[str, bool]]:
    """What promtool says of what is shipped, and of the tests of alerts."""
    tests = sorted((Path(__file__).parents[2] / "tests" / "deploy" / "alerts").glob("*.test.yml"))
    config = MONITORING / "prometheus.yml"
    return [
        ("promtool check config", _is_taken("check", "config", "--lint=all", "--lint-fatal", str(config))),
        ("promtool check rules", _is_taken("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))),
        (f"promtool test rules: {len(tests)} files", _is_taken("test", "rules", *map(str, tests))),
    ]


def _is_taken(*arguments: str) -> bool:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout + done.stderr)
    return done.returncode == 0


class Prometheus:
    """The program, with its files in `directory`; use it with `async with`. Mutable state: its targets."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._targets: dict[str, dict[str, Any]] = {}
        (address,) = free_addresses(1)
        self._address = address
        self._process: asyncio.subprocess.Process | None = None

    async def expose(self, name: str, port: int) -> None:
        """Have a gateway scraped, as the only instance of an API of this name; returns when it is."""
        self._targets[name] = {"targets": [f"127.0.0.1:{port}"], "labels": {"api": name, "instance": name}}
        self._write_targets()
        await self._until(f'up{{api="{name}"}} == 1')

    async def hide(self, name: str) -> None:
        """Have a gateway scraped no more; returns when it is not."""
        if self._targets.pop(name, None) is not None:
            self._write_targets()
            await self._until(f'absent(up{{api="{name}"}})')

    async def _until(self, expression: str) -> None:
        """Wait for a series. Prometheus looks at its targets every five seconds."""
        async with asyncio.timeout(PATIENCE):
            while not await self.query(expression):  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(_BREATH)

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now. AssertionError when Prometheus does not take it."""
        return list((await self._ask("query", query=expression))["result"])

    async def over_time(self, expression: str, seconds: float) -> list[dict[str, Any]]:
        """The series that it had in the last so many seconds."""
        end = time.time()
        asked = {"query": expression, "start": str(end - seconds), "end": str(end), "step": str(INTERVAL)}
        return list((await self._ask("query_range", **asked))["result"])

    async def values_of(self, selector: str, label: str) -> set[str]:
        """The values of a label, as a dashboard's variable asks for them."""
        found = await self._ask("series", **{"match[]": selector})
        return {series[label] for series in found}

    async def fired(self) -> dict[str, set[str]]:
        """Which alerts were firing at any time, by the API that they are about ("" for none)."""
        alerts: dict[str, set[str]] = defaultdict(set)
        for series in await self.query('count by (alertname, api) (count_over_time(ALERTS{alertstate="firing"}[1h]))'):
            alerts[series["metric"].get("api", "")].add(series["metric"]["alertname"])
        return alerts

    async def firing(self, name: str) -> set[str]:
        """Which alerts about an API are firing now."""
        found = await self.query(f'ALERTS{{alertstate="firing", api="{name}"}}')
        return {series["metric"]["alertname"] for series in found}

    async def told(self) -> list[dict[str, Any]]:
        """The alerts that are firing now, with what they tell people."""
        return [alert for alert in (await self._ask("alerts"))["alerts"] if alert["state"] == "firing"]

    async def __aenter__(self) -> Self:
        self._write()
        with (self._directory / "prometheus.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address={self._address}",
                f"--query.lookback-delta={5 * 60 // SCALE}s",
                "--log.level=warn",
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE):
            while not await self._is_ready():  # noqa: ASYNC110 - it can only be asked
                await asyncio.sleep(_BREATH)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        if error is not None:
            error.add_note((self._directory / "prometheus.log").read_text(encoding="utf-8")[-4000:])

    async def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.returncode is not None:
            raise AssertionError("Prometheus did not start")
        try:
            async with Client(self._port) as client:
                return (await client.request("GET", "/-/ready")).status == 200
        except ConnectionError:
            return False

    async def _ask(self, what: str, **asked: str) -> Any:
        async with Client(self._port) as client:
            seen = await client.request("GET", f"/api/v1/{what}?{urlencode(asked)}")
        answer = seen.json()
        assert answer["status"] == "success", f"{asked}: {answer.get('error')}"
        return answer["data"]

    @property
    def _port(self) -> int:
        return int(self._address.rpartition(":")[2])

    def _write(self) -> None:
        """Write the shipped files with compressed times, and targets from a file."""
        yaml, token = YAML(typ="safe", pure=True), self._directory / "token"
        token.write_text(TOKEN, encoding="ascii")
        config = yaml.load(scrapes(token))
        config["global"] = dict.fromkeys(
            ("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{INTERVAL * 1000:.0f}ms"
        )
        del config["alerting"]
        (scrape,) = config["scrape_configs"]
        del scrape["static_configs"]
        scrape["file_sd_configs"] = [{"files": [str(self._directory / "targets.json")], "refresh_interval": "1s"}]
        config["rule_files"] = [str(self._directory / path.name) for path in RULES]
        yaml.dump(config, self._directory / "prometheus.yml")
        for path in RULES:
            rules = yaml.load(path)
            for rule in (rule for group in rules["groups"] for rule in group["rules"]):
                rule["expr"] = compress(rule["expr"])
                if "for" in rule:
                    rule["for"] = compress_duration(rule["for"])
            yaml.dump(rules, self._directory / path.name)
        self._write_targets()

    def _write_targets(self) -> None:
        file = self._directory / "targets.json"
        file.with_suffix(".new").write_text(json.dumps(list(self._targets.values())), encoding="ascii")
        file.with_suffix(".new").rename(file)
