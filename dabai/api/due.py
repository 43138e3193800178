"""``GET /due``: what is due today in a device's areas, in the order in which one walks.

Now these are people to be sampled at home (``dabai.testing.visits``); other kinds of due item come through the same
list, told apart by ``kind``.
"""

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from dabai.access.guard import device_auth
from dabai.access.queries import DeviceContext
from dabai.journal.feed import in_force
from dabai.kernel import clock
from dabai.people.slice import areas_of
from dabai.places.models import Site, SiteKind
from dabai.testing.visits import KIND, START, Visit, VisitKey, running_rounds, visits

router = Router(tags=["devices"])
MOST = 1_000


class DueItem(Schema):
    """One door to knock at. Names come from the slice, by ``person``."""

    kind: str
    person: UUID
    round: int
    area: str
    building: str
    unit: str
    estate: str
    tags: list[str] = Field(description="isolated, elderly, unable, again, outstanding")
    deadline: datetime | None
    attempts: int
    last_outcome: str | None = Field(description="refused, absent or moved")
    last_at: datetime | None
    next_visit: datetime | None
    owner: str | None


class Due(Schema):
    """A page of the list. ``cursor`` is for the next page; a page may be short before the end."""

    items: list[DueItem]
    more: bool
    cursor: str
    as_of: datetime


@router.get("/due", auth=device_auth, response=Due)
def get_due(request: HttpRequest, cursor: str = "", limit: int = 500, everybody: bool | None = None) -> HttpResponse:
    """Who is due and not yet swabbed in the device's areas, by area, building and unit.

    While a round is in its first sampling, only those who should be visited (isolated, elderly, unable to come, or
    missed before); ``everybody`` asks for all. Devices of door teams and of areas get all unless they ask otherwise.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    whole = goes_from_door_to_door(context) if everybody is None else everybody
    rounds, now = running_rounds(context.operation), clock.now()
    found, after = visits(
        rounds, areas_of(context), everybody=whole, after=read(cursor), limit=max(1, min(limit, MOST))
    )
    answer = {"items": [item(one) for one in found], "more": after is not None, "cursor": written(after), "as_of": now}
    return HttpResponse(orjson.dumps(answer), content_type="application/json")


def goes_from_door_to_door(context: DeviceContext) -> bool:
    """Whether a device is responsible for an area, or belongs to a door team."""
    scopes = in_force(context)
    sites = Site.objects.filter(operation=context.operation, pk__in=[one.site for one in scopes if one.site])
    return any(one.area for one in scopes) or sites.filter(kind=SiteKind.DOOR_TEAM).exists()


def item(one: Visit) -> dict[str, Any]:
    """One line as JSON."""
    return {
        "kind": KIND,
        "person": one.person,
        "round": one.key.round,
        "area": one.key.area,
        "building": one.key.building,
        "unit": one.key.unit,
        "estate": one.estate,
        "tags": one.tags,
        "deadline": one.deadline,
        "attempts": one.attempts,
        "last_outcome": one.last_outcome,
        "last_at": one.last_at,
        "next_visit": one.next_visit,
        "owner": one.owner,
    }


def written(after: VisitKey | None) -> str:
    """A cursor as text; empty at the end."""
    return "" if after is None else base64.urlsafe_b64encode(orjson.dumps(list(after))).decode()


def read(cursor: str) -> VisitKey:
    """Understand a cursor; anything else than one of ours begins again."""
    try:
        area, building, unit, person, number = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        key = VisitKey(str(area), str(building), str(unit), UUID(person), int(number))
        return START if "\0" in "".join(key[:3]) or not 0 <= key.round < 2**31 else key
    except (ValueError, TypeError, AttributeError):
        return START
