"""``POST /facts``: the door for devices."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from dabai.access.guard import posting_device_auth
from dabai.access.queries import DeviceContext
from dabai.api.packed import read_json
from dabai.journal.decode import MAX_FACTS, Envelope, first_field
from dabai.journal.door import DeviceReporter, submit_device
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

SCHEMAS = "#/components/schemas/{model}"
router = Router(tags=["devices"])


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
