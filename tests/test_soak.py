# The long run, for a few seconds: a slice of `make soak`. What grows with time is judged there alone.

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from campaigns.soak.__main__ import PANELS, figures, verdicts, write_json, write_picture
from campaigns.soak.run import Plan, Soak, run
from campaigns.soak.samples import LIMITS, judged

SECONDS, RATE = 4, 200
NAMES = {name for panel in PANELS for name in panel.lines.values()} | {limit.series for limit in LIMITS}
FLAT = dict.fromkeys(NAMES, [50.0] * 60) | {"seconds": [float(at) for at in range(1, 61)]}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def soaked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Soak]:
    plan = Plan(SECONDS, RATE, seed=1, tls=request.param)
    return plan, run(plan, tmp_path_factory.mktemp("soak"))


def test_mixed_traffic_with_faults_and_reloads_is_answered_as_the_faults_explain_and_nothing_is_forwarded_twice(
    soaked: tuple[Plan, Soak],
) -> None:
    _, soak = soaked
    assert soak.wrong == []
    assert all(holds for _, holds in verdicts(soak))
    assert sum(soak.operations.values()) > SECONDS * RATE / 2
    assert {"201", "200", "409 duplicate", "422 missing-identity", "502 outcome-unknown"} <= soak.told.keys()
    assert soak.reloads > 0
    assert soak.left["created"] > 0


def test_the_figures_and_the_picture_of_a_run_are_written(soaked: tuple[Plan, Soak], tmp_path: Path) -> None:
    plan, soak = soaked
    found = figures(plan, soak, judged(soak.series, plan.warm_up))
    write_json(found, tmp_path / "soak.json")
    write_picture(found, tmp_path / "soak.svg")
    assert json.loads((tmp_path / "soak.json").read_text(encoding="utf-8")) == found
    drawing = ET.fromstring((tmp_path / "soak.svg").read_text(encoding="utf-8"))
    assert len(drawing.findall(f"{SVG}polyline")) == sum(len(panel.lines) for panel in PANELS)
    assert {panel.title for panel in PANELS} <= {text.text for text in drawing.iter(f"{SVG}text")}
    assert min(soak.series["memory"]) > 1
    assert min(soak.series["descriptors"]) > 1


def test_what_grows_by_more_than_its_tolerance_from_the_first_third_to_the_last_is_not_flat() -> None:
    assert all(each.holds for each in judged(FLAT, 10))
    warming_up = [0.0] * 10 + [50.0] * 50
    assert all(each.holds for each in judged(FLAT | {"memory": warming_up}, 10))
    growing = [50.0 + 3 * at for at in range(60)]
    for limit in LIMITS:
        found = judged(FLAT | {limit.series: growing}, 10)
        assert [each.limit.series for each in found if not each.holds] == [limit.series]


def test_a_latency_that_grows_with_that_of_a_bare_server_is_the_machines_doing() -> None:
    growing = [50.0 + 3 * at for at in range(60)]
    assert all(each.holds for each in judged(FLAT | {"create p50": growing, "straight p50": growing}, 10))
