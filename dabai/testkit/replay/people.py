"""A synthetic roster with the real shape of the district.

The census gives totals: people, family and collective households, sexes, ages. Each is shared out over the communities
and then met exactly inside each of them, so the whole adds up to the census whatever the scale. A community is made
from its own seed: the drill's six communities hold the same people in the small scenario and in the large one.
"""

import csv
import io
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import NamedTuple

from dabai.testkit.replay.names import RESIDENT_AREAS, Numbers, name, phone
from dabai.testkit.replay.scenario import Scenario, scaled, share

CENSUS_DAY = date(2022, 3, 13)
# Ages within the census's bands (first age, number of years, weight of the first, of the last).
CHILD, ADULT, SENIOR, OLD = "0-14", "15-59", "60-64", "65+"
BANDS = {CHILD: (0, 15, 1.0, 1.0), ADULT: (15, 45, 0.8, 1.2), SENIOR: (60, 5, 1.0, 1.0), OLD: (65, 30, 1.0, 0.02)}
FAMILY_SIZES = (1, 2, 3, 4, 5, 6)
FAMILY_WEIGHTS = (25, 31, 21, 13, 7, 3)
RESIDENT_ID, PASSPORT, NO_DOCUMENT = "01", "03", "00"
GROUPS = ("medical_staff", "school_staff", "courier", "market_staff", "cold_chain", "driver")
COLUMNS = (
    "姓名", "证件类型", "证件号码", "性别", "电话", "网格", "小区", "楼栋", "单元", "门牌", "户号", "集体户", "人群",
)  # fmt: skip


class Person(NamedTuple):
    """Somebody who may be swabbed. ``key`` is the driver's own number for them; rows of the roster count from 0."""

    key: int
    name: str
    kind: str
    number: str
    sex: int
    born: date
    phone: str
    grid: str
    household: str
    collective: bool
    building: str
    unit: str
    room: str
    group: str

    @property
    def community(self) -> str:
        return self.grid[:12]


@dataclass(frozen=True)
class Shape:
    """How many of each a community has."""

    code: str
    people: int
    families: int
    collectives: int
    in_collectives: int
    male: int
    bands: Mapping[str, int]


def shapes(scenario: Scenario) -> list[Shape]:
    """The census shared out over all communities, in the order of their codes."""
    codes = sorted(scenario.communities)
    people = [scenario.communities[code] for code in codes]
    total = {item: scaled(count, scenario.scale) for item, count in scenario.census.items()}
    collectives = _capped(total["collective households"], people, [count // 4 for count in people])
    in_collectives = _shared_in_households(total["persons in collective households"], collectives)
    children = share(total["age 0-14"], people)
    seniors = share(total["age 60+"], people)
    old = _capped(total["of which 65+"], seniors, seniors)
    families = _capped(total["family households"], people, [p - c for p, c in zip(people, in_collectives, strict=True)])
    male = share(total["male"], people)
    return [
        Shape(code, p, f, c, inside, m, {CHILD: young, ADULT: p - young - s, SENIOR: s - o, OLD: o})
        for code, p, f, c, inside, m, young, s, o in zip(
            codes, people, families, collectives, in_collectives, male, children, seniors, old, strict=True
        )
    ]


def _capped(total: int, weights: list[int], caps: list[int]) -> list[int]:
    """``share`` that gives nobody more than the cap; what is over goes where there is most room."""
    parts = [min(part, cap) for part, cap in zip(share(total, weights), caps, strict=True)]
    for _ in range(total - sum(parts)):
        roomiest = max(range(len(parts)), key=lambda n: (caps[n] - parts[n], -n))
        parts[roomiest] += 1
    return parts


def _shared_in_households(people: int, households: list[int]) -> list[int]:
    """People of collective households: at least one in each."""
    extra = share(people - sum(households), households)
    return [count + more for count, more in zip(households, extra, strict=True)]


def roster(scenario: Scenario) -> list[Person]:
    """Everybody on the list: the district, or the communities of the rounds; ``key`` is the place in this list."""
    wanted = set(scenario.in_scope)
    people: list[Person] = []
    for index, shape in enumerate(shapes(scenario)):
        if shape.code in wanted:
            people += _community(scenario, shape, index, first=len(people))
    return people


def _community(scenario: Scenario, shape: Shape, index: int, first: int) -> list[Person]:
    """The people of one community, household by household, filling one grid after the other."""
    rng = random.Random(f"{scenario.seed}/{shape.code}")
    homes = _households(rng, shape)
    slots = _filled(rng, shape, homes)
    sexes = [1] * shape.male + [2] * (shape.people - shape.male)
    rng.shuffle(sexes)
    numbers = Numbers(RESIDENT_AREAS + index)
    grids = scenario.grids[shape.code]
    people: list[Person] = []
    for home, bands in enumerate(slots):
        place = _Home.at(shape.code, home, grids[home * len(grids) // len(slots)], collective=homes[home][1])
        shared_phone = phone(rng)
        for band in bands:
            nth = len(people)
            people.append(_person(rng, first + nth, nth, band, sexes[nth], numbers, place, shared_phone))
    return people


class _Home(NamedTuple):
    grid: str
    household: str
    collective: bool
    building: str
    unit: str
    room: str

    @classmethod
    def at(cls, community: str, nth: int, grid: str, *, collective: bool) -> "_Home":
        """The ``nth`` home of a community: six floors of two flats a stairway, two stairways a building."""
        building, flat = divmod(nth, 24)
        unit, place = divmod(flat, 12)
        room = f"{place // 2 + 1}0{place % 2 + 1}"
        return cls(grid, f"{community}-{nth + 1:05}", collective, f"{building + 1}栋", f"{unit + 1}单元", room)


def _households(rng: random.Random, shape: Shape) -> list[tuple[int, bool]]:
    """(people, collective) of every household in a random order."""
    families = _family_sizes(rng, shape.families, shape.people - shape.in_collectives)
    collectives = _collective_sizes(rng, shape.collectives, shape.in_collectives)
    homes = [(size, False) for size in families] + [(size, True) for size in collectives]
    rng.shuffle(homes)
    return homes


def _family_sizes(rng: random.Random, homes: int, people: int) -> list[int]:
    sizes = rng.choices(FAMILY_SIZES, FAMILY_WEIGHTS, k=homes)
    gap = people - sum(sizes)
    while gap:
        home = rng.randrange(homes)
        if gap > 0:
            sizes[home] += 1
            gap -= 1
        elif sizes[home] > 1:
            sizes[home] -= 1
            gap += 1
    return sizes


def _collective_sizes(rng: random.Random, homes: int, people: int) -> list[int]:
    """A few large dormitories and many small ones."""
    if not homes:
        return []
    return share(people, [rng.paretovariate(1.3) for _ in range(homes)], least=1)


def _filled(rng: random.Random, shape: Shape, homes: list[tuple[int, bool]]) -> list[list[str]]:
    """Age bands for every place in every home: a grown-up in each first, children where families are largest."""
    grown = [band for band in (ADULT, SENIOR, OLD) for _ in range(shape.bands[band])]
    rng.shuffle(grown)
    filled = [[grown.pop()] for _ in homes]
    free = [home for home, (size, _) in enumerate(homes) for _ in range(size - 1)]
    rng.shuffle(free)
    free.sort(key=lambda home: (homes[home][1], homes[home][0] < 3))
    for n, home in enumerate(free):
        filled[home].append(CHILD if n < shape.bands[CHILD] else grown.pop())
    return filled


def _person(
    rng: random.Random, key: int, nth: int, band: str, sex: int, numbers: Numbers, home: _Home, shared_phone: str
) -> Person:
    born = _born(rng, band)
    kind, number = _document(rng, nth, born, sex, numbers)
    own_phone = phone(rng) if band == ADULT else shared_phone
    group = rng.choice(GROUPS) if band == ADULT and rng.random() < 0.02 else ""
    return Person(
        key, name(rng), kind, number, sex, born, own_phone, home.grid, home.household, home.collective,
        home.building, home.unit, home.room, group,
    )  # fmt: skip


_YEARS = {
    band: tuple(accumulate(w1 + (w2 - w1) * n / max(1, years - 1) for n in range(years)))
    for band, (_, years, w1, w2) in BANDS.items()
}


def _born(rng: random.Random, band: str) -> date:
    """A day of birth that makes the age on the day of the drill lie in the band."""
    first, years, *_ = BANDS[band]
    age = rng.choices(range(first, first + years), cum_weights=_YEARS[band])[0]
    latest = date(CENSUS_DAY.year - age, CENSUS_DAY.month, CENSUS_DAY.day)
    return latest - timedelta(days=rng.randrange(365))


def _document(rng: random.Random, nth: int, born: date, sex: int, numbers: Numbers) -> tuple[str, str]:
    """Nearly everybody has a citizen number; a few a passport, some new-borns nothing yet."""
    draw = rng.random()
    if born.year >= CENSUS_DAY.year - 1 and draw < 0.2:
        return NO_DOCUMENT, ""
    if draw > 0.999:
        return PASSPORT, f"ZZ{numbers.area % 100:02}{nth:05}"
    return RESIDENT_ID, numbers.next(born, sex)


def travellers(scenario: Scenario, post: str, count: int, first: int, numbers: Sequence[Numbers]) -> list[Person]:
    """People passing a post, from elsewhere and on no roster; keys from ``first`` on. ``numbers``: of the areas that
    they come from, the same at every post and on every day."""
    rng = random.Random(f"{scenario.seed}/{post}")
    return [_traveller(rng, rng.choice(numbers), first + n) for n in range(count)]


def _traveller(rng: random.Random, numbers: Numbers, key: int) -> Person:
    born, sex = _born(rng, ADULT), rng.choice((1, 2))
    number = numbers.next(born, sex)
    return Person(key, name(rng), RESIDENT_ID, number, sex, born, phone(rng), "", "", False, "", "", "", "")


def as_csv(people: Iterable[Person]) -> Iterator[bytes]:
    """The roster as a district would send it: Chinese headings, one row a person; in pieces of some thousand rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for n, p in enumerate(people, start=1):
        writer.writerow((
            p.name, p.kind, p.number, "男" if p.sex == 1 else "女", p.phone, p.grid, "", p.building, p.unit, p.room,
            p.household, "是" if p.collective else "", p.group,
        ))  # fmt: skip
        if n % 5000 == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
