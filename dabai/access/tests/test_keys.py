"""Sealing, rotating, sealing again, and destroying."""

import hmac
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag
from django.apps import apps
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from dabai.access import keys, reseal, sunset
from dabai.access.keys import (
    forget_rings,
    make_device_secret,
    make_key,
    make_sealing_key,
    newest_sealing_key,
    point_of,
    ring,
    sealing_privates,
)
from dabai.access.models import AuditEntry, DataKey, Device, DeviceSecret, SealingKey
from dabai.journal.models import Kept
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.people.models import Household, Import, ImportState, ListedPerson, Person, StagedRow
from dabai.testkit.cast import make_cast

pytestmark = pytest.mark.django_db
NAME = "演佳禾"


def a_person(drill, name: str = NAME) -> Person:
    held, row = ring(drill.id), uuid7()
    return Person.objects.create(
        district=drill.district,
        id=row,
        operation=drill.id,
        area=drill.grids[0],
        document_kind="none",
        key=held.current,
        name_enc=held.seal("people_person", "name", row, name),
        name_token=held.token("name", name),
    )


def name_of(drill, person: Person) -> str | None:
    fresh = Person.objects.get(id=person.id)
    return ring(drill.id).open(fresh.key, "people_person", "name", fresh.id, fresh.name_enc)


def end(drill) -> None:
    drill.operation.ended_at = clock.now() - timedelta(hours=1)
    drill.operation.save(update_fields=["ended_at"])


@pytest.fixture
def cast(drill):
    return make_cast(drill.id, str(drill.district))


@pytest.fixture
def key_files(monkeypatch, tmp_path, settings):
    """A master key that lies in a file, as in an installation."""
    monkeypatch.delenv("DABAI_MASTER_KEY")
    settings.DATA_FOLDER = tmp_path
    forget_rings()
    return tmp_path / "keys"


# ---- sealing


@pytest.mark.parametrize("cipher", keys.CIPHERS)
def test_a_sealed_value_opens_in_its_own_cell_only(drill, settings, cipher):
    settings.CIPHER = cipher
    make_key(drill.id)
    held, row = ring(drill.id), uuid4()
    sealed = held.seal("people_person", "name", row, NAME)
    assert sealed is not None
    assert NAME.encode() not in sealed
    assert held.open(held.current, "people_person", "name", row, sealed) == NAME
    for table, column, where in [
        ("people_listed", "name", row),
        ("people_person", "phone", row),
        ("people_person", "name", uuid4()),
    ]:
        with pytest.raises(InvalidTag):
            held.open(held.current, table, column, where, sealed)


def test_equal_values_are_sealed_differently_and_have_one_token(drill):
    held, row = ring(drill.id), uuid4()
    assert held.seal("t", "c", row, NAME) != held.seal("t", "c", row, NAME)
    assert held.token("name", NAME) == held.token("name", NAME)
    assert held.token("name", NAME) != held.token("phone", NAME)
    assert held.seal("t", "c", row, None) is held.token("name", "") is None


@given(st.binary(min_size=32, max_size=32), st.text(min_size=1))
def test_a_token_is_an_hmac(key, text):
    held = keys.KeyRing(1, 1, {}, {"name": key})
    assert held.token("name", text) == hmac.digest(key, text.encode(), "sha256")[:16]


def test_open_keys_are_read_again_after_half_a_minute(drill, django_assert_num_queries, monkeypatch):
    forget_rings()
    with django_assert_num_queries(1):
        ring(drill.id)
        ring(drill.id)
    monkeypatch.setattr(keys, "REMEMBER_SECONDS", 0.0)
    with django_assert_num_queries(1):
        ring(drill.id)


# ---- rotation


def test_after_a_rotation_old_and_new_rows_open(drill):
    before = a_person(drill)
    token = ring(drill.id).token("name", NAME)
    reseal.rotate_key(operation=drill.id, by=None)
    after = a_person(drill)
    assert (before.key, after.key) == (1, 2)
    assert name_of(drill, before) == name_of(drill, after) == NAME
    assert ring(drill.id).token("name", NAME) == token == after.name_token


def test_a_process_that_has_not_heard_of_a_rotation_opens_what_the_new_key_sealed(drill):
    stale = ring(drill.id)
    reseal.rotate_key(operation=drill.id, by=None)
    row = a_person(drill)
    assert stale.open(row.key, "people_person", "name", row.id, row.name_enc) == NAME


def test_every_sealed_column_of_every_model_is_walked():
    columns = {
        (model._meta.db_table, field.attname)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if field.attname.endswith("_enc")
    }
    walked = {(table.table, column) for table in reseal.sealed_tables() for column in table.labels}
    assert columns == walked
    assert ("people_person", "name_enc") in walked


def seal_one_of_each(drill) -> dict[str, list]:
    """A row in every table that holds sealed columns, sealed as their owners do it."""
    held, district, area = ring(drill.id), drill.district, drill.grids[0]
    person = a_person(drill)
    house, listed, kept = uuid4(), uuid7(), uuid7()
    common = {"district": district, "operation": drill.id, "area": area, "key": held.current}
    Household.objects.create(id=house, address_enc=held.seal("people_household", "address", house, "3栋"), **common)
    sealed = held.seal("people_listed", "name", listed, NAME)
    ListedPerson.objects.create(id=listed, batch=1, name_enc=sealed, name_token=b"", **common)
    body = held.seal("journal_kept", "body", kept, "{}")
    Kept.objects.create(id=kept, kind="x", code="x", body_enc=body, received_at=clock.now(), **common)
    for number, (purpose, table) in enumerate((("residents", "people_person"), ("cross_list", "people_listed"))):
        batch = Import.objects.create(
            operation=drill.id,
            district=district,
            purpose=purpose,
            label="",
            file_name="",
            file_digest=b"",
            area=area,
            state=ImportState.STAGED,
            created_at=clock.now(),
        )
        row = uuid7()
        StagedRow.objects.create(
            district=district,
            batch=batch.pk,
            number=number,
            outcome="added",
            person=row,
            household=house,
            key=held.current,
            name_enc=held.seal(table, "name", row, NAME),
            address_enc=held.seal("people_household", "address", house, "3栋"),
        )
    return {"person": [person], "house": [house]}


def test_everything_is_sealed_again_and_the_old_key_can_go(drill):
    seal_one_of_each(drill)
    reseal.rotate_key(operation=drill.id, by=None)
    assert reseal.reseal(operation=drill.id, by=None) == 6
    assert reseal.rows_under(drill.id, 1) == 0
    assert reseal.retire_keys(operation=drill.id, by=None).waiting == [1]
    rested = datetime.now(UTC) - timedelta(hours=2)
    DataKey.objects.filter(number=1).update(retired_at=rested)
    Import.objects.filter(purpose="residents").update(created_at=rested - timedelta(hours=1))
    assert reseal.retire_keys(operation=drill.id, by=None).waiting == [1]
    Import.objects.update(finished_at=clock.now())
    assert reseal.retire_keys(operation=drill.id, by=None).destroyed == [1]
    assert ring(drill.id).ciphers.keys() == {2}
    held = ring(drill.id)
    for staged, table in zip(StagedRow.objects.order_by("number"), ("people_person", "people_listed"), strict=True):
        assert held.open(staged.key, table, "name", staged.person, staged.name_enc) == NAME
        house = staged.household
        assert house is not None
        assert held.open(staged.key, "people_household", "address", house, staged.address_enc) == "3栋"
    kept = Kept.objects.get()
    assert held.open(kept.key, "journal_kept", "body", kept.id, kept.body_enc) == "{}"
    assert make_key(drill.id).number == 3


def test_a_key_that_still_seals_rows_is_not_destroyed(drill):
    a_person(drill)
    reseal.rotate_key(operation=drill.id, by=None)
    DataKey.objects.filter(number=1).update(retired_at=datetime.now(UTC) - timedelta(hours=2))
    assert reseal.retire_keys(operation=drill.id, by=None).waiting == [1]


def test_a_walk_that_was_stopped_goes_on(drill, monkeypatch):
    monkeypatch.setattr(reseal, "BATCH", 2)
    people = [a_person(drill, f"演{n}") for n in range(5)]
    reseal.rotate_key(operation=drill.id, by=None)
    heard: list[int] = []
    assert reseal.reseal(operation=drill.id, by=None, on_batch=heard.append, stop=lambda: bool(heard)) == 2
    assert reseal.reseal(operation=drill.id, by=None, on_batch=heard.append) == 3
    assert heard == [2, 2, 3]
    assert reseal.reseal(operation=drill.id, by=None) == 0
    assert [name_of(drill, person) for person in people] == [f"演{n}" for n in range(5)]


def test_another_operation_is_left_alone(drill):
    from dabai.testkit.district import make_operation

    other = make_operation()
    theirs = a_person(other)
    reseal.rotate_key(operation=drill.id, by=None)
    assert reseal.reseal(operation=drill.id, by=None) == 0
    assert Person.objects.get(id=theirs.id).key == 1


def test_only_who_manages_keys_rotates_them(drill, cast):
    for call in (reseal.rotate_key, reseal.reseal, reseal.retire_keys):
        with pytest.raises(Refusal, match="not_allowed"):
            call(operation=drill.id, by=cast.commander.user)
    assert reseal.rotate_key(operation=drill.id, by=cast.administrator.user).number == 2


# ---- sealing keys


def test_the_first_sealing_key_is_made_when_it_is_asked_for_and_its_private_half_is_wrapped(drill):
    row = newest_sealing_key(drill.id)
    assert newest_sealing_key(drill.id) == row
    private = sealing_privates(drill.id, {row.number})[row.number]
    assert (row.number, point_of(private)) == (1, bytes(row.public))
    assert private.private_numbers().private_value.to_bytes(32, "big") not in bytes(row.wrapped_private or b"")


def test_each_operation_has_its_own(drill):
    from dabai.testkit.district import make_operation

    mine, theirs = newest_sealing_key(drill.id), newest_sealing_key(make_operation().id)
    assert mine.public != theirs.public
    mine.wrapped_private = theirs.wrapped_private
    with pytest.raises(Refusal, match="master_key_wrong"):
        keys.unwrap(mine, "wrapped_private")


def test_a_rotation_makes_another_and_the_one_before_still_opens(drill):
    first = newest_sealing_key(drill.id)
    reseal.rotate_key(operation=drill.id, by=None)
    assert newest_sealing_key(drill.id).number == 2
    assert sealing_privates(drill.id, {1, 2}).keys() == {1, 2}
    first.refresh_from_db()
    assert first.retired_at is not None
    retired = first.retired_at
    reseal.rotate_key(operation=drill.id, by=None)
    first.refresh_from_db()
    assert (newest_sealing_key(drill.id).number, first.retired_at) == (3, retired)


def test_replaced_sealing_keys_are_destroyed_after_two_months(drill):
    newest_sealing_key(drill.id)
    reseal.rotate_key(operation=drill.id, by=None)
    reseal.retire_keys(operation=drill.id, by=None)
    assert sealing_privates(drill.id, {1}).keys() == {1, 2}
    SealingKey.objects.filter(number=1).update(retired_at=datetime.now(UTC) - reseal.SEALING_REST)
    reseal.retire_keys(operation=drill.id, by=None)
    assert sealing_privates(drill.id, {1}).keys() == {2}
    assert AuditEntry.objects.filter(action="key.destroyed", subject="sealing_key/1").count() == 1


def test_open_sealing_keys_are_remembered_for_half_a_minute(drill, django_assert_num_queries, monkeypatch):
    newest_sealing_key(drill.id)
    with django_assert_num_queries(1):
        sealing_privates(drill.id, {1})
        sealing_privates(drill.id, {1})
    with django_assert_num_queries(1):
        sealing_privates(drill.id, {2})
    monkeypatch.setattr(keys, "REMEMBER_SECONDS", 0.0)
    with django_assert_num_queries(1):
        sealing_privates(drill.id, {1})


# ---- the master key


@pytest.fixture
def only_77(drill, key_files):
    """One key under the master key in the file, none under the tests' own."""
    DataKey.objects.all().delete()
    make_key(77)
    make_sealing_key(77)


def test_a_changed_master_key_opens_everything_and_the_old_one_nothing(only_77, key_files):
    old = keys.master_keys()
    assert sunset.change_master_key(by=None) is True
    assert keys.master_keys() != old
    assert not (key_files / "master.key.next").exists()
    assert (key_files / "master.key").stat().st_mode & 0o777 == 0o600
    assert ring(77).current == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DABAI_MASTER_KEY", old[0].hex())
        with pytest.raises(Refusal, match="master_key_wrong"):
            ring(77, reread=True)
        with pytest.raises(Refusal, match="master_key_wrong"):
            keys.open_sealing_keys(77)
    assert keys.open_sealing_keys(77).keys() == {1}


@pytest.mark.parametrize("crash_in", ["wrap_anew", "replace_master_file", "overwrite"])
def test_a_crash_while_the_master_key_changes_loses_nothing(only_77, monkeypatch, crash_in):
    whole = getattr(sunset, crash_in)

    def crash(*arguments):
        if crash_in == "overwrite":
            whole(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sunset, crash_in, crash)
        with pytest.raises(KeyboardInterrupt):
            sunset.change_master_key(by=None)
    assert ring(77, reread=True).current == 1
    assert make_key(77).number == 2
    assert sunset.change_master_key(by=None)
    assert ring(77, reread=True).current == 2
    assert keys.open_sealing_keys(77).keys() == {1}
    assert len(keys.master_keys()) == 1


def test_a_master_key_of_the_environment_is_changed_by_the_operator(drill, monkeypatch):
    assert sunset.change_master_key(by=None) is False
    old, new = os.environ["DABAI_MASTER_KEY"], "77" * 32
    monkeypatch.setenv("DABAI_MASTER_KEY", new)
    monkeypatch.setenv("DABAI_MASTER_KEY_OLD", old)
    assert sunset.change_master_key(by=None) is True
    monkeypatch.delenv("DABAI_MASTER_KEY_OLD")
    assert ring(drill.id, reread=True).current == 1


# ---- sunset


def test_after_a_sunset_nothing_opens_and_tokens_find_nobody(drill, cast):
    person = a_person(drill)
    stale = ring(drill.id)
    device = Device.objects.create(
        id=uuid4(), district=drill.district, operation=drill.id, name="手机", token_hash=b"x", paired_at=clock.now()
    )
    make_device_secret(drill.id, device.pk)
    newest_sealing_key(drill.id)
    end(drill)
    told = sunset.sunset(operation=drill.id, by=cast.administrator.user, witness=cast.auditor.user, reason="演练结束")
    assert (told.rows["people_person"], told.devices, told.keys[0]["number"]) == (1, 1, 1)
    for question in (
        lambda: name_of(drill, person),
        lambda: ring(drill.id).token("name", NAME),
        lambda: make_key(drill.id),
        lambda: newest_sealing_key(drill.id),
    ):
        with pytest.raises(Refusal, match="key_destroyed"):
            question()
    assert sealing_privates(drill.id, {1}) == {}
    assert not DeviceSecret.objects.exists()
    assert [one["cipher"] for one in told.keys] == ["aes-256-gcm", "ecdh-p256"]
    assert stale.token("name", NAME) == bytes(person.name_token)
    assert sunset.sign(told).digest == told.digest
    line = AuditEntry.objects.get(action="operation.sunset")
    assert (line.detail["digest"], line.detail["witness"]) == (told.digest, "auditor")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM access_data_key WHERE operation = %s AND wrapped IS NOT NULL", [drill.id])
        assert cursor.fetchone()[0] == 0


def test_a_backup_of_the_database_opens_nothing_after_a_sunset(drill, key_files):
    cast = make_cast(drill.id, str(drill.district))
    DataKey.objects.all().delete()
    make_key(drill.id)
    backup = DataKey.objects.get()
    end(drill)
    told = sunset.sunset(operation=drill.id, by=cast.administrator.user, witness=cast.auditor.user, reason="结束")
    assert told.master_key_changed
    with pytest.raises(Refusal, match="master_key_wrong"):
        keys.unwrap(backup, "wrapped")


def test_a_sunset_needs_an_end_a_witness_and_a_reason(drill, cast):
    admin, auditor = cast.administrator.user, cast.auditor.user
    call = {"operation": drill.id, "by": admin, "witness": auditor, "reason": "结束"}
    for change, code in [
        ({}, "operation_running"),
        ({"operation": 987654}, "operation_not_found"),
        ({"by": cast.commander.user}, "not_allowed"),
    ]:
        with pytest.raises(Refusal, match=code):
            sunset.sunset(**call | change)
    end(drill)
    for change, code in [({"witness": admin}, "witness_same"), ({"reason": " "}, "reason_missing")]:
        with pytest.raises(Refusal, match=code):
            sunset.sunset(**call | change)
    assert ring(drill.id).current == 1
    sunset.sunset(**call)
    with pytest.raises(Refusal, match="key_destroyed"):
        sunset.sunset(**call)
