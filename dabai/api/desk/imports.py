"""Lists of people as staged change sets: upload, look at what would become of each row, commit or discard."""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Form, Query, Router, Schema, Status
from ninja.files import UploadedFile
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth
from dabai.api.desk.files import checked
from dabai.api.desk.forms import AreaCode, Count, Name, Text
from dabai.kernel.refusal import Refusal
from dabai.people import actions, background
from dabai.people.models import Import, StagedRow

router = Router(tags=["desk: people"], auth=desk_auth)
LARGEST = 2**30
OUTCOMES = ("added", "changed", "same", "doubled", "refused")


class ImportForm(Schema):
    """What a list is for, and where its people live. ``mapping``: a JSON object, field to heading."""

    purpose: Literal["residents", "cross_list"] = "residents"
    label: Name
    area: AreaCode
    mapping: Annotated[str, Field(max_length=4000)] = ""


class Counts(Schema):
    """Rows by what would become of them."""

    added: int = 0
    changed: int = 0
    same: int = 0
    doubled: int = 0
    refused: int = 0


class Reason(Schema):
    """Why a row ended as it did."""

    code: str
    field: str | None = None


class ImportOut(Schema):
    """A list and how far it has come."""

    id: int
    purpose: str
    label: str
    area: str
    state: str
    rows_total: int
    rows_done: int
    counts: Counts
    error: Reason | None


class RowOut(Schema):
    """One row: ``person`` is the id of the resident that it is, or will be."""

    row: int
    outcome: str
    person: UUID | None
    reason: Reason | None


class RowList(Schema):
    """A page of rows by number."""

    rows: list[RowOut]
    next: int | None


class RowQuery(Schema):
    """Which page."""

    after: Count = 0
    limit: Annotated[int, Field(ge=1, le=10_000)] = 5000
    outcome: Literal["", "added", "changed", "same", "doubled", "refused"] = ""


class Discard(Schema):
    """Why a list is thrown away."""

    reason: Text = ""


def shown(found: Import) -> dict[str, Any]:
    """An import as the interface shows it; work that a crash has left lying goes on."""
    background.keep_going(found)
    error = {"code": found.error["code"], "field": found.error.get("field")} if found.error else None
    counts = {name: int(found.counts.get(name, 0)) for name in OUTCOMES}
    names = ("purpose", "label", "area", "state", "rows_total", "rows_done")
    return {"id": found.pk, "counts": counts, "error": error, **{name: getattr(found, name) for name in names}}


def mine(request: HttpRequest, import_id: int) -> Import:
    """An import whose area the user reaches. Refusal ``people.import_not_found``."""
    found = Import.objects.get(pk=import_id)
    if not access_of(request).may(Permission.IMPORT_PEOPLE, found.area):
        raise Refusal("people.import_not_found", "import_id")
    return found


@router.post("/operations/{operation}/imports", response={202: ImportOut})
@asks(Permission.IMPORT_PEOPLE)
def upload(
    request: HttpRequest, operation: int, form: Form[ImportForm], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Upload a list. It is read in the background; poll ``GET imports/{id}`` until it is ``staged`` or ``failed``."""
    access, size = access_of(request), checked(file, LARGEST).size or 0
    mapping = read_mapping(form.mapping)
    found = actions.upload_list(
        by=access.user,
        operation=operation,
        district=access.district,
        purpose=form.purpose,
        label=form.label,
        area=form.area,
        file_name=file.name or "",
        pieces=file.chunks(),
        size=size,
    )
    if mapping:
        actions.choose_columns(by=access.user, import_id=found.pk, columns=mapping)
    return Status(202, shown(Import.objects.get(pk=found.pk)))


def read_mapping(text: str) -> dict[str, str]:
    """A mapping of fields to headings. Refusal ``api.mapping_form``."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise Refusal("api.mapping_form", "mapping") from None
    if not isinstance(found, dict) or not all(isinstance(one, str) and len(one) <= 200 for one in found.values()):
        raise Refusal("api.mapping_form", "mapping")
    return found


@router.get("/imports/{import_id}", response=ImportOut)
@asks(Permission.IMPORT_PEOPLE)
def one_import(request: HttpRequest, import_id: int) -> dict[str, Any]:
    """How far a list has come."""
    return shown(mine(request, import_id))


@router.post("/imports/{import_id}/commit", response={202: ImportOut})
@asks(Permission.IMPORT_PEOPLE)
def commit(request: HttpRequest, import_id: int) -> Status[dict[str, Any]]:
    """Take a reviewed list. Refusal ``people.import_state`` unless it is staged."""
    mine(request, import_id)
    actions.accept_import(by=access_of(request).user, import_id=import_id)
    return Status(202, shown(Import.objects.get(pk=import_id)))


@router.post("/imports/{import_id}/discard", response={202: ImportOut})
@asks(Permission.IMPORT_PEOPLE)
def discard(request: HttpRequest, import_id: int, body: Discard | None = None) -> Status[dict[str, Any]]:
    """Throw a list away."""
    mine(request, import_id)
    reason = body.reason if body else ""
    actions.discard_import(by=access_of(request).user, import_id=import_id, reason=reason)
    return Status(202, shown(Import.objects.get(pk=import_id)))


@router.get("/imports/{import_id}/rows", response=RowList)
@asks(Permission.IMPORT_PEOPLE)
def list_rows(request: HttpRequest, import_id: int, query: Query[RowQuery]) -> dict[str, Any]:
    """What would become of each row, by row number. Ask before the commit: afterwards only those not taken are left."""
    found = mine(request, import_id)
    rows = StagedRow.objects.filter(district=found.district, batch=import_id, number__gt=query.after)
    rows = rows.filter(outcome=query.outcome) if query.outcome else rows
    columns = ("number", "outcome", "person", "reason")
    page = list(rows.order_by("number").values_list(*columns)[: query.limit + 1])
    shown_rows = page[: query.limit]
    return {
        "rows": [row_out(*row) for row in shown_rows],
        "next": shown_rows[-1][0] if len(page) > query.limit else None,
    }


def row_out(number: int, outcome: str, person: UUID, reasons: list[dict[str, Any]] | None) -> dict[str, Any]:
    """One row with the first of its reasons; a refused row is nobody."""
    why = {"code": reasons[0]["code"], "field": reasons[0].get("field")} if reasons else None
    return {"row": number, "outcome": outcome, "person": None if outcome == "refused" else person, "reason": why}
