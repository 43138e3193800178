"""``GET /slice``: the residents that a device carries along, masked and encrypted for it (``dabai.people.slice``)."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import Field

from dabai.access.guard import device_auth
from dabai.access.keys import device_secret
from dabai.access.queries import DeviceContext
from dabai.kernel.refusal import Refusal
from dabai.people.slice import State, slice_page, state_of
from dabai.testing.queries import rounds_of

router = Router(tags=["devices"])


class Block(Schema):
    """Up to 500 rows, encrypted."""

    n: int = Field(description="Its number in the whole download, bound into the encryption.")
    data: str = Field(description="Base64 of nonce (12 bytes) and AES-256-GCM of the rows as JSON.")


class Slice(Schema):
    """Some blocks of a slice. A row is [person, lookup tokens, masked name, last four, birth year, sex, group,
    household sealed (0 or 1), household, area, building, unit, estate].
    """

    version: str = Field(description="Of the slice as a whole; blocks of another version are to be thrown away.")
    reset: bool = Field(description="The version has changed since ``after``: this is the first page of the new one.")
    more: bool
    after: str = Field(description="For the next page; empty when there is none.")
    blocks: list[Block]


def current_slice(context: DeviceContext) -> State:
    """Which slice a device should have now: three statements."""
    return state_of(context, rosters(context))


def rosters(context: DeviceContext) -> list[tuple[int, float]]:
    """Each round with the moment when its roster was frozen."""
    return [(one.pk, one.approved_at.timestamp()) for one in rounds_of(context.operation) if one.approved_at]


def secret_of(context: DeviceContext) -> bytes:
    """The secret that the device's keys derive from. Refusal ``people.slice_locked`` where there is none yet."""
    secret = device_secret(context.id)
    if secret is None:
        raise Refusal("people.slice_locked")
    return secret


@router.get("/slice", auth=device_auth, response=Slice)
def get_slice(request: HttpRequest, after: str = "") -> HttpResponse:
    """The residents of the device's areas, page by page, encrypted under a key of this device alone.

    Refusals: ``people.slice_locked`` before anybody has signed on, ``people.slice_too_large``.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    answer: dict[str, Any] = slice_page(context, secret_of(context), rosters(context), after)
    return HttpResponse(orjson.dumps(answer), content_type="application/json")
