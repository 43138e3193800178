"""Rounds from draft to closed."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from dabai.access.queries import devices_to_ask_about
from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth
from dabai.api.desk.forms import AreaCode, Count, Name, Number, Text
from dabai.journal.kinds import Moment
from dabai.testing import actions
from dabai.testing.models import Round
from dabai.testing.queries import rounds_of

router = Router(tags=["desk: rounds"], auth=desk_auth)


class SiteStations(Schema):
    """A point that serves a round, with how many stations."""

    site: Number
    stations: Annotated[int, Field(ge=1, le=200)]


class Estimate(Schema):
    """How many people are due in an area without a list of names."""

    area: AreaCode
    people: Count


class NewRound(Schema):
    """A draft."""

    number: Annotated[int, Field(ge=1, le=32_000)] | None = None
    name: Name
    pool_size: Annotated[int, Field(ge=1, le=100)] | None = None
    areas: Annotated[list[AreaCode], Field(min_length=1, max_length=500)]
    groups: Annotated[list[Text], Field(max_length=50)] = []
    starts_at: Moment
    ends_at: Moment | None = None
    sites: Annotated[list[SiteStations], Field(max_length=2000)] = []
    estimates: Annotated[list[Estimate], Field(max_length=2000)] = []


class RoundOut(Schema):
    """A round."""

    id: int
    number: int
    name: str
    state: str
    pool_size: int
    areas: list[str]
    groups: list[str]
    starts_at: datetime
    ends_at: datetime | None
    roster_size: int


class RoundList(Schema):
    """The rounds of an operation, newest first."""

    rounds: list[RoundOut]


class Step(Schema):
    """Where a round shall go. ``silent``: why each listed device may be left behind."""

    to: Literal["approved", "running", "make_up", "closing", "closed"]
    reason: Text = ""
    silent: dict[str, Text] = {}


class DeviceGap(Schema):
    """A device that may still hold facts of the round."""

    device: UUID
    name: str
    highest_seq: int
    received: int
    missing: int
    unsent: int
    last_contact: datetime | None


class Gaps(Schema):
    """Devices with gaps, unsent facts or silence."""

    devices: list[DeviceGap]


def shown(found: Round) -> dict[str, Any]:
    """A round as the interface shows it."""
    return {"id": found.pk, **{name: getattr(found, name) for name in RoundOut.model_fields if name != "id"}}


@router.get("/operations/{operation}/rounds", response=RoundList)
@asks(Permission.SEE_ROUNDS)
def list_rounds(request: HttpRequest, operation: int) -> dict[str, Any]:
    """The rounds of an operation, newest number first."""
    return {"rounds": [shown(one) for one in rounds_of(operation)]}


@router.post("/operations/{operation}/rounds", response={201: RoundOut})
@asks(Permission.PLAN_ROUNDS)
def draft(request: HttpRequest, operation: int, body: NewRound) -> Status[dict[str, Any]]:
    """Draft a round with its points and counts, all or nothing."""
    access = access_of(request)
    plan = actions.Plan(
        name=body.name,
        areas=body.areas,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        groups=body.groups,
        pool_size=body.pool_size,
    )
    with transaction.atomic():
        found = actions.draft(by=access.user, operation=operation, plan=plan, number=body.number)
        if body.sites:
            stations = {one.site: one.stations for one in body.sites}
            actions.assign_sites(by=access.user, round_id=found.pk, stations=stations)
        if body.estimates:
            people = {one.area: one.people for one in body.estimates}
            actions.estimate(by=access.user, round_id=found.pk, people=people)
    return Status(201, shown(found))


@router.get("/rounds/{round_id}", response=RoundOut)
@asks(Permission.SEE_ROUNDS)
def one_round(request: HttpRequest, round_id: int) -> dict[str, Any]:
    """One round by id."""
    return shown(Round.objects.get(pk=round_id))


@router.post("/rounds/{round_id}/step", response=RoundOut)
@asks(Permission.RUN_ROUND, Permission.APPROVE_ROUND)
def step(request: HttpRequest, round_id: int, body: Step) -> dict[str, Any]:
    """Take a round to its next state. Refusals ``testing.step_impossible``, ``testing.device_unexplained`` (409)."""
    user = access_of(request).user
    if body.to == "approved":
        found = actions.approve(by=user, round_id=round_id)
    elif body.to == "running":
        found = actions.start(by=user, round_id=round_id)
    elif body.to == "make_up":
        found = actions.begin_make_up(by=user, round_id=round_id, reason=body.reason)
    elif body.to == "closing":
        found = actions.begin_closing(by=user, round_id=round_id, reason=body.reason)
    else:
        found = actions.close(by=user, round_id=round_id, reasons=body.silent, reason=body.reason)
    return shown(found)


@router.get("/rounds/{round_id}/gaps", response=Gaps)
@asks(Permission.SEE_DEVICES)
def gaps(request: HttpRequest, round_id: int) -> dict[str, Any]:
    """The devices that must be explained before the round closes."""
    access = access_of(request)
    reach = access.where(Permission.SEE_DEVICES)
    return {
        "devices": [
            {
                "device": one.id,
                "name": one.name,
                "highest_seq": one.highest_seq,
                "received": one.highest_seq - one.missing,
                "missing": one.missing,
                "unsent": one.unsent,
                "last_contact": one.last_contact,
            }
            for one in devices_to_ask_about(access.operation, reach)
        ]
    }
