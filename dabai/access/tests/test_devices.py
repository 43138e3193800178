"""Pairing, scopes, contacts, gaps: what a desk knows of its devices."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from dabai.access import actions, codes, queries
from dabai.access.actions import Contact
from dabai.access.models import AuditEntry, Device, DeviceScope, PairingCode
from dabai.access.queries import Gap, authenticate_device
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(drill):
    return make_cast(drill.id, drill.streets[0])


@pytest.fixture
def manager(cast):
    return cast.round_manager.user


@pytest.fixture
def phone(drill):
    code = actions.issue_pairing_code(operation=drill.id, name="手机01", by=None, site=drill.points[0].pk)
    return actions.pair_device(code=code, name="Redmi 9A", app="1.0")


def refusal(call, **arguments) -> str:
    with pytest.raises(Refusal) as refused:
        call(**arguments)
    return refused.value.code


# ---- pairing


def test_a_code_turns_a_phone_into_a_device_once(drill, manager):
    point = drill.points[0]
    code = actions.issue_pairing_code(operation=drill.id, name="手机01", by=manager, site=point.pk)
    device, token = actions.pair_device(code=codes.shown(code).lower(), name="Redmi 9A", app="1.0")
    assert (device.district, device.operation, device.name) == (340602, drill.id, "手机01")
    seen = authenticate_device(token)
    assert seen is not None
    assert (seen.id, seen.district, seen.revoked, seen.lost) == (device.pk, 340602, False, False)
    assert seen.covers(point.pk, point.area, clock.now())
    assert not seen.covers(drill.points[1].pk, drill.points[1].area, clock.now())
    actions.check_in([heard(device, highest_seq=0, unsent=0)])
    assert refusal(actions.pair_device, code=code, name="", app="") == "access.code_used"


def test_what_was_on_paper_before_the_device_came_is_in_scope(phone, drill):
    seen = authenticate_device(phone[1])
    assert seen is not None
    assert seen.covers(drill.points[0].pk, drill.points[0].area, clock.now() - timedelta(days=10))


def test_a_lost_answer_is_asked_for_again_until_the_device_is_heard_of(drill):
    code = actions.issue_pairing_code(operation=drill.id, name="手机01", by=None, area=drill.streets[0])
    (first, old), (second, new) = (actions.pair_device(code=code, name="", app="") for _ in range(2))
    assert first.pk == second.pk
    assert authenticate_device(old) is None
    assert authenticate_device(new) is not None
    PairingCode.objects.update(used_at=clock.now() - timedelta(hours=1))
    assert refusal(actions.pair_device, code=code, name="", app="") == "access.code_used"


def test_codes_that_pair_nothing(drill):
    code = actions.issue_pairing_code(operation=drill.id, name="手机01", by=None, area=drill.streets[0])
    assert refusal(actions.pair_device, code=codes.new_code(), name="", app="") == "access.code_unknown"
    assert refusal(actions.pair_device, code="ABC", name="", app="") == "access.code_mistyped"
    PairingCode.objects.update(expires_at=clock.now())
    assert refusal(actions.pair_device, code=code, name="", app="") == "access.code_expired"
    PairingCode.objects.update(expires_at=clock.now() + timedelta(hours=1))
    drill.operation.ended_at = clock.now()
    drill.operation.save(update_fields=["ended_at"])
    assert refusal(actions.pair_device, code=code, name="", app="") == "access.operation_over"


def test_a_code_needs_a_place_a_name_and_somebody_who_may(drill, cast, manager):
    call = {"operation": drill.id, "name": "手机", "by": manager}
    issue = actions.issue_pairing_code
    assert refusal(issue, **call) == "access.scope_missing"
    assert refusal(issue, **call, area="34060") == "access.area_code"
    assert refusal(issue, **call, site=987654) == "access.site_unknown"
    assert refusal(issue, **call, site=drill.points[1].pk) == "access.not_allowed"
    assert refusal(issue, **call | {"name": " "}, area=drill.streets[0]) == "access.name_missing"
    assert refusal(issue, **call | {"by": cast.packer.user}, area=drill.streets[0]) == "access.not_allowed"
    assert refusal(issue, **call, area=drill.streets[0], kind="toaster") == "access.device_kind"
    assert refusal(issue, **call | {"operation": 987654}, area=drill.streets[0]) == "access.operation_not_found"


def test_tokens_and_codes_are_kept_as_digests_only(phone):
    device, token = phone
    stored = bytes(Device.objects.get(pk=device.pk).token_hash)
    assert len(stored) == 32
    assert token.encode() not in stored


# ---- scope, revocation


def test_a_moved_device_is_judged_by_where_it_was_when_it_happened(phone, drill):
    device, token = phone
    before, (first, second) = clock.now(), drill.points
    actions.rescope_device(device=device, by=None, site=second.pk)
    seen, now = authenticate_device(token), clock.now()
    assert seen is not None
    assert seen.covers(first.pk, first.area, before)
    assert not seen.covers(first.pk, first.area, now)
    assert seen.covers(second.pk, second.area, now)


def test_a_move_is_seen_before_anything_is_refused_for_it(phone, drill):
    device, token = phone
    seen = authenticate_device(token)
    second = drill.points[1]
    DeviceScope.objects.create(device=device, site=second.pk, valid_from=clock.now() - timedelta(hours=1))
    assert seen is not None
    assert seen.covers(second.pk, second.area, clock.now())


def test_a_scope_planned_for_tomorrow_is_replaced_by_another_plan(phone, drill):
    device, _ = phone
    tomorrow = clock.now() + timedelta(days=1)
    for site in (drill.points[1].pk, drill.checkpoint.pk):
        actions.rescope_device(device=device, by=None, site=site, at=tomorrow)
    scopes = DeviceScope.objects.filter(device=device).order_by("valid_from")
    assert [(scope.site, scope.valid_to) for scope in scopes] == [
        (drill.points[0].pk, tomorrow),
        (drill.checkpoint.pk, None),
    ]


def test_a_manager_moves_and_revokes_the_devices_of_their_own_area(phone, drill, cast, manager):
    device, _ = phone
    assert refusal(actions.rescope_device, device=device, by=manager, site=drill.points[1].pk) == "access.not_allowed"
    actions.rescope_device(device=device, by=manager, area=drill.streets[0])
    call = {"device": device, "reason": "摔坏"}
    assert refusal(actions.revoke_device, by=cast.outsider.user, **call) == "access.not_allowed"
    assert refusal(actions.revoke_device, by=manager, device=device, reason="") == "access.reason_missing"
    actions.revoke_device(by=manager, **call)


def test_a_revoked_device_still_authenticates_and_says_so(phone):
    device, token = phone
    assert authenticate_device(token) is not None
    actions.revoke_device(device=device, by=None, reason="丢失", lost=True)
    seen = authenticate_device(token)
    assert seen is not None
    assert seen.revoked
    assert seen.lost
    first = Device.objects.get(pk=device.pk)
    actions.revoke_device(device=device, by=None, reason="确认")
    again = Device.objects.get(pk=device.pk)
    assert (again.lost_at, again.revoked_at) == (first.lost_at, first.revoked_at)
    assert list(AuditEntry.objects.filter(subject=f"device/{device.pk}").values_list("action", flat=True)) == [
        "device.paired",
        "device.lost",
        "device.revoked",
    ]


def test_a_token_that_never_was_is_nobodys():
    assert authenticate_device("x" * 43) is None


def test_devices_are_read_once_until_one_of_them_changes(phone, drill, django_assert_num_queries, monkeypatch):
    device, token = phone
    queries.forget_devices()
    with django_assert_num_queries(2):  # whether any has changed, and this one
        for _ in range(5):
            authenticate_device(token)
    with django_assert_num_queries(1):
        authenticate_device(token, reread=True)
    monkeypatch.setattr(queries, "REMEMBER_SECONDS", 0.0)
    with django_assert_num_queries(1):  # none has
        authenticate_device(token)
    DeviceScope.objects.filter(device=device).update(valid_to=clock.now())
    with django_assert_num_queries(2):
        seen = authenticate_device(token)
    assert seen is not None
    assert not seen.covers(drill.points[0].pk, drill.points[0].area, clock.now())


@pytest.mark.parametrize("change", ["scope", "revoked_at", "lost_at"])
def test_every_change_of_a_device_is_seen(phone, drill, monkeypatch, change):
    device, token = phone
    monkeypatch.setattr(queries, "REMEMBER_SECONDS", 0.0)
    before = authenticate_device(token)
    if change == "scope":
        DeviceScope.objects.create(device=device, area=drill.streets[1], valid_from=clock.now())
    else:
        Device.objects.filter(pk=device.pk).update(**{change: clock.now()})
    assert authenticate_device(token) != before


def test_one_asks_whether_a_device_changed_and_the_others_go_on(phone, monkeypatch):
    _, token = phone
    before = authenticate_device(token)
    monkeypatch.setattr(queries, "REMEMBER_SECONDS", 0.0)
    with queries._devices._looking:
        monkeypatch.setattr(queries, "read_device", None)
        assert authenticate_device(token) is before


def test_what_is_remembered_is_bounded(phone, monkeypatch):
    monkeypatch.setattr(queries, "REMEMBERED", 2)
    seen = authenticate_device(phone[1])
    assert seen is not None
    memory = queries.DeviceMemory()
    for n in range(4):
        memory.put(bytes([n]), seen, 1)
    assert [memory.has_met(bytes([n])) for n in range(4)] == [False, False, True, True]
    assert memory.get(bytes([3]), 1) is seen
    assert memory.get(bytes([3]), 2) is None


# ---- contacts


def heard(device: Device, **said: Any) -> Contact:
    """A device said this of itself, now."""
    return Contact(device.pk, clock.now(), **said)


def test_a_contact_is_one_statement_and_keeps_the_highest_number(phone, django_assert_num_queries):
    device, _ = phone
    with django_assert_num_queries(1):
        actions.check_in([heard(device, highest_seq=90, unsent=3, skew=timedelta(seconds=-2), app="1.1")])
    actions.check_in([heard(device, highest_seq=40)])
    row = Device.objects.get(pk=device.pk)
    assert (row.highest_seq, row.unsent, row.skew_ms, row.app_version) == (90, 0, 0, "1.1")
    assert row.last_contact is not None


def test_many_contacts_are_one_statement_and_the_last_words_of_each_count(phone, drill, django_assert_num_queries):
    device, _ = phone
    code = actions.issue_pairing_code(operation=drill.id, name="手机02", by=None, area=drill.streets[0])
    other = actions.pair_device(code=code, name="", app="")[0]
    said = [
        heard(device, highest_seq=7, unsent=2, app="1.2"),
        heard(other, highest_seq=3, unsent=1),
        heard(device, highest_seq=6),
    ]
    with django_assert_num_queries(1):
        actions.check_in(said)
    rows = dict(Device.objects.values_list("pk", "highest_seq"))
    assert rows == {device.pk: 7, other.pk: 3}
    device.refresh_from_db()
    assert (device.unsent, device.app_version) == (0, "1.2")


def test_nothing_heard_is_no_statement(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        actions.check_in([])


# ---- gaps and silence


def arrive(drill, device, *numbers: int | None) -> None:
    """Journal rows with these device_seq."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO journal_entry (district, id, seq, operation, kind, verdict, flags, digest, device, device_seq,"
            " area, happened_at, received_at) VALUES (%s, %s, %s, %s, 1, 1, 0, '', %s, %s, '340602', now(), now())",
            [(drill.district, uuid7(), n, drill.id, device, number) for n, number in enumerate(numbers, start=1)],
        )


@pytest.mark.parametrize(
    ("highest", "came", "missing"),
    [
        (0, [], []),
        (0, [None, None], []),
        (3, [], [(1, 3)]),
        (3, [1, 2, 3], []),
        (3, [3, 1, 2, 2], []),
        (9, [2, 3, 6], [(1, 1), (4, 5), (7, 9)]),
        (2, [1, 5], [(2, 4)]),
        (0, [0, 1, 2], []),
    ],
)
def test_what_a_device_made_and_did_not_deliver(phone, drill, highest, came, missing):
    device, _ = phone
    actions.check_in([heard(device, highest_seq=highest, unsent=0)])
    arrive(drill, device.pk, *came)
    found = [(gap.first, gap.last) for gap in queries.device_gaps(drill.id)]
    assert found == missing
    assert queries.device_gaps(drill.id, device.pk) == [Gap(device.pk, *one) for one in missing]


def test_gaps_of_all_devices_are_one_statement(phone, drill, django_assert_num_queries):
    others = []
    for n in range(3):
        code = actions.issue_pairing_code(operation=drill.id, name=f"手机{n}", by=None, area=drill.streets[n])
        others.append(actions.pair_device(code=code, name="", app="")[0].pk)
    for number, device in enumerate(others, start=1):
        arrive(drill, device, number)
    arrive(drill, uuid4(), 5)
    with django_assert_num_queries(2):
        found = {(gap.device, gap.count) for gap in queries.device_gaps(drill.id)}
    assert found == {(others[1], 1), (others[2], 2)}


def test_the_list_of_devices_says_what_is_missing_and_who_is_silent(phone, drill, cast):
    device, _ = phone
    arrive(drill, device.pk, 1, 4)
    actions.check_in([heard(device, highest_seq=4, unsent=0)])
    code = actions.issue_pairing_code(
        operation=drill.id, name="手机02", by=None, area=drill.streets[1], holder=cast.courier.user
    )
    quiet, _ = actions.pair_device(code=code, name="", app="")
    one, two = queries.devices_of(drill.id)
    assert (one.id, one.missing, one.silent, one.sites, one.areas) == (
        device.pk,
        2,
        False,
        [drill.points[0].pk],
        [drill.points[0].area],
    )
    assert (two.id, two.silent, two.holder, two.areas) == (quiet.pk, True, "转运员小段", [drill.streets[1]])
    assert [row.id for row in queries.devices_of(drill.id, [drill.streets[1]], gaps=False)] == [quiet.pk]
    assert {row.id for row in queries.devices_to_ask_about(drill.id)} == {device.pk, quiet.pk}


def test_a_device_heard_of_long_ago_or_still_holding_facts_is_silent(phone, drill):
    device, _ = phone
    actions.check_in([heard(device, highest_seq=0, unsent=2)])
    assert queries.devices_of(drill.id)[0].silent
    actions.check_in([heard(device, highest_seq=0, unsent=0)])
    assert not queries.devices_of(drill.id)[0].silent
    later = clock.now() + timedelta(hours=1)
    assert queries.devices_of(drill.id, at=later)[0].silent
    actions.revoke_device(device=device, by=None, reason="收回")
    assert not queries.devices_of(drill.id, at=later)[0].silent
