"""What a person is told: the SQL rule agrees with the Python one, and nobody is shown a pooled positive."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from dabai.access.models import Assignment, User
from dabai.access.rules import Role
from dabai.testing import rules
from dabai.testing.models import ClaimDecision, Outcome, Sample, SampleMove
from dabai.testing.outcomes import OUTCOMES, outcomes_of, result_of_person, retests_due
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.rows import STARTS, Rows, moment, person

A = "34060200100501"
READINGS = [None, "negative", "positive", "suspect", "invalid"]


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    return Rows(drill)


def told(rows: Rows, *numbers: int) -> list[str]:
    with connection.cursor() as cursor:
        found = outcomes_of(cursor, rows.drill.district, rows.round.pk, [person(number) for number in numbers])
    return [found[person(number)] for number in numbers]


def due_again(rows: Rows, prefix: str = "") -> list[Any]:
    with connection.cursor() as cursor:
        return retests_due(cursor, rows.drill.district, rows.round.pk, prefix)


def sample(rows: Rows, number: int, tube: str) -> Any:
    place = {"site": rows.drill.points[0].pk, "station": 1}
    return Sample.objects.create(
        **rows.here, **place, id=rows.new_id(), operation=rows.drill.id, person=person(number), tube=tube, single=False,
        happened_at=STARTS,
    ).id  # fmt: skip


# --- one rule, said twice -------------------------------------------------------------------------------------

TUBES = st.lists(
    st.fixed_dictionaries(
        {
            "single": st.booleans(),
            "outcome": st.sampled_from(READINGS),
            "at": st.integers(0, 3),
            "contested": st.sampled_from([False, False, False, True]),
        }
    ),
    max_size=4,
)


class TestOneRule(TestCase):
    """Every combination of tubes: the same in SQL as in ``rules.outcome_of_person``."""

    @settings(max_examples=150, deadline=None)
    @given(TUBES, st.booleans())
    def test_sql_and_python_agree(self, tubes: list[dict[str, Any]], conflict: bool) -> None:
        rows = Rows(make_operation())
        codes = [self.put(rows, f"T{n}", **tube) for n, tube in enumerate(tubes)]
        rows.covered(1, A, *codes)
        rows.same(1, 2, name_conflict=conflict)
        in_python = [
            rules.TubeOfPerson(one["single"], one["outcome"], moment(one["at"]), one["contested"]) for one in tubes
        ]
        expected = rules.outcome_of_person(in_python, name_conflict=conflict)
        assert told(rows, 1, 2) == [expected, expected]

    @staticmethod
    def put(rows: Rows, code: str, *, single: bool, outcome: str | None, at: int, contested: bool) -> str:
        released = None if outcome is None else 300
        return rows.tube(
            code, at=at, single=single, samples=1 if single else 10, outcome=outcome, released=released,
            contested=contested,
        )  # fmt: skip


def test_numbers_in_the_rule_are_those_of_the_model() -> None:
    assert {outcome.name: outcome.value for outcome in Outcome} == {
        "NEGATIVE": 1, "POSITIVE": 2, "SUSPECT": 3, "INVALID": 4,
    }  # fmt: skip


# --- people -----------------------------------------------------------------------------------------------------


def test_a_pool_makes_nobody_positive(rows: Rows) -> None:
    rows.tube("P", samples=10, outcome="positive", released=300)
    rows.covered(1, A, "P")
    assert told(rows, 1) == ["pending"]


def test_a_single_tube_that_two_people_share_makes_nobody_positive(rows: Rows) -> None:
    rows.tube("S", samples=2, single=True, outcome="positive", released=300)
    rows.covered(1, A, "S")
    assert told(rows, 1) == ["pending"]


def test_a_result_that_is_read_but_not_released_tells_nothing(rows: Rows) -> None:
    rows.tube("P", samples=10, outcome="negative")
    rows.covered(1, A, "P")
    assert told(rows, 1, 2) == ["awaiting", "none"]


def test_a_merged_id_answers_for_the_whole_person(rows: Rows) -> None:
    rows.tube("P", samples=10, outcome="negative", released=300)
    rows.covered(1, A, "P")
    rows.same(1, 5)
    assert told(rows, 5) == ["negative"]


def test_an_unknown_round_answers_nothing(rows: Rows) -> None:
    with connection.cursor() as cursor:
        assert outcomes_of(cursor, rows.drill.district, -1, [person(1)]) == {}


def test_results_of_a_person_come_newest_round_first(drill: PreparedOperation, rows: Rows) -> None:
    second = Rows(drill, number=2)
    rows.tube("P1", samples=10, outcome="negative", released=300)
    rows.covered(1, A, "P1")
    second.tube("P2", samples=10, at=600)
    second.covered(1, A, "P2", at=600)
    Rows(drill, number=3).covered(1, A, excused=3)
    rows.same(1, 9)
    with connection.cursor() as cursor:
        found = result_of_person(cursor, drill.district, drill.id, person(9))
    assert [(one.number, one.outcome, one.released_at) for one in found] == [
        (2, "awaiting", None),
        (1, "negative", moment(300)),
    ]


def test_withheld_results_do_not_say_when(rows: Rows) -> None:
    rows.tube("P", samples=10, outcome="negative", released=300)
    rows.covered(1, A, "P")
    rows.same(1, 2, name_conflict=True)
    with connection.cursor() as cursor:
        [found] = result_of_person(cursor, rows.drill.district, rows.drill.id, person(1))
    assert (found.outcome, found.released_at) == ("withheld", None)
    assert found.outcome in OUTCOMES


# --- due re-tests -------------------------------------------------------------------------------------------------


def alarm(rows: Rows, *numbers: int, outcome: str = "positive") -> None:
    rows.tube("P", samples=10, outcome=outcome, released=300)
    for number in numbers:
        rows.covered(number, A, "P")
        sample(rows, number, "P")


def test_people_of_a_pool_that_is_not_negative_owe_a_single_sample(rows: Rows) -> None:
    alarm(rows, 1, 2)
    found = due_again(rows)
    assert [(one.person, one.area, one.single, one.alerted_at) for one in found] == [
        (person(1), A, True, moment(300)),
        (person(2), A, True, moment(300)),
    ]
    assert {one.deadline for one in found} == {STARTS + timedelta(minutes=300 + 240)}  # covid19-cn-9
    assert due_again(rows, "340602999") == []


def test_the_grid_worker_of_the_place_answers_for_it(rows: Rows) -> None:
    alarm(rows, 1)
    user = User.objects.create(username="grid", display_name="网格员")
    Assignment.objects.create(user=user, role=Role.GRID_WORKER, area=A, valid_from=STARTS)
    [found] = due_again(rows)
    assert found.owner is not None
    assert (found.owner.user, found.owner.name) == (user.pk, "网格员")


def test_it_is_off_the_list_when_the_single_sample_is_taken(rows: Rows) -> None:
    alarm(rows, 1, 2)
    rows.tube("S", at=320, single=True)
    rows.covered(1, A, "P", "S")
    assert [one.person for one in due_again(rows)] == [person(2)]


def test_it_is_back_when_the_single_sample_is_invalid(rows: Rows) -> None:
    alarm(rows, 1)
    rows.tube("S", at=320, single=True, outcome="invalid", released=500)
    rows.covered(1, A, "P", "S")
    assert [(one.person, one.single) for one in due_again(rows)] == [(person(1), True)]


def test_a_single_sample_taken_before_the_pool_does_not_count(rows: Rows) -> None:
    alarm(rows, 1)
    rows.tube("S", at=-60, single=True)
    rows.covered(1, A, "S", "P")
    assert [one.person for one in due_again(rows)] == [person(1)]


def test_an_invalid_result_asks_for_another_sample_of_any_kind(rows: Rows) -> None:
    alarm(rows, 1, 2, outcome="invalid")
    rows.tube("Q", at=320, samples=10)
    rows.covered(1, A, "P", "Q")
    assert [(one.person, one.single) for one in due_again(rows)] == [(person(2), False)]


def test_people_moved_or_settled_into_the_tube_are_found(rows: Rows) -> None:
    rows.tube("P", samples=10, outcome="suspect", released=300)
    moved = sample(rows, 1, "OTHER")
    decided = {"district": rows.drill.district, "operation": rows.drill.id, "reason": "x", "happened_at": STARTS}
    SampleMove.objects.create(**decided, id=rows.new_id(), sample=moved, to_tube="P")
    sample(rows, 2, "TWICE")
    place = {"round": rows.round.pk, "site": rows.drill.points[0].pk, "station": 1}
    ClaimDecision.objects.create(**decided, **place, id=rows.new_id(), tube="TWICE", becomes="P")
    rows.covered(1, A, "P")
    rows.covered(2, A, "P")
    sample(rows, 3, "P")  # taken into it, but moved away since
    rows.covered(3, A, "OTHER")
    assert [one.person for one in due_again(rows)] == [person(1), person(2)]
