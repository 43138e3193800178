"""``POST /facts``: the door for devices. Facts come in clear or sealed by the phone that wrote them."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from dabai.access.guard import posting_device_auth
from dabai.access.queries import DeviceContext
from dabai.access.sealing import MAX_ENVELOPES, envelope_keys, open_fact
from dabai.api.packed import float_only, mended, read_json
from dabai.journal.decode import MAX_FACTS, Envelope, first_field
from dabai.journal.door import DeviceReporter, Said, submit_device
from dabai.journal.intake import Receipt
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

SCHEMAS = "#/components/schemas/{model}"
UNREADABLE = Refusal("journal.sealed_unreadable", "sealed")
router = Router(tags=["devices"])


class Batch(BaseModel):
    """A request of facts. ``facts`` are judged one by one, and envelopes with them; all else belongs to the request."""

    model_config = ConfigDict(extra="forbid")

    sent_at: AwareDatetime | None = Field(default=None, description="The device's clock when it sent this.")
    highest_seq: int | None = Field(default=None, ge=0, lt=2**62)
    unsent: int | None = Field(default=None, ge=0, lt=2**31)
    app: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    envelopes: Annotated[list[Any], Field(max_length=MAX_ENVELOPES)] = []
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
    wipe: bool = Field(default=False, description="The device was reported lost: hand in the rest and erase yourself.")


class OutboxEnvelope(Schema):
    """What a content key was agreed on with: the number of the sealing key, and the phone's ephemeral public point."""

    id: str
    key: int
    epk: str = Field(description="Raw uncompressed P-256 point (65 bytes), Base64.")


class SealedFact(Schema):
    """A fact under the content key of an envelope of this request."""

    id: UUID
    envelope: str
    sealed: str = Field(description="Nonce (12 bytes) and AES-256-GCM of the fact's JSON with its id as AAD, Base64.")


class BatchSchema(Schema):
    """For the contract: a batch with its facts spelled out."""

    sent_at: AwareDatetime | None = None
    highest_seq: int | None = None
    unsent: int | None = None
    app: str = ""
    envelopes: list[OutboxEnvelope] = Field(default=[], max_length=MAX_ENVELOPES)
    facts: list[Envelope | SealedFact] = Field(max_length=MAX_FACTS)


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
    """Report up to 500 facts. Each gets its receipt; one bad fact never takes its neighbours with it.

    A fact may come sealed under one of up to 50 ``envelopes``. A lost device is told to ``wipe`` itself.
    """
    batch = read_batch(request)
    device: DeviceContext = request.auth  # type: ignore[attr-defined]
    receipts = submit_batch(batch, device)
    body: dict[str, Any] = {"received_at": clock.now(), "receipts": [one.as_dict() for one in receipts]}
    if device.lost:
        body["wipe"] = True
    return HttpResponse(orjson.dumps(body), content_type="application/json")


def submit_batch(batch: Batch, device: DeviceContext) -> list[Receipt]:
    """Receipts of a device's facts in the order sent; a fact that does not open is refused and kept as it came."""
    closed = dict.fromkeys(open_sealed(batch, device.operation), UNREADABLE)
    said = Said(batch.sent_at, batch.highest_seq or 0, batch.unsent or 0, batch.app)
    return submit_device(DeviceReporter(device), batch.facts, said, closed=closed)


# ---- sealed facts


def open_sealed(batch: Batch, operation: int) -> Sequence[int]:
    """Put in the place of each sealed fact the fact itself; returns the places of those that do not open.

    These keep what was sent, with their envelope beside it: all that is needed to open them, should a key come back.
    """
    sealed = [place for place, item in enumerate(batch.facts) if isinstance(item, dict) and "sealed" in item]
    if not sealed:
        return sealed
    keys, closed = envelope_keys(operation, batch.envelopes), []
    for place in sealed:
        item = batch.facts[place]
        fact = parsed(open_fact(keys, item))
        if isinstance(fact, dict) and fact.get("id") == item["id"]:
            batch.facts[place] = fact
        else:
            batch.facts[place] = with_envelope(item, batch.envelopes)
            closed.append(place)
    return closed


def parsed(text: bytes | None) -> Any:
    """The JSON value, read as leniently as a request's (``read_json``); None for what is none."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return mended(json.loads(text, parse_constant=float_only))
    except (ValueError, RecursionError):
        return None


def with_envelope(item: dict[str, Any], envelopes: Sequence[Any]) -> dict[str, Any]:
    """A fact that does not open, with what was sent of its envelope."""
    name = item.get("envelope")
    found = (one for one in envelopes if isinstance(one, dict) and one.get("id") == name)
    return {**item, "envelope": next(found, name)}
