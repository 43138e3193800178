"""How a phone becomes a device of an operation: pairing."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from dabai.access.guard import pair_from, public
from dabai.api.field import scope_of

router = Router(tags=["devices"])

Printable = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]


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
