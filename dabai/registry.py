"""One page: every kind of fact with its handler, and what follows from what.

Intake leaves marks; the worker's first stage turns them into identities, tubes, boxes, coverage and cases, the second
into figures; where those of a closed round have moved, a corrected bulletin is proposed. "After X do Y" is written
here and nowhere else.
"""

from collections import defaultdict
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from dabai.figures import cells
from dabai.figures.actions import propose_corrections
from dabai.journal import attention as cases
from dabai.journal import door, reference
from dabai.journal import facts as journal_facts
from dabai.journal.kinds import Kind
from dabai.journal.models import CELL_MARKS, MarkKind
from dabai.kernel import clock
from dabai.people import derive as people_derive
from dabai.people import facts as people_facts
from dabai.places.models import Site
from dabai.protocols.models import Operation, Profile
from dabai.testing import attention as testing_attention
from dabai.testing import derive as testing_derive
from dabai.testing import facts as testing_facts
from dabai.testing.models import Round, RoundState
from dabai.testing.queries import round_windows
from dabai.testing.touched import Touched

WORKER_LOCK = 7_342
MARKS = 6_000
CELLS = 10_000
# What both stages join. The first stands for how much there is.
JOINED = (
    "testing_tube", "testing_sample", "testing_sample_move", "testing_claim_decision", "testing_tube_event",
    "testing_packing", "testing_box_event", "testing_box", "testing_result", "testing_result_decision",
    "testing_roster_change", "testing_coverage", "people_identity", "journal_withdrawal", "journal_attention",
)  # fmt: skip


def reference_parts(operation: int) -> reference.Parts:
    """District, sites and rounds of an operation, as a refusal may depend on them: a fixed number of statements."""
    district = Operation.objects.values_list("district", flat=True).get(pk=operation)
    sites = Site.objects.filter(operation=operation).values_list("pk", "kind", "area")
    windows = round_windows(operation)
    patterns = tube_patterns({one.profile for one in windows.values()})
    rounds = {
        one.id: reference.RoundReference(one.id, one.approved_at, one.closed_at, patterns.get(one.profile))
        for one in windows.values()
    }
    return district, {row[0]: reference.SiteReference(*row) for row in sites}, rounds


def tube_patterns(profiles: set[int]) -> dict[int, str | None]:
    """The barcode pattern that each profile version sets, if any."""
    bodies = Profile.objects.filter(pk__in=profiles).values_list("pk", "body__codes__tube_pattern")
    return dict(bodies)


reference.plug(reference_parts)


@cache
def kinds() -> dict[str, Kind]:
    """Every kind of fact by name. Numbers are never reused."""
    every = (*journal_facts.KINDS, *people_facts.KINDS, *testing_facts.KINDS)
    assert len({kind.number for kind in every}) == len(every)
    return {kind.name: kind for kind in every}


door.plug_kinds(kinds)


def kind_names() -> dict[int, str]:
    """Names by the number that the journal stores."""
    return {kind.number: name for name, kind in kinds().items()}


def derive_once(limit: int = MARKS) -> int:
    """First stage: take marks and bring derived rows up to date, in one transaction. Returns how many marks were taken.

    Marks are deleted first and everything is read in later snapshots, so a fact that commits meanwhile keeps its mark.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [WORKER_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            """DELETE FROM journal_mark WHERE (district, id) IN (
                 SELECT district, id FROM journal_mark WHERE kind <> ALL(%s) ORDER BY district, id LIMIT %s)
               RETURNING district, operation, kind, key""",
            [list(CELL_MARKS), limit],
        )
        rows = cursor.fetchall()
        groups: dict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
        for district, operation, kind, key in rows:
            groups[district, operation].append((kind, key))
        for (district, operation), marks in sorted(groups.items()):
            derive_group(cursor, Touched(district, operation), marks)
        return len(rows)


def derive_group(cursor: Any, touched: Touched, marks: list[tuple[int, str]]) -> None:
    """Everything that follows from the marks of one operation, in its order."""
    facts = sort_marks(touched, marks)
    testing_derive.resolve(cursor, touched, facts)
    if touched.people:
        touched.people |= people_derive.derive_identities(cursor, touched.district, touched.operation, touched.people)
    testing_derive.derive(cursor, touched, sorted(round_windows(touched.operation)))
    leave_cells(cursor, touched)
    found = testing_attention.findings(cursor, touched)
    people = {str(one) for one in touched.people}
    if people:
        found += people_derive.identity_findings(cursor, touched.district, touched.operation, touched.people)
    looked_at = {**testing_attention.looked_at(touched), "people": people}
    cases.renew(cursor, touched.district, touched.operation, looked_at, found)


def sort_marks(touched: Touched, marks: list[tuple[int, str]]) -> set[UUID]:
    """Put each mark where it belongs; returns the ids of marked facts."""
    facts: set[UUID] = set()
    for kind, key in marks:
        if kind == MarkKind.TUBE:
            touched.tubes.add(key)
        elif kind == MarkKind.RESULT:
            touched.results.add(key)
        elif kind == MarkKind.READING:
            touched.readings.add(UUID(key))
        elif kind == MarkKind.BOX:
            touched.boxes.add(key)
        elif kind == MarkKind.PERSON:
            touched.people.add(UUID(key))
        elif kind == MarkKind.FACT:
            facts.add(UUID(key))
        else:
            testing_derive.add(touched, "site", key)
    return facts


def leave_cells(cursor: Any, touched: Touched) -> None:
    """Leave marks for the second stage: the leaf cells that must be recomputed."""
    _moved.update(number for number, _ in touched.areas | touched.sites)
    rows = [(MarkKind.AREA_CELL.value, f"{number}/{area}") for number, area in sorted(touched.areas)]
    rows += [(MarkKind.SITE_CELL.value, f"{number}/{site}") for number, site in sorted(touched.sites)]
    if rows:
        cursor.execute(
            "INSERT INTO journal_mark (district, operation, kind, key)"
            " SELECT %s, %s, * FROM unnest(%s::smallint[], %s::text[])",
            [touched.district, touched.operation, [row[0] for row in rows], [row[1] for row in rows]],
        )


def figures_once(limit: int = CELLS, as_of: datetime | None = None) -> int:
    """Second stage: recompute marked leaf cells in a transaction of its own. Returns how many marks were taken.

    ``as_of``: when the first stage last had nothing left to do; screens show it beside every figure.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        return cells.recompute(cursor, limit, as_of)


# Rounds whose figures this process has moved since bulletins were last compared with them.
_moved: set[int] = set()


def correct_bulletins(*, everything: bool = False) -> int:
    """Third: a fact of a closed round that came late proposes a corrected bulletin. Returns how many were proposed.

    Called when no mark is left; with ``everything`` (when the worker starts) all closed rounds are looked at.
    """
    closed = Round.objects.filter(state=RoundState.CLOSED)
    wanted = closed if everything else closed.filter(pk__in=_moved)
    numbers = list(wanted.values_list("pk", flat=True))
    _moved.clear()
    return sum(propose_corrections(number) is not None for number in numbers)


def settle_down() -> None:
    """Run both stages until no mark is left: for commands and tests that must see the state of all facts."""
    while derive_once() or figures_once(as_of=clock.now()):
        pass
    correct_bulletins()
