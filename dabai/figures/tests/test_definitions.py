"""Every figure once, in both languages; what is not known is never 0."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabai.commands._figurespage import BY_ESTIMATE as TOLD_BY_ESTIMATE
from dabai.commands._figurespage import REASONS, WARNINGS, figures_page
from dabai.commands.contract import ROOT
from dabai.figures.cells import AREA_MEASURES, DURATIONS, SITE_MEASURES
from dabai.figures.definitions import BY_ESTIMATE, FIGURES, Kind, Read, Source, evaluate, with_estimate
from dabai.kernel.words import catalogue

COUNTS = {figure.id: 0 for figure in FIGURES.values() if figure.kind == Kind.COUNT}


def read(**counts: int | None) -> Read:
    return Read(COUNTS | counts, {}, {}, (30, 150))


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("what", ["name", "meaning"])
def test_every_figure_has_a_name_and_a_sentence(lang: str, what: str) -> None:
    prefix = f"figures.{what}."
    assert {key.removeprefix(prefix) for key in catalogue(lang) if key.startswith(prefix)} == set(FIGURES)


def test_every_unit_and_reason_has_words() -> None:
    for lang in ("zh", "en"):
        said = catalogue(lang)
        assert all(f"figures.unit.{figure.unit}" in said for figure in FIGURES.values())
        shown = {figure.unit for figure in FIGURES.values() if figure.kind != Kind.RATE}
        assert all(f"figures.shown.{unit}{one}" in said for unit in shown for one in ("", "_one"))
        assert {key for key in said if key.startswith(("figures.reason.", "figures.warning."))} == {
            f"figures.{key}" for key in (*REASONS, *WARNINGS)
        }


def test_every_measure_of_a_cell_is_told_by_some_figure() -> None:
    said = " ".join(figure.sql for figure in FIGURES.values())
    assert [name for name in (*AREA_MEASURES, *SITE_MEASURES) if name not in said] == []
    assert {figure.measure for figure in FIGURES.values() if figure.source == Source.MINUTES} == set(DURATIONS)


def test_what_a_figure_is_made_of_exists() -> None:
    for figure in FIGURES.values():
        assert all(FIGURES[name].kind == Kind.COUNT for name in figure.of if name)


def test_the_page_in_docs_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "domain" / "figures.md").read_text("utf-8") == figures_page()
    assert set(TOLD_BY_ESTIMATE) == set(BY_ESTIMATE)


# --- worked out ----------------------------------------------------------------------------------------------


def test_a_rate_shows_its_two_counts() -> None:
    found = evaluate(read(covered=12000, due=12331))["sampling_rate"]
    assert (found.value, found.top, found.bottom) == (Decimal("0.9731"), 12000, 12331)


def test_nearly_all_is_not_all() -> None:
    assert evaluate(read(covered=999_999, due=1_000_000))["sampling_rate"].value == Decimal("0.9999")


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_a_rate_is_1_only_of_everybody(top: int, bottom: int) -> None:
    top = min(top, bottom)
    found = evaluate(read(people_resulted=top, people_tested=bottom))["return_rate"].value
    assert found is not None
    assert (found == 1) == (top == bottom)


def test_a_share_of_nothing_is_not_0() -> None:
    found = evaluate(read())
    for name in ("sampling_rate", "return_rate", "on_time_rate", "mean_pool"):
        assert (found[name].value, found[name].reason) == (None, "of_nothing")
    assert (found["sample_to_result_p90"].value, found["sample_to_result_p90"].reason) == (None, "no_tubes_yet")


def test_what_is_not_known_makes_nothing_known() -> None:
    found = evaluate(Read(COUNTS | {"tubes_received": 5}, {}, {"tubes_on_time": "no_limit"}))
    assert (found["tubes_on_time"].value, found["tubes_on_time"].reason) == (None, "no_limit")
    assert (found["on_time_rate"].value, found["on_time_rate"].reason) == (None, "no_limit")
    assert evaluate(Read({}, {}, {}))["person_times"].reason == "unknown"


@pytest.mark.parametrize(("swabs", "warning"), [(29, "slow"), (30, ""), (150, ""), (151, "fast")])
def test_an_odd_pace_is_pointed_out(swabs: int, warning: str) -> None:
    assert evaluate(read(person_times=swabs, station_minutes=60))["per_station_hour"].warning == warning


def test_tubes_that_are_missing_are_pointed_out() -> None:
    found = evaluate(read(tubes_delivered=20, tubes_counted_lab=19, tubes_boxed=20, tubes_counted_packing=20))
    assert (found["tube_difference_lab"].value, found["tube_difference_lab"].warning) == (1, "tubes_differ")
    assert (found["tube_difference_packing"].value, found["tube_difference_packing"].warning) == (0, "")


def test_quantiles_say_how_many_tubes_they_rest_on() -> None:
    found = evaluate(Read(COUNTS, {"sample_to_result": {100: 1, 200: 8, 900: 1}}, {}))
    assert [found[f"sample_to_result_{name}"].value for name in ("p50", "p90", "max")] == [200, 200, 900]
    assert found["sample_to_result_max"].bottom == 10


def test_people_due_by_a_count_make_the_rate_an_estimate() -> None:
    counts = with_estimate(COUNTS | {"due": 100, "covered": 90, "outstanding": 10}, 50, 20)
    assert (counts["due"], counts["covered"], counts["outstanding"]) == (150, 110, 40)
    found = evaluate(Read(counts, {}, {}))
    assert found["due"].estimate
    assert found["sampling_rate"].estimate
    assert not found["person_times"].estimate
