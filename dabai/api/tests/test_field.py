"""What a device reads in the field: reference data, the changes feed, due lists and forms, through HTTP."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dabai.access import actions
from dabai.journal import reference
from dabai.protocols.queries import rules_of
from dabai.testing.models import Round
from dabai.testkit.district import PreparedOperation
from dabai.testkit.story import open_round

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(drill: PreparedOperation) -> Round:
    reference.forget()
    return open_round(drill, 3)[0]


def paired(drill: PreparedOperation, **scope: Any) -> Client:
    code = actions.issue_pairing_code(name="1号手机", operation=drill.id, by=None, **scope)
    answer = Client().post("/api/v1/devices/pair", {"code": code, "name": "test"}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    return Client(headers={"Authorization": f"Device {answer.json()['token']}"})


@pytest.fixture
def phone(drill: PreparedOperation) -> Client:
    return paired(drill, site=drill.points[0].pk)


def statements(client: Client, path: str, **query: Any) -> int:
    client.get(path, query)
    with CaptureQueriesContext(
        connection,
    ) as caught:
        assert client.get(path, query).status_code == 200
    return len(caught)


# ---- reference


def test_reference_names_the_operation_and_says_that_it_is_a_drill(
    phone: Client, drill: PreparedOperation, running: Round
) -> None:
    told = phone.get("/api/v1/reference").json()
    assert told["operation"] == {
        "id": drill.id,
        "name": "杜集全域演练",
        "kind": "drill",
        "drill": True,
        "ended": False,
    }
    assert [one["id"] for one in told["rounds"]] == [running.pk]


def test_a_round_comes_with_the_rules_that_a_phone_warns_by(phone: Client, running: Round) -> None:
    (one,) = phone.get("/api/v1/reference").json()["rounds"]
    rules = rules_of(running.profile)
    assert one["pooling"] == rules.pooling.model_dump(mode="json")
    assert one["open_minutes"] == rules.pooling.open_minutes
    assert set(one["codes"]) == {"tube_pattern", "box_pattern", "bag_pattern"}
    assert one["tubes_per_bag"] == rules.transport.tubes_per_bag


def test_a_device_sees_its_own_site_with_stations_and_every_laboratory(phone: Client, drill: PreparedOperation) -> None:
    told = {one["id"]: one for one in phone.get("/api/v1/reference").json()["sites"]}
    assert set(told) == {drill.points[0].pk, drill.laboratory.pk}
    assert told[drill.points[0].pk]["stations"] == [{"number": 1, "name": "1号台"}, {"number": 2, "name": "2号台"}]


def test_reference_takes_as_many_statements_for_ten_rounds_as_for_one(
    phone: Client, drill: PreparedOperation, running: Round
) -> None:
    before = statements(phone, "/api/v1/reference")
    for number in range(2, 11):
        running.pk, running.number = None, number
        running.save()
    assert statements(phone, "/api/v1/reference") == before
