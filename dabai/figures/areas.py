"""A round's coverage by area, at any depth: one row for an area and one for each area right below it.

Read from leaf cells alone; an area is the sum of its leaves, so every level agrees with the next. One statement for the
counts, one for the names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from dabai.kernel import areas
from dabai.places.queries import areas_below
from dabai.places.queries import names as area_names

MEASURES = (
    "frozen", "added", "removed", "excused", "sampled", "resulted", "negative", "pending", "positive", "unlisted",
)  # fmt: skip

BELOW = f"""
SELECT left(area, %(length)s) AS code, {", ".join(f"sum({name})" for name in MEASURES)}
FROM figures_area_cell
WHERE district = %(district)s AND round = %(round)s AND area LIKE ANY(%(within)s)
GROUP BY 1 ORDER BY 1"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class AreaRow:
    """The counts of one area. ``due`` is the frozen roster, plus what was added, less what was removed."""

    code: str
    name: str
    level: str
    frozen: int = 0
    added: int = 0
    removed: int = 0
    excused: int = 0
    sampled: int = 0
    resulted: int = 0
    negative: int = 0
    pending: int = 0
    positive: int = 0
    unlisted: int = 0

    @property
    def due(self) -> int:
        """应检 now."""
        return self.frozen + self.added - self.removed

    @property
    def outstanding(self) -> int:
        """Due, and neither swabbed nor excused."""
        return max(0, self.due - self.sampled - self.excused)

    def as_dict(self) -> dict[str, Any]:
        """Every count, the two that are worked out included."""
        named = ("code", "name", "level", *MEASURES, "due", "outstanding")
        return {name: getattr(self, name) for name in named}


def coverage(*, district: int, round_id: int, area: str, within: Sequence[str]) -> tuple[AreaRow, list[AreaRow]]:
    """The area and the areas right below it that have people in the round, or none. Two or three statements.

    ``within`` are the prefixes that the reader may see: both the sum and the rows are cut to them.
    """
    below = next((length for length in areas.LENGTHS if length > len(area)), areas.LENGTHS[-1])
    values = {"district": district, "round": round_id, "length": below, "within": [f"{one}%" for one in within]}
    with connection.cursor() as cursor:
        cursor.execute(BELOW, values)
        counts = {row[0]: dict(zip(MEASURES, map(int, row[1:]), strict=True)) for row in cursor.fetchall()}
    total = {name: sum(row[name] for row in counts.values()) for name in MEASURES}
    known = {row.code: row.name for row in areas_below(area)}
    lost = [code for code in (*counts, area) if code not in known]
    known |= area_names(lost) if lost else {}
    here = AreaRow(area, known.get(area, area), areas.level(area), **total)
    children = [
        AreaRow(code, known.get(code, code), areas.level(code), **counts[code])
        for code in sorted(counts)
        if code != area and len(code) == below and any(counts[code].values())
    ]
    return here, children


def leaves(*, district: int, round_id: int, within: Sequence[str]) -> list[str]:
    """The leaf areas of a round that lie in these prefixes: as they stand on the roster and at the points."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT area FROM figures_area_cell
               WHERE district = %s AND round = %s AND area LIKE ANY(%s) ORDER BY area""",
            [district, round_id, [f"{one}%" for one in within]],
        )
        return [area for (area,) in cursor.fetchall()]
