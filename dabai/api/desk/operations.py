"""Operations, areas and sites: what stands before the first round."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import File, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, anybody, asks, desk_auth, operations_reached, user_of
from dabai.api.desk.files import checked, first_errors
from dabai.api.desk.forms import Name, RowError, Text
from dabai.places import actions as places
from dabai.places.queries import sites
from dabai.protocols import actions as protocols
from dabai.protocols.models import Operation

router = Router(tags=["desk: places"], auth=desk_auth)


class NewOperation(Schema):
    """A response or a drill."""

    district: Annotated[int, Field(ge=100_000, le=999_999)]
    name: Name
    kind: Literal["response", "drill"]
    profile: Text = "covid19-cn-9"


class OperationOut(Schema):
    """An operation."""

    id: int
    district: int
    name: str
    kind: str
    profile: str
    started_at: datetime
    ended_at: datetime | None


class OperationList(Schema):
    """The operations that the user's roles reach, newest first."""

    operations: list[OperationOut]


def shown(found: Operation) -> dict[str, Any]:
    """An operation as the interface shows it."""
    names = ("district", "name", "kind", "started_at", "ended_at")
    return {"id": found.pk, "profile": found.profile.slug, **{name: getattr(found, name) for name in names}}


@router.get("/operations", response=OperationList)
@anybody
def list_operations(request: HttpRequest) -> dict[str, Any]:
    """The operations that the user's roles reach, newest first."""
    return {"operations": [shown(one) for one in operations_reached(user_of(request))]}


@router.post("/operations", response={201: OperationOut})
@asks(Permission.MANAGE_OPERATIONS)
def create(request: HttpRequest, body: NewOperation) -> Status[dict[str, Any]]:
    """Begin an operation, with a data key of its own."""
    found = protocols.create_operation(
        by=access_of(request).user, district=body.district, name=body.name, kind=body.kind, profile=body.profile
    )
    return Status(201, shown(found))


class SiteOut(Schema):
    """A place of work; ``stations`` counts those that are open."""

    id: int
    code: str
    kind: str
    name: str
    area: str
    stations: int


class SiteList(Schema):
    """The sites of an operation by code."""

    sites: list[SiteOut]


@router.get("/operations/{operation}/sites", response=SiteList)
@asks(Permission.SEE_ROUNDS, Permission.MANAGE_PLACES, Permission.MANAGE_DEVICES)
def list_sites(request: HttpRequest, operation: int) -> dict[str, Any]:
    """Every site in the areas that the user reaches."""
    access = access_of(request)
    wanted = (Permission.SEE_ROUNDS, Permission.MANAGE_PLACES, Permission.MANAGE_DEVICES)
    reach = sorted({area for permission in wanted for area in access.reach(permission)})
    names = ("id", "code", "kind", "name", "area")
    return {
        "sites": [
            {**{name: getattr(one, name) for name in names}, "stations": sum(s.active for s in one.stations)}
            for one in sites(operation, reach)
        ]
    }


# --- files --------------------------------------------------------------------------------------------------------


class FileOut(Schema):
    """What came of a file of areas or sites, row by row."""

    added: int
    changed: int
    same: int
    refused_count: int
    refused: Annotated[list[RowError], Field(description="At most 200.")]


LARGEST = 32 * 2**20


def told(report: places.FileReport) -> dict[str, Any]:
    """A report as the interface shows it."""
    counts = {"added": report.added, "changed": report.changed, "same": report.same}
    return counts | {"refused_count": len(report.refused), "refused": first_errors(report.refused)}


@router.post("/areas/import", response=FileOut)
@asks(Permission.MANAGE_PLACES)
def import_areas(
    request: HttpRequest, file: File[UploadedFile], boundaries: File[UploadedFile | None] = None
) -> dict[str, Any]:
    """Areas (``code,name,level,parent``), and their outlines as GeoJSON; a feature of an unknown area is left out."""
    user = access_of(request).user
    report = places.import_areas(by=user, source=checked(file, LARGEST))
    if boundaries is not None:
        places.import_boundaries(by=user, source=checked(boundaries, LARGEST))
    return told(report)


@router.post("/operations/{operation}/sites/import", response=FileOut)
@asks(Permission.MANAGE_PLACES)
def import_sites(request: HttpRequest, operation: int, file: File[UploadedFile]) -> dict[str, Any]:
    """Sites (``code,kind,name,area,address,longitude,latitude,stations``)."""
    return told(places.import_sites(by=access_of(request).user, operation=operation, source=checked(file, LARGEST)))
