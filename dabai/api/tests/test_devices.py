"""Pairing and signing on, through HTTP."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from dabai.access import actions
from dabai.access.keys import device_secret, newest_sealing_key
from dabai.access.login import new_api_token
from dabai.access.models import AuditEntry, Device
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(drill: PreparedOperation) -> Cast:
    return make_cast(drill.id, str(drill.district))


@pytest.fixture
def paired(drill: PreparedOperation) -> dict[str, Any]:
    code = actions.issue_pairing_code(name="1号手机", operation=drill.id, site=drill.points[0].pk, by=None)
    answer = Client().post("/api/v1/devices/pair", {"code": code, "app": "1.0"}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def sign_on(paired: dict[str, Any], login: str, pin: str, **headers: str) -> Any:
    return Client().post(
        "/api/v1/devices/sign-on",
        {"login": login, "pin": pin},
        content_type="application/json",
        headers={"Authorization": f"Device {paired['token']}", **headers},
    )


def new_pin(by: Any, login: str) -> Any:
    headers = {"Authorization": f"Bearer {new_api_token(user=by)}"}
    return Client().post(f"/api/v1/desk/accounts/{login}/pin", headers=headers)


def test_the_pairing_tells_the_key_to_seal_to(paired: dict[str, Any], drill: PreparedOperation) -> None:
    key = newest_sealing_key(drill.id)
    assert paired["name"] == Device.objects.get(pk=paired["device"]).name
    assert paired["sealing_key"]["number"] == key.number == 1
    assert b64decode(paired["sealing_key"]["public"]) == bytes(key.public)
    assert len(key.public) == 65


def test_a_worker_signs_on_with_the_pin_that_the_desk_gave(cast: Cast, paired: dict[str, Any]) -> None:
    assert sign_on(paired, "swab_nurse", "270384").json()["code"] == "access.pin_unset"
    given = new_pin(cast.administrator.user, "swab_nurse")
    assert given.status_code == 200
    answer = sign_on(paired, "swab_nurse", given.json()["pin"])
    assert answer.status_code == 200
    said = answer.json()
    assert set(said) == {
        "login",
        "display_name",
        "roles",
        "valid_until",
        "valid_seconds",
        "device_secret",
        "sealing_key",
    }
    assert (said["login"], said["display_name"], said["roles"]) == ("swab_nurse", "周护士", ["registrar"])
    assert said["valid_seconds"] == 12 * 3600
    left = datetime.fromisoformat(said["valid_until"]) - datetime.now(UTC)
    assert timedelta(hours=11, minutes=58) < left <= timedelta(hours=12)
    assert b64decode(said["device_secret"]) == device_secret(Device.objects.get(pk=paired["device"]).pk)
    assert said["sealing_key"] == paired["sealing_key"]


def test_wrong_pins_are_told_in_words_and_then_to_wait(cast: Cast, paired: dict[str, Any]) -> None:
    actions.set_pin(user=cast.swab_nurse.user, pin="270384", by=None)
    for _ in range(5):
        answer = sign_on(paired, "swab_nurse", "270385", **{"Accept-Language": "en"})
        assert (answer.status_code, answer.json()["code"]) == (422, "access.pin_wrong")
        assert answer.json()["message"] == "The log-in name or the PIN is wrong."
    answer = sign_on(paired, "swab_nurse", "270384")
    assert (answer.status_code, answer.json()["code"]) == (429, "access.pin_too_many")
    assert 0 < answer.json()["params"]["seconds"] <= 900


def test_no_role_here_is_forbidden_and_not_taken_for_a_lost_phone(cast: Cast, paired: dict[str, Any]) -> None:
    actions.set_pin(user=cast.commander.user, pin="270384", by=None)
    answer = sign_on(paired, "commander", "270384")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.sign_on_not_allowed")
    assert "lost" not in answer.json()["params"]


@pytest.mark.parametrize("body", [{}, {"login": "a"}, {"login": "", "pin": "1"}, {"login": "a", "pin": "1" * 21}])
def test_a_request_of_the_wrong_form_is_turned_away(paired: dict[str, Any], body: dict[str, str]) -> None:
    headers = {"Authorization": f"Device {paired['token']}"}
    answer = Client().post("/api/v1/devices/sign-on", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "api.request_invalid")


def test_only_a_device_signs_anybody_on(cast: Cast) -> None:
    answer = Client().post("/api/v1/devices/sign-on", {"login": "a", "pin": "1"}, content_type="application/json")
    assert answer.status_code == 401
    assert not AuditEntry.objects.filter(action__startswith="device.sign").exists()


def test_a_pin_is_given_to_those_whom_one_administers(cast: Cast) -> None:
    administrator = cast.administrator.user
    assert new_pin(administrator, "nobody").status_code == 404
    assert new_pin(administrator, "administrator").json()["code"] == "access.own_account"
    assert new_pin(administrator, "outsider").status_code == 403
    assert new_pin(cast.round_manager.user, "swab_nurse").status_code == 403
