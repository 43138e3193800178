"""What phones and laboratories report about the truth: facts, as the contract of ``POST /api/v1/facts`` has them.

A phone knows a person from its list, or registers them on the spot: the id of that fact is then the person's id for
this phone. Mishaps show here as what people really send: the wrong record first, and what puts it right after it.
"""

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dabai.testkit.replay.custody import LOADING, Batch, Box
from dabai.testkit.replay.field import RoundTruth, Swab, Tube
from dabai.testkit.replay.people import Person
from dabai.testkit.replay.scenario import SitePlan

MINUTE = timedelta(minutes=1)


@dataclass(slots=True, eq=False)
class Fact:
    """One fact before it is sent. ``ends``: the phone sends what it has after this one."""

    id: str
    kind: str
    at: datetime
    body: dict[str, Any]
    by: str | None = None
    ends: bool = False
    seq: int = 0


def new_id(at: datetime) -> str:
    """A UUIDv7 stamped with the phone's time."""
    value = int(at.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return str(uuid.UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | (0x7000 << 64) | (0x8000 << 48)))


@dataclass
class Known:
    """What the server has told us: ids of rounds, sites and people."""

    rounds: dict[int, int] = field(default_factory=dict)
    sites: dict[str, int] = field(default_factory=dict)
    people: dict[int, str] = field(default_factory=dict)


@dataclass
class Reports:
    """All facts of a round by device, and what the desk will have to join."""

    truth: RoundTruth
    known: Known
    skew: Mapping[str, timedelta]
    by_device: dict[str, list[Fact]] = field(default_factory=lambda: defaultdict(list))
    joins: list[tuple[str, str]] = field(default_factory=list)
    met: list[tuple[str, int]] = field(default_factory=list)
    expected_refusals: set[str] = field(default_factory=set)

    @property
    def round(self) -> int:
        return self.known.rounds[self.truth.plan.number]

    def site(self, site: SitePlan) -> int:
        return self.known.sites[site.code]

    def add(self, device: str, kind: str, at: datetime, body: dict[str, Any], *, by: str, ends: bool = False) -> str:
        """Note a fact on a device; its id."""
        fact = Fact(new_id(at + self.skew.get(device, timedelta())), kind, at, body, by, ends)
        self.by_device[device].append(fact)
        return fact.id


def phone_of(site: SitePlan, station: int) -> str:
    return f"{site.code}-{station}"


def packer_of(site: SitePlan) -> str:
    return f"{site.code}-B"


def courier_phone(number: int) -> str:
    return f"TEAM{number + 1}"


def reader_of(laboratory: SitePlan) -> str:
    return f"{laboratory.code}-R"


def sampler(site: SitePlan, station: int) -> str:
    return f"cy.{site.code.lower()}.{station}"


def packer(site: SitePlan) -> str:
    return f"zx.{site.code.lower()}"


def courier(number: int) -> str:
    return f"ys.team{number + 1}"


def technician(laboratory: SitePlan) -> str:
    return f"jy.{laboratory.code.lower()}"


def report(
    truth: RoundTruth, boxes: list[Box], batches: list[Batch], known: Known, skew: Mapping[str, timedelta]
) -> Reports:
    """Everything that devices report about a round, each device's facts in the order in which they happened."""
    reports = Reports(truth, known, skew)
    _stations(reports)
    _attempts(reports)
    for tube in truth.tubes:
        _TubeReport(reports, tube).write()
    for box in boxes:
        _box(reports, box)
    for batch in batches:
        _runs(reports, batch)
    for facts in reports.by_device.values():
        facts.sort(key=lambda fact: fact.at)
        for seq, fact in enumerate(facts, start=1):
            fact.seq = seq
    return reports


def _stations(reports: Reports) -> None:
    """Opened before the first tube of a day, closed after the last, the queue counted in between."""
    days: dict[tuple[SitePlan, int, Any], list[Tube]] = defaultdict(list)
    plan = reports.truth.plan
    for tube in reports.truth.tubes:
        days[tube.site, tube.station, tube.sealed_at.date()].append(tube)
    for site in (site for site in {tube.site for tube in reports.truth.tubes} if site.kind == "sampling_point"):
        for station in range(1, site.stations + 1):
            days.setdefault((site, station, plan.sessions[0].start.date()), [])
    for (site, station, _), tubes in days.items():
        first = min((tube.swabs[0].at for tube in tubes), default=plan.sessions[0].start)
        last = max((tube.sealed_at for tube in tubes), default=plan.sessions[0].end)
        where = {"round": reports.round, "site": reports.site(site), "station": station}
        phone, by = phone_of(site, station), sampler(site, station)
        reports.add(phone, "testing.station_opened", first - 10 * MINUTE, where, by=by, ends=True)
        reports.add(phone, "testing.station_closed", last + 20 * MINUTE, where, by=by, ends=True)
        people = {"round": reports.round, "site": reports.site(site), "people": min(200, 10 + len(tubes) // 2)}
        reports.add(phone, "testing.queue_counted", first + (last - first) / 2, people, by=by)


def _attempts(reports: Reports) -> None:
    for person, outcome, site, at in reports.truth.attempts:
        body = {
            "round": reports.round,
            "site": reports.site(site),
            "person": reports.known.people[person.key],
            "outcome": outcome,
            "reason": "外出" if outcome == "absent" else "本人暂不愿检测",
        }
        reports.add(phone_of(site, 1), "testing.not_sampled", at, body, by=sampler(site, 1), ends=True)


@dataclass
class _TubeReport:
    """One tube as its phone tells it."""

    reports: Reports
    tube: Tube

    def write(self) -> None:
        tube = self.tube
        odd = self._odd_one()
        for swab in tube.swabs:
            if swab is odd:
                ODD[tube.mishap](self, swab)
            else:
                self.sample(swab.at, self.person(swab))
        body = self.where | {"tube": tube.scanned}
        if tube.fate == "voided":
            del body["station"]
            self.add("testing.tube_voided", tube.sealed_at, body | {"reason": "掉落地面"}, ends=True)
            return
        self.add("testing.tube_sealed", tube.sealed_at, body | {"people": len(tube.swabs)}, ends=True)

    def _odd_one(self) -> Swab | None:
        """The swab that this tube's mishap is about."""
        if self.tube.mishap not in ODD:
            return None
        listed = [swab for swab in self.tube.swabs if swab.way == "listed"]
        return listed[-1] if listed else self.tube.swabs[-1]

    @property
    def where(self) -> dict[str, Any]:
        site = self.reports.site(self.tube.site)
        return {"round": self.reports.round, "site": site, "station": self.tube.station}

    @property
    def phone(self) -> str:
        return phone_of(self.tube.site, self.tube.station)

    @property
    def by(self) -> str:
        return sampler(self.tube.site, self.tube.station)

    def add(self, kind: str, at: datetime, body: dict[str, Any], *, ends: bool = False) -> str:
        return self.reports.add(self.phone, kind, at, body, by=self.by, ends=ends)

    def sample(self, at: datetime, person: str, *, tube: str | None = None) -> str:
        body = self.where | {"tube": tube or self.tube.scanned, "person": person, "single": self.tube.single}
        return self.add("testing.sample_taken", at, body)

    def late_entry(self, at: datetime, person: str) -> None:
        body = self.where | {"tube": self.tube.scanned, "person": person, "single": self.tube.single}
        body |= {"reason": "封管后发现漏登", "second": packer(self.tube.site)}
        self.add("testing.late_entry", at, body, ends=True)

    def withdraw(self, at: datetime, target: str, reason: str) -> None:
        self.add("journal.fact_withdrawn", at, {"target": target, "reason": reason}, ends=True)

    def person(self, swab: Swab) -> str:
        """The id under which the phone knows this person, registering them first where it must."""
        return WAYS[swab.way](self, swab)

    def register(self, swab: Swab, document: dict[str, str] | None, at: datetime) -> str:
        person = swab.person
        body: dict[str, Any] = {"site": self.reports.site(self.tube.site), "name": person.name, "document": document}
        if person.phone:
            body["phone"] = person.phone
        if person.grid:
            body["area"] = person.grid
        made = self.add("people.person_registered", at, body)
        self.reports.met.append((made, person.key))
        return made


def _listed(tube: _TubeReport, swab: Swab) -> str:
    return tube.reports.known.people[swab.person.key]


def _spot(tube: _TubeReport, swab: Swab) -> str:
    return tube.register(swab, papers(swab.person), swab.at - timedelta(seconds=10))


def _empty_id(tube: _TubeReport, swab: Swab) -> str:
    """The number was not typed. Found at the end of the tube, registered again; the desk joins the two."""
    empty = tube.register(swab, {"kind": swab.person.kind, "number": ""}, swab.at - timedelta(seconds=10))
    again = tube.register(swab, papers(swab.person), tube.tube.sealed_at + 5 * MINUTE)
    tube.reports.joins.append((empty, again))
    return empty


def _no_paper(tube: _TubeReport, swab: Swab) -> str:
    """No document at hand. Later the desk recognises the person on the list."""
    made = tube.register(swab, None, swab.at - timedelta(seconds=10))
    tube.reports.joins.append((made, tube.reports.known.people[swab.person.key]))
    return made


WAYS: dict[str, Callable[[_TubeReport, Swab], str]] = {
    "listed": _listed,
    "spot": _spot,
    "empty_id": _empty_id,
    "no_paper": _no_paper,
}


def papers(person: Person) -> dict[str, str] | None:
    return {"kind": person.kind, "number": person.number} if person.number else None


def _double(tube: _TubeReport, swab: Swab) -> None:
    person = tube.person(swab)
    tube.sample(swab.at, person)
    second = tube.sample(swab.at + timedelta(seconds=4), person)
    tube.withdraw(tube.tube.sealed_at + 12 * MINUTE, second, "重复扫码")


def _late(tube: _TubeReport, swab: Swab) -> None:
    tube.late_entry(tube.tube.sealed_at + 8 * MINUTE, tube.person(swab))


def _wrong_person(tube: _TubeReport, swab: Swab) -> None:
    """Recorded for somebody else of the list; withdrawn, and the right person entered late."""
    others = tube.reports.truth.due
    stranger = next(p for p in others if p.key != swab.person.key and p.grid[:12] == swab.person.grid[:12])
    wrong = tube.sample(swab.at, tube.reports.known.people[stranger.key])
    tube.withdraw(tube.tube.sealed_at + 15 * MINUTE, wrong, "登记错人")
    tube.late_entry(tube.tube.sealed_at + 16 * MINUTE, tube.person(swab))


def _moved(tube: _TubeReport, swab: Swab) -> None:
    """Recorded in the neighbouring tube; counting the rack shows it, and the record is moved."""
    assert tube.tube.partner is not None
    sample = tube.sample(swab.at, tube.person(swab), tube=tube.tube.partner.scanned)
    at = max(tube.tube.sealed_at, tube.tube.partner.sealed_at) + 10 * MINUTE
    body = {"round": tube.reports.round, "site": tube.reports.site(tube.tube.site), "sample": sample}
    body |= {"to_tube": tube.tube.scanned, "reason": "清点时发现登错管"}
    tube.add("testing.sample_moved", at, body, ends=True)


def _wrong_label(tube: _TubeReport, swab: Swab) -> None:
    """The label of a box was scanned for the tube's: refused. Scanned again at once; the desk files the first away."""
    person = tube.person(swab)
    refused = tube.sample(swab.at, person, tube=tube.reports.truth.labels.next("X"))
    tube.reports.expected_refusals.add(refused)
    tube.sample(swab.at + timedelta(seconds=6), person)


ODD: dict[str, Callable[[_TubeReport, Swab], None]] = {
    "wrong_label": _wrong_label,
    "double": _double,
    "late_entry": _late,
    "wrong_person": _wrong_person,
    "moved": _moved,
}


def _box(reports: Reports, box: Box) -> None:
    """Bagged, packed, sealed by the packer; handed to a courier; received as counted by the laboratory."""
    site, device, by = reports.site(box.site), packer_of(box.site), packer(box.site)
    start = box.sealed_at - timedelta(minutes=4)
    for label, tubes in box.bags:
        body = {"site": site, "bag": label, "tubes": [tube.label for tube in tubes], "rack": len(tubes)}
        reports.add(device, "testing.tubes_bagged", start, body, by=by)
    packed = {"site": site, "box": box.label, "bags": [label for label, _ in box.bags], "tubes": []}
    reports.add(device, "testing.box_packed", start + MINUTE, packed, by=by)
    sealed = {"site": site, "box": box.label, "seal": f"S{box.label[1:]}", "tubes": len(box.listed)}
    reports.add(device, "testing.box_sealed", box.sealed_at, sealed, by=by, ends=True)
    parties = {"given_by": by, "taken_by": courier(box.courier)}
    handed = {"site": site, "box": box.label, "tubes": len(box.listed), **parties, "temperature": 4.0}
    phone = courier_phone(box.courier)
    reports.add(phone, "testing.box_handed_over", box.sealed_at + LOADING, handed, by=courier(box.courier), ends=True)
    _received(reports, box)


def _received(reports: Reports, box: Box) -> None:
    lab, reader, by = reports.site(box.laboratory), reader_of(box.laboratory), technician(box.laboratory)
    body: dict[str, Any] = {"lab": lab, "box": box.label, "tubes": len(box.inside)}
    body |= {"given_by": courier(box.courier), "taken_by": by}
    if box.missing:
        body["note"] = "比交接单少一管"
    reports.add(reader, "testing.box_received", box.received_at, body, by=by, ends=True)
    for tube in box.inside:
        if tube.fate == "rejected":
            refused = {"lab": lab, "tube": tube.label, "reason": "leak"}
            reports.add(reader, "testing.tube_rejected", box.received_at + 6 * MINUTE, refused, by=by, ends=True)


def _runs(reports: Reports, batch: Batch) -> None:
    lab, reader, by = reports.site(batch.laboratory), reader_of(batch.laboratory), technician(batch.laboratory)
    for name, tubes in batch.runs:
        body = {"lab": lab, "run": name, "instrument": "SLAN-96", "tubes": [tube.label for tube in tubes]}
        reports.add(reader, "testing.run_started", batch.started_at, body, by=by, ends=True)
