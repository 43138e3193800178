"""Signing on to a device: who, where, how often one may be wrong, and what one is given."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from dabai.access import actions, codes, keys, queries, reseal, signon
from dabai.access.models import AuditEntry, Device, DeviceSecret, SignOnFailure, User
from dabai.access.signon import sign_on
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation, make_operation

pytestmark = pytest.mark.django_db
PIN, WRONG = "270384", "270385"


@pytest.fixture
def cast(drill) -> Cast:
    found = make_cast(drill.id, drill.streets[0])
    for member in (found.swab_nurse, found.packer, found.commander, found.administrator):
        with_pin(member.user)
    return found


def with_pin(user: User) -> None:
    User.objects.filter(pk=user.pk).update(pin_hash=codes.pin_verifier(PIN))


def paired(drill: PreparedOperation, **scope) -> queries.DeviceContext:
    code = actions.issue_pairing_code(operation=drill.id, name="手机", by=None, **scope)
    _, token = actions.pair_device(code=code, name="", app="")
    found = queries.authenticate_device(token)
    assert found is not None
    return found


@pytest.fixture
def phone(drill) -> queries.DeviceContext:
    return paired(drill, site=drill.points[0].pk)


def refusal(device, login: str = "swab_nurse", pin: str = PIN) -> Refusal:
    with pytest.raises(Refusal) as refused:
        sign_on(device=device, login=login, pin=pin)
    return refused.value


# ---- who is let in


def test_a_worker_signs_on_for_a_shift(cast, phone):
    signed = sign_on(device=phone, login=" Swab_Nurse ", pin=PIN)
    assert signed.user == cast.swab_nurse.user
    assert signed.roles == {"registrar"}
    assert timedelta(hours=11, minutes=59) < signed.valid_until - datetime.now(UTC) < timedelta(hours=12)
    assert len(signed.device_secret) == 32
    assert signed.sealing_key == keys.newest_sealing_key(phone.operation)
    line = AuditEntry.objects.get(action="device.signed_on")
    assert (line.actor, line.device, line.subject) == (signed.user, phone.id, f"user/{signed.user.pk}")
    assert (line.operation, line.detail) == (phone.operation, {"roles": ["registrar"]})


def test_everybody_on_a_device_shares_its_secret_and_no_two_devices_do(cast, drill, phone):
    other = paired(drill, area=drill.streets[0])
    first, again = sign_on(device=phone, login="swab_nurse", pin=PIN), sign_on(device=phone, login="packer", pin=PIN)
    elsewhere = sign_on(device=other, login="packer", pin=PIN)
    assert first.device_secret == again.device_secret == keys.device_secret(phone.id)
    assert elsewhere.device_secret != first.device_secret


def test_the_secret_is_kept_sealed_and_sealed_again_by_a_rotation(cast, drill, phone):
    secret = sign_on(device=phone, login="packer", pin=PIN).device_secret
    reseal.rotate_key(operation=drill.id, by=None)
    assert reseal.reseal(operation=drill.id, by=None) >= 1
    row = DeviceSecret.objects.get(pk=phone.id)
    assert row.key == 2
    assert secret not in bytes(row.secret_enc)
    assert keys.device_secret(phone.id) == secret
    assert sign_on(device=phone, login="packer", pin=PIN).sealing_key.number == 2


@pytest.mark.parametrize("lost", [False, True])
def test_a_device_out_of_use_has_no_secret_any_more(cast, phone, lost):
    sign_on(device=phone, login="packer", pin=PIN)
    actions.revoke_device(device=Device.objects.get(pk=phone.id), by=None, reason="丢了", lost=lost)
    assert keys.device_secret(phone.id) is None
    assert refusal(phone, "packer").code == "access.device_not_allowed"
    assert not DeviceSecret.objects.exists()


def test_a_right_pin_writes_one_audit_row_and_nothing_else(cast, phone, django_assert_num_queries):
    sign_on(device=phone, login="packer", pin=PIN)
    with django_assert_num_queries(13) as told:
        sign_on(device=phone, login="packer", pin=PIN)
    changes = [one["sql"] for one in told if not one["sql"].startswith(("SELECT", "SAVEPOINT", "RELEASE"))]
    assert [one.split()[:3] for one in changes] == [["INSERT", "INTO", '"access_audit"']]


def test_without_a_role_here_a_right_pin_is_not_enough(cast, drill, phone):
    for login in ("commander", "administrator"):
        assert refusal(phone, login).code == "access.sign_on_not_allowed"
    elsewhere = paired(drill, area=drill.streets[1])
    assert refusal(elsewhere).code == "access.sign_on_not_allowed"


def test_a_role_in_another_operation_or_one_that_has_ended_is_none_here(cast, drill, phone):
    role = cast.swab_nurse.user.assignments.get()
    role.operation = make_operation().id
    role.save(update_fields=["operation"])
    assert refusal(phone).code == "access.sign_on_not_allowed"
    role.operation, role.valid_to = drill.id, clock.now()
    role.save(update_fields=["operation", "valid_to"])
    assert refusal(phone).code == "access.sign_on_not_allowed"


def test_a_role_in_part_of_the_devices_area_is_one_here(cast, drill):
    whole = paired(drill, area=str(drill.district))
    assert sign_on(device=whole, login="swab_nurse", pin=PIN).roles == {"registrar"}


def test_a_device_that_was_moved_is_judged_by_where_it_is(cast, drill, phone):
    row = Device.objects.get(pk=phone.id)
    actions.rescope_device(device=row, by=None, area=drill.streets[1])
    moved = queries.authenticate_digest(phone.token_hash, reread=True)
    assert refusal(moved).code == "access.sign_on_not_allowed"


def test_an_operation_that_is_over_signs_nobody_on(cast, drill, phone):
    drill.operation.ended_at = clock.now()
    drill.operation.save(update_fields=["ended_at"])
    assert refusal(phone).code == "access.operation_over"


# ---- who is not, and what they learn


def test_wrong_pin_unknown_name_and_closed_account_are_told_alike(cast, phone):
    User.objects.filter(pk=cast.packer.user.pk).update(is_active=False)
    for login, pin in [("swab_nurse", WRONG), ("nobody", PIN), ("packer", PIN), ("no\0body", "\0"), ("演" * 40, PIN)]:
        no = refusal(phone, login, pin)
        assert (no.code, no.field) == ("access.pin_wrong", "pin")
    lines = AuditEntry.objects.filter(action="device.sign_on_failed")
    assert {line.subject for line in lines} == {f"user/{cast.swab_nurse.user.pk}", f"user/{cast.packer.user.pk}", ""}
    assert all("nobody" not in str(line.detail) and WRONG not in str(line.detail) for line in lines)


def test_an_unknown_name_takes_as_many_statements_as_a_wrong_pin(cast, phone):
    refusal(phone, "swab_nurse", WRONG)
    asked = []
    for login in ("swab_nurse", "nobody"):
        with QueryCount() as count:
            refusal(phone, login, WRONG)
        asked.append(count.number)
    assert asked[0] == asked[1]


class QueryCount:
    """How many statements a block runs."""

    number = 0

    def __enter__(self) -> "QueryCount":
        self._wrapper = connection.execute_wrapper(self._count)
        self._wrapper.__enter__()
        return self

    def __exit__(self, *told) -> None:
        self._wrapper.__exit__(*told)

    def _count(self, execute, sql, params, many, context):
        self.number += 1
        return execute(sql, params, many, context)


def test_who_has_no_pin_is_told_so_where_they_work(cast, phone):
    assert refusal(phone, "courier").code == "access.pin_unset"
    assert refusal(phone, "auditor").code == "access.pin_wrong"


# ---- how often


def test_after_five_wrong_pins_the_name_waits_everywhere(cast, drill, phone):
    other = paired(drill, area=drill.streets[0])
    for device in (phone, phone, phone, other, other):
        assert refusal(device, pin=WRONG).code == "access.pin_wrong"
    for device in (phone, other):
        no = refusal(device, pin=PIN)
        assert no.code == "access.pin_too_many"
        assert 0 < no.params["seconds"] <= 15 * 60
    assert sign_on(device=phone, login="packer", pin=PIN)


def test_after_ten_wrong_pins_the_device_waits_whoever_holds_it(cast, phone):
    for n in range(10):
        assert refusal(phone, f"nurse{n}", WRONG).code == "access.pin_wrong"
    assert refusal(phone, "packer").code == "access.pin_too_many"


def test_waiting_ends_after_a_quarter_of_an_hour(cast, phone):
    for _ in range(5):
        refusal(phone, pin=WRONG)
    SignOnFailure.objects.update(since=datetime.now(UTC) - signon.WINDOW)
    assert refusal(phone, pin=WRONG).code == "access.pin_wrong"
    assert {row.count for row in SignOnFailure.objects.all()} == {1}
    assert sign_on(device=phone, login="swab_nurse", pin=PIN)


def test_a_right_pin_forgives_the_name_and_not_the_device(cast, phone):
    for _ in range(4):
        refusal(phone, pin=WRONG)
    sign_on(device=phone, login="swab_nurse", pin=PIN)
    assert [(row.subject, row.count) for row in SignOnFailure.objects.all()] == [(f"device/{phone.id}", 4)]


def test_old_failures_are_swept_out(cast, phone):
    SignOnFailure.objects.create(subject="device/gone", since=datetime.now(UTC) - timedelta(days=1), count=3)
    refusal(phone, pin=WRONG)
    assert not SignOnFailure.objects.filter(subject="device/gone").exists()


def test_no_name_is_written_down_that_nobody_has(cast, phone):
    refusal(phone, "342221199001010011", WRONG)
    rows = str(list(SignOnFailure.objects.values_list())) + str(list(AuditEntry.objects.values_list()))
    assert "342221199001010011" not in rows


@pytest.mark.django_db(transaction=True)
def test_asking_in_parallel_gives_no_more_guesses():
    drill = make_operation()
    cast = make_cast(drill.id, drill.streets[0])
    with_pin(cast.swab_nurse.user)
    phone = paired(drill, site=drill.points[0].pk)
    told: list[str] = []

    def guess(number: int) -> None:
        try:
            told.append(refusal(phone, pin=f"{number:06}").code)
        finally:
            connection.close()

    threads = [threading.Thread(target=guess, args=[900_000 + n]) for n in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(told) == ["access.pin_too_many"] * 7 + ["access.pin_wrong"] * 5
    assert refusal(phone).code == "access.pin_too_many"
