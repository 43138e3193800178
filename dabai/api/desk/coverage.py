"""Reading a round back: coverage by area, everybody of the round, every tube. By id and area only; no names."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth, read_uuid
from dabai.api.desk.forms import Prefix, Text
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


class PageQuery(Schema):
    """Which page."""

    after: Text = ""
    limit: Annotated[int, Field(ge=1, le=5000)] = 5000
    area: Prefix = ""


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
