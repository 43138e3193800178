"""Doors to knock at: who is outstanding, in the order in which one walks, with why, page by page."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dabai.kernel.ids import uuid7
from dabai.people.models import Household, Person
from dabai.people.rules import KeyGroup
from dabai.registry import settle_down
from dabai.testing import visits as doors
from dabai.testing.models import ChangeKind, Coverage, RosterChange, RoundState
from dabai.testing.visits import ATTEMPTS, Visit, VisitKey, running_rounds, visits
from dabai.testkit.cast import make_cast
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import START, AnyPhone, deliver, fact
from dabai.testkit.rows import STARTS, Rows, moment, person

A, B, C = "34060200100501", "34060200100502", "34060210220201"
COMMUNITY = A[:12]


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    return Rows(drill)


def home(rows: Rows, area: str, **columns: Any) -> UUID:
    row = {"district": rows.drill.district, "operation": rows.drill.id, "area": area, "key": 1}
    return Household.objects.create(id=uuid7(), **row | columns).id


def listed(rows: Rows, number: int, area: str = A, *, building: str = "", **columns: Any) -> UUID:
    """Somebody on the list of residents and on the roster."""
    rows.resident(number, area, building=building, **columns)
    shared = {name: columns[name] for name in ("household", "group") if name in columns}
    return rows.due(number, area, building=building, **shared)


def page(rows: Rows, *areas: str, everybody: bool = True, **more: Any) -> list[Visit]:
    found, _ = visits(running_rounds(rows.drill.id), areas or (COMMUNITY,), everybody=everybody, **more)
    return found


def people(found: list[Visit]) -> list[UUID]:
    return [one.person for one in found]


def whole(rows: Rows, areas: tuple[str, ...], limit: int) -> Iterator[Visit]:
    after: VisitKey | None = VisitKey()
    while after is not None:
        found, after = visits(running_rounds(rows.drill.id), areas, everybody=True, after=after, limit=limit)
        yield from found


# --- who is on it ---------------------------------------------------------------------------------------------


def test_the_swabbed_the_excused_and_the_removed_are_not_on_it(rows: Rows) -> None:
    for number in range(1, 5):
        listed(rows, number)
    rows.covered(1, A, "T1")
    rows.covered(2, A, excused=ChangeKind.EXCUSED)
    rows.covered(3, A, removed=True)
    assert people(page(rows)) == [person(4)]


def test_only_rounds_that_run_count(rows: Rows) -> None:
    listed(rows, 1)
    for state in (RoundState.APPROVED, RoundState.CLOSED):
        rows.round.state = state
        rows.round.save(update_fields=["state"])
        assert page(rows) == []


def test_only_the_areas_asked_for(rows: Rows) -> None:
    for number, area in ((1, A), (2, B), (3, C)):
        listed(rows, number, area)
    assert people(page(rows)) == [person(1), person(2)]
    assert people(page(rows, B, C)) == [person(2), person(3)]
    assert people(page(rows, "340602")) == [person(1), person(2), person(3)]


def test_somebody_added_in_an_area_without_a_roster_is_on_it(rows: Rows) -> None:
    rows.resident(9, C)
    rows.change(9, ChangeKind.ADDED, C)
    rows.covered(9, C)
    assert people(page(rows, C)) == [person(9)]


def test_whoever_has_two_ids_stands_there_once_under_the_canonical_one(rows: Rows) -> None:
    rows.resident(1, C)
    listed(rows, 2)
    listed(rows, 3)
    rows.same(1, 2, 3)
    (one,) = page(rows)
    assert (one.person, one.key.person) == (person(1), person(2))


# --- why ------------------------------------------------------------------------------------------------------


def test_tags_say_why_somebody_is_visited(rows: Rows) -> None:
    year = doors.this_year()
    sealed = home(rows, A, sealed=True)
    listed(rows, 1, group=KeyGroup.HOME_QUARANTINE)
    listed(rows, 2, household=sealed, birth_year=year - 75)
    listed(rows, 3, group=KeyGroup.REDUCED_MOBILITY, birth_year=year - 74)
    listed(rows, 4)
    rows.change(4, ChangeKind.ABSENT, A)
    listed(rows, 5)
    assert [one.tags for one in page(rows)] == [
        ("isolated", "outstanding"),
        ("isolated", "elderly", "outstanding"),
        ("unable", "outstanding"),
        ("again", "outstanding"),
        ("outstanding",),
    ]


def test_in_the_first_sampling_only_those_who_should_be_visited_are_shown(rows: Rows) -> None:
    listed(rows, 1, group=KeyGroup.HOME_QUARANTINE)
    listed(rows, 2)
    listed(rows, 3, birth_year=1920)
    listed(rows, 4)
    rows.covered(4, A, attempt=ChangeKind.REFUSED)
    rows.change(4, ChangeKind.REFUSED, A)
    assert people(page(rows, everybody=False)) == [person(1), person(3), person(4)]
    rows.round.state = RoundState.MAKE_UP
    rows.round.save(update_fields=["state"])
    assert len(page(rows, everybody=False)) == 4


def test_the_group_is_that_of_today_not_of_the_day_of_approval(rows: Rows) -> None:
    listed(rows, 1)
    Person.objects.update(group=KeyGroup.CLOSE_CONTACT)
    assert "isolated" in page(rows)[0].tags


# --- what was tried -------------------------------------------------------------------------------------------


def test_attempts_are_counted_and_the_last_one_told(rows: Rows) -> None:
    listed(rows, 1)
    rows.change(1, ChangeKind.ABSENT, A, at=10)
    wrong = rows.change(1, ChangeKind.REFUSED, A, at=40)
    last = rows.change(1, ChangeKind.MOVED, A, at=30)
    RosterChange.objects.filter(id=last).update(next_visit=STARTS + timedelta(hours=9))
    rows.withdraw(wrong)
    (one,) = page(rows)
    told = (one.attempts, one.last_outcome, one.last_at, one.next_visit)
    assert told == (2, "moved", moment(30), STARTS + timedelta(hours=9))


def test_an_attempt_under_another_id_of_the_same_person_counts(rows: Rows) -> None:
    listed(rows, 1)
    rows.change(2, ChangeKind.ABSENT, A)
    rows.same(1, 2)
    assert page(rows)[0].attempts == 1


def test_every_door_has_an_owner_and_a_deadline(rows: Rows) -> None:
    listed(rows, 1)
    assert page(rows)[0].owner is None
    cast = make_cast(rows.drill.id, COMMUNITY)
    (one,) = page(rows)
    assert (one.owner, one.deadline) == (cast.grid_worker.user.display_name, rows.round.ends_at)


# --- order and pages ------------------------------------------------------------------------------------------


def test_the_list_is_in_the_order_in_which_one_walks(rows: Rows) -> None:
    first, second = home(rows, A, unit="1", estate="示例小区"), home(rows, A, unit="2")
    listed(rows, 1, building="2号楼")
    listed(rows, 2, building="1号楼", household=second)
    listed(rows, 3, building="1号楼", household=first)
    listed(rows, 4, building="1号楼", household=second)
    listed(rows, 5, area=B)
    found = page(rows)
    assert people(found) == [person(number) for number in (3, 2, 4, 1, 5)]
    assert (found[0].key.unit, found[0].estate) == ("1", "示例小区")


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_join_without_a_gap_or_a_double(rows: Rows, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "AREAS_AT_ONCE", 2)
    units = [home(rows, A, unit=str(number)) for number in range(3)]
    for number in range(1, 12):
        listed(rows, number, area=(A, B, C)[number % 3], building=f"{number % 2}号楼", household=units[number % 3])
    again = Rows(rows.drill, number=2)
    again.due(4, B)
    found = list(whole(rows, ("340602",), limit))
    assert [one.key for one in found] == sorted(one.key for one in found)
    assert len(found) == len({one.key for one in found}) == 12


def test_a_page_takes_as_many_statements_for_many_as_for_few(rows: Rows) -> None:
    for number in range(1, 30):
        listed(rows, number)
        rows.change(number, ChangeKind.ABSENT, A)
    rounds = running_rounds(rows.drill.id)
    for limit in (1, 29):
        with CaptureQueriesContext(connection) as caught:
            assert len(visits(rounds, [COMMUNITY], everybody=True, limit=limit)[0]) == limit
        assert len(caught) == 3


def test_nothing_runs_nothing_is_due(rows: Rows) -> None:
    assert visits([], [COMMUNITY], everybody=True) == ([], None)
    assert visits(running_rounds(rows.drill.id), [], everybody=True) == ([], None)


# --- the fact -------------------------------------------------------------------------------------------------


def test_moved_and_the_next_visit_are_stored_and_shown(rows: Rows) -> None:
    listed(rows, 1)
    phone = AnyPhone(rows.drill.district, rows.drill.id)
    later = (STARTS + timedelta(days=1)).isoformat()
    about = {"round": rows.round.pk, "area": A, "person": str(person(1)), "reason": "邻居说已搬走"}
    moved = fact("testing.not_sampled", {**about, "outcome": "moved"}, at=START)
    absent = fact("testing.not_sampled", {**about, "outcome": "absent", "next_visit": later}, at=timedelta(hours=1))
    assert [one.code for one in deliver(phone, [moved, absent])] == [None, None]
    assert RosterChange.objects.get(kind=ChangeKind.MOVED).next_visit is None
    (one,) = page(rows)
    assert (one.attempts, one.last_outcome, one.next_visit) == (2, "absent", STARTS + timedelta(days=1))
    assert set(ATTEMPTS) == {ChangeKind.REFUSED, ChangeKind.ABSENT, ChangeKind.MOVED}


def test_moved_counts_as_an_attempt_and_never_as_excused(rows: Rows) -> None:
    listed(rows, 1)
    body = {"round": rows.round.pk, "area": A, "person": str(person(1)), "reason": "邻居说已搬走", "outcome": "moved"}
    deliver(AnyPhone(rows.drill.district, rows.drill.id), [fact("testing.not_sampled", body, at=START)])
    settle_down()
    covered = Coverage.objects.get()
    assert (covered.attempt, covered.excused, covered.removed) == (ChangeKind.MOVED, None, False)
    (one,) = page(rows, everybody=False)
    assert one.tags == ("again", "outstanding")
