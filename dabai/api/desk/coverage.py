"""Reading a round back: coverage by area, everybody of the round, every tube. By id and area only; no names."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth, read_uuid
from dabai.api.desk.forms import Number, Prefix, Text
from dabai.figures import board
from dabai.figures.queries import Figures, figures_of, operation_scope, round_scope
from dabai.journal.kinds import Moment
from dabai.kernel import areas
from dabai.kernel.refusal import Refusal
from dabai.places.queries import site
from dabai.testing import readback

router = Router(tags=["desk: rounds"], auth=desk_auth)


class PersonOut(Schema):
    """Somebody of a round, by canonical id."""

    person: UUID
    area: str
    rostered: bool
    removed: bool
    excused: bool
    attempt: str | None
    samples: int
    tubes: list[str]
    outcome: str


class PeopleOut(Schema):
    """A page of people by id."""

    people: list[PersonOut]
    next: UUID | None


class TubeOut(Schema):
    """A tube. ``outcome`` is that of a released result."""

    tube: str
    site: int | None
    station: int | None
    state: str
    samples: int
    people: int
    late: int
    box: str
    contested: bool
    outcome: str | None
    released: bool


class TubesOut(Schema):
    """A page of tubes by code."""

    tubes: list[TubeOut]
    next: str | None


class AreaOut(Schema):
    """The counts of an area. ``due`` is frozen + added − removed + estimated; ``sampled`` those of them swabbed."""

    code: str
    name: str
    level: str
    frozen: int
    added: int
    removed: int
    estimated: int
    due: int
    excused: int
    sampled: int
    outstanding: int
    resulted: int
    negative: int
    pending: int
    positive: int
    unlisted: int


class CoverageOut(Schema):
    """An area and the areas right below it, as of a time."""

    as_of: datetime | None
    area: AreaOut
    children: list[AreaOut]


class CoverageQuery(Schema):
    """Which area; the district if none."""

    area: Prefix = ""


class FiguresOut(Schema):
    """Live figures by id (``dabai.figures.definitions``); null where a figure can't be known."""

    as_of: datetime | None
    figures: dict[str, int | float | None]


class FiguresQuery(Schema):
    """Which part: a point, or hours of the first sample."""

    since: Moment | None = None
    until: Moment | None = None
    site: Number | None = None


class PageQuery(Schema):
    """Which page."""

    after: Text = ""
    limit: Annotated[int, Field(ge=1, le=5000)] = 5000
    area: Prefix = ""


@router.get("/rounds/{round_id}/coverage", response=CoverageOut)
@asks(Permission.SEE_FIGURES)
def coverage(request: HttpRequest, round_id: int, query: Query[CoverageQuery]) -> dict[str, Any]:
    """An area's counts and those right below it; every level is the sum of the next."""
    access = access_of(request)
    area = query.area or str(access.district)
    if not areas.is_code(area):
        raise Refusal("api.area_form", "area")
    access.need(Permission.SEE_FIGURES, area)
    tree = board.coverage(round_id, area)
    below = [area_out(row) for row in tree.rows if row.area != area]
    return {"as_of": tree.as_of, "area": area_out(tree.total), "children": below}


def area_out(row: board.CoverageRow) -> dict[str, Any]:
    """A board row as the interface shows it."""
    same = ("name", "frozen", "added", "removed", "estimated", "due", "excused", "outstanding", "resulted", "negative",
            "pending", "positive", "unlisted")  # fmt: skip
    level = areas.level(row.area) if areas.is_code(row.area) else ""
    return {"code": row.area, "level": level, "sampled": row.covered, **{name: getattr(row, name) for name in same}}


@router.get("/rounds/{round_id}/figures", response=FiguresOut)
@asks(Permission.SEE_FIGURES)
def round_figures(request: HttpRequest, round_id: int) -> dict[str, Any]:
    """Every figure of a round."""
    access_of(request).need(Permission.SEE_FIGURES)
    return figures_out(figures_of(round_scope(round_id)))


@router.get("/operations/{operation}/figures", response=FiguresOut)
@asks(Permission.SEE_FIGURES)
def operation_figures(request: HttpRequest, operation: int, query: Query[FiguresQuery]) -> dict[str, Any]:
    """Every figure of an operation to date, or of one point or some hours of it."""
    access = access_of(request)
    if query.site is None:
        access.need(Permission.SEE_FIGURES)
    else:
        found = site(query.site)
        if found is None or not access.may(Permission.SEE_FIGURES, found.area):
            raise Refusal("places.site_not_found", "site")
    asked = {"site": query.site, "since": query.since, "upto": query.until}
    whole = all(value is None for value in asked.values())
    return figures_out(figures_of(operation_scope(operation), distinct=whole, **asked))


def figures_out(found: Figures) -> dict[str, Any]:
    """Figures as plain numbers."""
    return {"as_of": found.as_of, "figures": found.numbers()}


@router.get("/rounds/{round_id}/people", response=PeopleOut)
@asks(Permission.SEE_PEOPLE_MASKED)
def list_people(request: HttpRequest, round_id: int, query: Query[PageQuery]) -> dict[str, Any]:
    """Everybody on the roster, and everybody of whom a fact of the round speaks."""
    access = access_of(request)
    rows = readback.people_of_round(
        district=access.district,
        operation=access.operation,
        round_id=round_id,
        areas=access.where(Permission.SEE_PEOPLE_MASKED, query.area),
        after=read_uuid(query.after, "after"),
        limit=query.limit + 1,
    )
    shown = rows[: query.limit]
    return {"people": shown, "next": shown[-1]["person"] if len(rows) > query.limit else None}


@router.get("/rounds/{round_id}/tubes", response=TubesOut)
@asks(Permission.SEE_TUBES)
def list_tubes(request: HttpRequest, round_id: int, query: Query[PageQuery]) -> dict[str, Any]:
    """The tubes of the round, whatever has become of them."""
    access = access_of(request)
    rows = readback.tubes_of_round(
        district=access.district,
        operation=access.operation,
        round_id=round_id,
        areas=access.where(Permission.SEE_TUBES, query.area),
        after=query.after,
        limit=query.limit + 1,
    )
    shown = rows[: query.limit]
    return {"tubes": shown, "next": shown[-1]["tube"] if len(rows) > query.limit else None}
