"""What a batch of marks is about, and which facts count: shared by everything that is derived of tubes."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


def in_force(alias: str) -> str:
    """The SQL condition that a fact's row has not been withdrawn."""
    row = f"w.district = {alias}.district AND w.target = {alias}.id"
    return f"NOT EXISTS (SELECT 1 FROM journal_withdrawal w WHERE {row})"  # noqa: S608 - aliases only


@dataclass(slots=True)
class Touched:
    """What a batch of marks is about, as it grows; in the end the leaf cells that must be recomputed.

    ``results`` are tubes whose rows are derived anew, ``tubes`` those whose people are looked at too. Of a tube in
    ``read`` nothing but results has changed.
    """

    district: int
    operation: int
    tubes: set[str] = field(default_factory=set)
    results: set[str] = field(default_factory=set)
    people: set[UUID] = field(default_factory=set)
    boxes: set[str] = field(default_factory=set)
    readings: set[UUID] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    covered: set[UUID] = field(default_factory=set)
    areas: set[tuple[int, str]] = field(default_factory=set)
    sites: set[tuple[int, int]] = field(default_factory=set)

    def parameters(self, **more: Any) -> dict[str, Any]:
        """Named parameters of a statement; sets become sorted lists."""
        named = {key: sorted(value) if isinstance(value, set) else value for key, value in more.items()}
        return {"district": self.district, "operation": self.operation, **named}
