"""The journal's own kinds of fact: a fact is withdrawn; a desk has looked at a case."""

import json
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from dabai.journal.kinds import Body, Fact, Kind, Reason
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted, place_about
from dabai.kernel.refusal import Refusal

CaseCode = Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-z_]+$", max_length=40)]
Subject = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.:/-]+$", max_length=60)]


class FactWithdrawn(Body):
    """The reported fact ``target`` is not so. It may come before the fact that it speaks of; it is final."""

    target: UUID
    reason: Reason


class AttentionSettled(Body):
    """A desk has looked at a case and closed it, resting on ``facts``. Another fact reopens it."""

    code: CaseCode
    subject: Subject
    facts: Annotated[list[UUID], Field(max_length=500)]
    reason: Reason


WITHDRAWAL = Insert(
    "journal_withdrawal",
    {"district": "int", "id": "uuid", "target": "uuid", "reason": "text", "happened_at": "timestamptz"},
)
SETTLEMENT = Insert(
    "journal_settlement",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "code": "text",
        "subject": "text",
        "facts": "jsonb",
        "reason": "text",
        "actor": "int",
        "happened_at": "timestamptz",
    },
)


def withdraw(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``fact_withdrawn``: one INSERT; marks the target, known or not."""
    verdicts = [place_about(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        fact.mark(MarkKind.FACT, str(fact.body.target))
        rows.append((fact.district, fact.id, fact.body.target, fact.body.reason, fact.happened_at))
    WITHDRAWAL(cursor, rows)
    return verdicts


def settle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``attention_settled``: one INSERT; marks the case's subject so that its state is derived again."""
    verdicts = [place_about(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        body = fact.body
        fact.mark(*subject_mark(body.code, body.subject))
        head = (fact.district, fact.id, fact.operation, body.code, body.subject)
        rows.append((*head, json.dumps(sorted(map(str, body.facts))), body.reason, fact.actor, fact.happened_at))
    SETTLEMENT(cursor, rows)
    return verdicts


def subject_mark(code: str, subject: str) -> tuple[MarkKind, str]:
    """Which mark makes the worker look at a case again."""
    if code.startswith("box."):
        return MarkKind.BOX, subject
    if code.startswith(("people.", "person.")):
        return MarkKind.PERSON, subject
    return MarkKind.RESULT, subject


KINDS = (
    Kind("journal.fact_withdrawn", 1, FactWithdrawn, withdraw),
    Kind("journal.attention_settled", 2, AttentionSettled, settle, desk=True),
)
