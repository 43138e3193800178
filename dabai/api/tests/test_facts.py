"""``POST /api/v1/facts`` and what a device needs besides, through HTTP, with real commits."""

import gzip
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.test import Client

from dabai.access import actions, queries
from dabai.access.models import Device
from dabai.journal import reference
from dabai.journal.models import Entry, EntryFlag, Kept
from dabai.kernel import clock
from dabai.testing.models import Round, Sample
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import fact
from dabai.testkit.story import TUBES, open_round

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def drill() -> Iterator[PreparedOperation]:
    reference.forget()
    queries.forget_devices()
    yield make_operation()
    reference.forget()


@pytest.fixture
def running(drill: PreparedOperation) -> Round:
    return open_round(drill, 3)[0]


@pytest.fixture
def phone(drill: PreparedOperation) -> tuple[Client, Device]:
    code = actions.issue_pairing_code(name="1号手机", operation=drill.id, site=drill.points[0].pk, by=None)
    paired = Client().post("/api/v1/devices/pair", {"code": code, "name": "test"}, content_type="application/json")
    assert paired.status_code == 200, paired.content
    token = paired.json()["token"]
    return Client(headers={"Authorization": f"Device {token}"}), Device.objects.get(pk=paired.json()["device"])


def swab(drill: PreparedOperation, running: Round, point: int = 0, **more: Any) -> dict[str, Any]:
    place = {"round": running.pk, "site": drill.points[point].pk, "station": 1}
    body = {**place, "tube": TUBES[0], "person": str(uuid4()), **more}
    return fact("testing.sample_taken", body, at=clock.now())


def post(client: Client, facts: list[Any], **more: Any) -> Any:
    return client.post("/api/v1/facts", orjson.dumps({"facts": facts, **more}), content_type="application/json")


def test_each_fact_gets_its_receipt_and_a_bad_one_takes_nobody_with_it(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    good, elsewhere, strange = swab(drill, running), swab(drill, running, 1), fact("testing.no_such_thing", {})
    broken = swab(drill, running, tube="abc def")
    answer = post(phone[0], [good, elsewhere, strange, broken, "not even an object", {"id": 5}])
    assert answer.status_code == 200
    receipts = answer.json()["receipts"]
    assert [one["verdict"] for one in receipts] == ["accepted"] + ["refused"] * 5
    assert [one.get("code") for one in receipts[1:]] == [
        "journal.out_of_scope",
        "journal.kind_unknown",
        "journal.body_invalid",
        "journal.envelope_invalid",
        "journal.envelope_invalid",
    ]
    assert receipts[3]["field"] == "body.tube"
    assert Sample.objects.count() == 1
    assert Kept.objects.count() == 5


def test_the_same_fact_again_gets_the_same_receipt_and_no_second_row(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    good, bad = swab(drill, running), swab(drill, running, 1)
    first = post(phone[0], [good, bad, good]).json()["receipts"]
    again = post(phone[0], [bad, good]).json()["receipts"]
    assert first == [again[1], again[0], again[1]]
    changed = {**good, "body": {**good["body"], "tube": TUBES[1]}}
    assert post(phone[0], [changed]).json()["receipts"][0]["code"] == "journal.id_reused"
    assert Sample.objects.get().tube == TUBES[0]
    assert Kept.objects.filter(code="journal.id_reused").count() == 1
    assert Entry.objects.count() == 2


def test_a_gzipped_request_is_read_and_a_bomb_is_not(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    def packed(body: bytes) -> Any:
        headers = {"Content-Encoding": "gzip"}
        return phone[0].post("/api/v1/facts", gzip.compress(body), content_type="application/json", headers=headers)

    assert packed(orjson.dumps({"facts": [swab(drill, running)]})).json()["receipts"][0]["verdict"] == "accepted"
    assert packed(b" " * (5 * 2**20)).status_code == 413
    headers = {"Content-Encoding": "gzip"}
    broken = phone[0].post("/api/v1/facts", b"not gzip", content_type="application/json", headers=headers)
    assert broken.status_code == 422


def test_a_revoked_device_still_posts_with_a_flag_and_gets_nothing_more(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    client, device = phone
    actions.revoke_device(device=device, by=None, reason="遗失", lost=True)
    queries.forget_devices()
    assert post(client, [swab(drill, running)]).json()["receipts"][0]["verdict"] == "accepted"
    assert Entry.objects.get().flags & EntryFlag.REVOKED_DEVICE
    assert client.get("/api/v1/changes").status_code == 403
    assert client.get("/api/v1/reference").status_code == 403


def test_only_a_token_that_never_existed_is_turned_away(drill: PreparedOperation, running: Round) -> None:
    stranger = Client(headers={"Authorization": "Device nobody"})
    answer = post(stranger, [swab(drill, running)])
    assert answer.status_code == 401
    assert Sample.objects.count() == 0


def test_changes_come_in_commit_order_and_only_from_the_devices_own_places(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    client, _ = phone
    mine = [swab(drill, running) for _ in range(3)]
    post(client, mine)
    page = client.get("/api/v1/changes", {"limit": 2}).json()
    assert [one["id"] for one in page["entries"]] == [one["id"] for one in mine[:2]]
    assert page["more"]
    rest = client.get("/api/v1/changes", {"cursor": page["cursor"]}).json()
    assert [one["id"] for one in rest["entries"]] == [mine[2]["id"]]
    assert not rest["more"]
    assert client.get("/api/v1/changes", {"cursor": "bm90IG91cnM="}).json()["reset"]


def test_a_wrong_clock_is_corrected_and_an_absurd_one_flagged(
    phone: tuple[Client, Device], drill: PreparedOperation, running: Round
) -> None:
    slow = clock.now()
    one = {**swab(drill, running), "happened_at": slow.replace(year=slow.year - 1).isoformat()}
    post(phone[0], [one], sent_at=slow.replace(year=slow.year - 1).isoformat())
    stored = Sample.objects.get()
    assert abs((stored.happened_at - slow).total_seconds()) < 60
    post(phone[0], [{**swab(drill, running), "happened_at": "2001-01-01T00:00:00+08:00"}])
    assert Entry.objects.filter(flags=EntryFlag.IMPLAUSIBLE_CLOCK).count() == 1
    assert Sample.objects.count() == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"facts": 1}', b'{"facts": [], "more": 1}'])
def test_a_request_of_the_wrong_form_names_what_is_wrong(phone: tuple[Client, Device], body: bytes) -> None:
    answer = phone[0].post("/api/v1/facts", body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json()["code"] == "api.request_invalid"
