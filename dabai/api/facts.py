"""``POST /facts``, the door for devices, and what a device needs besides: pairing, reference data, the changes feed."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from dabai.access.guard import device_auth, pair_from, posting_device_auth, public
from dabai.access.queries import DeviceContext
from dabai.api.packed import read_json
from dabai.journal.decode import MAX_FACTS, Envelope, first_field
from dabai.journal.door import DeviceReporter, submit_device
from dabai.journal.feed import Cursor, changes_after
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.places.models import Site
from dabai.registry import kinds
from dabai.testing.queries import rounds_of

SCHEMAS = "#/components/schemas/{model}"
router = Router(tags=["devices"])

Printable = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Batch(BaseModel):
    """A request of facts. ``facts`` are judged one by one; everything else belongs to the request."""

    model_config = ConfigDict(extra="forbid")

    sent_at: AwareDatetime | None = Field(default=None, description="The device's clock when it sent this.")
    highest_seq: int | None = Field(default=None, ge=0, lt=2**62)
    unsent: int | None = Field(default=None, ge=0, lt=2**31)
    app: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    facts: Annotated[list[Any], Field(max_length=MAX_FACTS)]


class FactReceipt(Schema):
    """What was stored for a fact; it never changes."""

    id: UUID
    verdict: str = Field(description="accepted or refused")
    code: str | None = None
    field: str | None = None


class Receipts(Schema):
    """Receipts in the order sent. They leave only after COMMIT."""

    received_at: datetime
    receipts: list[FactReceipt]


class BatchSchema(Schema):
    """For the contract: a batch with its facts spelled out."""

    sent_at: AwareDatetime | None = None
    highest_seq: int | None = None
    unsent: int | None = None
    app: str = ""
    facts: list[Envelope]


def read_batch(request: HttpRequest) -> Batch:
    """The request's batch. Refusal ``api.request_invalid`` naming the field."""
    try:
        return Batch.model_validate(read_json(request))
    except ValidationError as error:
        raise Refusal("api.request_invalid", first_field(error)) from error


@router.post(
    "/facts",
    auth=posting_device_auth,
    response=Receipts,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": BatchSchema.model_json_schema(ref_template=SCHEMAS)}},
        }
    },
)
def post_facts(request: HttpRequest) -> HttpResponse:
    """Report up to 500 facts. Each gets its receipt; one bad fact never takes its neighbours with it."""
    batch = read_batch(request)
    device: DeviceContext = request.auth  # type: ignore[attr-defined]
    receipts = submit_device(
        DeviceReporter(device),
        batch.facts,
        batch.sent_at,
        highest_seq=batch.highest_seq or 0,
        unsent=batch.unsent or 0,
        app=batch.app,
    )
    body = {"received_at": clock.now(), "receipts": [one.as_dict() for one in receipts]}
    return HttpResponse(orjson.dumps(body), content_type="application/json")


class PairRequest(Schema):
    """A one-time code from the desk's slip, and what the device calls itself."""

    code: Annotated[str, Field(min_length=4, max_length=40)]
    name: Printable = ""
    app: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class Paired(Schema):
    """The device and its token. The token is shown once; only its hash is kept."""

    device: UUID
    token: str
    district: int
    operation: int
    scope: list[dict[str, Any]]


@router.post("/devices/pair", response=Paired, auth=None)
@public
def pair(request: HttpRequest, data: PairRequest) -> dict[str, Any]:
    """Turn a one-time code into a device. Refusals ``access.code_unknown``, ``code_used``, ``code_expired``."""
    device, token = pair_from(request, code=data.code, name=data.name, app=data.app)
    return {
        "device": device.pk,
        "token": token,
        "district": device.district,
        "operation": device.operation,
        "scope": scope_of(device.scopes.all()),
    }


def scope_of(items: Any) -> list[dict[str, Any]]:
    """A scope as JSON."""
    return [
        {"site": one.site, "area": one.area or None, "valid_from": one.valid_from, "valid_to": one.valid_to}
        for one in items
    ]


@router.get("/reference", auth=device_auth)
def reference(request: HttpRequest) -> dict[str, Any]:
    """What a device needs to know: rounds, the sites it may report from, laboratories, kinds of fact and their
    levels.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    sites = Site.objects.filter(operation=context.operation, active=True).order_by("pk")
    shown = [one for one in sites if one.kind == "laboratory" or context.covers(one.pk, one.area, clock.now())]
    return {
        "district": context.district,
        "operation": context.operation,
        "now": clock.now(),
        "scope": scope_of(context.scopes),
        "rounds": [
            {
                "id": one.pk,
                "number": one.number,
                "name": one.name,
                "pool_size": one.pool_size,
                "state": one.state,
                "starts_at": one.starts_at,
                "ends_at": one.ends_at,
            }
            for one in rounds_of(context.operation)
            if one.approved_at
        ],
        "sites": [
            {"id": one.pk, "code": one.code, "kind": one.kind, "name": one.name, "area": one.area} for one in shown
        ],
        "kinds": {name: kind.level for name, kind in kinds().items() if not kind.desk},
    }


@router.get("/changes", auth=device_auth)
def changes(request: HttpRequest, cursor: str = "", limit: int = 500) -> dict[str, Any]:
    """What happened in the device's scope after ``cursor``, in commit order; ``reset`` means: forget and start
    again.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    start = Cursor.read(cursor, context)
    return changes_after(context, start, max(1, min(limit, 1000)))
