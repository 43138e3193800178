"""Reading scenarios: the published literals, and what a scale does to them."""

import runpy
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from dabai.testkit.replay.scenario import ScenarioError, load, scaled, share
from dabai.testkit.replay.tests.conftest import SCENARIOS, scenario

PUBLISHED = {
    "A2.areas": 6,
    "A2.points": 12,
    "A2.stations": 18,
    "A5.due": 12310,
    "A5.sampled": 12310,
    "A5.person_times": 12310,
    "A5.negative": 12310,
    "A10.points": 158,
    "A10.person_times": 135401,
    "A11.north_station": 475,
    "A11.zonglou": 18685,
}


def test_figures_are_the_published_ones() -> None:
    assert {figure.id: figure.expected for figure in scenario("duji-2022-03", 1.0).figures} == PUBLISHED


def test_drill_has_its_own_figures_and_nothing_of_later_rounds() -> None:
    drill = scenario("duji-drill", 1.0)
    assert {figure.id for figure in drill.figures} == {name for name in PUBLISHED if name.startswith(("A2", "A5"))}
    assert [plan.number for plan in drill.rounds] == [1]
    assert {site.kind for site in drill.points} == {"sampling_point"}


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.37, 1.0])
def test_people_scale_and_places_do_not(scale: float) -> None:
    small = {figure.id: figure.expected for figure in scenario("duji-2022-03", scale).figures}
    for name, expected in PUBLISHED.items():
        places = name in ("A2.areas", "A2.points", "A2.stations", "A10.points")
        assert small[name] == (expected if places else scaled(expected, scale)), name


@pytest.mark.parametrize("scale", [0.01, 0.1, 0.37, 1.0])
def test_rounds_and_posts_add_up_to_the_published_total(scale: float) -> None:
    small = scenario("duji-2022-03", scale)
    person_times = sum(plan.person_times for plan in small.rounds) + sum(small.posts.values())
    assert person_times == scaled(135401, scale)
    assert small.rounds[0].person_times == scaled(12310, scale)
    assert sum(small.communities.values()) == scaled(239692, scale)


def test_half_is_rounded_up() -> None:
    assert [scaled(5, 0.1), scaled(15, 0.1), scaled(12310, 0.01), scaled(475, 0.1)] == [1, 2, 123, 48]


def test_share_is_exact_and_in_proportion() -> None:
    assert share(10, [1, 1, 1]) == [4, 3, 3]
    assert share(7, [5, 0, 2]) == [5, 0, 2]
    assert share(5, [100, 1, 1], least=1) == [3, 1, 1]
    with pytest.raises(ScenarioError):
        share(1, [1, 1], least=1)


def test_twelve_points_with_eighteen_stations_in_six_areas() -> None:
    points = scenario("duji-2022-03", 1.0).sites_of(1, "sampling_point")
    assert len(points) == 12
    assert sum(point.stations for point in points) == 18
    assert len({point.area[:9] for point in points}) == 6


def test_every_round_has_time_for_its_results() -> None:
    for plan in scenario("duji-2022-03", 1.0).rounds:
        assert plan.starts_at <= plan.sessions[0].start
        assert plan.sessions[-1].end < plan.make_up.start < plan.make_up.end
        assert plan.closed_at - plan.make_up.end >= timedelta(hours=4)
        assert plan.closed_at <= plan.ends_at


def test_unknown_folder_and_wild_scale_are_refused() -> None:
    with pytest.raises(ScenarioError):
        load(SCENARIOS / "nowhere")
    with pytest.raises(ScenarioError):
        load(SCENARIOS / "duji-drill", 0.001)


def test_synthetic_tables_are_what_the_script_makes(tmp_path: Path) -> None:
    shutil.copytree(SCENARIOS / "areas", tmp_path / "areas")
    folder = tmp_path / "duji-2022-03"
    folder.mkdir()
    for name in ("make.py", "census.csv", "scenario.toml"):
        shutil.copy(SCENARIOS / "duji-2022-03" / name, folder)
    runpy.run_path(str(folder / "make.py"), run_name="__main__")
    for name in ("communities.csv", "grids.csv", "sites.csv"):
        assert (folder / name).read_bytes() == (SCENARIOS / "duji-2022-03" / name).read_bytes(), name
