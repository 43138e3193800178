"""A district to test in: an operation with its key, the real areas of Duji (340602), and a few sites with stations."""

import csv
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from dabai.access.keys import make_key
from dabai.kernel import areas, clock
from dabai.places.models import Area, Site, SiteKind, Station
from dabai.protocols.actions import store
from dabai.protocols.models import Operation, OperationKind, Profile
from dabai.protocols.schema import Profile as ProfileRules
from dabai.protocols.schema import shipped_profiles

AREAS = Path(__file__).resolve().parents[2] / "scenarios" / "areas"
GRIDS = ("01", "02")
STREETS_WITH_POINTS = 2
STATIONS = 2


@dataclass(frozen=True)
class PreparedOperation:
    """One operation and what stands ready in it. ``points`` are sampling points, two stations each, in two streets."""

    operation: Operation
    areas: list[str]
    points: list[Site]
    door_team: Site
    checkpoint: Site
    laboratory: Site

    @property
    def id(self) -> int:
        return self.operation.pk

    @property
    def district(self) -> int:
        return self.operation.district

    @property
    def streets(self) -> list[str]:
        return [code for code in self.areas if areas.level(code) == "street"]

    @property
    def communities(self) -> list[str]:
        return [code for code in self.areas if areas.level(code) == "community"]

    @property
    def grids(self) -> list[str]:
        return [code for code in self.areas if areas.level(code) == "grid"]


def make_operation(
    kind: str = "drill", district: int = 340602, *, started_at: datetime | None = None, profile: str = "covid19-cn-9"
) -> PreparedOperation:
    """A new operation, ready for rounds: profile, data key, areas down to two grids a community, sites and stations."""
    operation = Operation.objects.create(
        district=district,
        name="杜集全域演练" if kind == "drill" else "杜集疫情处置",
        kind=OperationKind(kind),
        profile=make_profile(profile),
        started_at=started_at or clock.now(),
    )
    make_key(operation.pk)
    codes = make_areas(district)
    streets = [code for code in codes if areas.level(code) == "street"][:STREETS_WITH_POINTS]
    first_of = [next(code for code in codes if len(code) == 12 and code.startswith(street)) for street in streets]
    points = [make_site(operation, f"P{n}", SiteKind.SAMPLING_POINT, area) for n, area in enumerate(first_of, start=1)]
    return PreparedOperation(
        operation=operation,
        areas=codes,
        points=points,
        door_team=make_site(operation, "D1", SiteKind.DOOR_TEAM, first_of[0]),
        checkpoint=make_site(operation, "C1", SiteKind.CHECKPOINT, first_of[0]),
        laboratory=make_site(operation, "L1", SiteKind.LABORATORY, first_of[0]),
    )


def make_profile(slug: str) -> Profile:
    """A profile that we ship."""
    return store(shipped()[slug])


@cache
def shipped() -> dict[str, ProfileRules]:
    """The profiles that we ship, read once."""
    return shipped_profiles()


def make_areas(district: int) -> list[str]:
    """The district's areas as the statistics bureau lists them, and two grids below each community; sorted codes."""
    with open(AREAS / f"{district}.csv", encoding="utf-8", newline="") as file:
        names = {row["code"]: row["name"] for row in csv.DictReader(file)}
    for code in [code for code in names if len(code) == 12]:
        names |= {code + grid: f"{names[code]}第{int(grid)}网格" for grid in GRIDS}
    rows = [Area(code=code, name=name, level=areas.level(code)) for code, name in names.items()]
    Area.objects.bulk_create(rows, ignore_conflicts=True)
    return sorted(names)


def make_site(operation: Operation, code: str, kind: SiteKind, area: str, stations: int = STATIONS) -> Site:
    """A site in ``area``; sampling points and door teams get stations numbered from 1."""
    name = f"{code} {kind.label}"
    site = Site.objects.create(operation=operation.pk, code=code, kind=kind, name=name, area=area)
    if kind in (SiteKind.SAMPLING_POINT, SiteKind.DOOR_TEAM):
        numbers = range(1, stations + 1)
        Station.objects.bulk_create([Station(site=site, number=n, name=f"{n}号台") for n in numbers])
    return site
