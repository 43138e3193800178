"""The frozen content of a bulletin: plain data, read from live figures once; its words are made from nothing else.

``values`` holds every figure with its counts, ``areas`` a row for each town and sub-district (a round's only),
``rounds`` and ``places`` the rows of an issue to date.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection

from dabai.figures import board
from dabai.figures.definitions import Value
from dabai.figures.queries import Figures, Scope, figures_of, operation_scope, plain, round_scope
from dabai.kernel import clock
from dabai.places.queries import names
from dabai.protocols.models import Operation
from dabai.testing.models import Round


def of(operation: int, round_id: int | None, cut_off: datetime | None) -> dict[str, Any]:
    """What an issue made now would hold. ``cut_off`` None: everything received so far."""
    now = clock.now()
    scope = operation_scope(operation) if round_id is None else round_scope(round_id)
    found = figures_of(scope, upto=cut_off, distinct=round_id is None)
    about = Operation.objects.get(pk=operation)
    district = names([str(scope.district)]).get(str(scope.district), str(scope.district))
    starts_at = min((one.starts_at for one in scope.rounds), default=about.started_at)
    return {
        "district": {"code": str(scope.district), "name": district},
        "operation": {"id": operation, "name": about.name, "kind": str(about.kind)},
        "round": None if round_id is None else named(scope.rounds[0]),
        "starts_at": starts_at.isoformat(),
        "cut_off": (cut_off or now).isoformat(),
        "upto": cut_off.isoformat() if cut_off else None,
        "as_of": found.as_of.isoformat() if found.as_of else None,
        "values": {name: frozen(value) for name, value in found.values.items()},
        "areas": [] if round_id is None else areas_of(round_id, cut_off),
        "rounds": rounds_of(scope, found) if round_id is None else [],
        "places": places_of(scope, found) if round_id is None else [],
        "next": None if round_id is None else following(scope.rounds[0]),
    }


def hour_asked(content: Mapping[str, Any]) -> datetime | None:
    """The cut-off that an issue was asked for; None when it took everything received so far."""
    return datetime.fromisoformat(content["upto"]) if content["upto"] else None


def frozen(value: Value) -> dict[str, Any]:
    """A figure as plain data."""
    return {
        "value": plain(value),
        "top": value.top,
        "bottom": value.bottom,
        "reason": value.reason,
        "warning": value.warning,
        "estimate": value.estimate,
    }


def numbers(content: Mapping[str, Any]) -> dict[str, int | float | None]:
    """The plain numbers of an issue by figure."""
    return {name: value["value"] for name, value in content["values"].items()}


def named(found: Round) -> dict[str, Any]:
    """A round by number and name."""
    return {"id": found.pk, "number": found.number, "name": found.name}


def following(found: Round) -> dict[str, Any] | None:
    """The round after this one, once it is planned."""
    later = Round.objects.filter(operation=found.operation, number__gt=found.number).order_by("number").first()
    return None if later is None else named(later) | {"starts_at": later.starts_at.isoformat()}


def areas_of(round_id: int, upto: datetime | None) -> list[dict[str, Any]]:
    """A row for each town and sub-district in which somebody is due or was swabbed."""
    return [
        {
            "area": row.area,
            "name": row.name,
            "due": row.due,
            "covered": row.covered,
            "outstanding": row.outstanding,
            "resulted": row.resulted,
            "pending": row.pending,
            "positive": row.positive,
        }
        for row in board.coverage(round_id, upto=upto).rows
    ]


ROUNDS = """
SELECT r.id, coalesce(s.samples, 0), coalesce(s.tubes, 0), coalesce(p.people, 0)
FROM testing_round r
LEFT JOIN (
    SELECT round, sum(samples) AS samples, sum(tubes) AS tubes FROM figures_site_cell
    WHERE district = %(district)s AND round = ANY(%(rounds)s) AND hour < %(upto)s GROUP BY round) s ON s.round = r.id
LEFT JOIN (
    SELECT round, sum(sampled + unlisted) AS people FROM figures_area_cell
    WHERE district = %(district)s AND round = ANY(%(rounds)s) AND hour < %(upto)s GROUP BY round) p ON p.round = r.id
WHERE r.id = ANY(%(rounds)s)"""
PLACES = """
SELECT left(s.area, 9), coalesce(min(a.name), ''), sum(c.samples), sum(c.tubes)
FROM figures_site_cell c JOIN places_site s ON s.id = c.site LEFT JOIN places_area a ON a.code = left(s.area, 9)
WHERE c.district = %(district)s AND c.round = ANY(%(rounds)s) AND c.hour < %(upto)s
GROUP BY 1 HAVING sum(c.samples) > 0 ORDER BY 1"""


def rows(statement: str, scope: Scope, found: Figures) -> list[tuple[Any, ...]]:
    """The rows of a statement about a scope up to a cut-off."""
    upto = found.asked.upto or datetime.max.replace(tzinfo=clock.zone())
    with connection.cursor() as cursor:
        cursor.execute(statement, {"district": scope.district, "rounds": scope.ids, "upto": upto})
        return list(cursor.fetchall())


def rounds_of(scope: Scope, found: Figures) -> list[dict[str, Any]]:
    """A row for each round of an issue to date."""
    counts = {row[0]: [int(count) for count in row[1:]] for row in rows(ROUNDS, scope, found)}
    return [
        named(one) | dict(zip(("person_times", "tubes", "people"), counts[one.pk], strict=True)) for one in scope.rounds
    ]


def places_of(scope: Scope, found: Figures) -> list[dict[str, Any]]:
    """A row for each town and sub-district in which samples were taken."""
    return [
        {"area": area, "name": name, "person_times": int(samples), "tubes": int(tubes)}
        for area, name, samples, tubes in rows(PLACES, scope, found)
    ]
