"""Accounts, roles, one-time links and PINs."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction

from dabai.access import actions, codes, queries
from dabai.access.models import ApiToken, Assignment, AuditEntry, OneTimeLink, User
from dabai.access.rules import Permission, Role
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import make_cast

pytestmark = pytest.mark.django_db
GOOD = "forty-two-swabs"
STREET = "340602001"


def token_of(link: str | None) -> str:
    assert link is not None
    assert link.startswith("/welcome/")
    return link.split("/")[2]


@pytest.fixture
def cast(drill):
    return make_cast(drill.id, STREET)


@pytest.fixture
def administrator(cast):
    return cast.administrator.user


def refusal(call, **arguments) -> str:
    with pytest.raises(Refusal) as refused:
        call(**arguments)
    return refused.value.code


# ---- the first administrator


def test_a_new_installation_has_a_link_for_its_first_administrator():
    first, second = actions.first_admin_link(), actions.first_admin_link()
    assert refusal(actions.use_link, token=token_of(first), password=GOOD) == "access.link_unknown"
    user = actions.use_link(token=token_of(second), password=GOOD, username="Luo", display_name="罗工")
    assert user.username == "luo"
    assert user.check_password(GOOD)
    assert queries.roles_of(user, None) == {Role.ADMINISTRATOR}
    assert actions.first_admin_link() is None
    assert refusal(actions.use_link, token=token_of(second), password=GOOD) == "access.link_used"


def test_a_first_link_does_nothing_once_somebody_else_was_first(cast):
    User.objects.filter(pk=cast.administrator.user.pk).update(is_active=False)
    link = actions.first_admin_link()
    User.objects.filter(pk=cast.administrator.user.pk).update(is_active=True)
    call = {"token": token_of(link), "password": GOOD, "username": "late", "display_name": "晚到"}
    assert refusal(actions.use_link, **call) == "access.link_used"


def test_an_administrator_who_never_set_a_password_is_none(administrator):
    administrator.set_unusable_password()
    administrator.save(update_fields=["password"])
    assert actions.first_admin_link() is not None


# ---- accounts


def test_an_account_begins_without_a_password_and_its_link_sets_one(administrator):
    user = actions.create_user(username="Zhou.Ning", display_name="周护士", by=administrator)
    assert user.username == "zhou.ning"
    assert not user.has_usable_password()
    link = actions.one_time_link(user=user, purpose="welcome", by=administrator)
    assert actions.use_link(token=token_of(link), password=GOOD).check_password(GOOD)
    assert refusal(actions.use_link, token=token_of(link), password=GOOD) == "access.link_used"


@pytest.mark.parametrize(
    ("username", "display_name", "code"),
    [
        ("", "周", "access.username_form"),
        ("a b", "周", "access.username_form"),
        ("x" * 41, "周", "access.username_form"),
        ("fresh", " ", "access.name_missing"),
        ("SWAB_NURSE", "周", "access.username_taken"),
    ],
)
def test_an_account_needs_a_free_name(administrator, username, display_name, code):
    call = {"username": username, "display_name": display_name, "by": administrator}
    assert refusal(actions.create_user, **call) == code


def test_only_an_administrator_makes_accounts(cast):
    for member in cast:
        call = {"username": f"new-{member.key}", "display_name": "新", "by": member.user}
        if member.key == "administrator":
            actions.create_user(**call)
        else:
            assert refusal(actions.create_user, **call) == "access.not_allowed"


def test_a_weak_password_is_refused_and_the_link_still_works(administrator):
    user = actions.create_user(username="zn", display_name="周", by=administrator)
    token = token_of(actions.one_time_link(user=user, purpose="welcome", by=administrator))
    assert refusal(actions.use_link, token=token, password="12345678") == "access.password_weak"
    assert actions.use_link(token=token, password=GOOD).pk == user.pk


def test_a_newer_link_takes_the_older_ones_back(administrator, cast):
    nurse = cast.swab_nurse.user
    old, new = (actions.one_time_link(user=nurse, purpose="password", by=administrator) for _ in range(2))
    assert refusal(actions.use_link, token=token_of(old), password=GOOD) == "access.link_expired"
    assert actions.use_link(token=token_of(new), password=GOOD) == nurse


def test_a_link_dies_with_time_and_with_its_account(administrator, cast):
    nurse = cast.swab_nurse.user
    late = token_of(actions.one_time_link(user=nurse, purpose="password", by=administrator))
    OneTimeLink.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert refusal(actions.use_link, token=late, password=GOOD) == "access.link_expired"
    shut = token_of(actions.one_time_link(user=nurse, purpose="password", by=administrator))
    actions.switch_account(user=nurse, active=False, by=administrator, reason="离岗")
    assert refusal(actions.use_link, token=shut, password=GOOD) == "access.link_expired"
    assert queries.grants_of(User.objects.get(pk=nurse.pk)) == []


def test_a_new_password_ends_the_tokens_of_scripts(cast):
    user = cast.round_manager.user
    ApiToken.objects.create(
        user=user, token_hash=b"x", made_at=clock.now(), expires_at=clock.now() + timedelta(hours=1)
    )
    actions.set_password(user=user, password=GOOD)
    assert ApiToken.objects.get(user=user).revoked_at is not None


def test_links_and_tokens_are_kept_as_digests_only(administrator, cast):
    token = token_of(actions.one_time_link(user=cast.packer.user, purpose="password", by=administrator))
    stored = bytes(OneTimeLink.objects.get().token_hash)
    assert len(stored) == 32
    assert token.encode() not in stored


def test_nobody_changes_their_own_account_or_one_outside_their_area(administrator, cast):
    call = {"purpose": "password", "by": administrator}
    assert refusal(actions.one_time_link, user=administrator, **call) == "access.own_account"
    assert refusal(actions.one_time_link, user=cast.outsider.user, **call) == "access.not_allowed"
    assert refusal(actions.one_time_link, user=cast.packer.user, purpose="password", by=cast.commander.user)


# ---- roles


def give(by, user, role="packer", area=STREET, **rest) -> Assignment:
    return actions.assign_role(user=user, role=role, area=area, by=by, **rest)


def test_a_role_is_given_from_now_and_ends_when_it_is_ended(administrator, cast, drill):
    user = actions.create_user(username="gao", display_name="高", by=administrator)
    made = give(administrator, user, operation=drill.id)
    assert give(administrator, user, operation=drill.id) == made
    assert queries.may(user, Permission.SEE_TUBES, STREET, drill.id)
    assert not queries.may(user, Permission.SEE_TUBES, STREET, drill.id + 1)
    actions.end_assignment(assignment=made, by=administrator, reason="换岗")
    assert not queries.may(user, Permission.SEE_TUBES, STREET, drill.id)
    again = give(administrator, user, operation=drill.id)
    assert again != made


def test_an_assignment_that_has_not_begun_never_begins(administrator, cast):
    user = actions.create_user(username="gao", display_name="高", by=administrator)
    tomorrow = clock.now() + timedelta(days=1)
    made = give(administrator, user, valid_from=tomorrow)
    actions.end_assignment(assignment=made, by=administrator, reason="取消")
    assert not queries.may(user, Permission.SEE_TUBES, STREET, None, tomorrow + timedelta(hours=1))


@pytest.mark.parametrize(
    ("role", "area", "code"),
    [
        ("superuser", STREET, "access.role_unknown"),
        ("administrator", STREET, "access.roles_conflict"),
        ("courier", "340602002", "access.not_allowed"),
        ("courier", "34060", "access.area_code"),
        ("courier", "", "access.area_code"),
    ],
)
def test_roles_that_can_not_be_given(administrator, cast, role, area, code):
    assert refusal(give, by=administrator, user=cast.packer.user, role=role, area=area) == code


def test_nobody_gives_themselves_a_role(administrator):
    Assignment.objects.filter(user=administrator).exclude(role="administrator").delete()
    assert refusal(give, by=administrator, user=administrator, role="administrator") == "access.own_account"


def test_an_end_before_the_beginning_is_refused(administrator, cast):
    past = clock.now() - timedelta(hours=1)
    call = {"by": administrator, "user": cast.packer.user, "role": "courier", "valid_to": past}
    assert refusal(give, **call) == "access.period_order"


def test_a_role_is_given_anew_after_another_that_is_over(administrator):
    user = actions.create_user(username="bai", display_name="白", by=administrator)
    actions.end_assignment(assignment=give(administrator, user), by=administrator, reason="转审计")
    assert give(administrator, user, role="auditor").role == "auditor"


# ---- PIN


@pytest.mark.parametrize(
    ("pin", "code"), [("12345", "pin_form"), ("12345a", "pin_form"), ("123456", "pin_simple"), ("115115", "pin_simple")]
)
def test_a_pin_is_six_digits_and_no_row(cast, pin, code):
    nurse = cast.swab_nurse.user
    assert refusal(actions.set_pin, user=nurse, pin=pin, by=nurse) == f"access.{code}"


def test_a_pin_is_ones_own_or_the_administrators_to_set(cast):
    nurse, administrator = cast.swab_nurse.user, cast.administrator.user
    for by in (nurse, administrator, None):
        actions.set_pin(user=nurse, pin="270384", by=by)
    assert codes.is_pin("270384", User.objects.get(pk=nurse.pk).pin_hash)
    assert refusal(actions.set_pin, user=nurse, pin="270384", by=cast.packer.user) == "access.not_allowed"


def test_a_forgotten_pin_is_replaced_by_whoever_administers_the_account(cast):
    nurse = cast.swab_nurse.user
    actions.set_pin(user=nurse, pin="270384", by=nurse)
    pin = actions.reset_pin(user=nurse, by=cast.administrator.user)
    verifier = User.objects.get(pk=nurse.pk).pin_hash
    assert codes.is_pin(pin, verifier)
    assert not codes.is_pin("270384", verifier)
    assert pin not in verifier
    assert refusal(actions.reset_pin, user=nurse, by=cast.packer.user) == "access.not_allowed"
    assert refusal(actions.reset_pin, user=cast.administrator.user, by=cast.administrator.user) == "access.own_account"
    assert not AuditEntry.objects.filter(detail__icontains=pin).exists()


def test_a_verifier_says_nothing_without_the_installations_key(settings):
    verifier = codes.pin_verifier("270384")
    assert codes.is_pin("270384", verifier)
    assert codes.pin_verifier("270384") != verifier
    settings.SECRET_KEY = "another installation's"
    assert not codes.is_pin("270384", verifier)
    assert not codes.is_pin("270384", "")


# ---- the audit log


def test_what_is_done_is_written_down(administrator, cast, drill):
    user = actions.create_user(username="gao", display_name="高", by=administrator)
    give(administrator, user, operation=drill.id)
    actions.one_time_link(user=user, purpose="welcome", by=administrator)
    lines = [line for _, line in queries.audit_rows(subject=f"user/{user.pk}")]
    assert [line.action for line in lines] == ["account.link_made", "role.assigned", "account.created"]
    assert {line.actor for line in lines} == {"administrator"}
    assert "高" not in str(lines)


@pytest.mark.parametrize("statement", ["UPDATE access_audit SET reason = 'x'", "DELETE FROM access_audit"])
def test_the_database_itself_keeps_the_audit_log(statement, django_db_blocker):
    from django.db import connection

    actions.record(by=None, action="test.line")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEntry.objects.count() == 1


def test_the_log_is_read_by_area_page_by_page(cast):
    for area in ("340602001004", "340602002006", "", "370105"):
        actions.record(by=cast.commander.user, action="test.line", area=area)
    mine = queries.audit_rows(areas=[STREET], action="test.line")
    assert [line.area for _, line in mine] == ["", "340602001004"]
    newest = queries.audit_rows(action="test.line", limit=3)
    rest = queries.audit_rows(action="test.line", before=newest[-1][0])
    assert [line.area for _, line in rest] == ["340602001004"]


# ---- who looked at whom


def test_looking_at_a_person_needs_a_role_and_a_reason_and_is_reported(cast, drill):
    from uuid import uuid4

    person, other = uuid4(), uuid4()
    worker = cast.grid_worker.user
    look = {"by": worker, "operation": drill.id, "fields": ["phone"]}
    actions.log_reveal(people=[(person, STREET + "004"), (other, STREET)], reason="电话核实", **look)
    actions.log_reveal(people=[(person, STREET + "004")], reason="电话核实", **look)
    assert refusal(actions.log_reveal, people=[(person, STREET)], reason=" ", **look) == "access.reason_missing"
    away = {"people": [(person, "340602002")], "reason": "好奇"}
    assert refusal(actions.log_reveal, **away, **look) == "access.not_allowed"
    packer = {"by": cast.packer.user, "operation": drill.id, "fields": ["phone"]}
    assert refusal(actions.log_reveal, people=[(person, STREET)], reason="x", **packer) == "access.not_allowed"
    seen = queries.who_looked_at(person)
    assert [(line.actor, line.reason, line.detail) for line in seen] == [
        ("grid_worker", "电话核实", {"fields": ["phone"]})
    ] * 2
    (count,) = queries.who_looked_most(drill.id, clock.now() - timedelta(hours=1))
    assert (count.username, count.looks, count.people) == ("grid_worker", 3, 2)
