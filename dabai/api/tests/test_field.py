"""What a device reads in the field: reference data, the changes feed, due lists and forms, through HTTP."""

import json
from base64 import b64decode
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dabai.access import actions, queries
from dabai.access.keys import derive, make_device_secret
from dabai.access.models import AuditEntry, Device
from dabai.journal import reference
from dabai.kernel.ids import uuid7
from dabai.people.models import Identity
from dabai.people.rules import KeyGroup
from dabai.people.tests.bringing import bring, line, take
from dabai.people.tests.bringing import number as document
from dabai.protocols.queries import rules_of
from dabai.testing.models import Round
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import START, AnyPhone, deliver, fact
from dabai.testkit.rows import Rows, person
from dabai.testkit.story import TUBES, open_round

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


def read(client: Client, path: str, **query: Any) -> Any:
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    return answer.json()


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


# ---- the slice


def test_a_slice_is_encrypted_for_the_device_and_its_version_stands_in_the_reference_data(
    phone: Client, drill: PreparedOperation
) -> None:
    take(bring(drill, [line("样本甲", document(1), community=drill.points[0].area)]))
    assert phone.get("/api/v1/slice").json()["code"] == "people.slice_locked"
    secret = make_device_secret(drill.id, Device.objects.get().pk)
    answer, told = read(phone, "/api/v1/slice"), read(phone, "/api/v1/reference")["slice"]
    (block,) = answer.pop("blocks")
    assert answer == {"version": told["version"], "reset": False, "more": False, "after": ""}
    data, bound = b64decode(block["data"]), f"slice|{told['version']}|0".encode()
    (row,) = json.loads(AESGCM(derive(secret, "dabai/slice")).decrypt(data[:12], data[12:], bound))
    assert (row[2], row[3], told["people"]) == ("样*甲", document(1)[-4:], 1)
    assert AuditEntry.objects.filter(action="people.slice_taken").count() == 1


def test_a_lost_device_gets_no_slice(phone: Client) -> None:
    actions.revoke_device(device=Device.objects.get(), by=None, reason="遗失", lost=True)
    queries.forget_devices()
    assert phone.get("/api/v1/slice").status_code == 403


# ---- the changes feed


def swab(drill: PreparedOperation, running: Round, person: UUID, point: int = 0) -> dict[str, Any]:
    place = {"round": running.pk, "site": drill.points[point].pk, "station": 1}
    return fact("testing.sample_taken", {**place, "tube": TUBES[0], "person": str(person)}, at=START)


def test_changes_say_who_was_swabbed_and_what_was_withdrawn(
    phone: Client, drill: PreparedOperation, running: Round
) -> None:
    one, other = uuid7(), uuid7()
    mine, elsewhere = swab(drill, running, one), swab(drill, running, other, 1)
    late = fact("testing.late_entry", {**mine["body"], "person": str(other), "reason": "漏记", "second": "b"}, at=START)
    wrong = fact("journal.fact_withdrawn", {"target": mine["id"], "reason": "记错"}, at=START)
    reporter = AnyPhone(drill.district, drill.id, device=Device.objects.get().pk)
    colleague = AnyPhone(drill.district, drill.id)
    assert {receipt.code for receipt in deliver(colleague, [elsewhere])} == {None}
    assert {receipt.code for receipt in deliver(reporter, [mine, late, wrong])} == {None}
    told = phone.get("/api/v1/changes").json()
    assert told["samples"][0] == {
        "id": mine["id"],
        "person": str(one),
        "tube": TUBES[0],
        "round": running.pk,
        "site": drill.points[0].pk,
        "device": str(reporter.device),
        "at": "2022-03-13T00:00:00Z",
    }
    assert [seen["person"] for seen in told["samples"]] == [str(one), str(other)]
    assert told["withdrawn"] == [mine["id"]]
    assert not {"samples", "withdrawn"} & set(told["entries"][0])


def test_a_withdrawal_is_told_to_those_whom_its_fact_was_told(
    phone: Client, drill: PreparedOperation, running: Round
) -> None:
    mine, elsewhere = swab(drill, running, uuid7()), swab(drill, running, uuid7(), 1)
    facts = [mine, elsewhere]
    facts += [fact("journal.fact_withdrawn", {"target": one["id"], "reason": "记错"}, at=START) for one in facts]
    deliver(AnyPhone(drill.district, drill.id), facts)
    told = read(phone, "/api/v1/changes")
    assert [one["id"] for one in told["entries"]] == [mine["id"], facts[2]["id"]]
    assert told["withdrawn"] == [mine["id"]]


def test_a_sample_names_the_canonical_person(phone: Client, drill: PreparedOperation, running: Round) -> None:
    late, canonical = uuid7(), UUID(int=5)
    Identity.objects.create(district=drill.district, operation=drill.id, person=late, canonical=canonical)
    deliver(AnyPhone(drill.district, drill.id), [swab(drill, running, late)])
    (one,) = phone.get("/api/v1/changes").json()["samples"]
    assert one["person"] == str(canonical)


def test_changes_page_by_page_tell_each_sample_once_with_as_many_statements(
    phone: Client, drill: PreparedOperation, running: Round
) -> None:
    facts = [swab(drill, running, uuid7()) for _ in range(7)]
    deliver(AnyPhone(drill.district, drill.id), facts)
    told: list[dict[str, Any]] = []
    cursor, more = "", True
    while more:
        page = read(phone, "/api/v1/changes", cursor=cursor, limit=3)
        told, cursor, more = told + page["samples"], page["cursor"], page["more"]
    assert [one["id"] for one in told] == [one["id"] for one in facts]
    assert statements(phone, "/api/v1/changes", limit=1) == statements(phone, "/api/v1/changes", limit=7) <= 6


# ---- the due list


def residents(drill: PreparedOperation) -> Rows:
    rows, area = Rows(drill), drill.points[0].area + "01"
    for number in range(1, 6):
        group = KeyGroup.HOME_QUARANTINE if number == 2 else ""
        rows.resident(number, area, building=f"{number % 2}号楼", group=group)
        rows.due(number, area, building=f"{number % 2}号楼")
    rows.resident(9, drill.points[1].area + "01")
    rows.due(9, drill.points[1].area + "01")
    return rows


def test_a_point_sees_whom_to_visit_and_a_door_team_everybody(drill: PreparedOperation) -> None:
    rows = residents(drill)
    point, team = paired(drill, site=drill.points[0].pk), paired(drill, site=drill.door_team.pk)
    (one,) = point.get("/api/v1/due").json()["items"]
    assert one == {
        "kind": "testing.home_sampling",
        "person": str(person(2)),
        "round": rows.round.pk,
        "area": drill.points[0].area + "01",
        "building": "0号楼",
        "unit": "",
        "estate": "",
        "tags": ["isolated", "outstanding"],
        "deadline": "2022-03-14T00:00:00+00:00",
        "attempts": 0,
        "last_outcome": None,
        "last_at": None,
        "next_visit": None,
        "owner": None,
    }
    assert len(team.get("/api/v1/due").json()["items"]) == 5
    assert len(point.get("/api/v1/due", {"everybody": "true"}).json()["items"]) == 5
    assert len(paired(drill, area="340602").get("/api/v1/due").json()["items"]) == 6


def test_the_due_list_comes_page_by_page_with_as_many_statements(drill: PreparedOperation) -> None:
    residents(drill)
    client = paired(drill, area="340602")
    told: list[str] = []
    cursor, more = "", True
    while more:
        page = read(client, "/api/v1/due", cursor=cursor, limit=2)
        told, cursor, more = told + [one["person"] for one in page["items"]], page["cursor"], page["more"]
    assert told == [str(person(number)) for number in (2, 4, 1, 3, 5, 9)]
    assert cursor == ""
    assert statements(client, "/api/v1/due", limit=1) == statements(client, "/api/v1/due", limit=6) <= 6


@pytest.mark.parametrize("cursor", ["x", "bm90IG91cnM=", "WzEsMiwzLDQsNV0=", "WyJhIiwiYiIsImMiLCJkIiwxXQ==", "e30="])
def test_a_cursor_that_is_not_ours_begins_again(drill: PreparedOperation, cursor: str) -> None:
    residents(drill)
    client = paired(drill, area="340602")
    assert len(client.get("/api/v1/due", {"cursor": cursor}).json()["items"]) == 6
