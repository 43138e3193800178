"""The ledger: what must be known of each person and tube, and that any difference is found."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dabai.testkit.replay.field import RoundTruth, Swab, Tube
from dabai.testkit.replay.labels import Labels
from dabai.testkit.replay.ledger import compare_people, compare_tubes, expected_people
from dabai.testkit.replay.tests.conftest import scenario, world
from dabai.testkit.replay.verdict import states

NOON = datetime(2022, 3, 13, 4, tzinfo=UTC)


@pytest.fixture
def truth() -> RoundTruth:
    """Five people due: two in a negative tube, one away, one excused, one in a suspect pool and then single."""
    place = world("duji-drill", 0.01)
    site = place.scenario.points[0]
    due = place.roster[:5]
    found = RoundTruth(scenario("duji-drill", 0.01).rounds[0], due, Labels(1), excused=[due[3]])
    for people, outcome, single in (
        (due[:2], "negative", False),
        ([due[4]], "suspect", False),
        ([due[4]], "negative", True),
    ):
        code = found.labels.next("T")
        swabs = [Swab(person, NOON) for person in people]
        found.tubes.append(Tube(code, code, site, 1, swabs, single, NOON, outcome=outcome))
    return found


def rows(truth: RoundTruth) -> list[dict[str, Any]]:
    """What a right server would answer."""
    return [
        {"person": f"id-{key}", **expected._asdict(), "tubes": list(expected.tubes)}
        for key, expected in expected_people(truth).items()
    ]


def keys(truth: RoundTruth) -> dict[str, int]:
    return {f"id-{person.key}": person.key for person in truth.due}


def test_outcomes_of_each_person(truth: RoundTruth) -> None:
    expected = expected_people(truth)
    outcomes = [expected[person.key].outcome for person in truth.due]
    assert outcomes == ["negative", "negative", "outstanding", "excused", "negative"]
    assert expected[truth.due[4].key].samples == 2


def test_a_suspect_pool_is_pending_until_the_single_swab_is_out(truth: RoundTruth) -> None:
    truth.tubes[2].released = False
    assert expected_people(truth)[truth.due[4].key].outcome == "pending"


def test_held_back_people_wait(truth: RoundTruth) -> None:
    truth.tubes[0].released = False
    assert expected_people(truth)[truth.due[0].key].outcome == "awaiting"


def test_void_and_rejected_tubes_do_not_count(truth: RoundTruth) -> None:
    truth.tubes[0].fate = "voided"
    assert expected_people(truth)[truth.due[0].key] == (True, 0, (), "outstanding")


def test_right_answers_agree(truth: RoundTruth) -> None:
    found = compare_people(truth, rows(truth), keys(truth))
    assert (found.ok, found.compared, found.different) == (True, 5, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "positive"},
        {"outcome": "awaiting"},
        {"samples": 2},
        {"tubes": ["TDJ00100099X"]},
        {"rostered": False},
        {"person": "id-unknown"},
    ],
)
def test_any_difference_is_found(truth: RoundTruth, change: dict[str, Any]) -> None:
    answer = rows(truth)
    answer[0] |= change
    assert not compare_people(truth, answer, keys(truth)).ok


def test_a_missing_and_a_doubled_person_are_found(truth: RoundTruth) -> None:
    answer = rows(truth)
    assert compare_people(truth, answer[1:], keys(truth)).different == 1
    assert compare_people(truth, [*answer, answer[0]], keys(truth)).different == 1


def test_nothing_compared_is_not_agreement(truth: RoundTruth) -> None:
    truth.due.clear()
    truth.tubes.clear()
    assert not compare_people(truth, [], {}).ok


def test_tubes_are_compared_by_people_and_fate(truth: RoundTruth) -> None:
    answer = [
        {"tube": t.label, "state": "", "people": len(t.swabs), "outcome": t.outcome, "released": True}
        for t in truth.tubes
    ]
    assert compare_tubes(truth, answer).ok
    assert not compare_tubes(truth, [answer[0] | {"people": 1}, *answer[1:]]).ok
    assert not compare_tubes(truth, [answer[0] | {"released": False}, *answer[1:]]).ok
    assert not compare_tubes(truth, answer[1:]).ok
    assert not compare_tubes(truth, [*answer, answer[0] | {"tube": "T"}]).ok
    truth.tubes[0] = replace(truth.tubes[0], fate="rejected")
    assert compare_tubes(truth, [answer[0] | {"state": "rejected"}, *answer[1:]]).ok


def test_a_bulletin_states_a_number_as_a_whole() -> None:
    assert states("采样 12,310 人次", 12310)
    assert states("采样12310人次", 12310)
    assert not states("采样 112,310 人次", 12310)
    assert not states("采样 1 人，2310 管", 12310)
