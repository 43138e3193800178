"""The desk's inbox: derived cases (waiting, contradicting, flagged, reopened) and refused facts that were kept.

Cases are settled by facts (``journal.attention_settled`` and the domains' own decisions). A kept fact is not true and
never becomes so: a desk reads it, reports again what was right (*attached*), or says that nothing was (*dismissed*).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.db.models import Q

from dabai.access.actions import record, require
from dabai.access.keys import ring
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.journal.models import Attention, Kept, KeptState
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

OPEN_STATES = ("open", "reopened")
STATES = {"open": OPEN_STATES, "reopened": ("reopened",), "settled": ("settled",), "gone": ("gone",)}


@dataclass(frozen=True, slots=True)
class Case:
    """A derived case. ``key`` continues a list after it; ``facts`` are those that it rests on."""

    key: str
    code: str
    subject: str
    state: str
    facts: list[str]
    detail: dict[str, Any]
    area: str
    site: int | None
    round: int | None
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class KeptFact:
    """A refused fact, without its body."""

    id: UUID
    kind: str
    code: str
    field: str
    area: str
    state: str
    received_at: datetime
    settled_at: datetime | None
    settled_reason: str


def case_counts(*, district: int, operation: int, areas: Collection[str]) -> dict[str, int]:
    """Open cases by code, and refused facts under ``kept``: what stands on the inbox's tabs. Two statements."""
    reach = within(areas, district)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT code, count(*) FROM journal_attention
               WHERE district = %s AND operation = %s AND state IN ('open', 'reopened') AND area LIKE ANY(%s)
               GROUP BY code ORDER BY code""",
            [district, operation, reach],
        )
        counts = dict(cursor.fetchall())
        cursor.execute(
            """SELECT count(*) FROM journal_kept
               WHERE district = %s AND operation = %s AND state = 'open' AND area LIKE ANY(%s)""",
            [district, operation, reach],
        )
        return counts | {"kept": cursor.fetchone()[0]}


def within(areas: Collection[str], district: int) -> list[str]:
    """Patterns for ``LIKE ANY``. What belongs to no place is the whole district's."""
    whole = any(str(district).startswith(area) for area in areas)
    return [f"{area}%" for area in areas] + ([""] if whole else [])


def cases(
    *,
    district: int,
    operation: int,
    areas: Collection[str],
    state: str = "open",
    code: str = "",
    subject: str = "",
    after: str = "",
    limit: int = 100,
) -> list[Case]:
    """Cases by code and subject, after the key ``code|subject``. One statement.

    ``state`` open holds reopened ones, too; ``code`` may be the beginning of codes (``tube.``, ``pe*``).
    """
    found = Attention.objects.filter(reach(areas, district), district=district, operation=operation)
    found = found.filter(state__in=STATES.get(state, OPEN_STATES))
    if code:
        whole = not code.endswith((".", "*"))
        found = found.filter(code=code) if whole else found.filter(code__startswith=code.rstrip("*"))
    found = found.filter(subject=subject) if subject else found
    last_code, _, last_subject = after.partition("|")
    if after:
        found = found.filter(Q(code__gt=last_code) | Q(code=last_code, subject__gt=last_subject))
    return [case_of(row) for row in found.order_by("code", "subject")[:limit]]


def reach(areas: Collection[str], district: int) -> Q:
    """The condition that a row lies in one of the areas; rows of no place belong to the whole district."""
    condition = Q(pk__in=[])
    for area in areas:
        condition |= Q(area__startswith=area)
    if any(str(district).startswith(area) for area in areas):
        condition |= Q(area="")
    return condition


def case_of(row: Attention) -> Case:
    """A row as a plain value."""
    return Case(
        f"{row.code}|{row.subject}",
        row.code,
        row.subject,
        row.state,
        list(row.facts),
        dict(row.detail),
        row.area,
        row.site,
        row.round,
        row.happened_at,
    )


def kept_facts(
    *,
    district: int,
    operation: int,
    areas: Collection[str],
    state: str = KeptState.OPEN,
    code: str = "",
    after: UUID | None = None,
    limit: int = 100,
) -> list[KeptFact]:
    """Refused facts by id, without their bodies. One statement."""
    found = Kept.objects.filter(reach(areas, district), district=district, operation=operation, state=state)
    found = found.filter(code=code) if code else found
    found = found.filter(id__gt=after) if after else found
    columns = ("id", "kind", "code", "field", "area", "state", "received_at", "settled_at", "settled_reason")
    return [KeptFact(*row) for row in found.order_by("id").values_list(*columns)[:limit]]


def kept_fact(*, district: int, operation: int, fact: UUID) -> KeptFact:
    """One refused fact. Refusal ``journal.kept_not_found``."""
    columns = ("id", "kind", "code", "field", "area", "state", "received_at", "settled_at", "settled_reason")
    row = Kept.objects.filter(district=district, operation=operation, id=fact).values_list(*columns).first()
    if row is None:
        raise Refusal("journal.kept_not_found", "id")
    return KeptFact(*row)


def open_body(*, by: User, district: int, operation: int, fact: UUID, reason: str) -> dict[str, Any]:
    """What was sent, in clear: it may hold a name or a number, so it takes a reason and is logged.

    Refusals: ``access.reason_missing``, ``access.not_allowed``, ``journal.kept_not_found``.
    """
    if not reason.strip():
        raise Refusal("access.reason_missing", "reason")
    row = Kept.objects.filter(district=district, operation=operation, id=fact).first()
    if row is None:
        raise Refusal("journal.kept_not_found", "id")
    require(by, Permission.DECIDE_INBOX, area=row.area or str(district), operation=operation, at=clock.now())
    record(
        by=by, action="kept.opened", subject=f"kept/{fact}", area=row.area, operation=operation, reason=reason.strip()
    )
    text = ring(operation).open(row.key, "journal_kept", "body", row.id, row.body_enc) or "{}"
    body = orjson.loads(text)
    return body if isinstance(body, dict) else {}


@transaction.atomic
def settle_kept(*, by: User, district: int, operation: int, fact: UUID, state: str, reason: str) -> Kept:
    """Close a refused fact: ``attached`` (what it meant was reported rightly) or ``dismissed``.

    Refusals: ``access.reason_missing``, ``access.not_allowed``, ``journal.kept_not_found``, ``journal.kept_state``.
    """
    if not reason.strip():
        raise Refusal("access.reason_missing", "reason")
    if state not in (KeptState.ATTACHED, KeptState.DISMISSED):
        raise Refusal("journal.kept_state", "state")
    row = Kept.objects.select_for_update().filter(district=district, operation=operation, id=fact).first()
    if row is None:
        raise Refusal("journal.kept_not_found", "id")
    require(by, Permission.DECIDE_INBOX, area=row.area or str(district), operation=operation, at=clock.now())
    row.state, row.settled_by, row.settled_at, row.settled_reason = state, by.pk, clock.now(), reason.strip()[:200]
    row.save(update_fields=["state", "settled_by", "settled_at", "settled_reason"])
    record(
        by=by, action=f"kept.{state}", subject=f"kept/{fact}", area=row.area, operation=operation, reason=reason.strip()
    )
    return row
