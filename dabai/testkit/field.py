"""Phones and a desk for tests: build facts by hand, send them through the intake, look at the state afterwards.

``deliver`` stores in the test's own transaction; the group writer and HTTP are tested where they matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from dabai.access.rules import Grant, Role
from dabai.journal import reference
from dabai.journal.decode import read_facts
from dabai.journal.door import DeskReporter, kinds
from dabai.journal.intake import Receipt, store
from dabai.journal.kinds import Kind
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.registry import settle_down

START = datetime(2022, 3, 13, 0, 0, tzinfo=UTC)


@dataclass(slots=True)
class AnyPhone:
    """A reporter whose scope is a list of sites and area prefixes, without a row in the database."""

    district: int
    operation: int
    sites: set[int] = field(default_factory=set)
    areas: tuple[str, ...] = ("",)
    device: UUID | None = field(default_factory=uuid7)
    user: int | None = None
    flags: int = 0

    def may_report(self, kind: Kind) -> bool:
        """A phone reports no decisions."""
        return not kind.desk

    def covers(self, kind: str, site: int | None, area: str, at: datetime) -> bool:
        """In one of its sites or areas."""
        return site in self.sites or area.startswith(self.areas) if self.areas else site in self.sites


def desk(district: int, operation: int, user: int | None, *roles: Role) -> DeskReporter:
    """A desk user with these roles in the whole district."""
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    grants = [Grant(role, str(district), None, long_ago) for role in roles]
    return DeskReporter(district, operation, user, grants, clock.now())


def fact(kind: str, body: dict[str, Any], *, at: datetime | timedelta = START, **more: Any) -> dict[str, Any]:
    """A fact as a phone sends it; ``at`` may be an offset from ``START``."""
    moment = START + at if isinstance(at, timedelta) else at
    return {"id": str(uuid7()), "kind": kind, "happened_at": moment.isoformat(), "body": body, **more}


def deliver(reporter: Any, raws: Iterable[dict[str, Any]], *, received_at: datetime | None = None) -> list[Receipt]:
    """Send one batch through the intake, in the current transaction."""
    moment = received_at or clock.now()
    facts = read_facts(list(raws), kinds=kinds(), reporter=reporter, received_at=moment, skew=timedelta(0))
    if not facts:
        return []
    with transaction.atomic():
        return store(facts)


# The tables that are functions of the set of facts, with what may differ between two orders left out.
DERIVED = {
    "testing_tube": "",
    "testing_box": "",
    "testing_coverage": "",
    "people_identity": "",
    "journal_attention": "seq",
    "figures_area_cell": "",
    "figures_site_cell": "",
    "figures_duration_cell": "",
}


def derived_state(tables: Sequence[str] = tuple(DERIVED)) -> dict[str, list[Any]]:
    """Everything derived, comparable: run both stages first, then read every row without its volatile columns."""
    settle_down()
    state: dict[str, list[Any]] = {}
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"SELECT to_jsonb(t) - %s FROM {table} t", [DERIVED[table]])
            rows = [row[0] for row in cursor.fetchall()]
            state[table] = sorted(str(row) for row in rows if not is_closed(row))
    return state


def is_closed(row: Any) -> bool:
    """A case that is gone differs from one that never was only in having a row."""
    return '"state": "gone"' in str(row) or (isinstance(row, dict) and row.get("state") == "gone")


def forget_everything() -> None:
    """Between examples of a property test: empty every table of facts, marks and derived rows."""
    reference.forget()
    with connection.cursor() as cursor:
        cursor.execute(
            """TRUNCATE journal_entry, journal_kept, journal_withdrawal, journal_mark, journal_attention,
               journal_settlement, testing_late_entry, people_person, people_correction, people_merge,
               people_identity, testing_sample,
               testing_sample_move, testing_claim_decision, testing_tube_event, testing_packing, testing_box_event,
               testing_result, testing_result_decision, testing_site_event, testing_roster_change, testing_tube,
               testing_box, testing_coverage, figures_area_cell, figures_site_cell, figures_duration_cell"""
        )
