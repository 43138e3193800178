"""What people decide about readings: review, release, correction. Each decision is a fact through the door.

Four eyes (双人复核): whoever read a result does not review it. The door takes a reader's own review like any fact, and
it counts for nothing; here it is refused, so that nobody believes a result to be out that is not.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from dabai.access.actions import require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.journal.door import submit_desk
from dabai.journal.intake import Receipt
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.places.models import Site
from dabai.testing import rules
from dabai.testing.models import DecisionKind, Outcome
from dabai.testing.queries import district_of
from dabai.testing.worklists import REVIEW

IN_A_FACT = 500
IN_A_BATCH = 100


def review(
    *, by: User, operation: int, results: Sequence[UUID], verdict: str = "approved", reason: str = ""
) -> list[Receipt]:
    """Approve readings of somebody else, or return them to the laboratory with a reason. One fact for each 500.

    Refusals: ``testing.four_eyes`` (the reviewer read one of them), ``testing.result_unknown``,
    ``testing.reason_missing``, ``testing.verdict_unknown``, ``access.not_allowed``.
    """
    if verdict not in ("approved", "returned"):
        raise Refusal("testing.verdict_unknown", "verdict")
    if verdict == "returned" and not reason.strip():
        raise Refusal("testing.reason_missing", "reason")
    found = readings(operation, results)
    for reader in {one["reader"] for one in found}:
        rules.check_four_eyes(reader, by.pk)
    permit(by, Permission.REVIEW_RESULTS, operation, found)
    body = {"verdict": verdict, "reason": reason.strip()[:200]}
    return hand_in(by, operation, "testing.result_reviewed", by_laboratory(found), body)


def release(*, by: User, operation: int, results: Sequence[UUID]) -> list[Receipt]:
    """Let approved readings be told. One fact for each 500.

    Refusals: ``testing.not_approved``, ``testing.result_unknown``, ``access.not_allowed``.
    """
    found = readings(operation, results)
    if waiting := sum(not one["approved"] for one in found):
        raise Refusal("testing.not_approved", "results", results=waiting)
    permit(by, Permission.RELEASE_RESULTS, operation, found)
    return hand_in(by, operation, "testing.result_released", by_laboratory(found), {})


def correct(*, by: User, operation: int, result: UUID, outcome: str, reason: str) -> Receipt:
    """Say that a reading was wrong and what is right. Both versions stay, and everything derived follows the new one.

    Refusals: ``testing.reason_missing``, ``testing.outcome_unknown``, ``testing.result_unknown``, ``testing.four_eyes``
    (nobody corrects what they read themselves), ``access.not_allowed``.
    """
    if not reason.strip():
        raise Refusal("testing.reason_missing", "reason")
    if outcome.upper() not in Outcome.names:
        raise Refusal("testing.outcome_unknown", "outcome")
    (found,) = readings(operation, [result])
    rules.check_four_eyes(found["reader"], by.pk)
    permit(by, Permission.CORRECT_RESULTS, operation, [found])
    body = {"lab": found["lab"], "result": str(result), "outcome": outcome, "reason": reason.strip()[:200]}
    fact = {"kind": "testing.result_corrected", "body": body}
    return submit_desk(user=by, operation=operation, facts=[fact])[0]


READINGS = f"""
SELECT r.id, r.lab, r.actor AS reader, COALESCE(v.kind = {DecisionKind.APPROVED.value}, false) AS approved
FROM testing_result r
LEFT JOIN LATERAL ({REVIEW}) v ON true
WHERE r.district = %s AND r.operation = %s AND r.id = ANY(%s)
"""  # noqa: S608 - constants only


def readings(operation: int, results: Sequence[UUID]) -> list[dict[str, Any]]:
    """These readings with their laboratory, their reader and whether they are approved. Two statements."""
    with connection.cursor() as cursor:
        cursor.execute(READINGS, [district_of(operation), operation, list(results)])
        names = [column.name for column in cursor.description]
        found = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
    if not results or set(results) - set(found):
        raise Refusal("testing.result_unknown", "results")
    return [found[one] for one in dict.fromkeys(results)]


def permit(by: User, permission: Permission, operation: int, found: Sequence[dict[str, Any]]) -> None:
    """Refuse whoever may not do this at one of the laboratories."""
    for area in Site.objects.filter(pk__in={one["lab"] for one in found}).values_list("area", flat=True):
        require(by, permission, area=area, operation=operation, at=clock.now())


def by_laboratory(found: Sequence[dict[str, Any]]) -> Iterator[tuple[int, list[str]]]:
    """Readings of one laboratory, as many as one fact may name."""
    labs: dict[int, list[str]] = defaultdict(list)
    for one in found:
        labs[one["lab"]].append(str(one["id"]))
    for lab, ids in labs.items():
        for start in range(0, len(ids), IN_A_FACT):
            yield lab, ids[start : start + IN_A_FACT]


def hand_in(
    by: User, operation: int, kind: str, parts: Iterator[tuple[int, list[str]]], body: dict[str, Any]
) -> list[Receipt]:
    """Send one fact for each part; their receipts."""
    facts = [{"kind": kind, "body": {"lab": lab, "results": ids, **body}} for lab, ids in parts]
    receipts: list[Receipt] = []
    for start in range(0, len(facts), IN_A_BATCH):
        receipts += submit_desk(user=by, operation=operation, facts=facts[start : start + IN_A_BATCH])
    return receipts
