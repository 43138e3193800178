"""Whose duty it is: every due item has a place, and the place has a grid worker who answers for it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dabai.kernel import clock


@dataclass(frozen=True, slots=True)
class Owner:
    """The grid worker who answers for an area, by the narrowest assignment in force."""

    user: int
    name: str
    area: str


DUTIES = """
SELECT r.ends_at, g.area, o.id, o.display_name, o.area
FROM testing_round r
LEFT JOIN unnest(%(areas)s::text[]) AS g(area) ON true
LEFT JOIN LATERAL (
    SELECT u.id, u.display_name, s.area FROM access_assignment s JOIN access_user u ON u.id = s.user_id
    WHERE s.role = 'grid_worker' AND starts_with(g.area, s.area) AND u.is_active
        AND (s.operation IS NULL OR s.operation = r.operation)
        AND s.valid_from <= %(now)s AND coalesce(s.valid_to > %(now)s, true)
    ORDER BY length(s.area) DESC, s.id LIMIT 1
) o ON true
WHERE r.id = %(round)s AND r.district = %(district)s"""


def duties(
    cursor: Any, district: int, round_id: int, areas: Collection[str]
) -> tuple[dict[str, Owner], datetime | None]:
    """Who answers for each of these areas, and until when a round lasts: one statement."""
    where = {"district": district, "round": round_id, "areas": sorted(areas), "now": clock.now()}
    cursor.execute(DUTIES, where)
    rows = cursor.fetchall()
    owners = {area: Owner(user, name, at) for _, area, user, name, at in rows if user is not None}
    return owners, rows[0][0] if rows else None
