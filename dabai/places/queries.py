"""Readers of places: areas below a code, their names, and sites with their stations."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from dabai.kernel import areas
from dabai.places.models import Area, Boundary, Site, Station

COMMUNITY = 12


@dataclass(frozen=True, slots=True)
class AreaRow:
    """An area as lists show it."""

    code: str
    name: str
    level: str
    longitude: float | None = None
    latitude: float | None = None


def area_rows(found: Iterable[Area]) -> list[AreaRow]:
    """Plain rows."""
    return [AreaRow(area.code, area.name, area.level, area.longitude, area.latitude) for area in found]


def areas_below(prefix: str, depth: int = 1) -> list[AreaRow]:
    """The active areas down to ``depth`` levels below ``prefix`` (1: the next level), sorted by code.

    The empty prefix has the districts as its next level.
    """
    lengths = [length for length in areas.LENGTHS if length > len(prefix)][:depth]
    found = Area.objects.filter(code__startswith=prefix, level__in=[areas.LEVELS[n] for n in lengths], active=True)
    return area_rows(found.order_by("code"))


def area(code: str) -> AreaRow | None:
    """One area, closed ones too; None for a code that nobody has imported."""
    return next(iter(area_rows(Area.objects.filter(code=code))), None)


def path_to(code: str) -> list[AreaRow]:
    """The areas above ``code``, district first, and itself: what stands over a page."""
    return area_rows(Area.objects.filter(code__in=[*areas.ancestors(code), code]).order_by("code"))


def names(codes: Iterable[str]) -> dict[str, str]:
    """Code to name, one statement; unknown codes are left out."""
    return dict(Area.objects.filter(code__in=set(codes)).values_list("code", "name"))


def areas_in(prefixes: Collection[str], levels: Collection[str] = areas.LEVELS.values()) -> list[AreaRow]:
    """The active areas of these levels in any of the prefixes, themselves included, sorted by code."""
    return area_rows(Area.objects.filter(in_any(prefixes), level__in=levels, active=True).order_by("code"))


def in_any(prefixes: Collection[str], field: str = "code") -> Q:
    """The condition that ``field`` lies in one of the areas; no prefix means nowhere."""
    condition = Q(pk__in=[])
    for prefix in prefixes:
        condition |= Q(**{f"{field}__startswith": prefix})
    return condition


# --- sites ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StationRow:
    """A station (采样台) of a site."""

    number: int
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site as lists and maps show it."""

    id: int
    code: str
    kind: str
    name: str
    area: str
    address: str
    longitude: float | None
    latitude: float | None
    active: bool
    stations: tuple[StationRow, ...]


SITE_COLUMNS = ("id", "code", "kind", "name", "area", "address", "longitude", "latitude", "active")


def sites(
    operation: int, prefixes: Collection[str] = ("",), kinds: Collection[str] = (), *, closed: bool = False
) -> list[SiteRow]:
    """The sites of an operation in these areas, by code, with their stations: two statements."""
    found = Site.objects.filter(in_any(prefixes, "area"), operation=operation).order_by("code")
    found = found.filter(kind__in=kinds) if kinds else found
    return site_rows(found if closed else found.filter(active=True))


def site(number: int) -> SiteRow | None:
    """One site by id, or None."""
    return next(iter(site_rows(Site.objects.filter(pk=number))), None)


def site_rows(found: Any) -> list[SiteRow]:
    """Sites with their stations."""
    rows = list(found.values_list(*SITE_COLUMNS))
    stations: dict[int, list[StationRow]] = {}
    wanted = Station.objects.filter(site_id__in=[row[0] for row in rows]).order_by("number")
    for owner, number, name, active in wanted.values_list("site_id", "number", "name", "active"):
        stations.setdefault(owner, []).append(StationRow(number, name, active))
    return [
        SiteRow(**dict(zip(SITE_COLUMNS, row, strict=True)), stations=tuple(stations.get(row[0], ()))) for row in rows
    ]


# --- maps -----------------------------------------------------------------------------------------------------


def outlines(codes: Sequence[str]) -> dict[str, Any]:
    """The boundaries of these areas that are known, as a GeoJSON FeatureCollection with ``code`` and ``name``."""
    found = Boundary.objects.filter(area_id__in=codes).select_related("area").order_by("area_id")
    features = [
        {
            "type": "Feature",
            "id": boundary.area.code,
            "properties": {"code": boundary.area.code, "name": boundary.area.name},
            "geometry": boundary.geometry,
        }
        for boundary in found
    ]
    return {"type": "FeatureCollection", "features": features}
