"""Facts that a phone sealed, through HTTP, with real commits; and what a lost phone is told."""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dabai.access import actions, keys, queries, reseal
from dabai.access.keys import CURVE, forget_rings, newest_sealing_key, point_of, ring
from dabai.access.models import Device, SealingKey
from dabai.journal import reference
from dabai.journal.intake import stop_writer
from dabai.journal.models import Entry, EntryFlag, Kept
from dabai.kernel import clock
from dabai.testing.models import Round, Sample
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import fact
from dabai.testkit.story import TUBES, open_round

pytestmark = pytest.mark.django_db(transaction=True)
UNREADABLE = {"verdict": "refused", "code": "journal.sealed_unreadable", "field": "sealed"}


@pytest.fixture
def drill() -> Iterator[PreparedOperation]:
    reference.forget()
    queries.forget_devices()
    yield make_operation()
    stop_writer()
    reference.forget()


@pytest.fixture
def running(drill: PreparedOperation) -> Round:
    return open_round(drill, 3)[0]


class Phone:
    """What the field app does: it seals with what the pairing told it, and keeps nothing that opens."""

    def __init__(self, drill: PreparedOperation) -> None:
        code = actions.issue_pairing_code(name="1号手机", operation=drill.id, site=drill.points[0].pk, by=None)
        paired = Client().post("/api/v1/devices/pair", {"code": code}, content_type="application/json").json()
        self.client = Client(headers={"Authorization": f"Device {paired['token']}"})
        self.device = Device.objects.get(pk=paired["device"])
        self.sealing_key = paired["sealing_key"]
        self.envelopes: dict[str, tuple[dict[str, Any], AESGCM]] = {}

    def envelope(self, key: dict[str, Any] | None = None) -> str:
        """A new envelope's id."""
        to, mine, name = key or self.sealing_key, ec.generate_private_key(CURVE), str(uuid4())
        public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, keys.b64decode(to["public"]))
        secret = HKDF(SHA256(), 32, point_of(mine), b"dabai/outbox").derive(mine.exchange(ec.ECDH(), public))
        told = {"id": name, "key": to["number"], "epk": text(point_of(mine))}
        self.envelopes[name] = told, AESGCM(secret)
        return name

    def seal(self, envelope: str, one: dict[str, Any], **change: Any) -> dict[str, Any]:
        """A fact as it lies in the outbox; ``plain`` and ``bound`` make it another than it says."""
        nonce, bound = os.urandom(12), change.get("bound", one["id"])
        plain = change.get("plain", json.dumps(one, ensure_ascii=True).encode())
        sealed = nonce + self.envelopes[envelope][1].encrypt(nonce, plain, bound.encode())
        return {"id": one["id"], "envelope": envelope, "sealed": text(sealed)}

    def post(self, facts: list[Any], envelopes: list[Any] | None = None, **more: Any) -> Any:
        told = [told for told, _ in self.envelopes.values()] if envelopes is None else envelopes
        body = orjson.dumps({"facts": facts, "envelopes": told, **more})
        return self.client.post("/api/v1/facts", body, content_type="application/json")

    def receipts(self, facts: list[Any], envelopes: list[Any] | None = None) -> list[dict[str, Any]]:
        answer = self.post(facts, envelopes)
        assert answer.status_code == 200, answer.content
        return list(answer.json()["receipts"])


def text(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.fixture
def phone(drill: PreparedOperation) -> Phone:
    return Phone(drill)


def swab(drill: PreparedOperation, running: Round, **more: Any) -> dict[str, Any]:
    body = {"round": running.pk, "site": drill.points[0].pk, "station": 1, "tube": TUBES[0], "person": str(uuid4())}
    return fact("testing.sample_taken", body | more, at=clock.now())


def kept_body(one: dict[str, Any]) -> Any:
    row = Kept.objects.get(id=one["id"])
    return orjson.loads(ring(row.operation).open(row.key, "journal_kept", "body", row.id, row.body_enc) or "")


# ---- what opens


def test_sealed_and_plain_facts_go_the_same_way(phone: Phone, drill: PreparedOperation, running: Round) -> None:
    first, second = phone.envelope(), phone.envelope()
    facts = [swab(drill, running) for _ in range(4)]
    mixed = [phone.seal(first, facts[0]), facts[1], phone.seal(second, facts[2]), phone.seal(first, facts[3])]
    receipts = phone.receipts(mixed)
    assert receipts == [{"id": one["id"], "verdict": "accepted"} for one in facts]
    assert Sample.objects.count() == 4


def test_the_order_of_envelopes_does_not_matter_and_a_spare_one_is_harmless(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    names = [phone.envelope() for _ in range(3)]
    facts = [phone.seal(name, swab(drill, running)) for name in names]
    backwards = [phone.envelopes[name][0] for name in reversed(names)]
    assert {one["verdict"] for one in phone.receipts(facts, backwards)} == {"accepted"}


def test_sent_again_sealed_anew_or_in_clear_it_is_the_same_fact(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    one, envelope = swab(drill, running), phone.envelope()
    item = phone.seal(envelope, one)
    first = phone.receipts([item])
    assert phone.receipts([item, item]) == first * 2
    assert phone.receipts([phone.seal(phone.envelope(), one)]) == first
    assert phone.receipts([one]) == first
    assert (Sample.objects.count(), Kept.objects.count()) == (1, 0)


def test_another_fact_under_the_same_id_is_refused_sealed_or_not(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    one, envelope = swab(drill, running), phone.envelope()
    phone.receipts([one])
    (receipt,) = phone.receipts([phone.seal(envelope, one | {"device_seq": 99})])
    assert receipt["code"] == "journal.id_reused"


def test_a_fact_that_opens_and_is_refused_is_kept_as_it_was_written(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    one = swab(drill, running, tube="not a tube")
    (receipt,) = phone.receipts([phone.seal(phone.envelope(), one)])
    assert (receipt["code"], receipt["field"]) == ("journal.body_invalid", "body.tube")
    assert kept_body(one) == one
    with connection.cursor() as cursor:
        cursor.execute("SELECT body_enc FROM journal_kept")
        assert b"not a tube" not in bytes(cursor.fetchone()[0])


def test_what_browsers_write_badly_is_read_as_leniently_as_in_clear(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    halved, huge, endless = swab(drill, running), swab(drill, running), swab(drill, running)
    items = [
        phone.seal(phone.envelope(), halved, plain=json.dumps(halved | {"by": "周\ud800"}).encode()),
        phone.seal(phone.envelope(), huge, plain=json.dumps(huge | {"device_seq": 10**30}).encode()),
        phone.seal(phone.envelope(), endless, plain=(b"[" * 100_000)),
    ]
    told = [one.get("code") for one in phone.receipts(items)]
    assert told == [None, "journal.envelope_invalid", "journal.sealed_unreadable"]


# ---- rotation


def test_what_was_sealed_before_a_rotation_opens_after_it(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    old = phone.envelope()
    before = phone.seal(old, swab(drill, running))
    reseal.rotate_key(operation=drill.id, by=None)
    newest = newest_sealing_key(drill.id)
    assert newest.number == 2
    new = phone.envelope({"number": 2, "public": text(bytes(newest.public))})
    assert {one["verdict"] for one in phone.receipts([before, phone.seal(new, swab(drill, running))])} == {"accepted"}


def test_a_replaced_key_opens_for_two_months_and_a_destroyed_one_never(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    one, other, name = swab(drill, running), swab(drill, running), phone.envelope()
    reseal.rotate_key(operation=drill.id, by=None)
    reseal.retire_keys(operation=drill.id, by=None)
    assert phone.receipts([phone.seal(name, one)])[0]["verdict"] == "accepted"
    SealingKey.objects.filter(number=1).update(retired_at=datetime.now(UTC) - reseal.SEALING_REST)
    reseal.retire_keys(operation=drill.id, by=None)
    item = phone.seal(name, other)
    assert phone.receipts([item, swab(drill, running)])[0] == {"id": other["id"], **UNREADABLE}
    assert Sample.objects.count() == 2
    assert SealingKey.objects.get(number=1).wrapped_private is None


def test_a_key_that_another_process_has_just_made_is_looked_up(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    phone.receipts([phone.seal(phone.envelope(), swab(drill, running))])
    remembered = dict(keys._sealing)
    reseal.rotate_key(operation=drill.id, by=None)
    keys._sealing.update(remembered)
    new = phone.envelope({"number": 2, "public": text(bytes(newest_sealing_key(drill.id).public))})
    assert phone.receipts([phone.seal(new, swab(drill, running))])[0]["verdict"] == "accepted"


# ---- what does not open


def test_each_that_does_not_open_is_refused_alone_and_kept_as_it_came(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    good, name, other = swab(drill, running), phone.envelope(), phone.envelope()
    foreign = Phone(make_operation())
    theirs = phone.envelope(foreign.sealing_key | {"number": 1})
    facts = [swab(drill, running) for _ in range(9)]
    broken = phone.seal(name, facts[0])
    items = [
        broken | {"sealed": broken["sealed"][:-8] + "AAAAAAA="},
        phone.seal(name, facts[1], bound=facts[2]["id"]),
        phone.seal(name, facts[2]) | {"envelope": other},
        phone.seal(name, facts[3]) | {"envelope": str(uuid4())},
        phone.seal(theirs, facts[4]),
        phone.seal(name, facts[5], plain=orjson.dumps(facts[6] | {"id": str(uuid4())})),
        phone.seal(name, facts[6]) | {"sealed": ""},
        phone.seal(name, facts[7]) | {"sealed": "not base 64"},
        phone.seal(name, facts[8], plain=b"[1]"),
    ]
    receipts = phone.receipts([*items, phone.seal(name, good)])
    assert receipts == [{"id": one["id"], **UNREADABLE} for one in facts] + [{"id": good["id"], "verdict": "accepted"}]
    assert Sample.objects.count() == 1
    assert Kept.objects.filter(code="journal.sealed_unreadable").count() == 9
    told = phone.envelopes[name][0]
    assert kept_body(facts[0]) == items[0] | {"envelope": told}
    assert kept_body(facts[3]) == items[3]
    assert phone.receipts(items) == receipts[:-1]
    assert Kept.objects.count() == 9


def test_a_sealed_fact_without_its_envelope_is_kept(phone: Phone, drill: PreparedOperation, running: Round) -> None:
    one = swab(drill, running)
    item = phone.seal(phone.envelope(), one)
    assert phone.receipts([item], [])[0] == {"id": one["id"], **UNREADABLE}
    assert kept_body(one) == item


def test_envelopes_that_are_none_close_their_facts_only(phone: Phone, drill: PreparedOperation, running: Round) -> None:
    name, good = phone.envelope(), phone.envelope()
    told = phone.envelopes[name][0]
    for wrong in (
        told | {"epk": text(b"\4" + bytes(64))},
        told | {"epk": told["epk"][:40]},
        told | {"epk": "€"},
        told | {"epk": None},
        told | {"key": 7},
        told | {"key": "1"},
        {"id": name},
        None,
        [told],
    ):
        facts = [swab(drill, running), swab(drill, running)]
        items = [phone.seal(name, facts[0]), phone.seal(good, facts[1])]
        receipts = phone.receipts(items, [wrong, phone.envelopes[good][0]])
        assert [one["verdict"] for one in receipts] == ["refused", "accepted"], wrong
    assert phone.receipts([phone.seal(name, swab(drill, running))], [told, told | {"key": 7}])[0] == {
        "id": Entry.objects.order_by("-seq").first().id.__str__(),  # type: ignore[union-attr]
        "verdict": "accepted",
    }


def test_more_than_fifty_envelopes_are_too_many(phone: Phone) -> None:
    told = phone.envelopes[phone.envelope()][0]
    assert phone.post([], [told] * 50).status_code == 200
    answer = phone.post([], [told] * 51)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        422,
        "api.request_invalid",
        "envelopes",
    )


def test_when_the_master_key_is_missing_nothing_is_judged(
    phone: Phone, drill: PreparedOperation, running: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = phone.seal(phone.envelope(), swab(drill, running))
    forget_rings()
    with monkeypatch.context() as patch:
        patch.setenv("DABAI_MASTER_KEY", "88" * 32)
        assert phone.post([one]).json()["code"] == "access.master_key_wrong"
    forget_rings()
    assert not Entry.objects.exists()
    assert phone.receipts([one])[0]["verdict"] == "accepted"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ITEM = st.fixed_dictionaries(
    {}, optional={"id": JSON, "envelope": JSON | st.just("e"), "sealed": JSON | st.text(alphabet="AQ+/=")}
)
ENVELOPE = JSON | st.fixed_dictionaries(
    {"id": st.just("e"), "key": JSON | st.just(1), "epk": JSON | st.text(alphabet="AB=")}
)


@given(items=st.lists(ITEM, max_size=4), envelopes=st.lists(ENVELOPE, max_size=3))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_beside_it_a_good_fact_is_taken(
    phone: Phone, drill: PreparedOperation, running: Round, items: list[Any], envelopes: list[Any]
) -> None:
    one = swab(drill, running)
    sealed, told = phone.seal(name := phone.envelope(), one), phone.envelopes[name][0]
    answer = phone.client.post(
        "/api/v1/facts",
        json.dumps({"facts": [*items, sealed], "envelopes": [*envelopes, told]}),
        content_type="application/json",
    )
    assert answer.status_code == 200, answer.content
    receipts = answer.json()["receipts"]
    assert len(receipts) == len(items) + 1
    assert receipts[-1] == {"id": one["id"], "verdict": "accepted"}
    assert {receipt["verdict"] for receipt in receipts[:-1]} <= {"refused"}


# ---- a lost phone


def test_a_lost_phone_hands_in_what_it_sealed_and_is_told_to_erase_itself(
    phone: Phone, drill: PreparedOperation, running: Round
) -> None:
    name, one = phone.envelope(), swab(drill, running)
    assert "wipe" not in phone.post([]).json()
    actions.revoke_device(device=phone.device, by=None, reason="落在出租车上", lost=True)
    answer = phone.post([phone.seal(name, one)]).json()
    assert answer["wipe"] is True
    assert answer["receipts"] == [{"id": one["id"], "verdict": "accepted"}]
    assert Entry.objects.get(id=one["id"]).flags & EntryFlag.REVOKED_DEVICE
    asked = phone.client.get("/api/v1/reference")
    assert (asked.status_code, asked.json()["code"]) == (403, "access.device_not_allowed")
    assert asked.json()["params"]["lost"] is True
    said = phone.client.post("/api/v1/devices/sign-on", {"login": "a", "pin": "1"}, content_type="application/json")
    assert (said.status_code, said.json()["params"]["lost"]) == (403, True)


def test_a_phone_that_was_only_revoked_is_not_told_to(phone: Phone, drill: PreparedOperation, running: Round) -> None:
    actions.revoke_device(device=phone.device, by=None, reason="换机")
    answer = phone.post([phone.seal(phone.envelope(), swab(drill, running))]).json()
    assert "wipe" not in answer
    assert answer["receipts"][0]["verdict"] == "accepted"
