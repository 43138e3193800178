"""Leaf cells: what each measure counts, and that recomputing marked cells is rebuilding them."""

from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dabai.figures import cells
from dabai.figures.models import AreaCell, DurationCell, Freshness, SiteCell
from dabai.journal.models import Mark
from dabai.protocols.models import Profile
from dabai.testing.models import ChangeKind, SiteEventKind, TubeState
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.rows import STARTS, Rows, moment, person

A, B, C = "34060200100501", "34060200100502", "34060210220201"
OPENED, CLOSED = SiteEventKind.OPENED, SiteEventKind.CLOSED
EPOCH_YEAR = 1970


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    return Rows(drill)


def area(rows: Rows, code: str) -> dict[str, int]:
    """The measures of an area over all hours that are not 0."""
    rows.rebuild()
    found = AreaCell.objects.filter(**rows.here, area=code).values(*cells.AREA_MEASURES)
    return summed(found, cells.AREA_MEASURES)


def point(rows: Rows, site: int = 0) -> dict[str, int]:
    """The measures of a point over all hours that are not 0."""
    rows.rebuild()
    found = SiteCell.objects.filter(**rows.here, site=rows.drill.points[site].pk).values(*cells.SITE_MEASURES)
    return summed(found, cells.SITE_MEASURES)


def summed(found: Any, measures: tuple[str, ...]) -> dict[str, int]:
    totals = {name: sum(one[name] for one in found) for name in measures}
    return {name: total for name, total in totals.items() if total}


def recompute(**more: Any) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        return cells.recompute(cursor, **more)


# --- people ---------------------------------------------------------------------------------------------------


def test_due_people_are_counted_where_the_roster_has_them(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, A), rows.due(3, B)
    rows.tube("P", samples=2, outcome="negative", released=300)
    rows.covered(1, A, "P")
    rows.covered(3, B, "P")
    assert area(rows, A) == {"frozen": 2, "sampled": 1, "resulted": 1, "negative": 1}
    assert area(rows, B) == {"frozen": 1, "sampled": 1, "resulted": 1, "negative": 1}


def test_people_stand_in_the_hour_of_their_first_sample(rows: Rows) -> None:
    rows.due(1, A)
    rows.tube("P", samples=1, at=130)
    rows.covered(1, A, "P", at=130)
    rows.rebuild()
    hours = {
        cell.hour.year if cell.hour.year == EPOCH_YEAR else cell.hour: cell.sampled for cell in AreaCell.objects.all()
    }
    assert hours == {EPOCH_YEAR: 0, moment(120): 1}


def test_added_and_removed_people(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, A)
    rows.change(2, ChangeKind.REMOVED, A)
    rows.covered(2, A, removed=True)
    rows.change(3, ChangeKind.ADDED, A)
    rows.covered(3, A)
    rows.change(1, ChangeKind.ADDED, A)  # who is on the roster anyway is not added
    rows.covered(1, A)
    assert area(rows, A) == {"frozen": 2, "added": 1, "removed": 1}


def test_an_addition_told_twice_counts_once_and_a_withdrawn_one_not(rows: Rows) -> None:
    rows.change(3, ChangeKind.ADDED, A), rows.change(4, ChangeKind.ADDED, A)
    rows.same(3, 4)
    rows.covered(3, A)
    rows.change(5, ChangeKind.ADDED, A)
    rows.covered(5, A, rostered=False)
    assert area(rows, A) == {"added": 1}


def test_a_double_is_removed_where_it_stands(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, B), rows.due(3, B)
    rows.same(1, 2, 3)
    assert area(rows, A) == {"frozen": 1}
    assert area(rows, B) == {"frozen": 2, "removed": 2}


def test_a_double_of_somebody_on_no_roster_stays_due(rows: Rows) -> None:
    rows.due(2, A)
    rows.same(1, 2)
    assert area(rows, A) == {"frozen": 1}


def test_excused_people_count_until_they_are_swabbed(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, A), rows.due(3, A)
    rows.covered(1, A, excused=ChangeKind.EXCUSED)
    rows.covered(2, A, excused=ChangeKind.EXEMPT)
    rows.tube("P")
    rows.covered(3, A, "P", excused=ChangeKind.EXCUSED)
    assert area(rows, A) == {"frozen": 3, "excused": 2, "sampled": 1}


def test_people_on_no_roster_are_a_measure_of_their_own(rows: Rows) -> None:
    rows.due(1, A)
    rows.tube("P", samples=2, outcome="negative", released=300)
    rows.covered(7, A, "P", rostered=False)
    rows.covered(1, A, "P", removed=True)  # removed since: not due, but swabbed
    assert area(rows, A) == {
        "frozen": 1, "removed": 1, "unlisted": 2, "unlisted_resulted": 2, "unlisted_negative": 2,
    }  # fmt: skip


def test_people_of_a_pool_that_is_not_negative_are_pending(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, A)
    rows.tube("P", samples=10, outcome="positive", released=300)
    rows.tube("S", at=320, single=True, outcome="positive", released=500)
    rows.covered(1, A, "P", "S")
    rows.covered(2, A, "P")
    assert area(rows, A) == {"frozen": 2, "sampled": 2, "resulted": 2, "pending": 1, "positive": 1}


@pytest.mark.parametrize("how", ["contested", "conflict", "invalid"])
def test_no_result_is_counted_that_nobody_may_be_told(rows: Rows, how: str) -> None:
    rows.due(1, A)
    outcome = "invalid" if how == "invalid" else "negative"
    rows.tube("P", samples=10, outcome=outcome, released=300, contested=how == "contested")
    rows.covered(1, A, "P")
    rows.same(1, 9, name_conflict=how == "conflict")
    assert area(rows, A) == {"frozen": 1, "sampled": 1}


def test_people_in_two_tubes_count_once(rows: Rows) -> None:
    rows.due(1, A)
    rows.tube("P1", samples=10, outcome="negative", released=300)
    rows.tube("P2", samples=10, at=200)
    rows.covered(1, A, "P1", "P2")
    assert area(rows, A) == {"frozen": 1, "sampled": 1, "resulted": 1, "negative": 1}


# --- tubes, stations, boxes -----------------------------------------------------------------------------------


def test_the_way_of_a_tube(rows: Rows) -> None:
    chain = {"sealed_at": 10, "packed_at": 20, "handed_at": 30, "received_at": 200, "read_at": 250}
    times = {name: moment(at) for name, at in chain.items()}
    rows.tube("P", samples=9, outcome="negative", released=300, **times)
    rows.tube("Q", samples=10, at=70, outcome="suspect", released=300, **times | {"received_at": moment(311)})
    assert point(rows) == {
        "samples": 19, "tubes": 2, "sealed": 2, "packed": 2, "handed": 2, "received": 2, "on_time": 1, "read": 2,
        "released": 2, "not_negative": 1,
    }  # fmt: skip


def test_voided_and_rejected_tubes_hold_no_samples(rows: Rows) -> None:
    sealed = {"sealed_at": moment(10), "received_at": moment(100)}
    rows.tube("V", samples=10, state=TubeState.VOIDED, **sealed)
    rows.tube("R", samples=10, state=TubeState.REJECTED, **sealed)
    rows.tube("E", samples=0, **sealed)  # sealed, but no sample is known yet
    rows.tube("C", samples=2, state=TubeState.CONTESTED, contested=True)
    assert point(rows) == {
        "samples": 2, "tubes": 1, "sealed": 2, "received": 2, "on_time": 2, "voided": 1, "rejected": 1, "contested": 1,
    }  # fmt: skip


def test_on_time_is_as_long_as_the_profile_says(rows: Rows) -> None:
    found = Profile.objects.get(pk=rows.round.profile)
    found.body["transport"]["swab_to_lab_minutes"] = 60
    found.pk, found.version = None, found.version + 1
    found.save()
    rows.round.profile = found.pk
    rows.round.save(update_fields=["profile"])
    rows.tube("P", received_at=moment(60))
    rows.tube("Q", received_at=moment(61))
    assert point(rows)["on_time"] == 1


@pytest.mark.parametrize(
    ("told", "minutes"),
    [
        ([(OPENED, 0), (CLOSED, 90)], 90),
        ([(OPENED, 0), (OPENED, 30), (CLOSED, 90)], 90),  # opened twice
        ([(OPENED, 0), (CLOSED, 30), (CLOSED, 90)], 30),  # closed twice
        ([(OPENED, 0), (CLOSED, 30), (OPENED, 60), (CLOSED, 90)], 60),
        ([(CLOSED, 30)], 0),
        ([(OPENED, 0)], 0),
        ([(OPENED, 0), (CLOSED, 60 * 24 * 400)], 60 * 24 * 31),  # a clock gone wild
    ],
)
def test_minutes_that_a_station_is_open(rows: Rows, told: list[tuple[SiteEventKind, float]], minutes: int) -> None:
    for kind, at in reversed(told):
        rows.station(kind, at)
    assert point(rows).get("open_minutes", 0) == minutes


def test_two_stations_are_open_twice_as_long_and_hours_are_cut(rows: Rows) -> None:
    rows.station(OPENED, 30), rows.station(CLOSED, 90)
    rows.station(OPENED, 30, station=2), rows.station(CLOSED, 45, station=2)
    rows.rebuild()
    hours = {cell.hour: cell.open_minutes for cell in SiteCell.objects.all()}
    assert hours == {moment(0): 45, moment(60): 30}


def test_a_station_that_nobody_closed_was_open_until_its_last_sample(rows: Rows) -> None:
    rows.station(OPENED, 0)
    rows.tube("P", at=40, last_at=moment(50))
    rows.tube("Q", at=300, station=2)
    assert point(rows)["open_minutes"] == 50


def test_a_withdrawn_opening_is_none(rows: Rows) -> None:
    rows.withdraw(rows.station(OPENED, 0))
    rows.station(OPENED, 60), rows.station(CLOSED, 90)
    assert point(rows)["open_minutes"] == 30


def test_counts_of_boxes(rows: Rows) -> None:
    rows.box("B1", tubes=20, sealed_count=19, received_count=19)
    rows.box("B2", tubes=20, sealed_count=20)
    rows.box("B3", tubes=20)
    assert point(rows) == {"boxed": 40, "boxed_counted": 39, "delivered": 20, "delivered_counted": 19}


def test_durations_are_whole_minutes_of_each_tube(rows: Rows) -> None:
    rows.tube("P", received_at=moment(100.9), released=300)
    rows.tube("Q", received_at=moment(-5), released=400)  # two clocks
    rows.tube("R", received_at=moment(60 * 24 * 60))
    rows.tube("V", received_at=moment(10), state=TubeState.VOIDED)
    rows.rebuild()
    [cell] = DurationCell.objects.all()
    assert cell.sample_to_receipt == [0, 100]
    assert cell.receipt_to_result == [199, 405]
    assert cell.sample_to_result == [300, 400]


# --- marks ----------------------------------------------------------------------------------------------------


def test_marks_are_taken_once_however_often_they_name_a_cell(rows: Rows) -> None:
    rows.due(1, A), rows.due(2, B)
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A, A, B], sites=[rows.drill.points[0].pk] * 2)
    assert recompute() == 5
    assert recompute() == 0
    assert AreaCell.objects.count() == 2


def test_no_more_marks_than_asked_for(rows: Rows) -> None:
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A, B, C])
    assert recompute(limit=2) == 2
    assert Mark.objects.count() == 1


def test_a_failed_turn_leaves_its_marks(rows: Rows) -> None:
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A])
    with transaction.atomic(), connection.cursor() as cursor:
        cells.recompute(cursor)
        transaction.set_rollback(True)
    assert Mark.objects.count() == 1


@pytest.mark.parametrize("places", [1, 40])
def test_a_fixed_number_of_statements(rows: Rows, django_assert_num_queries: Any, places: int) -> None:
    for number in range(places):
        rows.due(number + 1, f"340602001005{number:02d}")
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[f"340602001005{number:02d}" for number in range(places)], sites=range(places))
    with django_assert_num_queries(5), connection.cursor() as cursor:
        assert cells.recompute(cursor) == 2 * places


def test_cells_that_hold_nothing_any_more_are_gone(rows: Rows) -> None:
    rows.tube("P")
    rows.covered(1, A, "P", rostered=False)
    rows.rebuild()
    rows.covered(1, B, "P", rostered=False)
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A, B])
    recompute()
    assert [(cell.area, cell.unlisted) for cell in AreaCell.objects.all()] == [(B, 1)]


def test_what_stays_the_same_is_not_written(rows: Rows) -> None:
    rows.due(1, A)
    rows.rebuild()
    with connection.cursor() as cursor:
        cursor.execute("SELECT ctid::text FROM figures_area_cell")
        before = cursor.fetchall()
        rows.mark(cursor, areas=[A])
        recompute()
        cursor.execute("SELECT ctid::text FROM figures_area_cell")
        assert cursor.fetchall() == before


def test_rebuilding_one_round_leaves_the_others(drill: PreparedOperation, rows: Rows) -> None:
    other = Rows(drill, number=2)
    rows.due(1, A), other.due(1, A)
    cells.rebuild(drill.district)
    AreaCell.objects.update(frozen=77)
    cells.rebuild(drill.district, rows.round.pk)
    assert {cell.round: cell.frozen for cell in AreaCell.objects.all()} == {rows.round.pk: 1, other.round.pk: 77}


def test_the_worker_notes_up_to_when_cells_are_true(rows: Rows) -> None:
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[A, B])
    recompute(limit=1, as_of=STARTS)  # not all marks taken: nothing to say yet
    assert not Freshness.objects.exists()
    with connection.cursor() as cursor:
        rows.mark(cursor, areas=[B])
    recompute(as_of=STARTS)
    assert Freshness.objects.get().as_of == STARTS


# --- rebuilt equals incremental -------------------------------------------------------------------------------

PEOPLE, TUBES, AREAS = st.integers(1, 6), st.sampled_from("PQRS"), st.sampled_from([A, B, C])
MINUTES = st.sampled_from([0, 5, 59, 60, 61, 200])
MAYBE = st.none() | MINUTES


class Figures(RuleBasedStateMachine):
    """Rows change in any way, marks name what they touched, the worker takes some of them now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.drill = make_operation()
        self.rounds = [Rows(self.drill, number=1), Rows(self.drill, number=2)]
        self.steps = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def touch(self, *places: str | int | None) -> None:
        """Mark areas (text) and points (numbers) of both rounds."""
        with connection.cursor() as cursor:
            for rows in self.rounds:
                areas = [one for one in places if isinstance(one, str)]
                rows.mark(cursor, areas=areas, sites=[one for one in places if isinstance(one, int)])

    def areas_of(self, people: list[Any], tubes: list[str] | None = None) -> list[str]:
        """The areas in which these people, or those in these tubes, count."""
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT area FROM testing_roster_entry WHERE person = ANY(%(people)s)
                   UNION SELECT area FROM testing_roster_change WHERE person = ANY(%(people)s)
                   UNION SELECT area FROM testing_coverage WHERE person = ANY(%(people)s) OR tubes && %(tubes)s""",
                {"people": people, "tubes": tubes or []},
            )
            return [row[0] for row in cursor.fetchall()]

    def areas_of_group(self, number: int) -> list[str]:
        """The areas in which somebody counts under any of their ids: the first stage marks these, before and after."""
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT other.person FROM people_identity one JOIN people_identity other USING (canonical)
                   WHERE one.person = %s""",
                [person(number)],
            )
            return self.areas_of([person(number), *(row[0] for row in cursor.fetchall())])

    @rule(number=PEOPLE, area=AREAS, which=st.integers(0, 1))
    def put_on_the_roster(self, number: int, area: str, which: int) -> None:
        """Freezing a roster marks every area of it; somebody merged may stand in another one already."""
        rows = self.rounds[which]
        if not rows.round.pk or not exists(rows, number):
            rows.due(number, area)
            self.touch(area, *self.areas_of_group(number))

    @rule(number=PEOPLE, area=AREAS, tubes=st.sets(TUBES, max_size=2), at=MINUTES, rostered=st.booleans(),
          removed=st.booleans(), excused=st.sampled_from([None, 3, 6]))  # fmt: skip
    def cover(self, number: int, area: str, tubes: set[str], at: int, **columns: Any) -> None:
        before = self.areas_of([person(number)])
        self.rounds[0].covered(number, area, *sorted(tubes), at=at, **columns)
        self.touch(area, *before)

    @rule(number=PEOPLE, area=AREAS)
    def add(self, number: int, area: str) -> None:
        before = self.areas_of_group(number)
        self.rounds[0].change(number, ChangeKind.ADDED, area)
        self.touch(area, *before)

    @rule(numbers=st.sets(PEOPLE, min_size=2, max_size=3), conflict=st.booleans())
    def merge(self, numbers: set[int], conflict: bool) -> None:
        self.rounds[0].same(*numbers, name_conflict=conflict)
        self.touch(*self.areas_of([person(number) for number in range(1, 7)]))

    @rule(code=TUBES, site=st.integers(0, 1), at=MINUTES, samples=st.integers(0, 10), single=st.booleans(),
          outcome=st.sampled_from([None, "negative", "positive", "suspect", "invalid"]), received=MAYBE,
          state=st.sampled_from(TubeState), contested=st.booleans())  # fmt: skip
    def change_tube(self, code: str, site: int, outcome: str | None, received: int | None, **columns: Any) -> None:
        released = None if outcome is None else 400
        self.rounds[0].tube(
            code, site=site, outcome=outcome, released=released, received_at=moment(received), **columns
        )
        self.touch(*self.areas_of([], [code]), *(one.pk for one in self.drill.points))

    @rule(site=st.integers(0, 1), station=st.integers(1, 2), kind=st.sampled_from([OPENED, CLOSED]), at=MINUTES)
    def open_or_close(self, site: int, station: int, kind: SiteEventKind, at: int) -> None:
        self.rounds[0].station(kind, at, site=site, station=station)
        self.touch(self.drill.points[site].pk)

    @rule(code=TUBES, site=st.integers(0, 1), tubes=st.integers(0, 20), counted=st.none() | st.integers(0, 20))
    def change_box(self, code: str, site: int, tubes: int, counted: int | None) -> None:
        self.rounds[0].box(code, site=site, tubes=tubes, sealed_count=counted, received_count=counted)
        self.touch(*(one.pk for one in self.drill.points))

    @rule(limit=st.sampled_from([1, 3, 100]))
    def work(self, limit: int) -> None:
        recompute(limit=limit)

    @invariant()
    def rebuilt_is_incremental(self) -> None:
        """Every few changes, so that marks pile up and some are taken before; what was compared stays."""
        self.steps += 1
        if self.steps % 3:
            return
        while recompute(limit=5):
            pass
        incremental = snapshot()
        with transaction.atomic():
            cells.rebuild(self.drill.district)
            rebuilt = snapshot()
            transaction.set_rollback(True)
        assert incremental == rebuilt


def exists(rows: Rows, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM testing_roster_entry WHERE round = %s AND person = %s)",
            [rows.round.pk, person(number)],
        )
        return bool(cursor.fetchone()[0])


def snapshot() -> dict[str, list[Any]]:
    """Every cell, in order."""
    found = {}
    with connection.cursor() as cursor:
        for table in cells.TABLES:
            cursor.execute(f"SELECT to_jsonb(c) FROM {table} c ORDER BY 1")
            found[table] = [row[0] for row in cursor.fetchall()]
    return found


@pytest.mark.django_db
def test_rebuilt_from_nothing_is_incremental() -> None:
    run_state_machine_as_test(
        Figures, settings=settings(max_examples=15, stateful_step_count=30, deadline=None, report_multiple_bugs=False)
    )
