"""What phones report and how they send it."""

import random
import uuid
from collections import Counter
from datetime import datetime, timedelta

import pytest

from dabai.testkit.replay import phones, reports, senders
from dabai.testkit.replay.custody import pack, runs
from dabai.testkit.replay.field import RoundTruth
from dabai.testkit.replay.reports import Fact, Known, Reports
from dabai.testkit.replay.scenario import Scenario

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def told(drill: Scenario, drill_truth: RoundTruth) -> Reports:
    boxes = pack(drill, drill_truth)
    known = Known(
        rounds={1: 7},
        sites={site.code: n for n, site in enumerate(drill.sites, start=1)},
        people={person.key: f"person-{person.key}" for person in drill_truth.due},
    )
    return reports.report(drill_truth, boxes, runs(drill_truth, boxes), known, {"P001-1": -800 * DAY})


@pytest.fixture(scope="module")
def sent(told: Reports, drill: Scenario, drill_truth: RoundTruth) -> list[phones.Parcel]:
    batches = runs(drill_truth, pack(drill, drill_truth))
    return phones.parcels(told, drill.seed, batches)


def facts_of(told: Reports, kind: str) -> list[Fact]:
    return [fact for facts in told.by_device.values() for fact in facts if fact.kind == kind]


def test_every_swab_is_reported_once_but_for_what_is_taken_back(told: Reports, drill_truth: RoundTruth) -> None:
    gone = {fact.body["target"] for fact in facts_of(told, "journal.fact_withdrawn")}
    taken = facts_of(told, "testing.sample_taken") + facts_of(told, "testing.late_entry")
    swabs = sum(len(tube.swabs) for tube in drill_truth.tubes)
    assert len([fact for fact in taken if fact.id not in gone | told.expected_refusals]) == swabs
    assert len(gone) == len([t for t in drill_truth.tubes if t.mishap in ("double", "wrong_person")])


def test_ids_carry_the_phones_own_time(told: Reports) -> None:
    fact = told.by_device["P001-1"][0]
    stamp = uuid.UUID(fact.id).int >> 80
    assert abs(stamp / 1000 - (fact.at - 800 * DAY).timestamp()) < 1
    assert uuid.UUID(fact.id).version == 7


def test_only_the_label_of_a_box_is_expected_to_be_refused(told: Reports) -> None:
    taken = facts_of(told, "testing.sample_taken")
    assert {fact.id for fact in taken if not fact.body["tube"].startswith("T")} == told.expected_refusals
    assert told.expected_refusals


def test_whoever_was_registered_without_a_number_is_joined(told: Reports) -> None:
    joined = {one for one, _ in told.joins}
    registered = facts_of(told, "people.person_registered")
    empty = {f.id for f in registered if f.body["document"] and not f.body["document"]["number"]}
    assert empty
    assert empty <= joined
    assert {f.id for f in registered if f.body["document"] is None} & joined


def test_lists_keep_their_limits(told: Reports) -> None:
    assert max(len(fact.body["tubes"]) for fact in facts_of(told, "testing.tubes_bagged")) <= 20
    assert max(len(fact.body["tubes"]) for fact in facts_of(told, "testing.run_started")) <= 94


def test_one_box_is_counted_short_for_each_forgotten_tube(told: Reports, drill_truth: RoundTruth) -> None:
    sealed = {fact.body["box"]: fact.body["tubes"] for fact in facts_of(told, "testing.box_sealed")}
    received = {fact.body["box"]: fact.body["tubes"] for fact in facts_of(told, "testing.box_received")}
    missing = sum(sealed[box] - received[box] for box in sealed)
    assert missing == sum(tube.mishap == "short" for tube in drill_truth.tubes)


def test_every_fact_leaves_and_some_twice(told: Reports, sent: list[phones.Parcel]) -> None:
    times = Counter(fact.id for parcel in sent for fact in parcel.facts)
    assert set(times) == {fact.id for facts in told.by_device.values() for fact in facts}
    assert set(times.values()) == {1, 2}
    assert max(len(parcel.facts) for parcel in sent) <= phones.PARCEL_LIMIT


def test_nothing_is_sent_before_it_happened(sent: list[phones.Parcel]) -> None:
    assert all(parcel.send_at >= max(fact.at for fact in parcel.facts) for parcel in sent)


def test_everything_is_sent_before_the_round_closes(sent: list[phones.Parcel], drill_truth: RoundTruth) -> None:
    assert max(parcel.send_at for parcel in sent) < drill_truth.plan.closed_at - timedelta(minutes=20)


def test_some_phones_are_hours_late(sent: list[phones.Parcel]) -> None:
    late = {p.device for p in sent if p.send_at - min(fact.at for fact in p.facts) > timedelta(hours=1)}
    assert len(late) >= 3


def test_a_phone_ends_with_nothing_unsent(told: Reports, sent: list[phones.Parcel]) -> None:
    for device, facts in told.by_device.items():
        mine = [parcel for parcel in sent if parcel.device == device and not parcel.again]
        last = sorted(mine, key=lambda parcel: parcel.send_at)[-1]
        assert (last.unsent, last.highest_seq) == (0, len(facts))


def test_the_overtaken_team_reports_after_the_first_result(sent: list[phones.Parcel], drill_truth: RoundTruth) -> None:
    (tube,) = [tube for tube in drill_truth.tubes if tube.mishap == "overtaken"]
    assert tube.partner is not None
    first = min(
        parcel.send_at
        for parcel in sent
        if any(f.body.get("tube") == tube.scanned and f.body.get("site") != 0 for f in parcel.facts)
        and parcel.device == reports.phone_of(tube.partner.site, tube.partner.station)
    )
    assert first > tube.sealed_at + timedelta(hours=2)


def test_a_wrong_clock_stamps_the_sending_too(told: Reports) -> None:
    parcel = phones.Parcel("P001-1", told.by_device["P001-1"][0].at, told.by_device["P001-1"][:1], 1, 0)
    now = parcel.send_at + timedelta(hours=3)
    body = phones.as_json(parcel, now, -800 * DAY, first_seq=5)
    between = datetime.fromisoformat(body["sent_at"]) - datetime.fromisoformat(body["facts"][0]["happened_at"])
    assert between == timedelta(hours=3)
    assert (body["highest_seq"], body["facts"][0]["device_seq"]) == (6, 6)


def test_wrong_clocks_are_few() -> None:
    chosen = phones.wrong_clocks(random.Random(1), [f"P{n}" for n in range(50)])
    assert sorted(chosen.values()) == sorted(phones.WRONG_CLOCKS)


def test_a_changed_or_unexpected_receipt_is_noticed(told: Reports) -> None:
    kept = senders.Receipts()
    parcel = phones.Parcel("P001-1", told.by_device["P001-1"][0].at, told.by_device["P001-1"][:1])
    good = {"id": parcel.facts[0].id, "verdict": "accepted"}
    kept.note(parcel, [good])
    kept.note(parcel, [good])
    assert kept.problems == []
    kept.note(parcel, [good | {"verdict": "refused", "code": "journal.id_reused"}])
    assert len(kept.problems) == 2
    kept.note(parcel, [])
    assert len(kept.problems) == 3
