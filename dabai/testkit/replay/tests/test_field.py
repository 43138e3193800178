"""What really happens: everybody due is swabbed, sums are the published ones, whatever goes wrong."""

from collections import Counter
from datetime import timedelta

import pytest

from dabai.testkit.replay import mishaps
from dabai.testkit.replay.custody import PLATE, pack, runs
from dabai.testkit.replay.field import RoundTruth
from dabai.testkit.replay.scenario import Scenario, scaled
from dabai.testkit.replay.tests.conftest import scenario, truths


def test_everybody_of_the_drill_is_swabbed_validly_once(drill_truth: RoundTruth) -> None:
    swabs = Counter(swab.person.key for tube in drill_truth.tubes if tube.valid for swab in tube.swabs)
    assert set(swabs) == {person.key for person in drill_truth.due}
    assert set(swabs.values()) == {1}
    assert drill_truth.person_times == 12_310


def test_drill_uses_twelve_points_and_eighteen_stations(drill_truth: RoundTruth) -> None:
    places = {(tube.site.code, tube.station) for tube in drill_truth.tubes}
    assert len({code for code, _ in places}) == 12
    assert len(places) == 18


def test_every_kind_of_mishap_happens_in_the_drill(drill_truth: RoundTruth) -> None:
    assert set(mishaps.kinds(drill_truth)) == set(mishaps.FREQUENCY)


@pytest.mark.parametrize("scale", [0.01, 0.05, 0.1])
def test_person_times_and_points_add_up_at_every_scale(scale: float) -> None:
    rounds = truths("duji-2022-03", scale)
    valid = [tube for truth in rounds for tube in truth.tubes if tube.valid]
    assert sum(truth.person_times for truth in rounds) == scaled(135_401, scale)
    assert len({tube.site.code for tube in valid}) == 158
    for code, count in (("GTZB", 475), ("ZLKD", 18_685)):
        assert sum(len(tube.swabs) for tube in valid if tube.site.code == code) == scaled(count, scale)


@pytest.mark.parametrize("scale", [0.01, 0.1])
def test_each_round_has_its_own_person_times(scale: float) -> None:
    for truth in truths("duji-2022-03", scale):
        at_posts = sum(len(t.swabs) for t in truth.tubes if t.site.kind == "checkpoint")
        assert truth.person_times == truth.plan.person_times + at_posts


def test_labels_are_unique_and_only_mishaps_share_a_barcode(drill_truth: RoundTruth) -> None:
    labels = [tube.label for tube in drill_truth.tubes]
    assert len(set(labels)) == len(labels)
    shared = {code for code, times in Counter(tube.scanned for tube in drill_truth.tubes).items() if times > 1}
    assert shared == {t.scanned for t in drill_truth.tubes if t.mishap in ("contested", "overtaken")}


def test_tubes_keep_the_pool_size_and_key_groups_are_alone(drill_truth: RoundTruth) -> None:
    for tube in drill_truth.tubes:
        assert 1 <= len(tube.swabs) <= 10
        if any(swab.person.group for swab in tube.swabs):
            assert tube.single
            assert len(tube.swabs) == 1


def test_swabs_lie_inside_the_sessions(drill_truth: RoundTruth) -> None:
    plan = drill_truth.plan
    for tube in drill_truth.tubes:
        span = plan.make_up if tube.make_up else plan.sessions[0]
        assert span.start <= tube.swabs[0].at
        assert tube.sealed_at <= span.end + timedelta(minutes=15)


def test_five_percent_are_registered_on_the_spot(drill_truth: RoundTruth) -> None:
    ways = Counter(swab.way for tube in drill_truth.tubes if tube.valid for swab in tube.swabs)
    assert 0.04 < ways["spot"] / drill_truth.person_times < 0.06


def test_rounds_after_the_drill_have_a_pool_to_test_again() -> None:
    for truth in truths("duji-2022-03", 0.1)[1:]:
        (pool,) = [tube for tube in truth.tubes if tube.outcome == "suspect"]
        again = [t for t in truth.tubes if t.make_up and t.single and t.site == pool.site]
        assert {s.person.key for s in pool.swabs} <= {s.person.key for t in again for s in t.swabs}


def test_every_tube_reaches_a_laboratory_once(drill: Scenario, drill_truth: RoundTruth) -> None:
    boxes = pack(drill, drill_truth)
    carried = Counter(tube.label for box in boxes for tube in box.inside)
    assert set(carried) == {tube.label for tube in drill_truth.tubes if tube.fate != "voided"}
    assert set(carried.values()) == {1}


def test_a_forgotten_tube_is_listed_twice_and_carried_once(drill: Scenario, drill_truth: RoundTruth) -> None:
    boxes = pack(drill, drill_truth)
    forgotten = {tube.label for tube in drill_truth.tubes if tube.mishap == "short"}
    assert {tube.label for box in boxes for tube in box.missing} == forgotten
    listed = Counter(tube.label for box in boxes for tube in box.listed)
    assert {label for label, times in listed.items() if times > 1} == forgotten


@pytest.mark.parametrize(("name", "scale"), [("duji-drill", 1.0), ("duji-2022-03", 0.05)])
def test_laboratories_read_everything_before_the_round_closes(name: str, scale: float) -> None:
    for truth in truths(name, scale):
        batches = runs(truth, pack(scenario(name, scale), truth))
        read = {tube.label for batch in batches for tube in batch.tubes}
        assert read == {tube.label for tube in truth.tubes if tube.valid}
        assert all(batch.read_at + timedelta(minutes=60) <= truth.plan.closed_at for batch in batches)
        assert all(0 < len(tubes) <= PLATE for batch in batches for _, tubes in batch.runs)


def test_only_people_on_the_roster_are_sought_at_home() -> None:
    for truth in truths("duji-2022-03", 0.3):
        due = {person.key for person in truth.due}
        assert due >= {person.key for person, *_ in truth.attempts} | {person.key for person in truth.excused}
