"""At the point: stations, queues, samples, and tubes as they are sealed, moved between and voided."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from dabai.journal.kinds import Body, Code, Count, Fact, Kind, Login, Reason, Reference, Text
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted, in_round, moment_text, place
from dabai.kernel.refusal import Refusal
from dabai.testing.facts.judging import Station, check_tube
from dabai.testing.models import SiteEventKind, TubeEventKind


class StationBody(Body):
    """A station of a point opens or closes."""

    round: Reference
    site: Reference
    station: Station


class QueueCounted(Body):
    """People standing in the queue of a point, as counted."""

    round: Reference
    site: Reference
    people: Count


SITE_EVENT = Insert(
    "testing_site_event",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "round": "int",
        "site": "int",
        "station": "smallint",
        "kind": "smallint",
        "value": "int",
        "happened_at": "timestamptz",
    },
)


def site_event(kind: SiteEventKind) -> Callable[[Any, Sequence[Fact]], list[Refusal | None]]:
    """The handler of one kind of site event: one INSERT."""

    def handle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
        verdicts = [in_round(fact, fact.body.round) or place(fact, fact.body.site) for fact in facts]
        good = accepted(facts, verdicts)
        for fact in good:
            fact.mark(MarkKind.SITE, f"{fact.body.round}/{fact.body.site}")
        SITE_EVENT(cursor, [site_event_row(fact, kind) for fact in good])
        return verdicts

    return handle


def site_event_row(fact: Fact, kind: SiteEventKind) -> tuple[Any, ...]:
    """The typed row; a queue belongs to the whole point (station 0)."""
    body = fact.body
    head = (fact.district, fact.id, fact.operation, body.round, body.site)
    return (*head, getattr(body, "station", 0), kind.value, getattr(body, "people", None), fact.happened_at)


class SampleTaken(Body):
    """One person was swabbed into a tube. ``person`` may be unknown yet; ``single`` says the tube is for them alone."""

    round: Reference
    site: Reference
    station: Station
    tube: Code
    person: UUID
    single: bool = False


class LateEntry(SampleTaken):
    """A person found to be in a tube after it was sealed: with a reason, and a second person who saw it."""

    reason: Reason
    second: Login


SAMPLE = Insert(
    "testing_sample",
    {
        "district": "int",
        "id": "uuid",
        "round": "int",
        "operation": "int",
        "person": "uuid",
        "tube": "text",
        "site": "int",
        "station": "smallint",
        "single": "bool",
        "late": "bool",
        "happened_at": "timestamptz",
    },
)


LATE_ENTRY = Insert(
    "testing_late_entry", {"district": "int", "id": "uuid", "operation": "int", "reason": "text", "second": "text"}
)


def take_samples(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``sample_taken``: one INSERT, one mark a tube."""
    return samples(cursor, facts, late=False)


def enter_late(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``late_entry``: refused without a second person who is somebody else; then a sample, and who saw it and why."""
    verdicts = samples(cursor, facts, late=True)
    good = accepted(facts, verdicts)
    LATE_ENTRY(cursor, [(f.district, f.id, f.operation, f.body.reason, f.body.second) for f in good])
    return verdicts


def samples(cursor: Any, facts: Sequence[Fact], *, late: bool) -> list[Refusal | None]:
    """Judge and write samples."""
    verdicts = [judge_late(fact) if late else judge_sample(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(MarkKind.TUBE, body.tube)
        rows.append(
            (
                fact.district,
                fact.text,
                body.round,
                fact.operation,
                str(body.person),
                body.tube,
                body.site,
                body.station,
                body.single,
                late,
                moment_text(fact.happened_at),
            )
        )
    SAMPLE(cursor, rows)
    return verdicts


def judge_sample(fact: Fact) -> Refusal | None:
    """A sample needs a round, a place in scope and a tube code."""
    return in_round(fact, fact.body.round) or place(fact, fact.body.site) or check_tube(fact, fact.body.tube)


def judge_late(fact: Fact) -> Refusal | None:
    """The second person is somebody else; then as any sample."""
    if fact.body.second == fact.raw.get("by"):
        return Refusal("testing.second_is_first", "body.second")
    return judge_sample(fact)


class SampleMoved(Body):
    """A sample is really in another tube than was recorded. It may come before the sample that it speaks of."""

    round: Reference
    site: Reference
    sample: UUID
    to_tube: Code
    reason: Reason


SAMPLE_MOVE = Insert(
    "testing_sample_move",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "sample": "uuid",
        "to_tube": "text",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def move_samples(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``sample_moved``: one INSERT; marks the sample (wherever it was) and the new tube."""
    verdicts = [
        in_round(f, f.body.round) or place(f, f.body.site) or check_tube(f, f.body.to_tube, "body.to_tube")
        for f in facts
    ]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(MarkKind.FACT, str(body.sample))
        fact.mark(MarkKind.TUBE, body.to_tube)
        head = (fact.district, fact.id, fact.operation)
        rows.append((*head, body.sample, body.to_tube, body.reason, fact.happened_at))
    SAMPLE_MOVE(cursor, rows)
    return verdicts


class TubeSealed(Body):
    """A tube was sealed with so many people in it, as counted by hand. A short pool gives its reason."""

    round: Reference
    site: Reference
    station: Station
    tube: Code
    people: Count
    reason: Text = ""


class TubeVoided(Body):
    """A tube does not count: broken, dropped, mixed up. Its people are due again."""

    round: Reference
    site: Reference
    tube: Code
    reason: Reason


TUBE_EVENT = Insert(
    "testing_tube_event",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "round": "int",
        "tube": "text",
        "kind": "smallint",
        "site": "int",
        "station": "smallint",
        "count": "smallint",
        "run": "text",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def tube_row(fact: Fact, kind: TubeEventKind, tube: str, **extra: Any) -> tuple[Any, ...]:
    """One typed row of a tube event; marks the tube."""
    fact.mark(MarkKind.TUBE if kind != TubeEventKind.RUN_STARTED else MarkKind.RESULT, tube)
    body = fact.body
    head = (fact.district, fact.id, fact.operation, getattr(body, "round", None), tube, kind.value, fact.site)
    tail = (extra.get("station"), extra.get("count"), extra.get("run", ""), extra.get("reason", ""), fact.happened_at)
    return head + tail


def seal_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tube_sealed``: one INSERT."""
    verdicts = [judge_sample(fact) for fact in facts]
    good = accepted(facts, verdicts)
    TUBE_EVENT(
        cursor,
        [
            tube_row(
                f, TubeEventKind.SEALED, f.body.tube, station=f.body.station, count=f.body.people, reason=f.body.reason
            )
            for f in good
        ],
    )
    return verdicts


def void_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tube_voided``: one INSERT."""
    verdicts = [judge_sample(fact) for fact in facts]
    good = accepted(facts, verdicts)
    TUBE_EVENT(cursor, [tube_row(f, TubeEventKind.VOIDED, f.body.tube, reason=f.body.reason) for f in good])
    return verdicts


KINDS = (
    Kind("testing.station_opened", 20, StationBody, site_event(SiteEventKind.OPENED), form=True),
    Kind("testing.station_closed", 21, StationBody, site_event(SiteEventKind.CLOSED), form=True),
    Kind("testing.queue_counted", 22, QueueCounted, site_event(SiteEventKind.QUEUE), form=True),
    Kind("testing.sample_taken", 23, SampleTaken, take_samples),
    Kind("testing.late_entry", 24, LateEntry, enter_late),
    Kind("testing.tube_sealed", 25, TubeSealed, seal_tubes),
    Kind("testing.tube_voided", 26, TubeVoided, void_tubes),
    Kind("testing.sample_moved", 27, SampleMoved, move_samples),
)
