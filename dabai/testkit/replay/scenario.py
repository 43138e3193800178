"""A scenario folder read into plain values, at full size or scaled.

People scale by floor(n × scale + 0.5), one published figure at a time; areas, points, stations and teams never do. What
lies between published totals (people of a community, person-times of a round) is shared out again by largest remainder,
so that sums stay exact at every scale.
"""

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

SMALLEST_SCALE = 0.01


class ScenarioError(Exception):
    """The scenario can't be replayed as asked; the text says why."""


def scaled(count: int, scale: float) -> int:
    """floor(count × scale + 0.5), without the rounding of binary fractions."""
    return int((Decimal(count) * Decimal(str(scale)) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def share(total: int, weights: Sequence[float], least: int = 0) -> list[int]:
    """``total`` as whole numbers in proportion to ``weights`` (largest remainder), each at least ``least``."""
    free = total - least * len(weights)
    if free < 0 or not weights:
        raise ScenarioError(f"{total} can't be shared among {len(weights)}")
    whole = sum(weights)
    exact = [free * weight / whole if whole else 0.0 for weight in weights]
    parts = [int(value) for value in exact]
    order = sorted(range(len(weights)), key=lambda n: (parts[n] - exact[n], n))
    for n in order[: free - sum(parts)]:
        parts[n] += 1
    return [part + least for part in parts]


@dataclass(frozen=True)
class SitePlan:
    """A place of work: a sampling point, a post where travellers are swabbed, or a laboratory."""

    code: str
    kind: str
    name: str
    area: str
    stations: int
    rounds: tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """From when to when a session lasts."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True)
class RoundPlan:
    """One round as the scenario tells it. ``person_times`` are those at its points, without the two posts."""

    number: int
    name: str
    starts_at: datetime
    ends_at: datetime
    closed_at: datetime
    pool_size: int
    person_times: int
    everybody: bool
    communities: tuple[str, ...]
    sessions: tuple[Span, ...]
    make_up: Span
    posts: tuple[date, ...]


@dataclass(frozen=True)
class Figure:
    """One published number and where the system must show it (``round`` 0: the operation to date)."""

    id: str
    expected: int
    round: int
    figure: str
    site: str | None
    since: datetime | None
    bulletin: bool


@dataclass(frozen=True)
class Scenario:
    """Everything that a replay needs to know before it starts."""

    name: str
    scale: float
    seed: str
    operation: Mapping[str, Any]
    field: Mapping[str, Any]
    start: datetime
    end: datetime
    rate: float
    whole_district: bool
    rounds: tuple[RoundPlan, ...]
    sites: tuple[SitePlan, ...]
    posts: Mapping[str, int]
    communities: Mapping[str, int]
    grids: Mapping[str, tuple[str, ...]]
    census: Mapping[str, int]
    figures: tuple[Figure, ...]
    area_files: tuple[Path, ...]
    boundary: Path

    def sites_of(self, number: int, kind: str) -> list[SitePlan]:
        """The sites of one kind that serve a round."""
        return [site for site in self.sites if site.kind == kind and number in site.rounds]

    @property
    def laboratories(self) -> list[SitePlan]:
        return [site for site in self.sites if site.kind == "laboratory"]

    @property
    def points(self) -> list[SitePlan]:
        """Sampling points and posts of all rounds that are replayed."""
        wanted = {plan.number for plan in self.rounds}
        return [site for site in self.sites if wanted & set(site.rounds)]

    @property
    def in_scope(self) -> list[str]:
        """Communities whose people are on the roster, in the order of their codes."""
        if self.whole_district:
            return sorted(self.communities)
        return sorted({code for plan in self.rounds for code in plan.communities})


def read_toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(folder: Path, scale: float = 1.0, rate: float | None = None) -> Scenario:
    """Read a scenario folder. One that says ``from`` takes what it does not say itself from the other."""
    if not (folder / "scenario.toml").is_file():
        raise ScenarioError(f"no scenario in {folder}")
    if not SMALLEST_SCALE <= scale <= 1:
        raise ScenarioError(f"the scale must lie between {SMALLEST_SCALE} and 1")
    told = read_toml(folder / "scenario.toml")
    base = (folder / told["from"]).resolve() if "from" in told else folder
    data = read_toml(base / "scenario.toml") if base != folder else {}
    data = {**data, **{key: _joined(data.get(key), value) for key, value in told.items()}}
    wanted = set(told.get("rounds", ())) or {plan["number"] for plan in data["round"]}
    files = {name: (base / path).resolve() for name, path in data["files"].items()}
    rounds, posts = _rounds(data, scale)
    return Scenario(
        name=folder.name,
        scale=scale,
        seed=data["seed"],
        operation=data["operation"],
        field=data["field"],
        start=data["clock"]["start"],
        end=data["clock"]["end"],
        rate=rate or data["clock"]["rate"],
        whole_district=data["roster"]["scope"] == "district",
        rounds=tuple(plan for plan in rounds if plan.number in wanted),
        sites=tuple(_site(row) for row in read_csv(files["sites"])),
        posts=posts,
        communities=_communities(read_csv(files["communities"]), rounds[0], scale),
        grids=_grids(read_csv(files["grids"])),
        census={row["item"]: int(row["value"]) for row in read_csv(files["census"]) if row["value"].isdigit()},
        figures=_figures(read_toml(folder / "figures.toml"), scale),
        area_files=(files["areas"], files["grids"]),
        boundary=files["boundary"],
    )


def _joined(below: object, above: object) -> object:
    return {**below, **above} if isinstance(below, dict) and isinstance(above, dict) else above


def _rounds(data: Mapping[str, Any], scale: float) -> tuple[list[RoundPlan], dict[str, int]]:
    """The rounds with scaled person-times. The first is published by itself; the others share the rest of the sum."""
    told = data["round"]
    posts = {code: scaled(count, scale) for code, count in data["posts"].items()}
    full = [plan["person_times"] for plan in told]
    total = scaled(sum(full) + sum(data["posts"].values()), scale)
    first = scaled(full[0], scale)
    counts = [first, *share(total - first - sum(posts.values()), full[1:])]
    return [_round(plan, count) for plan, count in zip(told, counts, strict=True)], posts


def _round(plan: Mapping[str, Any], person_times: int) -> RoundPlan:
    return RoundPlan(
        number=plan["number"],
        name=plan["name"],
        starts_at=plan["starts_at"],
        ends_at=plan["ends_at"],
        closed_at=plan["closed_at"],
        pool_size=plan["pool_size"],
        person_times=person_times,
        everybody=plan.get("everybody", False),
        communities=tuple(plan["communities"]),
        sessions=tuple(Span(*times) for times in plan["sessions"]),
        make_up=Span(*plan["make_up"]),
        posts=tuple(plan.get("posts", ())),
    )


def _site(row: Mapping[str, str]) -> SitePlan:
    rounds = tuple(int(number) for number in row["rounds"].split())
    return SitePlan(row["code"], row["kind"], row["name"], row["area"], int(row["stations"]), rounds)


def _communities(rows: list[dict[str, str]], first: RoundPlan, scale: float) -> dict[str, int]:
    """People per community. Those of the first round make its published sum, all together the census's."""
    full = {row["code"]: int(row["people"]) for row in rows}
    drill = [code for code in full if code in first.communities]
    others = [code for code in full if code not in first.communities]
    in_drill = scaled(sum(full[code] for code in drill), scale)
    left = scaled(sum(full.values()), scale) - in_drill
    parts = dict(zip(drill, share(in_drill, [full[code] for code in drill]), strict=True))
    return parts | dict(zip(others, share(left, [full[code] for code in others]), strict=True))


def _grids(rows: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    grids: dict[str, tuple[str, ...]] = {}
    for row in rows:
        grids[row["parent"]] = (*grids.get(row["parent"], ()), row["code"])
    return grids


def _figures(told: Mapping[str, Mapping[str, Any]], scale: float) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            id=name,
            expected=scaled(entry["expected"], scale) if entry.get("people") else entry["expected"],
            round=entry["round"],
            figure=entry["figure"],
            site=entry.get("site"),
            since=entry.get("since"),
            bulletin=entry.get("bulletin", False),
        )
        for name, entry in told.items()
    )
