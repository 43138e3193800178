"""A district of a million made-up people: areas, points, phones, residents, accounts. All of it is written by SQL.

Everything can be worked out from a number: person ``n`` lives in household ``n / 3`` of grid ``n · grids / people``.
Names and numbers of residents are random bytes in the shape of sealed values, but for some who can be looked up.
"""

import csv
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from dabai.access import codes
from dabai.access.keys import ring
from dabai.access.models import Device, DeviceScope
from dabai.journal.partitions import make_ahead
from dabai.kernel import areas, clock
from dabai.kernel.ids import uuid7
from dabai.people.rules import normalise_document
from dabai.places.models import Area, Site, SiteKind, Station
from dabai.protocols.actions import create_operation, load_shipped
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.residents import resident_number
from tests.load.installation import Installation

DISTRICT = 340602
AREAS = Path(__file__).resolve().parents[2] / "scenarios" / "areas" / f"{DISTRICT}.csv"
PEOPLE_OF_A_GRID = 1000
STATIONS = 4
FIRST_RESIDENT = 100_000
LOG_IN = "bei-ce-2022-ya-li"

FUNCTIONS = """
CREATE FUNCTION bench_person(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
  RETURN ('018b0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;
CREATE FUNCTION bench_household(n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql
  RETURN ('018a0000-0000-7000-8000-' || lpad(to_hex(n / 3), 12, '0'))::uuid;
CREATE FUNCTION bench_id(at timestamptz) RETURNS uuid VOLATILE LANGUAGE sql
  RETURN encode(
    substr(int8send((extract(epoch FROM at) * 1000)::bigint), 3)
    || substr(set_byte(uuid_send(gen_random_uuid()), 6, 112 + (random() * 15)::int), 7), 'hex')::uuid;
CREATE UNLOGGED TABLE bench_grid (number int PRIMARY KEY, code text);
CREATE UNLOGGED TABLE bench_site (number int PRIMARY KEY, id int, area text, device uuid);
"""
RESIDENTS = """
INSERT INTO people_person (district, id, operation, household, area, building, spot, document_kind, sex, birth_year,
  "group", away, doubt, key, name_enc, number_enc, phone_enc, name_token, number_token, tail_token, phone_token)
SELECT %(district)s, bench_person(n), %(operation)s, bench_household(n), g.code, n / 90 %% 12 + 1 || '号楼', false,
  '01', n %% 2 + 1, 1900 + n %% 10, '', false, '', 1, r.a || 'name'::bytea, r.a || 'number sealed'::bytea,
  r.b || 'phone'::bytea,
  substr(r.a, 1, 16), substr(r.a, 17), substr(r.b, 1, 16), substr(r.b, 17)
FROM generate_series(%(first)s::bigint, %(last)s) n
JOIN bench_grid g ON g.number = n * %(grids)s / %(people)s
CROSS JOIN LATERAL (SELECT sha256(int8send(n)) AS a, sha256(int8send(-1 - n)) AS b) r
ORDER BY n
"""
HOUSEHOLDS = """
INSERT INTO people_household (district, id, operation, area, estate, building, unit, collective, sealed, key,
  address_enc, address_token)
SELECT %(district)s, bench_household(n), %(operation)s, g.code, '', n / 90 %% 12 + 1 || '号楼', '', false, false, 1,
  sha256(int8send(n)), substr(sha256(int8send(n)), 1, 16)
FROM generate_series(0::bigint, %(people)s - 1, 3) n JOIN bench_grid g ON g.number = n * %(grids)s / %(people)s
"""
FINDABLE = """
UPDATE people_person SET number_token = %s, name_token = %s WHERE district = %s AND id = bench_person(%s)
"""


@dataclass(frozen=True, slots=True)
class Phone:
    """A paired phone at a station of a point."""

    id: UUID
    token: str
    site: int
    station: int


@dataclass
class World:
    """What there is to load. ``findable`` are (number, name) of residents ``0, 1, 2, …``."""

    people: int
    operation: int
    profile: int
    grids: list[str]
    sites: list[Site]
    laboratory: Site
    phones: list[Phone]
    cast: Cast
    findable: list[tuple[str, str]] = field(default_factory=list)
    rounds: int = 0
    batches: int = 0
    strangers: int = 0
    samples: int = 0

    @property
    def district(self) -> int:
        return DISTRICT

    @property
    def names(self) -> dict[str, Any]:
        """What most statements ask for."""
        return {
            "district": DISTRICT, "operation": self.operation, "people": self.people, "grids": len(self.grids),
            "sites": len(self.sites), "lab": self.laboratory.pk,
            "technician": self.cast.lab_technician.user.pk, "reviewer": self.cast.lab_reviewer.user.pk,
        }  # fmt: skip

    def first_person(self, grid: str) -> int:
        """The lowest number of the people of a grid."""
        return -(-self.grids.index(grid) * self.people // len(self.grids))

    def person(self, number: int) -> str:
        """The id of a resident."""
        return f"018b0000-0000-7000-8000-{number % self.people:012x}"


def make_world(place: Installation, people: int, *, findable: int) -> World:
    """A response in Duji with so many residents."""
    load_shipped()
    started = clock.now() - timedelta(days=60)
    make_ahead(started)  # as the worker did when the response began: else all facts would lie in the DEFAULT partition
    operation = create_operation(
        by=None, district=DISTRICT, name="压力测试", kind="response", profile="covid19-cn-9", started_at=started
    )
    grids = make_areas(max(1, people // PEOPLE_OF_A_GRID))
    sites = make_sites(operation.pk, grids, max(2, people // 2500))
    laboratory = Site.objects.create(
        operation=operation.pk, code="L1", kind=SiteKind.LABORATORY, name="检验所", area=str(DISTRICT)
    )
    world = World(
        people=people,
        operation=operation.pk,
        profile=operation.profile_id,
        grids=grids,
        sites=sites,
        laboratory=laboratory,
        phones=make_phones(operation.pk, sites),
        cast=make_cast(operation.pk, str(DISTRICT), password=LOG_IN, since=started),
    )
    make_residents(place, world, findable)
    return world


def make_areas(count: int) -> list[str]:
    """The district's real areas, and so many grids below its communities."""
    with AREAS.open(encoding="utf-8", newline="") as file:
        names = {row["code"]: row["name"] for row in csv.DictReader(file)}
    communities = sorted(code for code in names if len(code) == 12)
    each = -(-count // len(communities))
    grids = [f"{code}{number:02}" for code in communities for number in range(1, each + 1)][: max(count, 2)]
    names |= {code: f"第{int(code[12:])}网格" for code in grids}
    Area.objects.bulk_create(Area(code=code, name=name, level=areas.level(code)) for code, name in names.items())
    return grids


def make_sites(operation: int, grids: list[str], count: int) -> list[Site]:
    """Sampling points spread over the communities, in the order of their areas."""
    places = [grids[number * len(grids) // count][:12] for number in range(count)]
    kind = SiteKind.SAMPLING_POINT
    Site.objects.bulk_create(
        Site(operation=operation, code=f"P{n}", kind=kind, name=f"{n}号采样点", area=area)
        for n, area in enumerate(places)
    )
    sites = list(Site.objects.filter(operation=operation).order_by("pk"))
    Station.objects.bulk_create(Station(site=site, number=n) for site in sites for n in range(1, STATIONS + 1))
    return sites


def make_phones(operation: int, sites: list[Site]) -> list[Phone]:
    """A phone for each point, as pairing leaves it."""
    phones = [Phone(uuid7(), codes.new_token(), site.pk, 1) for site in sites]
    now, long_ago = clock.now(), clock.now() - timedelta(days=365)
    Device.objects.bulk_create(
        Device(id=one.id, district=DISTRICT, operation=operation, name=f"手机{number}", paired_at=now,
               token_hash=codes.token_digest(one.token))
        for number, one in enumerate(phones)
    )  # fmt: skip
    DeviceScope.objects.bulk_create(DeviceScope(device_id=one.id, site=one.site, valid_from=long_ago) for one in phones)
    return phones


def make_residents(place: Installation, world: World, findable: int) -> None:
    """Residents and households; the first ``findable`` get tokens by which they are found."""
    with place.connect() as connection:
        connection.execute(FUNCTIONS)
        cursor = connection.cursor()
        cursor.executemany("INSERT INTO bench_grid VALUES (%s, %s)", list(enumerate(world.grids)))
        rows = [
            (n, one.pk, one.area, phone.id)
            for n, (one, phone) in enumerate(zip(world.sites, world.phones, strict=True))
        ]
        cursor.executemany("INSERT INTO bench_site VALUES (%s, %s, %s, %s)", rows)
        connection.execute("SET synchronous_commit = off")
        connection.execute(RESIDENTS, world.names | {"first": 0, "last": world.people - 1})
        connection.execute(HOUSEHOLDS, world.names)
        keys, today = ring(world.operation), clock.business_day(clock.now())
        for number in range(min(findable, world.people)):
            text, name = resident_number(FIRST_RESIDENT + number), f"测试{number}"
            key = normalise_document("", text, today=today).key
            world.findable.append((text, name))
            cursor.execute(FINDABLE, [keys.token("number", key), keys.token("name", name), DISTRICT, number])
        connection.execute("ANALYZE people_person, people_household")
