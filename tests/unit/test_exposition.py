# Metrics as text: in parts that read as one, whatever labels hold, in the format that is preferred.

from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from prometheus_client.registry import Collector

from gateway.process.admin.exposition import expose

HOSTILE = ['quote"', "back\\slash", "line\nbreak", "\\n", '"} 1\n# EOF\n# TYPE x counter\nx{y="', "# é\U0001f600", " "]


class InParts(Collector):
    def collect(self) -> Iterator[Metric]:
        for label in HOSTILE:
            part = CounterMetricFamily("gateway_things", 'Things\nin "parts"\\.', labels=("rule",))
            part.add_metric((label,), 7)
            yield part
        yield GaugeMetricFamily("gateway_size_bytes", "Bytes.", 3.5, unit="bytes")
        yield CounterMetricFamily("gateway_none", "Nothing yet.", labels=("rule",))


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
async def test_parts_of_a_metric_read_as_one_and_no_label_breaks_out_of_its_line(accept: str) -> None:
    text, _ = await expose(InParts(), accept)
    families = list((read_openmetrics if accept else read_text)(text.decode()))
    assert [(family.name, family.type) for family in families] == [
        ("gateway_things", "counter"),
        ("gateway_size_bytes", "gauge"),
        ("gateway_none", "counter"),
    ]
    assert families[0].documentation == 'Things\nin "parts"\\.'
    assert [(each.labels["rule"], each.value) for each in families[0].samples] == [(label, 7) for label in HOSTILE]
    assert [each.value for each in families[1].samples] == [3.5]
