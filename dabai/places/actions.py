"""The writers of places: areas and boundaries from files, grids below communities, sites and their stations.

A file of areas may be imported as often as one likes: what is known stays, a new name replaces the old one, nothing is
deleted. Each row that can't be used is refused alone. ``by`` is who does it, None the installation itself; everybody
else needs the permission for every area concerned.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, BinaryIO

from django.db import IntegrityError, transaction

from dabai.access.actions import record, require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.exchange.columns import Column, ColumnMap, match_columns
from dabai.exchange.tables import Row, open_table
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import LANGUAGES, say
from dabai.places.models import Area, Boundary, Site, SiteKind, Station

NAME = 80
ADDRESS = 160
MOST_GRIDS = 99
MOST_STATIONS = 200
GEOJSON_BYTES = 32 * 2**20
SITE_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,23}")
LEVEL_WORDS = {
    "district": 6, "区县": 6, "县": 6, "区": 6, "county": 6,
    "street": 9, "街道": 9, "乡镇": 9, "镇": 9, "town": 9,
    "community": 12, "village": 12, "社区": 12, "村": 12, "居委会": 12, "村委会": 12,
    "grid": 14, "网格": 14,
}  # fmt: skip
AREA_COLUMNS = (
    Column("code", ("代码", "区划代码", "行政区划代码", "编码"), required=True, identifier=True),
    Column("name", ("名称", "区划名称"), required=True),
    Column("level", ("级别", "层级")),
    Column("parent", ("上级", "上级代码", "parent code"), identifier=True),
)
SITE_COLUMNS = (
    Column("code", ("编号", "点位编号", "site code"), required=True),
    Column("kind", ("类型", "点位类型", "site kind"), required=True),
    Column("name", ("名称", "点位名称", "site name"), required=True),
    Column("area", ("区划代码", "社区代码", "area code"), required=True, identifier=True),
    Column("address", ("地址", "详细地址")),
    Column("stations", ("采样台数", "台数", "number of stations")),
    Column("longitude", ("经度", "lng", "lon")),
    Column("latitude", ("纬度", "lat")),
)


@dataclass(slots=True)
class FileReport:
    """What came of a file: how much was added, changed or known already, and each refused row with its number."""

    added: int = 0
    changed: int = 0
    same: int = 0
    refused: list[tuple[int, Refusal]] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """For the audit log."""
        return {"added": self.added, "changed": self.changed, "same": self.same, "refused": len(self.refused)}


def each_row(
    source: BinaryIO, columns: Sequence[Column], report: FileReport, take: Callable[[int, dict[str, str]], None]
) -> None:
    """Hand each row to ``take``; a ``Refusal`` is noted with the row's number and takes no neighbour with it."""
    with open_table(source) as table:
        known = match_columns(table.header, columns)
        if known.missing or known.ambiguous:
            raise Refusal("places.columns_missing", next(iter([*known.missing, *known.ambiguous])))
        for row in table.rows:
            take_row(row, known, report, take)


def take_row(row: Row, columns: ColumnMap, report: FileReport, take: Callable[[int, dict[str, str]], None]) -> None:
    """One row of ``each_row``."""
    try:
        take(row.number, columns.pick(row))
    except Refusal as refusal:
        report.refused.append((row.number, refusal))


def require_place(by: User | None, area: str, operation: int | None = None) -> None:
    """Refuse somebody who does not manage places there. ``access.not_allowed``."""
    require(by, Permission.MANAGE_PLACES, area=area, operation=operation, at=clock.now())


# --- areas ----------------------------------------------------------------------------------------------------


@transaction.atomic
def import_areas(*, by: User | None, source: BinaryIO) -> FileReport:
    """Areas from a CSV or XLSX file with ``code,name,level,parent``; level and parent are checked where given.

    Refusals of a row: ``places.area_code``, ``area_twice``, ``level_wrong``, ``parent_wrong``, ``parent_unknown``,
    ``name_empty``, ``name_long``, ``access.not_allowed``; of the file: ``places.columns_missing``, ``tables.…``.
    """
    report, wanted, numbers = FileReport(), dict[str, str](), dict[str, int]()

    def take(number: int, cells: dict[str, str]) -> None:
        code = checked_area(cells)
        if code in wanted:
            raise Refusal("places.area_twice", "code")
        require_place(by, code)
        wanted[code], numbers[code] = checked_text(cells["name"], "name", NAME), number

    each_row(source, AREA_COLUMNS, report, take)
    above = [code for code in map(areas.parent, wanted) if code]
    known = dict(Area.objects.filter(code__in=[*wanted, *above]).values_list("code", "name"))
    for code in [code for code in wanted if is_orphan(code, wanted, known)]:
        report.refused.append((numbers[code], Refusal("places.parent_unknown", "parent")))
        del wanted[code]
    store_areas(report, wanted, known)
    record(by=by, action="places.areas_imported", subject="area", detail=report.counts())
    return report


def checked_area(cells: Mapping[str, str]) -> str:
    """The code of a row whose level and parent agree with it."""
    code = cells["code"]
    if not areas.is_code(code):
        raise Refusal("places.area_code", "code")
    level = cells["level"].strip().lower()
    if level and LEVEL_WORDS.get(level) != len(code):
        raise Refusal("places.level_wrong", "level", expected=areas.level(code))
    above = areas.parent(code) or code[:4]
    if cells["parent"] and cells["parent"] != above:
        raise Refusal("places.parent_wrong", "parent")
    return code


def checked_text(text: str, name: str, limit: int) -> str:
    """A text that is there and fits."""
    clean = " ".join(text.split())
    if not clean:
        raise Refusal("places.name_empty", name)
    if len(clean) > limit:
        raise Refusal("places.name_long", name, limit=limit)
    return clean


def is_orphan(code: str, wanted: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Whether nothing lies above an area, in the file or known before."""
    above = areas.parent(code)
    while above is not None and above in wanted:
        above = areas.parent(above)
    return above is not None and above not in known


def store_areas(report: FileReport, wanted: Mapping[str, str], known: Mapping[str, str]) -> None:
    """Write what is new or has another name: one statement."""
    report.added = len([code for code in wanted if code not in known])
    news = {code: name for code, name in wanted.items() if known.get(code) != name}
    report.changed, report.same = len(news) - report.added, len(wanted) - len(news)
    rows = [Area(code=code, name=name, level=areas.level(code)) for code, name in sorted(news.items())]
    Area.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["code"], update_fields=["name", "level"], batch_size=5000
    )


@transaction.atomic
def add_grids(*, by: User | None, community: str, count: int, names: Sequence[str] = ()) -> list[str]:
    """Divide a community into ``count`` grids (01, 02, …), the ones that it has already included; answers their codes.

    ``names`` in order; the others are called 第n网格. Refusals ``places.area_unknown``, ``places.grids``.
    """
    if len(community) != 12 or not Area.objects.filter(code=community).exists():
        raise Refusal("places.area_unknown", "community")
    if not 1 <= count <= MOST_GRIDS:
        raise Refusal("places.grids", "count", limit=MOST_GRIDS)
    require_place(by, community)
    called = [checked_text(name, "names", NAME) for name in names]
    codes = [f"{community}{number:02}" for number in range(1, count + 1)]
    called += [f"第{number}网格" for number in range(len(called) + 1, count + 1)]
    rows = [Area(code=code, name=name, level="grid") for code, name in zip(codes, called, strict=False)]
    Area.objects.bulk_create(rows, ignore_conflicts=True)
    record(by=by, action="places.grids_added", subject=f"area/{community}", area=community, detail={"count": count})
    return codes


# --- boundaries -----------------------------------------------------------------------------------------------


@transaction.atomic
def import_boundaries(*, by: User | None, source: BinaryIO) -> FileReport:
    """Outlines from a GeoJSON FeatureCollection; the area is named by ``code``, ``adcode`` or ``gb`` (156 + code).

    An area without coordinates gets the middle of its outline. Refusals of a feature (numbered from 1):
    ``places.area_unknown``, ``places.geometry_form``; of the file: ``places.geojson_form``, ``places.geojson_large``.
    """
    report = FileReport()
    for number, feature in enumerate(features_of(source), 1):
        try:
            store_boundary(by, feature, report)
        except Refusal as refusal:
            report.refused.append((number, refusal))
    record(by=by, action="places.boundaries_imported", subject="area", detail=report.counts())
    return report


def features_of(source: BinaryIO) -> list[Any]:
    """The features of a GeoJSON file."""
    content = source.read(GEOJSON_BYTES + 1)
    if len(content) > GEOJSON_BYTES:
        raise Refusal("places.geojson_large", "file", limit_mb=GEOJSON_BYTES // 2**20)
    try:
        features = json.loads(content)["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refusal("places.geojson_form", "file") from None
    if not isinstance(features, list):
        raise Refusal("places.geojson_form", "file")
    return features


def store_boundary(by: User | None, feature: Any, report: FileReport) -> None:
    """One feature."""
    known = feature.get("properties") if isinstance(feature, dict) else None
    known = known if isinstance(known, dict) else {}
    code = str(known.get("code") or known.get("adcode") or str(known.get("gb", "")).removeprefix("156"))
    area = Area.objects.filter(code=code).first()
    if area is None:
        raise Refusal("places.area_unknown", "properties.code")
    require_place(by, code)
    rings = outer_rings(feature.get("geometry"))
    before = Boundary.objects.filter(area=area).first()
    if before is not None and before.geometry == feature["geometry"]:
        report.same += 1
        return
    Boundary.objects.update_or_create(area=area, defaults={"geometry": feature["geometry"]})
    report.added, report.changed = report.added + (before is None), report.changed + (before is not None)
    if area.longitude is None:
        area.longitude, area.latitude = middle(rings)
        area.save(update_fields=["longitude", "latitude"])


def outer_rings(geometry: Any) -> list[list[tuple[float, float]]]:
    """The outer rings of a Polygon or MultiPolygon in degrees. ``places.geometry_form`` for anything else."""
    try:
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
        rings = [[(float(point[0]), float(point[1])) for point in polygon[0]] for polygon in polygons]
    except (KeyError, TypeError, ValueError, IndexError):
        raise Refusal("places.geometry_form", "geometry") from None
    fits = all(len(ring) >= 4 and all(abs(x) <= 180 and abs(y) <= 90 for x, y in ring) for ring in rings)
    if not rings or not fits:
        raise Refusal("places.geometry_form", "geometry")
    return rings


def middle(rings: Iterable[Sequence[tuple[float, float]]]) -> tuple[float, float]:
    """The centroid of the largest ring (shoelace formula), good enough to put a label there."""

    def doubled_area(ring: Sequence[tuple[float, float]]) -> float:
        return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))

    ring = max(rings, key=lambda one: abs(doubled_area(one)))
    whole = 3 * doubled_area(ring)
    if not whole:
        return ring[0]
    pairs = [(a, b, a[0] * b[1] - b[0] * a[1]) for a, b in pairwise(ring)]
    x = sum((a[0] + b[0]) * cross for a, b, cross in pairs) / whole
    y = sum((a[1] + b[1]) * cross for a, b, cross in pairs) / whole
    return round(x, 6), round(y, 6)


# --- sites ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """What a site is. ``stations`` are numbered from 1."""

    code: str
    kind: str
    name: str
    area: str
    address: str = ""
    longitude: float | None = None
    latitude: float | None = None
    stations: int = 0

    def checked(self) -> "SitePlan":
        """The same, or the reason why there can be no such site."""
        if not SITE_CODE.fullmatch(self.code):
            raise Refusal("places.site_code", "code")
        if self.kind not in SiteKind.values:
            raise Refusal("places.kind_unknown", "kind")
        checked_text(self.name, "name", NAME)
        if len(self.address) > ADDRESS:
            raise Refusal("places.text_long", "address", limit=ADDRESS)
        if not 0 <= self.stations <= MOST_STATIONS:
            raise Refusal("places.stations", "stations", limit=MOST_STATIONS)
        check_coordinates(self.longitude, self.latitude)
        if not Area.objects.filter(code=self.area).exists():
            raise Refusal("places.area_unknown", "area")
        return self


def check_coordinates(longitude: float | None, latitude: float | None) -> None:
    """Both or none, in degrees."""
    if longitude is None and latitude is None:
        return
    if longitude is None or latitude is None or not (abs(longitude) <= 180 and abs(latitude) <= 90):
        raise Refusal("places.coordinate", "longitude" if longitude is None else "latitude")


@transaction.atomic
def add_site(*, by: User | None, operation: int, plan: SitePlan) -> Site:
    """A new site with its stations. Refusals ``places.…`` of ``SitePlan.checked``; ``places.site_code_taken``."""
    plan.checked()
    require_place(by, plan.area, operation)
    try:
        with transaction.atomic():
            site = Site.objects.create(operation=operation, **site_fields(plan))
    except IntegrityError:
        raise Refusal("places.site_code_taken", "code") from None
    numbered(site, plan.stations)
    record(by=by, action="places.site_added", subject=f"site/{site.pk}", area=site.area, operation=operation)
    return site


def site_fields(plan: SitePlan) -> dict[str, Any]:
    """The columns of a site."""
    named = {"code": plan.code, "kind": plan.kind, "name": " ".join(plan.name.split()), "area": plan.area}
    return named | {"address": plan.address, "longitude": plan.longitude, "latitude": plan.latitude}


def numbered(site: Site, count: int) -> None:
    """See to it that the stations 1 to ``count`` exist and are open, and that those beyond are closed."""
    rows = [Station(site=site, number=number, name=f"{number}号台") for number in range(1, count + 1)]
    Station.objects.bulk_create(rows, ignore_conflicts=True)
    Station.objects.filter(site=site, number__lte=count).update(active=True)
    Station.objects.filter(site=site, number__gt=count).update(active=False)


def held_site(by: User | None, site: int) -> Site:
    """A site, locked, that ``by`` manages. Refusals ``places.site_unknown``, ``access.not_allowed``."""
    found = Site.objects.select_for_update().filter(pk=site).first()
    if found is None:
        raise Refusal("places.site_unknown", "site")
    require_place(by, found.area, found.operation)
    return found


@transaction.atomic
def change_site(*, by: User | None, site: int, plan: SitePlan) -> None:
    """Change everything of a site but its code, which is printed on papers. The code in the plan must be its own."""
    found = held_site(by, site)
    plan.checked()
    require_place(by, plan.area, found.operation)
    if plan.code != found.code:
        raise Refusal("places.site_code", "code")
    Site.objects.filter(pk=site).update(**site_fields(plan))
    numbered(found, plan.stations)
    note_change(by, found, "places.site_changed", {"stations": plan.stations})


@transaction.atomic
def open_site(*, by: User | None, site: int, active: bool, reason: str = "") -> None:
    """Close a site, or open it again. What was reported there stays, and late facts of it are still accepted."""
    found = held_site(by, site)
    Site.objects.filter(pk=site).update(active=active)
    note_change(by, found, "places.site_changed", {"active": active}, reason)


@transaction.atomic
def change_station(*, by: User | None, site: int, number: int, name: str, active: bool) -> None:
    """Rename, close or open a station. Refusal ``places.station_unknown``."""
    found = held_site(by, site)
    stations = Station.objects.filter(site=found, number=number)
    if not stations.update(name=checked_text(name, "name", 40), active=active):
        raise Refusal("places.station_unknown", "number")
    note_change(by, found, "places.station_changed", {"station": number, "active": active})


def note_change(by: User | None, site: Site, action: str, detail: dict[str, Any], reason: str = "") -> None:
    """A line of the audit log about a site."""
    subject = f"site/{site.pk}"
    record(
        by=by, action=action, subject=subject, area=site.area, operation=site.operation, detail=detail, reason=reason
    )


@transaction.atomic
def import_sites(*, by: User | None, operation: int, source: BinaryIO) -> FileReport:
    """Sites from a CSV or XLSX file (code, kind, name, area; address, stations, longitude, latitude): new codes are
    added, known ones changed, none deleted. A row that can't be used is refused alone."""
    report = FileReport()
    known = {site.code: site for site in Site.objects.filter(operation=operation)}

    def take(_: int, cells: dict[str, str]) -> None:
        plan, found = plan_of(cells).checked(), known.get(cells["code"])
        if found is None:
            known[plan.code] = add_site(by=by, operation=operation, plan=plan)
            report.added += 1
        elif is_planned(found, plan):
            report.same += 1
        else:
            change_site(by=by, site=found.pk, plan=plan)
            report.changed += 1

    each_row(source, SITE_COLUMNS, report, take)
    return report


def is_planned(site: Site, plan: SitePlan) -> bool:
    """Whether a site is already as a plan says."""
    fields = site_fields(plan)
    open_stations = Station.objects.filter(site=site, active=True).count()
    return all(getattr(site, name) == value for name, value in fields.items()) and open_stations == plan.stations


def plan_of(cells: Mapping[str, str]) -> SitePlan:
    """A row as a plan; kinds by code or by the word of either language."""
    words = kind_words()
    return SitePlan(
        code=cells["code"],
        kind=words.get(cells["kind"].strip().lower(), cells["kind"]),
        name=cells["name"],
        area=cells["area"],
        address=cells["address"],
        longitude=degrees(cells["longitude"], "longitude"),
        latitude=degrees(cells["latitude"], "latitude"),
        stations=whole(cells["stations"]),
    )


def kind_words() -> dict[str, str]:
    """What files call the kinds of sites."""
    return {say(f"places.kind.{kind}", language).lower(): kind for kind in SiteKind.values for language in LANGUAGES}


def degrees(text: str, name: str) -> float | None:
    """A coordinate, None for an empty cell."""
    try:
        return float(text) if text else None
    except ValueError:
        raise Refusal("places.coordinate", name) from None


def whole(text: str) -> int:
    """A number of stations; an empty cell is none."""
    if text and not (text.isascii() and text.isdigit() and len(text) < 5):
        raise Refusal("places.stations", "stations", limit=MOST_STATIONS)
    return int(text or 0)
