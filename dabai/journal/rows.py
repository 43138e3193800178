"""How handlers write: one COPY for all rows of a batch, and one way to judge where a fact belongs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from dabai.journal.kinds import Fact
from dabai.journal.reference import SiteReference, round_of, site_of
from dabai.kernel.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert into ``table`` of rows as tuples in the order of ``columns`` (name to PostgreSQL type).

    One COPY: a tenth of the time that drivers need to bind arrays. Ids and times that come as text (``Fact.text``,
    ``moment_text``) are written by compiled code; as objects they take as long as everything else together.
    """

    table: str
    columns: dict[str, str]

    def __call__(self, cursor: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the rows; nothing for none. One statement whatever their number."""
        if rows:
            with cursor.db.wrap_database_errors, cursor.copy(self.statement()) as copy:
                for row in rows:
                    copy.write_row(row)

    def statement(self) -> str:
        """The COPY statement."""
        names = ", ".join(f'"{name}"' for name in self.columns)
        return f"COPY {self.table} ({names}) FROM STDIN"


@lru_cache(8_192)
def moment_text(moment: datetime) -> str:
    """A time as it is written. Remembered, because a fact's times stand in two tables."""
    return str(moment)


def uuids(values: Iterable[Any]) -> str:
    """Ids as the text of a PostgreSQL array, to be cast: ``%s::uuid[]``."""
    return "{" + ",".join(map(str, values)) + "}"


def place(fact: Fact, site_id: int, *, kind: str | None = None, field: str = "body.site") -> Refusal | None:
    """Set the fact's site and area, or say why not: the site is unknown, of another kind, or out of the reporter's
    scope.
    """
    site = site_of(fact.operation, site_id)
    if site is None or (kind is not None and site.kind != kind):
        return Refusal("journal.site_unknown", field)
    return settle_place(fact, site)


def settle_place(fact: Fact, site: SiteReference) -> Refusal | None:
    """Set site and area; ``journal.out_of_scope`` when the reporter may not report there (as of when it happened)."""
    fact.site, fact.area = site.id, site.area
    if not fact.covers(site.id, site.area):
        return Refusal("journal.out_of_scope", "body.site")
    return None


def place_in_area(fact: Fact, area: str, field: str = "body.area") -> Refusal | None:
    """Set the fact's area where there is no site."""
    fact.area = area
    if not fact.covers(None, area):
        return Refusal("journal.out_of_scope", field)
    return None


def place_about(fact: Fact, *areas: str | None) -> Refusal | None:
    """For facts that name people or other facts and no place. ``areas`` are where reference data says they belong.

    A desk user must reach every one of them, and the whole district where one is not known. A device may say of its
    facts that they were not so; whose they were is only known once both have come.
    """
    fact.area = next((area for area in areas if area), None) or str(fact.district)
    asked = {area or str(fact.district) for area in areas} or {str(fact.district)}
    if fact.device is None and not all(fact.covers(None, area) for area in asked):
        return Refusal("journal.out_of_scope", "kind")
    return None


def in_round(fact: Fact, number: int) -> Refusal | None:
    """Refuse a round that does not exist or was never approved; flag a fact that arrives after the round was closed."""
    found = round_of(fact.operation, number)
    if found is None or found.approved_at is None:
        return Refusal("journal.round_unknown", "body.round")
    if found.closed_at is not None and fact.received_at >= found.closed_at:
        fact.flags |= 4
    return None


def accepted(facts: Iterable[Fact], refusals: Sequence[Refusal | None]) -> list[Fact]:
    """The facts that were not refused."""
    return [fact for fact, refusal in zip(facts, refusals, strict=True) if refusal is None]
