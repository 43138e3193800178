"""Logging in, the first administrator, one-time links, and the two ways to be known."""

import pytest
from django.test import Client

from dabai.access import login
from dabai.access.actions import first_admin_link, one_time_link
from dabai.testkit.cast import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_failures():
    login.forget_failures()


def test_the_first_administrator_comes_by_a_link_that_works_once(at):
    link = first_admin_link()
    body = {"token": link, "username": "guanli", "display_name": "管理员", "password": "mi-ma-hen-chang-1"}
    assert at("").post("first-admin", body) == (200, {"username": "guanli"}) if link else True


def test_a_token_opens_what_its_user_may_open(at, people):
    status, body = at("").post("log-in", {"username": people.commander.user.username, "password": PASSWORD})
    assert status == 200
    assert [role["role"] for role in body["roles"]] == ["commander"]
    answer = Client().post("/api/v1/desk/log-out", headers={"Authorization": f"Bearer {body['token']}"})
    assert answer.status_code == 200
    again = Client().post("/api/v1/desk/log-out", headers={"Authorization": f"Bearer {body['token']}"})
    assert again.status_code == 401


@pytest.mark.parametrize("name", ["nobody-here", "\0", "x" * 150])
def test_a_wrong_password_is_not_told_from_a_wrong_name(at, name):
    status, body = at("").post("log-in", {"username": name, "password": "wrong"})
    assert (status, body["code"]) == (401, "access.login_wrong")
    assert body["message"]


def test_guessing_is_slowed_down(at, people):
    wrong = {"username": people.auditor.user.username, "password": "wrong"}
    codes = [at("").post("log-in", wrong)[1]["code"] for _ in range(6)]
    assert codes[-1] == "access.login_too_many"


def test_a_session_needs_the_csrf_token_to_change_anything(people, drill):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.commander.user)
    assert browser.get(f"/api/v1/desk/operations/{drill.id}/rounds").status_code == 200
    answer = browser.post("/api/v1/desk/log-out")
    assert (answer.status_code, answer.json()["code"]) == (403, "api.csrf_not_allowed")


def test_a_slip_sets_a_password_once(at, people):
    link = one_time_link(user=people.courier.user, purpose="welcome", by=people.administrator.user)
    body = {"token": link, "password": "yi-ge-hao-mi-ma"}
    assert at("").post("welcome", body)[0] == 200
    status, again = at("").post("welcome", body)
    assert (status, again["code"]) == (422, "access.link_used")


def test_nobody_is_told_so_in_both_languages(drill):
    url = f"/api/v1/desk/operations/{drill.id}/rounds"
    english = Client().get(url, headers={"Accept-Language": "en"})
    chinese = Client().get(url)
    assert english.status_code == chinese.status_code == 401
    assert english.json()["message"] != chinese.json()["message"]
