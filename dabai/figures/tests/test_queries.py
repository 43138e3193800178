"""Figures of rounds, operations and a district; the board at every depth; the list behind every number."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from dabai.access.models import Assignment, User
from dabai.access.rules import Role
from dabai.figures import board, queries
from dabai.figures.cells import note_as_of
from dabai.figures.models import AreaCell
from dabai.kernel import clock
from dabai.testing.coverage import Key
from dabai.testing.models import ChangeKind, RoundEstimate, RoundSite, RoundState, SiteEventKind, TubeState
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.rows import STARTS, Rows, moment, person

A, B, C = "34060200100501", "34060200100502", "34060210220201"


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    """Six people due in three grids: one negative, one pending, one excused, three outstanding; a traveller."""
    rows = Rows(drill)
    for number, area in enumerate([A, A, B, B, C, C], start=1):
        rows.due(number, area)
    rows.tube("P", samples=10, outcome="negative", released=300, received_at=moment(100))
    rows.tube("Q", samples=10, at=70, outcome="suspect", released=400, received_at=moment(400), site=1)
    rows.covered(1, A, "P")
    rows.covered(2, A, "Q", at=70)
    rows.covered(3, B, excused=ChangeKind.EXCUSED)
    rows.covered(9, C, "Q", at=70, rostered=False)
    for site in rows.drill.points:
        RoundSite.objects.create(round=rows.round, site=site.pk, stations=3)
    rows.rebuild()
    return rows


def numbers(scope: queries.Scope, *args: Any, **more: Any) -> dict[str, Any]:
    return queries.figures_of(scope, *args, **more).numbers()


def picked(found: dict[str, Any], *names: str) -> list[Any]:
    return [found[name] for name in names]


PEOPLE = ("due", "people_sampled", "excused", "outstanding", "unlisted", "people_tested", "people_resulted")


# --- figures --------------------------------------------------------------------------------------------------


def test_a_round(rows: Rows) -> None:
    found = numbers(queries.round_scope(rows.round.pk))
    assert picked(found, *PEOPLE) == [6, 2, 1, 3, 1, 3, 3]
    assert picked(found, "negative_people", "pending_people", "positive_people") == [1, 2, 0]
    assert picked(found, "rounds", "areas", "points", "stations") == [1, 2, 2, 6]
    assert picked(found, "person_times", "tubes", "mean_pool") == [20, 2, 10]
    assert picked(found, "sampling_rate", "return_rate", "on_time_rate") == [0.3333, 1, 0.5]
    assert picked(found, "sample_to_receipt_p50", "sample_to_result_max") == [100, 330]


def test_an_area_of_it(rows: Rows) -> None:
    found = numbers(queries.round_scope(rows.round.pk), A[:9])
    assert picked(found, *PEOPLE) == [4, 2, 1, 1, 0, 2, 2]
    assert picked(found, "person_times", "points", "areas") == [10, 1, 1]  # by the place of the point


def test_a_point_and_hours_of_it(rows: Rows) -> None:
    scope = queries.round_scope(rows.round.pk)
    found = queries.figures_of(scope, site=rows.drill.points[1].pk)
    assert (found["person_times"].value, found["due"].value, found["due"].reason) == (10, None, "not_by_point")
    assert numbers(scope, since=moment(60))["person_times"] == 10
    assert numbers(scope, upto=moment(60))["people_tested"] == 1
    assert numbers(scope, since=moment(120))["person_times"] == 0


def test_a_fixed_number_of_statements(rows: Rows, django_assert_num_queries: Any) -> None:
    scope = queries.round_scope(rows.round.pk)
    with django_assert_num_queries(7):
        queries.figures_of(scope)
    with django_assert_num_queries(6):
        board.coverage(rows.round.pk)


def test_what_nobody_knows_has_a_reason(rows: Rows) -> None:
    found = queries.figures_of(queries.round_scope(rows.round.pk))
    assert (found["staff"].value, found["staff"].reason) == (None, "nobody_assigned")
    assert (found["per_station_hour"].value, found["per_station_hour"].reason) == (None, "no_station_opened")


def test_pace_and_staff(rows: Rows) -> None:
    rows.station(SiteEventKind.OPENED, 0), rows.station(SiteEventKind.CLOSED, 60)
    rows.rebuild()
    user = User.objects.create(username="nurse", display_name="护士")
    for role in (Role.REGISTRAR, Role.PACKER):
        Assignment.objects.create(user=user, role=role, area=A[:6], valid_from=STARTS)
    other = User.objects.create(username="auditor", display_name="审计")
    Assignment.objects.create(user=other, role=Role.AUDITOR, area=A[:6], valid_from=STARTS)
    found = queries.figures_of(queries.round_scope(rows.round.pk))
    assert (found["per_station_hour"].value, found["per_station_hour"].warning) == (20, "slow")
    assert found["staff"].value == 1


def test_door_teams_are_no_points(rows: Rows) -> None:
    RoundSite.objects.create(round=rows.round, site=rows.drill.door_team.pk, stations=2)
    RoundSite.objects.create(round=rows.round, site=rows.drill.checkpoint.pk, stations=1)
    assert picked(numbers(queries.round_scope(rows.round.pk)), "points", "stations") == [3, 7]


# --- to date --------------------------------------------------------------------------------------------------


def second_round(rows: Rows) -> Rows:
    second = Rows(rows.drill, number=2)
    second.due(1, A)
    second.tube("R", samples=5, at=600, outcome="negative", released=900)
    second.covered(1, A, "R", at=600)
    second.rebuild()
    return second


def test_an_operation_to_date(rows: Rows) -> None:
    second_round(rows)
    found = queries.figures_of(queries.operation_scope(rows.drill.id))
    assert picked(found.numbers(), "rounds", "points", "person_times", "tubes") == [2, 2, 25, 3]
    assert (found["due"].value, found["due"].reason) == (None, "each_round")
    assert (found["people_tested"].value, found["sampling_rate"].value) == (None, None)


def test_people_once_over_several_rounds(rows: Rows, django_assert_num_queries: Any) -> None:
    second_round(rows)
    scope = queries.operation_scope(rows.drill.id)
    with django_assert_num_queries(8):
        found = queries.figures_of(scope, distinct=True)
    assert picked(found.numbers(), "people_tested", "pending_people", "positive_people", "due") == [3, 0, 0, None]


def test_drafts_have_no_figures(rows: Rows) -> None:
    draft = Rows(rows.drill, number=2).round
    draft.state = RoundState.DRAFT
    draft.save(update_fields=["state"])
    assert queries.operation_scope(rows.drill.id).ids == [rows.round.pk]


def test_drills_never_count_in_the_district(rows: Rows) -> None:
    response = Rows(make_operation("response"))
    response.tube("X", samples=7)
    response.rebuild()
    assert queries.operation_scope(rows.drill.id).drill
    scope = queries.district_scope(rows.drill.district)
    assert numbers(scope)["person_times"] == 7
    assert not scope.drill


# --- as of ----------------------------------------------------------------------------------------------------


def test_up_to_now_while_nothing_waits(rows: Rows) -> None:
    before = clock.now()
    as_of = board.coverage(rows.round.pk).as_of
    assert as_of is not None
    assert before <= as_of <= clock.now()


def test_up_to_what_the_worker_said_while_something_waits(rows: Rows) -> None:
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A])
        assert queries.freshness(cursor, rows.drill.district) is None
        note_as_of(cursor, rows.drill.district, STARTS)
        assert queries.freshness(cursor, rows.drill.district) == STARTS


# --- the board ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "depth", "below"),
    [
        ("", 1, ["340602001", "340602102"]),
        ("", 2, ["340602001005", "340602102202"]),
        ("", 3, [A, B, C]),
        ("", 9, [A, B, C]),
        ("340602001", 1, ["340602001005"]),
        ("340602001005", 1, [A, B]),
        (A, 1, [A]),
        ("340602", 0, ["340602"]),
    ],
)
def test_every_depth(rows: Rows, prefix: str, depth: int, below: list[str]) -> None:
    tree = board.coverage(rows.round.pk, prefix, depth)
    assert [row.area for row in tree.rows] == below
    assert tree.total.due == sum(row.due for row in tree.rows)
    assert tree.total.outstanding == sum(row.outstanding for row in tree.rows)


def test_a_row(rows: Rows) -> None:
    tree = board.coverage(rows.round.pk, "340602001005")
    a, b = tree.rows
    assert (a.due, a.covered, a.pending, a.negative, a.outstanding, a.rate) == (2, 2, 1, 1, 0, 1.0)
    assert (b.due, b.excused, b.outstanding, b.leaf) == (2, 1, 1, True)
    assert a.name
    assert tree.total.name
    assert not tree.total.leaf


def test_people_in_no_grid_stand_for_their_community(rows: Rows) -> None:
    rows.due(20, "340602001005")
    rows.rebuild()
    assert [row.area for row in board.coverage(rows.round.pk, "", 3).rows] == ["340602001005", A, B, C]


def test_people_due_by_a_count(rows: Rows) -> None:
    RoundEstimate.objects.create(round=rows.round, area=C[:12], people=5)
    RoundEstimate.objects.create(round=rows.round, area="340602103201", people=40)
    tree = board.coverage(rows.round.pk, "", 1)
    there = {row.area: (row.due, row.estimated, row.covered, row.outstanding) for row in tree.rows}
    # Of 5 due by count two have names now; of the other three the traveller swabbed there covers one.
    assert there["340602102"] == (5, 3, 1, 4)
    assert there["340602103"] == (40, 40, 0, 40)
    found = queries.figures_of(queries.round_scope(rows.round.pk))
    assert picked(found.numbers(), "due", "estimated", "covered", "areas") == [6 + 43, 43, 3, 3]
    assert found["sampling_rate"].estimate


def test_progress_by_hour(rows: Rows) -> None:
    assert [(one.hour, one.sampled, one.unlisted) for one in board.by_hour(rows.round.pk)] == [
        (moment(0), 1, 0),
        (moment(60), 1, 1),
    ]
    assert len(board.by_hour(rows.round.pk, C)) == 1


def test_points(rows: Rows) -> None:
    first, second = board.by_point(rows.round.pk)
    assert (first.stations, first.person_times, first.received, first.per_station_hour) == (3, 10, 1, None)
    assert (second.not_negative, second.released) == (1, 1)
    assert [one.site for one in board.by_point(rows.round.pk, rows.drill.points[1].area[:9])] == [second.site]


# --- the list behind a number ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "340602", "340602001", "340602001005", A, B, C])
@pytest.mark.parametrize("what", sorted(board.BEHIND))
def test_a_number_and_its_list_agree(rows: Rows, prefix: str, what: str) -> None:
    [number] = AreaCell.objects.filter(area__startswith=prefix).extra(
        select={"people": f"sum({board.BEHIND[what]})"}
    ).values_list("people", flat=True)  # fmt: skip
    listed = people(rows, prefix, what)
    assert len(listed) == (number if what not in ("awaiting", "invalid", "withheld") else 0)


def people(rows: Rows, prefix: str, what: str, limit: int = 100) -> list[Any]:
    """The whole list, page by page."""
    after, found = Key("", "", person(0)), []
    reader = board.outstanding if what == "outstanding" else None
    while after is not None:
        page = (
            reader(rows.round.pk, prefix, after=after, limit=limit)
            if reader
            else board.people_behind(rows.round.pk, prefix, what, after=after, limit=limit)
        )
        found += page.rows
        after = page.after
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("what", ["outstanding", "awaiting", "unlisted"])
def test_pages_hold_everybody_once(drill: PreparedOperation, what: str, limit: int) -> None:
    rows = Rows(drill)
    rows.tube("P", samples=10)
    for number in range(1, 15):
        area, building = [A, B, C][number % 3], f"{number % 2}"
        if what == "outstanding":
            rows.due(number, area, building=building)
        else:
            rows.covered(number, area, "P", rostered=False)
    rows.rebuild()
    found = people(rows, "", what, limit)
    assert len(found) == 14
    assert [one.key for one in found] == sorted(one.key for one in found)


def test_nobody_is_behind_a_number_that_a_contested_tube_hides(rows: Rows) -> None:
    rows.tube("P", samples=10, contested=True, state=TubeState.CONTESTED)
    rows.rebuild()
    assert [one.person for one in people(rows, "", "withheld")] == [person(1)]
    assert people(rows, "", "negative") == []


def test_owner_deadline_and_last_attempt(rows: Rows) -> None:
    wide = User.objects.create(username="wide", display_name="片长")
    near = User.objects.create(username="near", display_name="网格员")
    left = User.objects.create(username="left", display_name="已调离")
    Assignment.objects.create(user=wide, role=Role.GRID_WORKER, area=C[:9], valid_from=STARTS)
    Assignment.objects.create(user=near, role=Role.GRID_WORKER, area=C, valid_from=STARTS)
    Assignment.objects.create(user=left, role=Role.GRID_WORKER, area=C, valid_from=STARTS, valid_to=STARTS)
    rows.covered(5, C, attempt=ChangeKind.ABSENT)
    rows.change(5, ChangeKind.REFUSED, C, at=10, reason="不愿")
    rows.change(5, ChangeKind.ABSENT, C, at=20, reason="敲门无人")
    rows.withdraw(rows.change(5, ChangeKind.REFUSED, C, at=30, reason="误报"))
    one, other = board.outstanding(rows.round.pk, C).rows
    assert one.attempt is not None
    assert (one.attempt.kind, one.attempt.reason, one.attempt.at) == ("absent", "敲门无人", moment(20))
    assert one.owner is not None
    assert (one.owner.name, one.owner.area, one.deadline) == ("网格员", C, STARTS + timedelta(days=1))
    assert other.attempt is None
    assert [row.owner for row in board.outstanding(rows.round.pk, B).rows] == [None]


def test_a_page_of_a_grid_is_two_statements(rows: Rows, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):  # two of them find the round
        board.outstanding(rows.round.pk, C)


def test_added_people_and_doubles_in_the_list(rows: Rows) -> None:
    rows.resident(30, C, building="7", household=person(300))
    rows.change(30, ChangeKind.ADDED, C)
    rows.covered(30, C)
    rows.same(5, 6)
    rows.rebuild()
    found = {one.person: (one.added, one.building, one.household) for one in people(rows, C, "outstanding")}
    assert found == {person(5): (False, "", None), person(30): (True, "7", person(300))}
    assert board.coverage(rows.round.pk, C).total.outstanding == 2


def test_a_merged_person_who_was_swabbed_is_not_outstanding(rows: Rows) -> None:
    rows.same(0, 5)  # swabbed under an id that is smaller than the roster's
    rows.covered(0, C, "P")
    rows.rebuild()
    assert [one.person for one in people(rows, C, "outstanding")] == [person(6)]
    assert board.coverage(rows.round.pk, C).total.outstanding == 1


def test_households_of_a_grid(drill: PreparedOperation) -> None:
    rows = Rows(drill)
    for number, household in enumerate([1, 1, 1, 2, None], start=1):
        rows.due(number, A, building="1", household=person(household) if household else None)
    rows.tube("P", samples=10, outcome="positive", released=300)
    rows.covered(1, A, "P")
    rows.covered(2, A, excused=ChangeKind.EXEMPT)
    found = {one.household: one for one in board.households(rows.round.pk, A)}
    door = found[person(1)]
    assert (door.due, door.sampled, door.excused, door.outstanding, door.pending) == (3, 1, 1, 1, 1)
    assert found[person(2)].outstanding == 1
    assert found[None].due == 1


def test_urgent_single_samples(rows: Rows) -> None:
    assert board.retests_due(rows.round.pk) == []  # no sample row leads from the tube to its people
