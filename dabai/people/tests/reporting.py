"""Hands facts about people to their handlers, as intake would, and counts the statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.journal.kinds import Fact, Kind
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal
from dabai.people.facts import KINDS
from dabai.testkit.district import PreparedOperation

NOON = datetime(2022, 3, 13, 4, 0, tzinfo=UTC)
KIND = {kind.name: kind for kind in KINDS}


@dataclass
class Phone:
    """A reporter that may report everything, from everywhere or from nowhere."""

    district: int
    operation: int
    everywhere: bool = True
    device: UUID | None = None
    user: int | None = 1
    flags: int = 0

    def may_report(self, kind: Kind) -> bool:
        return True

    def covers(self, kind: str, site: int | None, area: str, at: datetime) -> bool:
        return self.everywhere


def make_fact(
    drill: PreparedOperation,
    kind: str,
    *,
    id: UUID | None = None,
    minutes: int = 0,
    everywhere: bool = True,
    **body: Any,
) -> Fact:
    """A readable fact of a phone of the drill, ``minutes`` after noon."""
    reporter = Phone(drill.district, drill.id, everywhere)
    moment = NOON + timedelta(minutes=minutes)
    found = KIND[f"people.{kind}"]
    number = id or uuid7()
    return Fact(
        id=number,
        kind=found,
        kind_name=found.name,
        happened_at=moment,
        received_at=moment,
        reporter=reporter,
        digest=b"\0" * 16,
        raw=body,
        text=str(number),
        body=found.body.model_validate(body),
    )


def hand_in(facts: Sequence[Fact]) -> list[Refusal | None]:
    """Hand each kind's facts to its handler, in the order in which the kinds first appear."""
    verdicts: dict[UUID, Refusal | None] = {}
    with connection.cursor() as cursor:
        for name in dict.fromkeys(fact.kind_name for fact in facts):
            batch = [fact for fact in facts if fact.kind_name == name]
            verdicts |= dict(zip((f.id for f in batch), KIND[name].handle(cursor, batch), strict=True))
    return [verdicts[fact.id] for fact in facts]


def hand_in_one(fact: Fact) -> Refusal | None:
    """Hand in a single fact."""
    return hand_in([fact])[0]


def withdraw(drill: PreparedOperation, target: UUID) -> None:
    """What ``journal.fact_withdrawn`` leaves behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO journal_withdrawal (district, id, target, reason, happened_at) VALUES (%s, %s, %s, 'x', %s)",
            [drill.district, uuid7(), target, NOON],
        )
