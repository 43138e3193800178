"""Signing on to a shared phone with a short PIN, for a shift.

The phone is a device with a token of its own; the PIN says who holds it. The answer carries the *device secret*, from
which the phone derives the keys of everything that it keeps to be shown (``dabai.access.sealing``); it keeps the secret
itself only under the PIN. A phone that was revoked or reported lost gets nothing (``guard.device_auth``), and its
secret is gone.

A PIN is short, so wrong ones are counted in the database, for the device and for the log-in name, by all web processes
together; those who come at the same moment wait for each other, so that nobody has more guesses by asking in parallel.
A right PIN writes one audit row and nothing else, but for the device's first.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import NamedTuple

from django.db import connection, transaction

from dabai.access import codes, queries, rules
from dabai.access.actions import record
from dabai.access.keys import device_secret, make_device_secret, newest_sealing_key
from dabai.access.login import count_wrong_pin
from dabai.access.models import Device, SealingKey, SignOnFailure, User
from dabai.access.queries import DeviceContext
from dabai.access.rules import SHIFT, Role
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

WINDOW = timedelta(minutes=15)
# How many wrong PINs in that time. A phone is shared by a shift, so it may see more slips than one person makes.
OF_LOGIN, OF_DEVICE = 5, 10
TURN_LOCK = 7_349


@dataclass(frozen=True, slots=True)
class SignedOn:
    """Who has signed on to a device, as what, until when (by the machine's clock, not a drill's), and the secrets."""

    user: User
    roles: frozenset[Role]
    valid_until: datetime
    device_secret: bytes
    sealing_key: SealingKey


class Counted(NamedTuple):
    """What failures are counted under: the device, and the log-in name (as a digest: it may be anything)."""

    device: str
    login: str


def sign_on(*, device: DeviceContext, login: str, pin: str) -> SignedOn:
    """Sign somebody on to a device that may be used.

    Refusals: ``access.pin_wrong`` (for an unknown or closed account as well: the same answer in the same time),
    ``access.pin_too_many`` (with ``seconds``), ``access.pin_unset``, ``access.sign_on_not_allowed`` (no role here),
    ``access.operation_over``, ``access.device_not_allowed``, ``access.key_destroyed``.
    """
    queries.running_operation(device.operation)
    name = unicodedata.normalize("NFKC", login).replace("\0", "").strip().lower()[:40]
    counted = Counted(f"device/{device.id}", f"login/{hashlib.sha256(name.encode()).hexdigest()[:32]}")
    with transaction.atomic():
        outcome = attempt(device, name, pin, counted)
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def attempt(device: DeviceContext, name: str, pin: str, counted: Counted) -> SignedOn | Refusal:
    """One try. A refusal is returned, not raised, so that what was counted stays counted."""
    take_turn(counted)
    failed = {row.subject: row for row in SignOnFailure.objects.filter(subject__in=counted)}
    if seconds := wait(failed, counted):
        return Refusal("access.pin_too_many", "pin", seconds=seconds)
    # Nobody has no roles and no PIN, and takes as many statements and as much hashing as somebody.
    user = User.objects.filter(username=name).first() or User(pk=0, is_active=True)
    roles = roles_here(user, device)
    if not codes.is_pin(pin, user.pin_hash) or not user.is_active:
        fail(device, user, counted)
        return Refusal("access.pin_unset" if roles and not user.pin_hash else "access.pin_wrong", "pin")
    if not roles:
        tell("device.sign_on_failed", device, user, {"reason": "role"})
        return Refusal("access.sign_on_not_allowed", "login")
    return admit(device, user, roles, failed.get(counted.login))


def admit(device: DeviceContext, user: User, roles: frozenset[Role], failed: SignOnFailure | None) -> SignedOn:
    """Let a worker in for a shift; the failures of their name are forgotten, the device's are not."""
    if failed is not None:
        failed.delete()
    signed = SignedOn(user, roles, datetime.now(UTC) + SHIFT, secret_for(device), newest_sealing_key(device.operation))
    tell("device.signed_on", device, user, {"roles": sorted(roles)})
    return signed


def roles_here(user: User, device: DeviceContext) -> frozenset[Role]:
    """What somebody is where the device reports for now; nothing for a closed account."""
    now = clock.now()
    scopes = [scope for scope in device.scopes if rules.in_force(scope, now)]
    areas = [scope.area or queries.area_of_site(scope.site or 0, device.operation) for scope in scopes]
    return rules.roles_on_device(queries.grants_of(user), device.operation, filter(None, areas), now)


def tell(action: str, device: DeviceContext, user: User, detail: dict[str, object]) -> None:
    """The audit row of a try: never the PIN, nor a name that nobody has."""
    known = user if user.pk else None
    subject = f"user/{user.pk}" if known else ""
    where = {"operation": device.operation, "device": device.id}
    record(by=known, action=action, subject=subject, detail=detail, **where)


# ---- counting failures


def take_turn(counted: Counted) -> None:
    """Wait until nobody else tries with the same device or the same name, until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT pg_advisory_xact_lock(%s, place)
               FROM (SELECT DISTINCT hashtext(one) AS place FROM unnest(%s::text[]) AS one ORDER BY 1) AS places""",
            [TURN_LOCK, list(counted)],
        )


def wait(failed: dict[str, SignOnFailure], counted: Counted) -> int:
    """Seconds until the next try may be made; 0: now."""
    now, longest = datetime.now(UTC), 0
    for subject, limit in ((counted.device, OF_DEVICE), (counted.login, OF_LOGIN)):
        row = failed.get(subject)
        if row is not None and row.count >= limit:
            longest = max(longest, ceil((row.since + WINDOW - now).total_seconds()))
    return longest


def fail(device: DeviceContext, user: User, counted: Counted) -> None:
    """Count a wrong PIN and write it down."""
    count_wrong_pin(counted, WINDOW)
    tell("device.sign_on_failed", device, user, {"reason": "pin"})


# ---- the device's secret


def secret_for(device: DeviceContext) -> bytes:
    """The device's secret, made when first asked for. Refusal ``access.device_not_allowed`` once it is revoked."""
    found = device_secret(device.id)
    if found is not None:
        return found
    held = Device.objects.select_for_update(no_key=True).filter(pk=device.id, revoked_at=None).first()
    if held is None:
        raise Refusal("access.device_not_allowed", lost=device.lost)
    return make_device_secret(device.operation, device.id)
