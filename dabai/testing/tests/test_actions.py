"""A round from draft to closed: who is due, who may, what stands in the way."""

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections

from dabai.access.models import Assignment, AuditEntry, Device, DeviceScope, User
from dabai.access.rules import Role
from dabai.journal.models import Mark, MarkKind, Withdrawal
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.people.models import Identity, Person
from dabai.testing import actions, queries
from dabai.testing.actions import Plan
from dabai.testing.models import RosterChange, RosterEntry, Round, RoundStep
from dabai.testkit.district import PreparedOperation

STARTS = datetime(2022, 3, 13, 0, 0, tzinfo=UTC)


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


def plan(drill: PreparedOperation, **changes: Any) -> Plan:
    return Plan(**{"name": "第一轮", "areas": [str(drill.district)], "starts_at": STARTS} | changes)


def make_draft(drill: PreparedOperation, **changes: Any) -> Round:
    return actions.draft(by=None, operation=drill.id, plan=plan(drill, **changes))


def resident(drill: PreparedOperation, area: str, **more: Any) -> UUID:
    row = {"district": drill.district, "operation": drill.id, "area": area, "document_kind": "01", "key": 1}
    sealed = {"name_enc": b"x", "name_token": b"x"}
    return Person.objects.create(id=more.pop("id", None) or uuid7(), **row, **sealed, **more).id


def roster(found: Round) -> dict[UUID, str]:
    return dict(RosterEntry.objects.filter(round=found.pk).values_list("person", "area"))


def somebody(role: Role, area: str) -> User:
    user = User.objects.create(username=f"{role}-{area}", display_name=role.value)
    Assignment.objects.create(user=user, role=role, area=area, valid_from=STARTS)
    return user


def partition_of(found: Round) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = to_regclass(%s)",
            [f"testing_sample_r{found.pk}"],
        )
        row = cursor.fetchone()
    return row[0] if row else None


# --- drafts


def test_drafts_are_numbered_and_take_the_profile_of_the_operation(drill):
    first, second = make_draft(drill), make_draft(drill)
    assert (first.number, second.number) == (1, 2)
    assert first.profile == drill.operation.profile_id
    assert [step.state for step in queries.steps_of(first.pk)] == ["draft"]
    assert [one.pk for one in queries.rounds_of(drill.id)] == [second.pk, first.pk]


def test_a_number_is_taken_once(drill):
    actions.draft(by=None, operation=drill.id, plan=plan(drill), number=3)
    with refused("testing.number_taken"):
        actions.draft(by=None, operation=drill.id, plan=plan(drill), number=3)
    assert make_draft(drill).number == 4


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "  "}, "testing.name_missing"),
        ({"areas": []}, "testing.scope_empty"),
        ({"areas": ["340603"]}, "testing.area_elsewhere"),
        ({"areas": ["340602999"]}, "testing.area_unknown"),
        ({"groups": ["astronaut"]}, "testing.group_unknown"),
        ({"ends_at": STARTS - timedelta(hours=1)}, "testing.times_reversed"),
        ({"pool_size": 7}, "testing.pool_size"),
    ],
)
def test_a_plan_that_cannot_be(drill, changes, code):
    with refused(code):
        make_draft(drill, **changes)


def test_a_draft_is_revised_and_then_frozen(drill):
    community = drill.communities[0]
    resident(drill, community)
    found = make_draft(drill)
    revised = actions.revise(by=None, round_id=found.pk, plan=plan(drill, areas=[community], groups=["student"]))
    assert (revised.areas, revised.groups) == ([community], ["student"])
    actions.revise(by=None, round_id=found.pk, plan=plan(drill, areas=[community]))
    actions.approve(by=None, round_id=found.pk)
    with refused("testing.round_frozen"):
        actions.revise(by=None, round_id=found.pk, plan=plan(drill))
    with refused("testing.round_frozen"):
        actions.discard(by=None, round_id=found.pk)


def test_a_discarded_draft_leaves_a_line_in_the_audit_log(drill):
    found = make_draft(drill)
    actions.discard(by=None, round_id=found.pk)
    assert not Round.objects.filter(operation=drill.id).exists()
    assert AuditEntry.objects.get(action="testing.round_discarded").subject == f"round/{found.pk}"


# --- who is due


def test_the_roster_is_who_lives_in_the_scope(drill):
    inside, outside = drill.communities[0], drill.communities[-1]
    here = resident(drill, inside + "01")
    resident(drill, outside)
    resident(drill, inside, away=True)
    resident(drill, inside, spot=True)
    found = actions.approve(by=None, round_id=make_draft(drill, areas=[inside]).pk)
    assert roster(found) == {here: inside + "01"}
    assert (found.roster_size, found.state, found.approved_at is not None) == (1, "approved", True)


def test_a_round_may_be_for_some_groups_only(drill):
    community = drill.communities[0]
    student = resident(drill, community, group="student")
    resident(drill, community, group="driver")
    resident(drill, community)
    found = actions.approve(by=None, round_id=make_draft(drill, groups=["student"]).pk)
    assert list(roster(found)) == [student]


def test_people_registered_on_the_spot_are_due_when_asked_for(drill):
    community = drill.communities[0]
    traveller = resident(drill, community, spot=True)
    withdrawn = resident(drill, community, spot=True)
    Withdrawal.objects.create(district=drill.district, id=uuid7(), target=withdrawn, reason="x", happened_at=STARTS)
    found = actions.approve(by=None, round_id=make_draft(drill).pk, with_spot=True)
    assert list(roster(found)) == [traveller]


def test_a_person_on_two_lists_is_due_once_under_the_canonical_id(drill):
    one, other = drill.communities[:2]
    first, second = resident(drill, one), resident(drill, other)
    group(drill, first, second)
    assert roster(actions.approve(by=None, round_id=make_draft(drill).pk)) == {first: one}
    elsewhere = actions.approve(by=None, round_id=make_draft(drill, areas=[other]).pk)
    assert roster(elsewhere) == {first: other}


def test_somebody_who_moved_within_the_district_is_due_at_the_new_place(drill):
    old, new = drill.communities[:2]
    moved, again = resident(drill, old, away=True), resident(drill, new)
    group(drill, moved, again)
    assert roster(actions.approve(by=None, round_id=make_draft(drill).pk)) == {moved: new}


def group(drill: PreparedOperation, canonical: UUID, *others: UUID) -> None:
    for person in (canonical, *others):
        Identity.objects.create(district=drill.district, operation=drill.id, person=person, canonical=canonical)


def test_people_of_another_operation_are_not_due(drill):
    resident(drill, drill.communities[0])
    Person.objects.update(operation=drill.id + 1)
    with refused("testing.roster_empty"):
        actions.approve(by=None, round_id=make_draft(drill).pk)


def test_approval_asks_for_the_figures_of_every_area(drill):
    areas = drill.grids[:3]
    for area in areas:
        resident(drill, area)
    found = make_draft(drill)
    actions.estimate(by=None, round_id=found.pk, people={drill.communities[-1]: 40})
    Mark.objects.all().delete()
    actions.approve(by=None, round_id=found.pk)
    marks = Mark.objects.filter(kind=MarkKind.AREA_CELL).values_list("key", flat=True)
    assert sorted(marks) == sorted(f"{found.pk}/{area}" for area in [*areas, drill.communities[-1]])


def test_a_million_would_take_one_statement(drill, django_assert_max_num_queries):
    for area in drill.grids[:30]:
        resident(drill, area)
    found = make_draft(drill)
    with django_assert_max_num_queries(22):
        actions.approve(by=None, round_id=found.pk)


# --- places without a list of names


def test_a_count_stands_in_for_names_until_they_come(drill):
    named, nameless = drill.communities[:2]
    resident(drill, named)
    found = make_draft(drill, areas=[named, nameless])
    assert queries.nameless_communities(found.pk) == [nameless]
    actions.estimate(by=None, round_id=found.pk, people={nameless: 300})
    actions.approve(by=None, round_id=found.pk)
    assert queries.estimates_left(found.pk) == {nameless: 300}
    added = [addition(drill, found, nameless + "01") for _ in range(3)]
    Withdrawal.objects.create(district=drill.district, id=uuid7(), target=added[0], reason="x", happened_at=STARTS)
    assert queries.estimates_left(found.pk) == {nameless: 298}
    actions.estimate(by=None, round_id=found.pk, people={nameless: 0})
    assert queries.estimates_left(found.pk) == {nameless: 0}
    assert queries.estimated_people(found.pk) == 0


def addition(drill: PreparedOperation, found: Round, area: str) -> UUID:
    row = RosterChange(district=drill.district, id=uuid7(), operation=drill.id, round=found.pk, person=uuid7(), kind=1)
    row.area, row.happened_at = area, STARTS
    row.save(force_insert=True)
    return row.id


def test_a_count_alone_is_enough_for_a_round(drill):
    found = make_draft(drill, areas=[drill.communities[0]])
    with refused("testing.roster_empty"):
        actions.approve(by=None, round_id=found.pk)
    actions.estimate(by=None, round_id=found.pk, people={drill.communities[0]: 120})
    assert actions.approve(by=None, round_id=found.pk).roster_size == 0


@pytest.mark.parametrize(
    ("area", "people", "code"),
    [("340602001001", -1, "testing.estimate_number"), ("340603001001", 5, "testing.area_outside")],
)
def test_a_count_that_cannot_be(drill, area, people, code):
    with refused(code):
        actions.estimate(by=None, round_id=make_draft(drill).pk, people={area: people})


# --- the partition


def test_samples_of_a_round_get_a_partition_of_their_own(drill):
    resident(drill, drill.communities[0])
    found = actions.approve(by=None, round_id=make_draft(drill).pk)
    assert partition_of(found) == "testing_sample"
    assert RoundStep.objects.get(round=found, state="approved").detail == {"roster": 1, "partition": True}
    assert actions.make_partition(found.pk) is True


def test_rows_that_came_too_early_keep_their_round_in_the_default_partition(drill):
    resident(drill, drill.communities[0])
    found = make_draft(drill)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO testing_sample (district, round, id, operation, person, tube, site, station, single, late,
               happened_at) VALUES (%s, %s, %s, %s, %s, 'T', 1, 1, false, false, now())""",
            [drill.district, found.pk, uuid7(), drill.id, uuid7()],
        )
    assert actions.approve(by=None, round_id=found.pk).state == "approved"
    assert partition_of(found) is None


@pytest.mark.django_db(transaction=True)
def test_intake_is_not_kept_waiting_for_a_partition():
    """Somebody holds the DEFAULT partition: the attempt gives up within its time limit, the round goes on without."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE testing_sample_rest IN ROW EXCLUSIVE MODE")
            held.set()
            done.wait(10)
            cursor.execute("COMMIT")
        connections["default"].close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    begun = clock.now()
    try:
        assert actions.make_partition(987_654) is False
    finally:
        done.set()
        holder.join()
    assert clock.now() - begun < timedelta(seconds=2)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('testing_sample_r987654')")
        assert cursor.fetchone() == (None,)


# --- running and closing


@pytest.fixture
def approved(drill: PreparedOperation) -> Round:
    resident(drill, drill.communities[0])
    return actions.approve(by=None, round_id=make_draft(drill).pk)


def test_a_round_goes_its_way_and_tells_what_it_was_when(drill, approved):
    actions.start(by=None, round_id=approved.pk)
    actions.begin_make_up(by=None, round_id=approved.pk, reason="查缺补漏")
    actions.begin_closing(by=None, round_id=approved.pk)
    ended = actions.close(by=None, round_id=approved.pk, reasons={})
    assert ended.closed_at is not None
    window = queries.round_windows(drill.id)[approved.pk]
    assert [one.state for one in window.history] == ["draft", "approved", "running", "make_up", "closing", "closed"]
    assert window.state_at(window.history[2].since) == "running"
    assert window.state_at(STARTS) == "draft"
    assert window.closed_at == ended.closed_at


def test_steps_come_in_their_order(approved):
    for step in (actions.begin_make_up, actions.begin_closing):
        with refused("testing.step_impossible"):
            step(by=None, round_id=approved.pk)
    with refused("testing.step_impossible"):
        actions.close(by=None, round_id=approved.pk, reasons={})
    with refused("testing.step_impossible"):
        actions.approve(by=None, round_id=approved.pk)


def test_closing_may_lead_back_to_make_up(approved):
    actions.start(by=None, round_id=approved.pk)
    actions.begin_closing(by=None, round_id=approved.pk)
    assert actions.begin_make_up(by=None, round_id=approved.pk, reason="还有未到").state == "make_up"


def device(drill: PreparedOperation, name: str, **more: Any) -> Device:
    row = {"id": uuid7(), "district": drill.district, "operation": drill.id, "name": name, "paired_at": STARTS}
    made = Device.objects.create(**row | {"token_hash": name.encode(), "last_contact": clock.now()} | more)
    DeviceScope.objects.create(device=made, site=drill.points[0].pk, valid_from=STARTS)
    return made


def test_closing_asks_about_every_device_that_may_hold_facts(drill, approved):
    device(drill, "good")
    holding = device(drill, "holding", unsent=12)
    silent = device(drill, "silent", last_contact=clock.now() - timedelta(hours=3))
    missing = device(drill, "missing", highest_seq=7)
    actions.start(by=None, round_id=approved.pk)
    actions.begin_closing(by=None, round_id=approved.pk)
    listed = RoundStep.objects.get(round=approved, state="closing").detail["devices"]
    assert {one["name"] for one in listed} == {"holding", "silent", "missing"}
    assert {one["name"]: one["missing"] for one in listed}["missing"] == 7
    reasons = {str(one.id): "掉入水中" for one in (holding, silent)}
    with refused("testing.device_unexplained"):
        actions.close(by=None, round_id=approved.pk, reasons=reasons)
    actions.close(by=None, round_id=approved.pk, reasons=reasons | {str(missing.id): "纸质补录"})
    told = RoundStep.objects.get(round=approved, state="closed").detail["devices"]
    assert {one["name"]: one["reason"] for one in told}["missing"] == "纸质补录"


# --- points


def test_points_serve_a_round(drill, approved):
    one, two = drill.points[:2]
    actions.assign_sites(by=None, round_id=approved.pk, stations={one.pk: 2, drill.door_team.pk: 1})
    assert queries.stations_of(approved.pk) == {one.pk: 2, drill.door_team.pk: 1}
    actions.assign_sites(by=None, round_id=approved.pk, stations={two.pk: 3})
    assert queries.stations_of(approved.pk) == {two.pk: 3}
    with refused("testing.site_unknown"):
        actions.assign_sites(by=None, round_id=approved.pk, stations={999_999: 1})
    with refused("testing.stations_number"):
        actions.assign_sites(by=None, round_id=approved.pk, stations={one.pk: 0})
    assert queries.stations_of(approved.pk) == {two.pk: 3}


def test_a_closed_round_is_left_alone(drill, approved):
    actions.start(by=None, round_id=approved.pk)
    actions.begin_closing(by=None, round_id=approved.pk)
    actions.close(by=None, round_id=approved.pk, reasons={})
    with refused("testing.round_over"):
        actions.assign_sites(by=None, round_id=approved.pk, stations={})
    with refused("testing.round_over"):
        actions.estimate(by=None, round_id=approved.pk, people={})


# --- who may


def test_each_step_asks_for_its_permission_in_the_whole_scope(drill):
    resident(drill, drill.communities[0])
    street, district = drill.streets[0], str(drill.district)
    manager, commander = somebody(Role.ROUND_MANAGER, district), somebody(Role.COMMANDER, district)
    local, auditor = somebody(Role.ROUND_MANAGER, street), somebody(Role.AUDITOR, district)
    for nobody in (local, auditor, commander):
        with refused("access.not_allowed"):
            actions.draft(by=nobody, operation=drill.id, plan=plan(drill))
    actions.draft(by=local, operation=drill.id, plan=plan(drill, areas=[street]))
    found = actions.draft(by=manager, operation=drill.id, plan=plan(drill))
    with refused("access.not_allowed"):
        actions.revise(by=local, round_id=found.pk, plan=plan(drill, areas=[street]))
    with refused("access.not_allowed"):
        actions.approve(by=manager, round_id=found.pk)
    actions.approve(by=commander, round_id=found.pk)
    with refused("access.not_allowed"):
        actions.start(by=local, round_id=found.pk)
    actions.start(by=manager, round_id=found.pk)
    assert [step.by for step in queries.steps_of(found.pk)] == [manager.pk, commander.pk, manager.pk]
