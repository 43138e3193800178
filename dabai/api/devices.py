"""How a phone becomes a device of an operation, and how somebody signs on to it."""

from base64 import b64encode
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from dabai.access.actions import reset_pin
from dabai.access.guard import device_auth, pair_from, public
from dabai.access.keys import newest_sealing_key
from dabai.access.models import SealingKey, User
from dabai.access.queries import DeviceContext
from dabai.access.rules import SHIFT, Permission
from dabai.access.signon import sign_on
from dabai.api.desk.door import access_of, asks, desk_auth
from dabai.api.field import scope_of
from dabai.kernel.refusal import Refusal

router = Router(tags=["devices"])

Printable = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PairRequest(Schema):
    """A one-time code from the desk's slip, and what the device calls itself."""

    code: Annotated[str, Field(min_length=4, max_length=40)]
    name: Printable = ""
    app: Annotated[str, Field(max_length=40, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""


class SealingKeyOut(Schema):
    """The key to which a device seals its outbox from now on."""

    number: int
    public: str = Field(description="Raw uncompressed P-256 point (65 bytes), Base64.")


class Paired(Schema):
    """The device and its token. The token is shown once; only its hash is kept."""

    device: UUID
    name: str
    token: str
    district: int
    operation: int
    scope: list[dict[str, Any]]
    sealing_key: SealingKeyOut


def told(key: SealingKey) -> dict[str, Any]:
    """A sealing key as JSON."""
    return {"number": key.number, "public": b64encode(key.public).decode()}


@router.post("/devices/pair", response=Paired, auth=None)
@public
def pair(request: HttpRequest, data: PairRequest) -> dict[str, Any]:
    """Turn a one-time code into a device. Refusals ``access.code_unknown``, ``code_used``, ``code_expired``."""
    device, token = pair_from(request, code=data.code, name=data.name, app=data.app)
    return {
        "device": device.pk,
        "name": device.name,
        "token": token,
        "district": device.district,
        "operation": device.operation,
        "scope": scope_of(device.scopes.all()),
        "sealing_key": told(newest_sealing_key(device.operation)),
    }


# ---- signing on


class SignOnRequest(Schema):
    """Who takes the device, and their PIN."""

    login: Annotated[str, Field(min_length=1, max_length=40)]
    pin: Annotated[str, Field(min_length=1, max_length=20)]


class SignedOnOut(Schema):
    """A worker on a device for a shift, and what the device needs for it. It is to be kept under the PIN only."""

    login: str
    display_name: str
    roles: list[str]
    valid_until: datetime = Field(description="End of the shift, in true time (not a drill's).")
    valid_seconds: int = Field(description="The same from now on, for a phone whose clock is wrong.")
    device_secret: str = Field(description="32 bytes, Base64; the same for everybody who signs on to this device.")
    sealing_key: SealingKeyOut


@router.post("/devices/sign-on", response=SignedOnOut, auth=device_auth)
def sign_on_to(request: HttpRequest, data: SignOnRequest) -> dict[str, Any]:
    """Sign a worker on with a PIN, for 12 hours.

    Refusals ``access.pin_wrong`` (for unknown log-in names as well), ``pin_too_many`` (429, ``seconds``),
    ``pin_unset``, ``sign_on_not_allowed`` (403: no role where this device reports), ``device_not_allowed`` (403),
    ``operation_over``.
    """
    device: DeviceContext = request.auth  # type: ignore[attr-defined]
    signed = sign_on(device=device, login=data.login, pin=data.pin)
    return {
        "login": signed.user.username,
        "display_name": signed.user.display_name,
        "roles": sorted(signed.roles),
        "valid_until": signed.valid_until,
        "valid_seconds": int(SHIFT.total_seconds()),
        "device_secret": b64encode(signed.device_secret).decode(),
        "sealing_key": told(signed.sealing_key),
    }


class NewPin(Schema):
    """A PIN, told once."""

    pin: str


@router.post("/desk/accounts/{name}/pin", response=NewPin, auth=desk_auth)
@asks(Permission.MANAGE_ACCOUNTS)
def give_pin(request: HttpRequest, name: str) -> dict[str, str]:
    """Give somebody a new PIN, for one they have forgotten: signing on needs a network then, and nothing is lost.

    Refusals ``access.not_allowed``, ``access.own_account``, ``access.account_not_found``.
    """
    user = User.objects.filter(username=name.lower()).first()
    if user is None:
        raise Refusal("access.account_not_found", "name")
    return {"pin": reset_pin(user=user, by=access_of(request).user)}
