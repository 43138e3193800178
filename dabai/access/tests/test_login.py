"""Logging in, and not logging in."""

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from dabai.access import actions, login, queries
from dabai.access.models import AuditEntry, User
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import PASSWORD, make_cast

pytestmark = [pytest.mark.django_db, pytest.mark.urls("dabai.access.tests.urls")]


@pytest.fixture(autouse=True)
def _nobody_has_failed():
    login.forget_failures()


@pytest.fixture
def cast(drill):
    return make_cast(drill.id, str(drill.district))


def refusal(call, *arguments, **named) -> Refusal:
    with pytest.raises(Refusal) as refused:
        call(*arguments, **named)
    return refused.value


def sign_in(client: Client, username: str, password: str = PASSWORD, **extra):
    return client.post("/sign-in/", {"username": username, "password": password}, **extra)


def test_a_name_in_any_case_and_the_password_open_a_session(cast, client):
    assert sign_in(client, " Swab_Nurse ").status_code == 200
    assert client.get("/me/").content == b"swab_nurse"


def test_a_log_in_begins_a_new_session(cast, client):
    client.get("/visit/")
    before = client.session.session_key
    assert before
    sign_in(client, "swab_nurse")
    assert client.session.session_key != before


@pytest.mark.parametrize("username", ["swab_nurse", "nobody", "", "x\0y"])
def test_wrong_is_wrong_whether_or_not_the_name_exists(cast, username):
    assert refusal(login.log_in, username=username, password="wrong").code == "access.login_wrong"


def test_an_account_without_password_or_switched_off_does_not_log_in(cast):
    actions.create_user(username="fresh", display_name="新", by=None)
    assert refusal(login.log_in, username="fresh", password="!").code == "access.login_wrong"
    actions.switch_account(user=cast.packer.user, active=False, by=None, reason="离岗")
    assert refusal(login.log_in, username="packer", password=PASSWORD).code == "access.login_wrong"


def test_a_session_ends_with_the_account_and_with_the_password(cast):
    clients = [Client(), Client()]
    for client, member in zip(clients, (cast.packer, cast.courier), strict=True):
        sign_in(client, member.key)
    actions.switch_account(user=cast.packer.user, active=False, by=None, reason="离岗")
    actions.set_password(user=cast.courier.user, password="another-long-one")
    assert [client.get("/me/").status_code for client in clients] == [302, 302]


def test_who_guesses_is_slowed_down_and_who_knows_is_not_locked_out_elsewhere(cast):
    here, there = {"address": "10.0.0.1"}, {"address": "10.0.0.2"}
    for _ in range(5):
        assert refusal(login.log_in, username="packer", password="guess", **here).code == "access.login_wrong"
    shut = refusal(login.log_in, username="packer", password=PASSWORD, **here)
    assert (shut.code, shut.params) == ("access.login_too_many", {"minutes": 15})
    assert login.log_in(username="packer", password=PASSWORD, **there).username == "packer"
    assert login.log_in(username="courier", password=PASSWORD, **here).username == "courier"


def test_a_guess_from_everywhere_at_once_is_slowed_down_too(cast):
    for n in range(40):
        refusal(login.log_in, username="packer", password="guess", address=f"10.0.1.{n}")
    assert refusal(login.log_in, username="packer", password=PASSWORD, address="10.0.2.1").code.endswith("too_many")
    assert AuditEntry.objects.filter(action="login.failed").count() == 40


def test_who_is_shut_out_costs_no_hash_and_no_write(cast, django_assert_num_queries):
    for _ in range(5):
        refusal(login.log_in, username="packer", password="guess")
    with django_assert_num_queries(0):
        refusal(login.log_in, username="packer", password="guess")


# ---- tokens of scripts


def test_a_script_logs_in_with_a_token_that_dies_with_account_and_password(cast):
    user = cast.round_manager.user
    token = login.new_api_token(user=user)
    assert login.user_of_token(token) == user
    actions.set_password(user=user, password="another-long-one")
    assert login.user_of_token(token) is None
    token = login.new_api_token(user=user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert login.user_of_token(token) is None
    assert login.user_of_token("x" * 43) is None


def test_a_log_out_ends_every_token(cast):
    user = cast.round_manager.user
    tokens = [login.new_api_token(user=user) for _ in range(2)]
    login.revoke_tokens(user=user)
    assert [login.user_of_token(token) for token in tokens] == [None, None]


# ---- second factor


@pytest.fixture
def _second_factor(settings):
    settings.SECOND_FACTOR_ROLES = ["commander"]


def digits_of(user: User) -> str:
    return f"{totp(TOTPDevice.objects.get(user=user).bin_key):06}"


def test_no_role_asks_for_a_second_factor_unless_it_is_set(cast):
    assert login.second_factor_of(cast.commander.user) == "none"


@pytest.mark.usefixtures("_second_factor")
def test_a_commander_sets_up_a_second_factor_and_is_asked_for_it(cast, client):
    user = cast.commander.user
    assert login.second_factor_of(user) == "missing"
    assert login.second_factor_of(cast.packer.user) == "none"
    sign_in(client, "commander")
    assert client.get("/figures/").headers["Location"] == "/second-factor/"
    assert login.begin_second_factor(user=user).startswith("otpauth://totp/")
    assert client.post("/digits/", {"digits": "000000"}).content == b"access.second_factor_wrong"
    TOTPDevice.objects.update(throttling_failure_count=0)
    before = client.session.session_key
    assert client.post("/digits/", {"digits": digits_of(user)}).content == b"ok"
    assert client.session.session_key != before
    assert client.get("/figures/").status_code == 200
    assert login.second_factor_of(user) == "ask"
    assert refusal(login.begin_second_factor, user=user).code == "access.second_factor_set"
    login.take_second_factor_away(user=user, by=None, reason="换手机")
    assert login.second_factor_of(user) == "missing"


@pytest.mark.usefixtures("_second_factor")
def test_six_digits_work_once(cast, client):
    user = cast.commander.user
    sign_in(client, "commander")
    login.begin_second_factor(user=user)
    digits = digits_of(user)
    assert client.post("/digits/", {"digits": digits}).content == b"ok"
    assert client.post("/digits/", {"digits": digits}).content == b"access.second_factor_wrong"


@pytest.mark.usefixtures("_second_factor")
def test_who_guesses_digits_is_slowed_down(cast, client):
    sign_in(client, "commander")
    login.begin_second_factor(user=cast.commander.user)
    answers = {client.post("/digits/", {"digits": "12"}).content for _ in range(6)}
    assert answers == {b"access.second_factor_wrong", b"access.login_too_many"}


@pytest.mark.usefixtures("_second_factor")
def test_a_script_can_not_go_round_the_second_factor(cast):
    assert refusal(login.new_api_token, user=cast.commander.user).code == "access.second_factor_needed"
    assert login.new_api_token(user=cast.packer.user)


def test_there_is_no_superuser(cast):
    assert not any(member.user.is_active and login.Backend().has_perm(member.user, "x") for member in cast)
    assert not hasattr(cast.administrator.user, "is_superuser")


@pytest.mark.parametrize("username", ["packer", "nobody"])
def test_a_name_that_is_not_known_costs_a_hash_as_well(cast, monkeypatch, username):
    hashed = []
    hasher = MD5PasswordHasher.encode
    monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *a, **k: hashed.append(1) or hasher(*a, **k))
    refusal(login.log_in, username=username, password="wrong")
    assert len(hashed) == 1


def test_when_somebody_logged_in_is_in_the_log(cast, client):
    sign_in(client, "commander")
    rows = queries.audit_rows(
        actor=cast.commander.user.pk, since=AuditEntry.objects.latest("at").at - timedelta(minutes=1)
    )
    assert [row.action for _, row in rows] == ["login.done"]
