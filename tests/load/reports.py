"""What phones send: tubes of ten people, made ahead of time, as facts, as whole HTTP requests, or as plain rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from dabai.access.queries import authenticate_device
from dabai.journal.decode import read_facts
from dabai.journal.door import DeviceReporter, kinds
from dabai.journal.intake import ENTRY, MARK, entry_row
from dabai.journal.kinds import Fact
from dabai.journal.rows import Insert
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.people.facts import PERSON
from dabai.testing.facts.samples import SAMPLE
from dabai.testkit.residents import resident_number
from tests.load.rounds import POOL, tube_codes
from tests.load.world import Phone, World

SPOT_EVERY = 20
FIRST_STRANGER = 1_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """What one phone sends in one request."""

    phone: Phone
    facts: list[dict[str, Any]]
    samples: int

    def request(self, port: int) -> bytes:
        """The request as bytes on the wire."""
        body = orjson.dumps(
            {"sent_at": clock.now(), "highest_seq": 1, "unsent": 0, "app": "bench", "facts": self.facts}
        )
        head = f"POST /api/v1/facts HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Device {self.phone.token}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Field:
    """The field force of a round: people come one after the other, every twentieth is on no list."""

    world: World
    round: int
    next_person: int = 0
    seq: int = 0
    spot_every: int = SPOT_EVERY

    def tubes(self, count: int) -> Iterator[tuple[Phone, list[dict[str, Any]]]]:
        """So many tubes of ten, from phone after phone."""
        phones = self.world.phones
        now = clock.now() - timedelta(seconds=60)
        for number, code in enumerate(tube_codes(self.world, count)):
            phone = phones[number % len(phones)]
            yield phone, list(self.tube(phone, code, now))

    def tube(self, phone: Phone, code: str, now: datetime) -> Iterator[dict[str, Any]]:
        """One tube of ten."""
        place = {"round": self.round, "site": phone.site, "station": phone.station, "tube": code}
        for _ in range(POOL):
            person = self.world.person(self.next_person)
            self.next_person += 1
            if self.spot_every and self.next_person % self.spot_every == 0:
                registered = self.fact("people.person_registered", self.stranger(phone), now)
                person = registered["id"]
                yield registered
            yield self.fact("testing.sample_taken", {**place, "person": person}, now)

    def stranger(self, phone: Phone) -> dict[str, Any]:
        """Somebody on no list, with a number of their own."""
        number = self.world.strangers = self.world.strangers + 1
        document = {"kind": "01", "number": resident_number(FIRST_STRANGER + number)}
        name = f"演生{chr(0x4E00 + number % 5000)}"
        return {"site": phone.site, "name": name, "document": document, "phone": f"139{number:08}"}

    def fact(self, kind: str, body: dict[str, Any], at: datetime) -> dict[str, Any]:
        """A fact as a phone words it."""
        self.seq += 1
        moment = (at + timedelta(milliseconds=self.seq % 60_000)).isoformat(timespec="milliseconds")
        head = {"id": str(uuid7()), "kind": kind, "level": 1, "happened_at": moment, "device_seq": self.seq}
        return {**head, "by": "swab_nurse", "body": body}


def tube_reports(field: Field, samples: int) -> list[Report]:
    """A request for each tube of ten."""
    return [Report(phone, facts, POOL) for phone, facts in field.tubes(samples // POOL)]


def batch_reports(field: Field, samples: int, size: int = 200) -> list[Report]:
    """Requests of 200 facts: what a phone held that was out of reach for a while."""
    reports, facts, phone = [], [], field.world.phones[0]
    for _, tube in field.tubes(-(-samples // POOL)):
        facts += [moved(one, phone) for one in tube]
        while len(facts) >= size:
            part, facts = facts[:size], facts[size:]
            reports.append(Report(phone, part, sum(one["kind"] == "testing.sample_taken" for one in part)))
            phone = field.world.phones[len(reports) % len(field.world.phones)]
            facts = [moved(one, phone) for one in facts]
    return reports


def moved(fact: dict[str, Any], phone: Phone) -> dict[str, Any]:
    """The fact as reported at the phone's own point."""
    return {**fact, "body": {**fact["body"], "site": phone.site}}


# --- the same as plain rows, for the bare driver --------------------------------------------------------------

Rows = list[tuple[Insert, list[tuple[Any, ...]]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What the bare driver writes for one report: the ids to look up, and rows by table, ready as plain values."""

    ids: list[str]
    rows: Rows
    samples: int


def plain_batches(reports: Sequence[Report]) -> list[Batch]:
    """Reports as rows, everything worked out beforehand: ciphertexts, tokens, digests, texts of ids and times."""
    return [plain_batch(report) for report in reports]


def plain_batch(report: Report) -> Batch:
    """One report through our own handlers into a cursor that only collects."""
    device = authenticate_device(report.phone.token)
    assert device is not None
    facts = read_facts(
        report.facts, kinds=kinds(), reporter=DeviceReporter(device), received_at=clock.now(), skew=timedelta(0)
    )
    samples = [fact for fact in facts if fact.kind_name == "testing.sample_taken"]
    people = [fact for fact in facts if fact.kind_name == "people.person_registered"]
    collected = collect(people) | collect(samples)
    marks = {(fact.district, fact.operation, int(kind), key) for fact in facts for kind, key in fact.marks}
    rows = [(insert, collected[insert.table]) for insert in (PERSON, SAMPLE) if collected.get(insert.table)]
    rows += [(MARK, sorted(marks)), (ENTRY, [entry_row(fact) for fact in facts])]
    ready = [(insert, [tuple(map(plain, row)) for row in part]) for insert, part in rows]
    return Batch([str(fact.id) for fact in facts], ready, report.samples)


class Collector:
    """A cursor for handlers: keeps what they copy."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {}


def collect(facts: list[Fact]) -> dict[str, list[tuple[Any, ...]]]:
    """The typed rows that a handler writes for facts of one kind."""
    if not facts:
        return {}
    collector, write = Collector(), Insert.__call__
    try:
        Insert.__call__ = keep  # type: ignore[method-assign]
        facts[0].kind.handle(collector, facts)  # type: ignore[union-attr]
    finally:
        Insert.__call__ = write  # type: ignore[method-assign]
    return collector.rows


def keep(insert: Insert, collector: Collector, rows: Sequence[tuple[Any, ...]]) -> None:
    """In the place of writing."""
    collector.rows[insert.table] = list(rows)


def plain(value: Any) -> Any:
    """Ids and times as text: what a driver writes fastest."""
    return str(value) if type(value).__name__ in ("UUID", "datetime") else value
