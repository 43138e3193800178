"""What a desk and a door decide: not sampled with a reason, excused, added, removed; and whose tube is whose."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from dabai.journal.kinds import AreaCode, Body, Code, Fact, Kind, Moment, Reason, Reference
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted, in_round, place, place_about, place_in_area, uuids
from dabai.kernel.refusal import Refusal
from dabai.testing.facts.judging import Station, code_refusal, tube_pattern
from dabai.testing.models import ChangeKind


class NotSampledOutcome(StrEnum):
    """Why a person who was due was not swabbed when their turn came."""

    REFUSED = "refused"
    ABSENT = "absent"
    EXEMPT = "exempt"
    MOVED = "moved"


class NotSampled(Body):
    """A person refused, was absent, is exempt or has moved away; at a point or at a door. ``next_visit``: when somebody
    will come again.
    """

    round: Reference
    site: Reference | None = None
    area: AreaCode | None = None
    person: UUID
    outcome: NotSampledOutcome
    reason: Reason
    next_visit: Moment | None = None


class Excused(Body):
    """A desk excuses a person from a round, with a reason and perhaps a time limit."""

    round: Reference
    person: UUID
    reason: Reason
    until: Moment | None = None


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
        "next_visit": "timestamptz",
        "happened_at": "timestamptz",
    },
)


def change_row(
    fact: Fact, kind: ChangeKind, *, until: datetime | None = None, next_visit: datetime | None = None
) -> tuple[Any, ...]:
    """The typed row; marks the person."""
    body = fact.body
    fact.mark(MarkKind.PERSON, str(body.person))
    head = (fact.district, fact.id, fact.operation, body.round, body.person, kind.value, fact.area)
    return (*head, body.reason, until, next_visit, fact.happened_at)


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
    good = accepted(facts, verdicts)
    CHANGE(cursor, [change_row(f, ChangeKind[f.body.outcome.name], next_visit=f.body.next_visit) for f in good])
    return verdicts


def change_roster(kind: ChangeKind) -> Callable[[Any, Sequence[Fact]], list[Refusal | None]]:
    """The handler of a desk's change to a round's roster: one INSERT."""

    def handle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
        homes = roster_areas(cursor, facts)
        verdicts = [judge_change(fact, homes) for fact in facts]
        rows = [change_row(f, kind, until=getattr(f.body, "until", None)) for f in accepted(facts, verdicts)]
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
        "facts": "uuid[]",
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
            rows.append((*head, *place_of, uuids(fact.body.facts), fact.body.reason, fact.happened_at))
    CLAIM_DECISION(cursor, rows)
    return verdicts


KINDS = (
    Kind("testing.not_sampled", 28, NotSampled, note_not_sampled),
    Kind("testing.excused", 40, Excused, change_roster(ChangeKind.EXCUSED), desk=True),
    Kind("testing.roster_added", 41, RosterAdded, change_roster(ChangeKind.ADDED), desk=True),
    Kind("testing.roster_removed", 42, RosterRemoved, change_roster(ChangeKind.REMOVED), desk=True),
    Kind("testing.claim_settled", 43, ClaimSettled, settle_claims, desk=True),
)
