# What a gateway tells a scraper, read by the parsers of prometheus_client.

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.support.client import Client, Response
from tests.support.program import GatewayProgram

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
"""What Prometheus asks for."""


class Scraped:
    """The samples of one scrape. AssertionError where a metric or a series is there twice."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families: dict[str, Metric] = {}
        for family in families:
            assert family.name not in self.families, f"{family.name} is there twice"
            self.families[family.name] = family
        self._values: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                series = (sample.name, frozenset(sample.labels.items()))
                assert series not in self._values, f"{series} is there twice"
                self._values[series] = sample.value

    def value(self, name: str, **labels: str) -> float | None:
        """That of the series with exactly these labels; None when there is none."""
        return self._values.get((name, frozenset(labels.items())))

    def of(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The values of the series of a name that have these labels and one more, which are not 0, by that label."""
        return {
            dict(having)[label]: value
            for (named, having), value in self._values.items()
            if named == name and value and {key: text for key, text in having if key != label} == labels
        }

    def same(self, other: "Scraped", *changing: str) -> bool:
        """Whether another scrape has the same series; and the same values, but for the names that begin so."""
        return self._values.keys() == other._values.keys() and all(
            value == other._values[series] or series[0].startswith(changing) for series, value in self._values.items()
        )


async def ask_for_metrics(program: GatewayProgram, accept: str | None = None) -> Response:
    async with Client(program.admin_port) as client:
        return await client.request("GET", "/metrics", [] if accept is None else [("Accept", accept)])


async def scrape(program: GatewayProgram, accept: str | None = None) -> Scraped:
    """Read all metrics, with the parser for what came."""
    return read_scrape(await ask_for_metrics(program, accept))


def read_scrape(answer: Response) -> Scraped:
    """Read the answer to a scrape."""
    assert answer.status == 200
    is_open = (answer.header("Content-Type") or "").startswith("application/openmetrics-text")
    return Scraped((read_openmetrics if is_open else read_text)(answer.body.decode()))
