"""Accounts, roles and devices from spreadsheets. Tokens and codes are in the answer and nowhere else."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import File, Router, Schema
from ninja.files import UploadedFile
from pydantic import Field

from dabai.access.rules import Permission
from dabai.access.sheets import SheetResult, import_sheet
from dabai.api.desk.door import access_of, asks, desk_auth
from dabai.api.desk.files import checked, first_errors
from dabai.api.desk.forms import RowError
from dabai.api.desk.session import token_of

router = Router(tags=["desk: access"], auth=desk_auth)
LARGEST = 16 * 2**20


class WelcomeSlip(Schema):
    """The one-time token with which a new account's owner sets a password, and the PIN for phones if they have one."""

    username: str
    token: str
    pin: str


class DeviceSlip(Schema):
    """The one-time code that pairs a device; ``POST /api/v1/devices/pair`` takes it."""

    name: str
    code: str


class SheetOut(Schema):
    """What became of the rows of a sheet."""

    added: int
    same: int
    refused_count: int
    refused: Annotated[list[RowError], Field(description="At most 200.")]


class AccountsOut(SheetOut):
    """Of a sheet of accounts."""

    slips: list[WelcomeSlip]


class DevicesOut(SheetOut):
    """Of a sheet of devices."""

    slips: list[DeviceSlip]


def told(result: SheetResult) -> dict[str, Any]:
    """Counts and row errors of a sheet."""
    refused = [(row.number, row.reason) for row in result.rows if row.reason is not None]
    return {
        "added": result.count("created"),
        "same": result.count("same"),
        "refused_count": len(refused),
        "refused": first_errors(refused),
    }


@router.post("/accounts/import", response=AccountsOut)
@asks(Permission.MANAGE_ACCOUNTS)
def import_accounts(request: HttpRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Accounts and roles that hold in every operation. Columns: ``dabai.access.sheets``; one row for each role."""
    result = import_sheet(source=checked(file, LARGEST), operation=None, by=access_of(request).user)
    return told(result) | {"slips": welcome_slips(result)}


@router.post("/operations/{operation}/accounts/import", response=AccountsOut)
@asks(Permission.MANAGE_ACCOUNTS)
def import_accounts_of(request: HttpRequest, operation: int, file: File[UploadedFile]) -> dict[str, Any]:
    """Accounts and roles that hold in one operation."""
    result = import_sheet(source=checked(file, LARGEST), operation=operation, by=access_of(request).user)
    return told(result) | {"slips": welcome_slips(result)}


@router.post("/operations/{operation}/devices/import", response=DevicesOut)
@asks(Permission.MANAGE_DEVICES)
def import_devices(request: HttpRequest, operation: int, file: File[UploadedFile]) -> dict[str, Any]:
    """Pairing codes for devices: columns ``device, kind, site`` or ``area``, ``username`` (the holder)."""
    result = import_sheet(source=checked(file, LARGEST), operation=operation, by=access_of(request).user)
    slips = [{"name": one.name, "code": one.secret} for one in result.slips if one.purpose == "pair"]
    return told(result) | {"slips": slips}


def welcome_slips(result: SheetResult) -> list[dict[str, str]]:
    """Log-in names with their tokens and PINs."""
    return [
        {"username": one.holder, "token": token_of(one.secret), "pin": one.place}
        for one in result.slips
        if one.purpose == "welcome"
    ]
