"""The field's facts about a round of testing: their bodies, and handlers that write the typed rows of a batch.

A handler refuses only what the fact itself and effective-dated reference data make impossible (unknown round or site,
out of scope, a box code scanned as a tube); whatever depends on other facts is derived later. Each handler runs a
fixed number of statements however many facts the batch has.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, Field

from dabai.journal.kinds import AreaCode, Body, Code, Count, Fact, Kind, Login, Reason, Reference, Text
from dabai.journal.models import MarkKind
from dabai.journal.reference import round_of
from dabai.journal.rows import Insert, accepted, in_round, place, place_about, place_in_area, uuids
from dabai.kernel.codes import DEFAULT_PATTERN, check_code
from dabai.kernel.refusal import Refusal
from dabai.testing.models import BoxEventKind, ChangeKind, DecisionKind, Outcome, SiteEventKind, TubeEventKind

Station = Annotated[int, Field(ge=0, le=999)]


Placing = Callable[[Fact], "Refusal | None"]



@cache
def code_refusal(kind: str, text: str, pattern: str | None) -> str | None:
    """The code of the refusal of a tube, bag or box code, None if it is good. Remembered: ten people share a tube."""
    try:
        check_code(kind, text, pattern)
    except Refusal as refusal:
        return refusal.code
    return None


def check_tube(fact: Fact, tube: str, field: str = "body.tube") -> Refusal | None:
    """Refuse a code that can't be a tube under the pattern of the fact's round."""
    number = getattr(fact.body, "round", None)
    code = code_refusal("tube", tube, tube_pattern(fact, number))
    return Refusal(code, field) if code else None


def check_container(kind: str, text: str, field: str) -> Refusal | None:
    """Refuse a code that can't be a bag or a box."""
    code = code_refusal(kind, text, None)
    return Refusal(code, field) if code else None


# --- stations -------------------------------------------------------------------------------------------------


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


# --- samples --------------------------------------------------------------------------------------------------


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


def take_samples(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``sample_taken``: one INSERT, one mark a tube."""
    return samples(cursor, facts, late=False)


def enter_late(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``late_entry``: refused without a second person who is somebody else; then like a sample."""
    return samples(cursor, facts, late=True)


def samples(cursor: Any, facts: Sequence[Fact], *, late: bool) -> list[Refusal | None]:
    """Judge and write samples."""
    verdicts = [judge_sample(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(MarkKind.TUBE, body.tube)
        rows.append(
            (
                fact.district,
                fact.id,
                body.round,
                fact.operation,
                body.person,
                body.tube,
                body.site,
                body.station,
                body.single,
                late,
                fact.happened_at,
            )
        )
    SAMPLE(cursor, rows)
    return verdicts


def judge_sample(fact: Fact) -> Refusal | None:
    """A sample needs a round, a place in scope and a tube code."""
    return in_round(fact, fact.body.round) or place(fact, fact.body.site) or check_tube(fact, fact.body.tube)


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


# --- tubes ----------------------------------------------------------------------------------------------------


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


class RejectionReason(StrEnum):
    """Why a laboratory does not take a tube (DOMAIN §11)."""

    LEAK = "leak"
    NO_LABEL = "no_label"
    EMPTY = "empty"
    TOO_LATE = "too_late"


class TubeRejected(Body):
    """The laboratory did not take a tube. Its people are due again."""

    lab: Reference
    tube: Code
    reason: RejectionReason


class RunStarted(Body):
    """The tubes of a laboratory run."""

    lab: Reference
    run: Code
    instrument: Text = ""
    tubes: Annotated[list[Code], Field(min_length=1, max_length=384)]


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


def at_lab(fact: Fact) -> Refusal | None:
    """The place of a laboratory's fact."""
    return place(fact, fact.body.lab, kind="laboratory", field="body.lab")


def reject_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tube_rejected``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    good = accepted(facts, verdicts)
    TUBE_EVENT(cursor, [tube_row(f, TubeEventKind.REJECTED, f.body.tube, reason=f.body.reason.value) for f in good])
    return verdicts


def start_runs(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``run_started``: one INSERT of a row for each tube of each run."""
    verdicts = [at_lab(fact) for fact in facts]
    good = accepted(facts, verdicts)
    rows = [
        tube_row(f, TubeEventKind.RUN_STARTED, tube, run=f.body.run) for f in good for tube in dict.fromkeys(f.body.tubes)
    ]
    TUBE_EVENT(cursor, rows)
    return verdicts


# --- bags and boxes -------------------------------------------------------------------------------------------

Items = Annotated[list[Code], Field(max_length=200)]


class TubesBagged(Body):
    """Tubes lie in a bag; ``rack`` is what the packer counted by hand."""

    site: Reference
    bag: Code
    tubes: Annotated[list[Code], Field(min_length=1, max_length=100)]
    rack: Count


class BoxPacked(Body):
    """Bags or loose tubes lie in a transfer box."""

    site: Reference
    box: Code
    bags: Items = []
    tubes: Items = []


class BoxSealed(Body):
    """A box was closed under a seal number with so many tubes, as counted."""

    site: Reference
    box: Code
    seal: Text
    tubes: Count


class BoxHandedOver(Body):
    """A box changed hands; both parties signed."""

    site: Reference
    box: Code
    tubes: Count
    given_by: Login
    taken_by: Login
    vehicle: Annotated[str, Field(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    temperature: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None


class BoxReceived(Body):
    """The laboratory counted the tubes of a box in the presence of the courier."""

    lab: Reference
    box: Code
    tubes: Count
    given_by: Login
    taken_by: Login
    note: Text = ""


PACKING_ROW = Insert(
    "testing_packing",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "item": "text",
        "container": "text",
        "happened_at": "timestamptz",
    },
)


def pack_items(fact: Fact, items: Sequence[str], container: str) -> list[tuple[Any, ...]]:
    """Typed rows: each item once."""
    head = (fact.district, fact.id, fact.operation)
    return [(*head, item, container, fact.happened_at) for item in dict.fromkeys(items)]


def bag_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tubes_bagged``: one INSERT of a row for each tube."""
    verdicts = [place(f, f.body.site) or check_container("bag", f.body.bag, "body.bag") for f in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        for tube in fact.body.tubes:
            fact.mark(MarkKind.RESULT, tube)
        fact.mark(MarkKind.BOX, fact.body.bag)
        rows += pack_items(fact, fact.body.tubes, fact.body.bag)
    PACKING_ROW(cursor, rows)
    return verdicts


def pack_boxes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``box_packed``: one INSERT of a row for each bag and loose tube. A box with nothing in it is refused."""
    verdicts = [judge_packing(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        for tube in fact.body.tubes:
            fact.mark(MarkKind.RESULT, tube)
        fact.mark(MarkKind.BOX, fact.body.box)
        rows += pack_items(fact, [*fact.body.bags, *fact.body.tubes], fact.body.box)
    PACKING_ROW(cursor, rows)
    return verdicts


def judge_packing(fact: Fact) -> Refusal | None:
    """A packed box has a box code and something in it."""
    if not fact.body.bags and not fact.body.tubes:
        return Refusal("testing.box_empty", "body.tubes")
    return judge_box(fact)


def judge_box(fact: Fact) -> Refusal | None:
    """A box fact at a point."""
    return place(fact, fact.body.site) or check_container("box", fact.body.box, "body.box")


def judge_received(fact: Fact) -> Refusal | None:
    """A box fact at a laboratory."""
    return at_lab(fact) or check_container("box", fact.body.box, "body.box")


BOX_EVENT = Insert(
    "testing_box_event",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "box": "text",
        "kind": "smallint",
        "site": "int",
        "count": "smallint",
        "given_by": "text",
        "taken_by": "text",
        "vehicle": "text",
        "temperature": "float8",
        "seal": "text",
        "note": "text",
        "happened_at": "timestamptz",
    },
)


def box_event(kind: BoxEventKind, judge: Placing) -> Callable[[Any, Sequence[Fact]], list[Refusal | None]]:
    """The handler of one kind of box event: one INSERT."""

    def handle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
        verdicts = [judge(fact) for fact in facts]
        BOX_EVENT(cursor, [box_row(fact, kind) for fact in accepted(facts, verdicts)])
        return verdicts

    return handle


def box_row(fact: Fact, kind: BoxEventKind) -> tuple[Any, ...]:
    """The typed row; marks the box."""
    body = fact.body
    fact.mark(MarkKind.BOX, body.box)
    head = (fact.district, fact.id, fact.operation, body.box, kind.value, fact.site, body.tubes)
    parties = (getattr(body, "given_by", ""), getattr(body, "taken_by", ""), getattr(body, "vehicle", ""))
    tail = (getattr(body, "temperature", None), getattr(body, "seal", ""), getattr(body, "note", ""))
    return (*head, *parties, *tail, fact.happened_at)


# --- results --------------------------------------------------------------------------------------------------


class OutcomeName(StrEnum):
    """What was read, by name."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    SUSPECT = "suspect"
    INVALID = "invalid"

    @property
    def number(self) -> int:
        """The number that is stored."""
        return Outcome[self.name].value


Target = Annotated[str, Field(min_length=1, max_length=20, pattern=r"^[^\x00-\x1f\x7f]+$")]
Cycle = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]


class ResultRead(Body):
    """What the laboratory read of a tube; the cycle of each target where the instrument gives it (null: not detected)."""

    lab: Reference
    tube: Code
    run: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    outcome: OutcomeName
    ct: Annotated[dict[Target, Cycle | None], Field(max_length=12)] | None = None


class ReviewVerdict(StrEnum):
    """A second pair of eyes."""

    APPROVED = "approved"
    RETURNED = "returned"


Results = Annotated[list[UUID], Field(min_length=1, max_length=500)]


class ResultReviewed(Body):
    """A reviewer looked at results that somebody else read."""

    lab: Reference
    results: Results
    verdict: ReviewVerdict
    reason: Text = ""


class ResultReleased(Body):
    """Reviewed results may be told."""

    lab: Reference
    results: Results


class ResultCorrected(Body):
    """A released result was wrong. Both versions stay; everything derived follows the new one."""

    lab: Reference
    result: UUID
    outcome: OutcomeName
    reason: Reason


RESULT = Insert(
    "testing_result",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "tube": "text",
        "lab": "int",
        "run": "text",
        "outcome": "smallint",
        "ct": "jsonb",
        "actor": "int",
        "happened_at": "timestamptz",
    },
)
DECISION = Insert(
    "testing_result_decision",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "result": "uuid",
        "kind": "smallint",
        "outcome": "smallint",
        "actor": "int",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def read_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_read``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(MarkKind.RESULT, body.tube)
        ct = None if body.ct is None else json.dumps(body.ct)
        head = (fact.district, fact.id, fact.operation, body.tube, body.lab, body.run)
        rows.append((*head, body.outcome.number, ct, fact.actor, fact.happened_at))
    RESULT(cursor, rows)
    return verdicts


def decision_row(fact: Fact, kind: DecisionKind, result: UUID, outcome: int | None, reason: str) -> tuple[Any, ...]:
    """The typed row of one decision about one result; marks the result."""
    fact.mark(MarkKind.FACT, str(result))
    head = (fact.district, fact.id, fact.operation, result, kind.value, outcome, fact.actor)
    return (*head, reason, fact.happened_at)


def review_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_reviewed``: one INSERT of a row for each result."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        kind = DecisionKind[fact.body.verdict.name]
        rows += [decision_row(fact, kind, one, None, fact.body.reason) for one in dict.fromkeys(fact.body.results)]
    DECISION(cursor, rows)
    return verdicts


def release_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_released``: one INSERT of a row for each result."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        rows += [decision_row(fact, DecisionKind.RELEASED, one, None, "") for one in dict.fromkeys(fact.body.results)]
    DECISION(cursor, rows)
    return verdicts


def correct_results(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``result_corrected``: one INSERT."""
    verdicts = [at_lab(fact) for fact in facts]
    rows = [
        decision_row(f, DecisionKind.CORRECTED, f.body.result, f.body.outcome.number, f.body.reason)
        for f in accepted(facts, verdicts)
    ]
    DECISION(cursor, rows)
    return verdicts


# --- people of a round ----------------------------------------------------------------------------------------


class NotSampledOutcome(StrEnum):
    """Why a person who was due was not swabbed when their turn came."""

    REFUSED = "refused"
    ABSENT = "absent"
    EXEMPT = "exempt"


class NotSampled(Body):
    """A person refused, was absent, or is exempt; at a point or at a door."""

    round: Reference
    site: Reference | None = None
    area: AreaCode | None = None
    person: UUID
    outcome: NotSampledOutcome
    reason: Reason


class Excused(Body):
    """A desk excuses a person from a round, with a reason and perhaps a time limit."""

    round: Reference
    person: UUID
    reason: Reason
    until: AwareDatetime | None = None


class RosterAdded(Body):
    """A person is due in the round after all (a logged addition to the frozen roster)."""

    round: Reference
    person: UUID
    area: AreaCode
    reason: Reason


class RosterRemoved(Body):
    """A person is no longer due (moved away, died): a logged removal."""

    round: Reference
    person: UUID
    reason: Reason


CHANGE = Insert(
    "testing_roster_change",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "round": "int",
        "person": "uuid",
        "kind": "smallint",
        "area": "text",
        "reason": "text",
        "until": "timestamptz",
        "happened_at": "timestamptz",
    },
)


def change_row(fact: Fact, kind: ChangeKind, until: datetime | None = None) -> tuple[Any, ...]:
    """The typed row; marks the person."""
    body = fact.body
    fact.mark(MarkKind.PERSON, str(body.person))
    head = (fact.district, fact.id, fact.operation, body.round, body.person, kind.value, fact.area)
    return (*head, body.reason, until, fact.happened_at)


def judge_not_sampled(fact: Fact) -> Refusal | None:
    """At a site, or in an area; one of the two must be given."""
    body = fact.body
    if body.site is not None:
        return in_round(fact, body.round) or place(fact, body.site)
    if body.area is None:
        return Refusal("journal.body_invalid", "body.site")
    return in_round(fact, body.round) or place_in_area(fact, body.area)


def note_not_sampled(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``not_sampled``: one INSERT."""
    verdicts = [judge_not_sampled(fact) for fact in facts]
    CHANGE(cursor, [change_row(f, ChangeKind[f.body.outcome.name]) for f in accepted(facts, verdicts)])
    return verdicts


def change_roster(kind: ChangeKind) -> Callable[[Any, Sequence[Fact]], list[Refusal | None]]:
    """The handler of a desk's change to a round's roster: one INSERT."""

    def handle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
        homes = roster_areas(cursor, facts)
        verdicts = [judge_change(fact, homes) for fact in facts]
        rows = [change_row(f, kind, getattr(f.body, "until", None)) for f in accepted(facts, verdicts)]
        CHANGE(cursor, rows)
        return verdicts

    return handle


def roster_areas(cursor: Any, facts: Sequence[Fact]) -> dict[tuple[int, UUID], str]:
    """Where the frozen rosters have these people: one statement."""
    cursor.execute(
        "SELECT round, person, area FROM testing_roster_entry"
        " WHERE district = %s AND round = ANY(%s) AND person = ANY(%s::uuid[])",
        [facts[0].district, sorted({f.body.round for f in facts}), uuids(f.body.person for f in facts)],
    )
    return {(number, person): area for number, person, area in cursor.fetchall()}


def judge_change(fact: Fact, homes: dict[tuple[int, UUID], str]) -> Refusal | None:
    """A change belongs to the area that it names, else to where the roster has the person."""
    home = homes.get((fact.body.round, fact.body.person))
    area = getattr(fact.body, "area", None)
    placed = place_in_area(fact, area) if area else place_about(fact, home)
    return in_round(fact, fact.body.round) or placed


# --- a desk's decision about a barcode ------------------------------------------------------------------------


class Claim(Body):
    """What the tube of one team becomes: its barcode from now on, or null when its people must be swabbed again."""

    round: Reference
    site: Reference
    station: Station
    becomes: Code | None


class ClaimSettled(Body):
    """Two teams used one barcode; a desk has found out whose tube is which. ``facts`` are those it was decided on."""

    tube: Code
    claims: Annotated[list[Claim], Field(min_length=1, max_length=20)]
    facts: Annotated[list[UUID], Field(max_length=500)] = []
    reason: Reason


CLAIM_DECISION = Insert(
    "testing_claim_decision",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "tube": "text",
        "round": "int",
        "site": "int",
        "station": "smallint",
        "becomes": "text",
        "reason": "text",
        "happened_at": "timestamptz",
    },
)


def judge_claims(fact: Fact) -> Refusal | None:
    """Each claim once, and each new barcode must be one."""
    claims = fact.body.claims
    if len({(claim.round, claim.site, claim.station) for claim in claims}) < len(claims):
        return Refusal("testing.claim_twice", "body.claims")
    for index, claim in enumerate(claims):
        field = f"body.claims.{index}.becomes"
        code = code_refusal("tube", claim.becomes, tube_pattern(fact, claim.round)) if claim.becomes else None
        if code:
            return Refusal(code, field)
        placed = place(fact, claim.site, field=f"body.claims.{index}.site")
        if placed:
            return placed
    return None


def tube_pattern(fact: Fact, number: int | None) -> str:
    """The barcode pattern of a round."""
    known = round_of(fact.operation, number) if number else None
    return (known.tube_pattern if known else None) or DEFAULT_PATTERN


def settle_claims(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``claim_settled``: one INSERT of a row for each claim; marks the barcode and what it becomes."""
    verdicts = [judge_claims(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        head = (fact.district, fact.id, fact.operation, fact.body.tube)
        fact.mark(MarkKind.TUBE, fact.body.tube)
        for claim in fact.body.claims:
            if claim.becomes:
                fact.mark(MarkKind.TUBE, claim.becomes)
            place_of = (claim.round, claim.site, claim.station, claim.becomes)
            rows.append((*head, *place_of, fact.body.reason, fact.happened_at))
    CLAIM_DECISION(cursor, rows)
    return verdicts


KINDS = (
    Kind("testing.station_opened", 20, StationBody, site_event(SiteEventKind.OPENED)),
    Kind("testing.station_closed", 21, StationBody, site_event(SiteEventKind.CLOSED)),
    Kind("testing.queue_counted", 22, QueueCounted, site_event(SiteEventKind.QUEUE)),
    Kind("testing.sample_taken", 23, SampleTaken, take_samples),
    Kind("testing.late_entry", 24, LateEntry, enter_late),
    Kind("testing.tube_sealed", 25, TubeSealed, seal_tubes),
    Kind("testing.tube_voided", 26, TubeVoided, void_tubes),
    Kind("testing.sample_moved", 27, SampleMoved, move_samples),
    Kind("testing.not_sampled", 28, NotSampled, note_not_sampled),
    Kind("testing.tubes_bagged", 29, TubesBagged, bag_tubes),
    Kind("testing.box_packed", 30, BoxPacked, pack_boxes),
    Kind("testing.box_sealed", 31, BoxSealed, box_event(BoxEventKind.SEALED, judge_box)),
    Kind("testing.box_handed_over", 32, BoxHandedOver, box_event(BoxEventKind.HANDED_OVER, judge_box)),
    Kind("testing.box_received", 33, BoxReceived, box_event(BoxEventKind.RECEIVED, judge_received)),
    Kind("testing.tube_rejected", 34, TubeRejected, reject_tubes),
    Kind("testing.run_started", 35, RunStarted, start_runs),
    Kind("testing.result_read", 36, ResultRead, read_results),
    Kind("testing.result_reviewed", 37, ResultReviewed, review_results),
    Kind("testing.result_released", 38, ResultReleased, release_results),
    Kind("testing.result_corrected", 39, ResultCorrected, correct_results, desk=True),
    Kind("testing.excused", 40, Excused, change_roster(ChangeKind.EXCUSED), desk=True),
    Kind("testing.roster_added", 41, RosterAdded, change_roster(ChangeKind.ADDED), desk=True),
    Kind("testing.roster_removed", 42, RosterRemoved, change_roster(ChangeKind.REMOVED), desk=True),
    Kind("testing.claim_settled", 43, ClaimSettled, settle_claims, desk=True),
)
