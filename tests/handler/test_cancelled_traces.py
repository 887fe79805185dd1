# A create with spans is cancelled at each place where it waits: its claims end up as without spans, and each span that
# began ends, those of its steps within its own.

from functools import partial
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from gateway.config.schema_authorize import AuthorizeConfig
from gateway.model import State
from gateway.proxy.traced import TracedHandler
from tests.handler.cancelling import Scenario, cancelled_everywhere, entries, opened
from tests.support.behaviours import answer, close_without_answer
from tests.support.upstream import Behaviour, RawUpstream

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "status", "end"),
    [(answer(201), 201, State.CREATED), (close_without_answer(), 502, State.UNKNOWN), (answer(422), 422, None)],
    ids=["created", "not answered", "refused"],
)
async def test_spans_change_nothing_and_all_of_them_end(
    behaviour: Behaviour, status: int, end: State | None, again: bool, tmp_path: Path, upstream: RawUpstream
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer("tests")
    scenario = Scenario(
        "with spans",
        behaviour,
        status,
        end,
        entries("body.email", "body.username"),
        authorize=AuthorizeConfig(path="/me", before="claim"),
        handler=partial(TracedHandler, tracer=tracer, trusted_only=False),
    )
    async with opened("sqlite", tmp_path) as store:
        became = await cancelled_everywhere(scenario, store, upstream, again=again)
    assert {None, State.UNKNOWN} <= set(became)
    ended = spans.get_finished_spans()
    creates = {span.context.span_id: span for span in ended if span.name == "create"}
    outcomes = [(span.attributes or {})["gateway.outcome"] for span in creates.values()]
    assert outcomes.count("cancelled") == len(outcomes) - 1 == len(became), "but for the last one, which went through"
    assert all(span.status.status_code is StatusCode.ERROR for span in [*creates.values()][:-1])
    steps = [span for span in ended if span.name != "create"]
    assert {span.name for span in steps} == {"authorize", "claim", "upstream", "settle"}
    for step in steps:
        assert step.parent is not None
        whole = creates[step.parent.span_id]
        assert step.start_time is not None
        assert whole.end_time is not None
        assert step.start_time <= whole.end_time
