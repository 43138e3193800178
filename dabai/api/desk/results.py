"""Laboratory results: a result file in, and the worklists of review and release."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from pydantic import Field

from dabai.access.rules import Permission
from dabai.api.desk.door import access_of, asks, desk_auth, read_uuid
from dabai.api.desk.files import MOST_ERRORS, checked
from dabai.api.desk.forms import Number, RowError, Text
from dabai.journal.kinds import Moment
from dabai.kernel.refusal import Refusal
from dabai.places.queries import site
from dabai.testing import resultfiles
from dabai.testing.worklists import waiting_results

router = Router(tags=["desk: results"], auth=desk_auth)


class ResultFileForm(Schema):
    """Which laboratory, and how its columns are to be understood (a JSON object: field to heading)."""

    lab: Number
    mapping: Annotated[str, Field(max_length=4000)] = ""
    read_at: Moment | None = None


class ResultFileOut(Schema):
    """What became of a result file. The same file twice is harmless: its facts are the same facts."""

    id: int
    rows: int
    accepted: int
    refused_count: int
    refused: Annotated[list[RowError], Field(description="At most 200.")]


class ResultOut(Schema):
    """A reading that waits."""

    id: UUID
    tube: str
    outcome: str
    read_at: datetime
    run: str
    lab: int


class ResultList(Schema):
    """A page of readings by id."""

    results: list[ResultOut]
    next: UUID | None


class ResultQuery(Schema):
    """Which worklist, which page."""

    state: Literal["to_review", "to_release"]
    lab: Number | None = None
    after: Text = ""
    limit: Annotated[int, Field(ge=1, le=5000)] = 2000


@router.post("/operations/{operation}/result-files", response=ResultFileOut)
@asks(Permission.UPLOAD_RESULTS)
def upload(
    request: HttpRequest, operation: int, form: Form[ResultFileForm], file: File[UploadedFile]
) -> dict[str, Any]:
    """Read a laboratory's file. Each good row is a fact ``testing.result_read`` by whoever uploads it."""
    choices = resultfiles.Choices(columns=read_mapping(form.mapping)) if form.mapping else None
    found = resultfiles.upload(
        by=access_of(request).user,
        operation=operation,
        lab=form.lab,
        source=checked(file),
        file_name=file.name or "",
        choices=choices,
        read_at=form.read_at,
    )
    return {
        "id": found.pk,
        "rows": found.rows,
        "accepted": found.accepted,
        "refused_count": len(found.errors),
        "refused": [{key: one[key] for key in ("row", "code", "field")} for one in found.errors[:MOST_ERRORS]],
    }


def read_mapping(text: str) -> dict[str, str]:
    """A mapping of fields to headings. Refusal ``api.mapping_form``."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("api.mapping_form", "mapping") from None
    if not isinstance(found, dict) or not all(isinstance(one, str) and len(one) <= 200 for one in found.values()):
        raise Refusal("api.mapping_form", "mapping")
    return found


@router.get("/operations/{operation}/results", response=ResultList)
@asks(Permission.REVIEW_RESULTS, Permission.RELEASE_RESULTS)
def list_results(request: HttpRequest, operation: int, query: Query[ResultQuery]) -> dict[str, Any]:
    """Readings that wait for review, or approved ones that wait for release."""
    access = access_of(request)
    permission = Permission.REVIEW_RESULTS if query.state == "to_review" else Permission.RELEASE_RESULTS
    if query.lab is None:
        access.need(permission)
    else:
        found = site(query.lab)
        if found is None or not access.may(permission, found.area):
            raise Refusal("testing.lab_not_found", "lab")
    rows = waiting_results(
        district=access.district,
        operation=operation,
        state=query.state,
        lab=query.lab,
        after=read_uuid(query.after, "after"),
        limit=query.limit + 1,
    )
    shown = rows[: query.limit]
    return {"results": shown, "next": shown[-1].id if len(rows) > query.limit else None}
