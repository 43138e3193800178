"""The writers of access: the audit log, accounts, roles, one-time links, pairing and devices.

``by`` is who does it; None is the installation itself (a command at its terminal). Each write leaves an audit row in
the same transaction. Nothing is deleted: assignments and scopes end, a device is revoked, an account is switched off.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from dabai.access import chain, codes, queries, rules
from dabai.access.models import (
    ApiToken,
    Assignment,
    AuditEntry,
    Device,
    DeviceScope,
    DeviceSecret,
    OneTimeLink,
    PairingCode,
    User,
)
from dabai.access.rules import Permission, Role
from dabai.kernel import areas, clock
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal

USERNAME = re.compile(r"\w[\w.-]{1,39}")
PURPOSES = ("welcome", "password")
FIRST_ADMIN = "first_admin"
FIRST_ADMIN_HOURS = 24
LINK_HOURS = {"welcome": 14 * 24, "password": 24}
CODE_HOURS = 14 * 24
PAIR_AGAIN = timedelta(minutes=15)
FIRST_ADMIN_LOCK = 7_346
KINDS_OF_DEVICE = ("phone", "lab", "reader")
# A device's first scope has no beginning: what was written on paper before it came is typed into it afterwards.
EVER = datetime(2000, 1, 1, tzinfo=UTC)


# ---- audit


def entry(
    *,
    by: User | None,
    action: str,
    subject: str = "",
    area: str = "",
    operation: int | None = None,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    device: UUID | None = None,
) -> AuditEntry:
    """An audit row, not yet written: for writers of many."""
    row = AuditEntry(at=clock.now(), actor=by, device=device, operation=operation, action=action, area=area)
    row.subject, row.reason, row.detail = subject[:80], reason[:200], detail or {}
    return row


def record(*, by: User | None, action: str, **rest: Any) -> None:
    """Write down who did what, to what, where and why. Ids and reasons only: never a name, a number or a phone."""
    row = entry(by=by, action=action, **rest)
    row.save(force_insert=True)
    follow(row.pk)


def record_all(rows: Sequence[AuditEntry]) -> None:
    """Write many audit rows at once."""
    made = AuditEntry.objects.bulk_create(rows)
    if made:
        follow(made[0].pk)


def follow(first: int) -> None:
    """Once this transaction has committed, link its audit rows, of which ``first`` has the smallest id.

    Whoever has linked that one meanwhile saw them all, for they committed together. If it fails, the action stands.
    """
    transaction.on_commit(lambda: None if chain.is_linked(first) else link_rows(first), robust=True)


ADD_LINKS = (
    "INSERT INTO access_audit_link (number, entry, mac) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])"
)


def link_rows(first: int = 0) -> None:
    """Add the audit rows from id ``first`` on that have no link to the chain (``dabai.access.chain``)."""
    missing = True
    while missing:
        with transaction.atomic(), connection.cursor() as cursor:
            made = chain.next_links(cursor, first)
            if made:
                cursor.execute(ADD_LINKS, [list(column) for column in zip(*made, strict=True)])
        missing = len(made) == chain.BATCH


def require(by: User | None, permission: Permission, *, area: str, operation: int | None, at: datetime) -> None:
    """Refuse what ``by`` may not do there. Refusal ``access.not_allowed``."""
    if by is not None and not rules.allowed(queries.grants_of(by), permission, area, operation, at):
        raise Refusal("access.not_allowed", "area")


def require_somewhere(by: User | None, permission: Permission, *, at: datetime) -> None:
    """Refuse somebody who has the permission nowhere. Refusal ``access.not_allowed``."""
    if by is not None and not rules.prefixes(queries.grants_of(by), permission, None, at):
        raise Refusal("access.not_allowed")


def log_reveal(
    *, by: User, operation: int, people: Iterable[tuple[UUID, str]], reason: str, fields: Sequence[str]
) -> None:
    """Write down that ``by`` is shown ``fields`` of these people, given as (id, area), before they are shown.

    Refusals: ``access.reason_missing``; ``access.not_allowed`` when the role does not reveal people in that area.
    """
    if not reason.strip():
        raise Refusal("access.reason_missing", "reason")
    grants, at = queries.grants_of(by), clock.now()
    rows = []
    for person, area in people:
        if not rules.allowed(grants, Permission.REVEAL_PERSON, area, operation, at):
            raise Refusal("access.not_allowed", "area")
        detail = {"fields": list(fields)}
        rows.append(
            entry(
                by=by,
                action=queries.REVEALED,
                subject=f"person/{person}",
                area=area,
                operation=operation,
                reason=reason.strip(),
                detail=detail,
            )
        )
    record_all(rows)


# ---- accounts and roles


def read_username(text: str) -> str:
    """The log-in name as it is stored: NFKC, lower case. Refusal ``access.username_form``."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not USERNAME.fullmatch(name):
        raise Refusal("access.username_form", "username")
    return name


@transaction.atomic
def create_user(
    *, username: str, display_name: str, by: User | None, organisation: str = "", drill_only: bool = False
) -> User:
    """A new account without a password; ``one_time_link`` lets its owner set one.

    Refusals: ``access.username_form``, ``access.username_taken``, ``access.name_missing``, ``access.not_allowed``.
    """
    require_somewhere(by, Permission.MANAGE_ACCOUNTS, at=clock.now())
    name = read_username(username)
    if not display_name.strip():
        raise Refusal("access.name_missing", "display_name")
    user, created = User.objects.get_or_create(
        username=name,
        defaults={
            "display_name": display_name.strip()[:60],
            "organisation": organisation.strip()[:80],
            "drill_only": drill_only,
            "password": make_password(None),
        },
    )
    if not created:
        raise Refusal("access.username_taken", "username")
    record(by=by, action="account.created", subject=f"user/{user.pk}")
    return user


@transaction.atomic
def switch_account(*, user: User, active: bool, by: User | None, reason: str) -> None:
    """Switch an account off or on again. Its sessions end with it. Refusals: ``own_account``, ``not_allowed``."""
    require_over(by, user)
    User.objects.filter(pk=user.pk).update(is_active=active)
    OneTimeLink.objects.filter(user=user, used_at=None).update(expires_at=clock.now())
    action = "account.switched_on" if active else "account.switched_off"
    record(by=by, action=action, subject=f"user/{user.pk}", reason=reason)


def require_over(by: User | None, user: User) -> None:
    """Refuse an account that ``by`` does not administer: their own, or one with a role outside their area."""
    if by is None:
        return
    if by.pk == user.pk:
        raise Refusal("access.own_account", "user")
    mine, at = queries.grants_of(by), clock.now()
    theirs = [grant for grant in queries.grants_of(user) if grant.valid_to is None or grant.valid_to > at]
    if not theirs:
        require_somewhere(by, Permission.MANAGE_ACCOUNTS, at=at)
    for grant in theirs:
        if not rules.allowed(mine, Permission.MANAGE_ACCOUNTS, grant.area, grant.operation, at):
            raise Refusal("access.not_allowed", "user")


@transaction.atomic
def assign_role(
    *,
    user: User,
    role: str,
    area: str,
    by: User | None,
    operation: int | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
) -> Assignment:
    """Give a role in an area, from now if not said otherwise. The same one given again is the same assignment.

    Refusals: ``access.role_unknown``, ``access.roles_conflict``, ``access.area_code``, ``access.period_order``,
    ``access.own_account``, ``access.not_allowed``.
    """
    now = clock.now()
    start = valid_from or now
    check_area(area, by)
    if valid_to is not None and valid_to <= start:
        raise Refusal("access.period_order", "valid_to")
    User.objects.select_for_update().get(pk=user.pk)
    held = [row for row in Assignment.objects.filter(user=user) if row.valid_to is None or row.valid_to > now]
    rules.check_roles_together([row.role for row in held], role)
    mine = queries.grants_of(by) if by else None
    rules.check_grant(mine, myself=by == user, area=area, operation=operation, at=now)
    for row in held:
        if (row.role, row.area, row.operation, row.valid_to) == (role, area, operation, valid_to):
            return row
    made = Assignment.objects.create(
        user=user, role=role, area=area, operation=operation, valid_from=start, valid_to=valid_to, granted_by=by
    )
    detail = {"role": role, "until": valid_to.isoformat() if valid_to else None}
    record(by=by, action="role.assigned", subject=f"user/{user.pk}", area=area, operation=operation, detail=detail)
    return made


def check_area(area: str, by: User | None) -> None:
    """Refuse what is no area code; the whole installation ("") is the installation's own to give."""
    if not (areas.is_code(area) or (area == "" and by is None)):
        raise Refusal("access.area_code", "area")


@transaction.atomic
def end_assignment(*, assignment: Assignment, by: User | None, reason: str, at: datetime | None = None) -> None:
    """End a role now, or at a moment to come; one that has not begun never begins."""
    require_over(by, assignment.user)
    end = max(at or clock.now(), assignment.valid_from)
    Assignment.objects.filter(pk=assignment.pk).update(valid_to=end)
    detail = {"role": assignment.role, "at": end.isoformat()}
    record(
        by=by,
        action="role.ended",
        subject=f"user/{assignment.user.pk}",
        area=assignment.area,
        operation=assignment.operation,
        reason=reason,
        detail=detail,
    )


@transaction.atomic
def set_pin(*, user: User, pin: str, by: User | None) -> None:
    """Set the short PIN with which somebody signs on to a shared phone: six digits that are no simple row.

    Refusals: ``access.pin_form``, ``access.pin_simple``, ``access.own_account``/``not_allowed`` over another's account.
    """
    if by is None or by.pk != user.pk:
        require_over(by, user)
    User.objects.filter(pk=user.pk).update(pin_hash=codes.pin_verifier(codes.check_pin(pin)))
    record(by=by, action="account.pin_set", subject=f"user/{user.pk}")


def reset_pin(*, user: User, by: User | None) -> str:
    """Give somebody a new random PIN, for one they have forgotten; it is returned once and kept nowhere.

    Nothing that they have reported depends on it: a phone's outbox was never sealed under a PIN. Refusals
    ``access.own_account``, ``access.not_allowed``.
    """
    require_over(by, user)
    pin = codes.new_pin()
    set_pin(user=user, pin=pin, by=by)
    return pin


# ---- one-time links


def first_admin_link() -> str | None:
    """``/welcome/<token>/`` for whoever installs, while there is no administrator; None afterwards.

    Only the newest of these links works: calling again takes the earlier ones back.
    """
    if queries.has_administrator():
        return None
    with transaction.atomic():
        OneTimeLink.objects.filter(purpose=FIRST_ADMIN, used_at=None).delete()
        return new_link(user=None, purpose=FIRST_ADMIN, hours=FIRST_ADMIN_HOURS)


def new_link(*, user: User | None, purpose: str, hours: int) -> str:
    """Store a link's digest; the path with the token is returned once and kept nowhere."""
    token = codes.new_token()
    expires = clock.now() + timedelta(hours=hours)
    OneTimeLink.objects.create(token_hash=codes.token_digest(token), user=user, purpose=purpose, expires_at=expires)
    return f"/welcome/{token}/"


@transaction.atomic
def one_time_link(*, user: User, purpose: str, by: User | None) -> str:
    """A link with which ``user`` sets a password once: ``welcome`` (14 days) or ``password`` (a day).

    Earlier links of theirs stop working. Refusals: ``access.own_account``, ``access.not_allowed``.
    """
    if purpose not in PURPOSES:
        raise ValueError(purpose)
    require_over(by, user)
    OneTimeLink.objects.filter(user=user, used_at=None).update(expires_at=clock.now())
    link = new_link(user=user, purpose=purpose, hours=LINK_HOURS[purpose])
    record(by=by, action="account.link_made", subject=f"user/{user.pk}", detail={"purpose": purpose})
    return link


@transaction.atomic
def use_link(*, token: str, password: str, username: str = "", display_name: str = "") -> User:
    """Set the password that a one-time link allows; the first administrator's link also makes the account.

    Refusals: ``access.link_unknown``, ``access.link_used``, ``access.link_expired``, ``access.password_weak``.
    """
    link = queries.usable_link(token, lock=True)
    user: User | None = link.user
    if user is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FIRST_ADMIN_LOCK])
        if queries.has_administrator():
            raise Refusal("access.link_used", "token")
        user = create_user(username=username, display_name=display_name, by=None)
        assign_role(user=user, role=Role.ADMINISTRATOR, area="", by=None)
    set_password(user=user, password=password)
    now = clock.now()
    OneTimeLink.objects.filter(pk=link.pk).update(used_at=now)
    OneTimeLink.objects.filter(user=user, used_at=None).update(expires_at=now)
    record(by=user, action="account.link_used", subject=f"user/{user.pk}", detail={"purpose": link.purpose})
    return user


def set_password(*, user: User, password: str) -> None:
    """Set a password that Django accepts. Sessions and tokens of the user end. Refusal ``access.password_weak``."""
    try:
        validate_password(password, user)
    except ValidationError:
        raise Refusal("access.password_weak", "password") from None
    user.password = make_password(password)
    User.objects.filter(pk=user.pk).update(password=user.password)
    ApiToken.objects.filter(user=user, revoked_at=None).update(revoked_at=datetime.now(UTC))


# ---- pairing and devices


def site_area(site: int | None, area: str, operation: int) -> str:
    """The area in which a scope lies. Refusals: ``access.site_unknown``, ``access.area_code``, ``scope_missing``."""
    if site is None:
        if not areas.is_code(area):
            raise Refusal("access.area_code" if area else "access.scope_missing", "area")
        return area
    found = queries.area_of_site(site, operation)
    if found is None:
        raise Refusal("access.site_unknown", "site")
    return found


@transaction.atomic
def issue_pairing_code(
    *,
    operation: int,
    name: str,
    by: User | None,
    site: int | None = None,
    area: str = "",
    kind: str = "phone",
    holder: User | None = None,
    hours: int = CODE_HOURS,
) -> str:
    """A code that pairs one device with the site or the area. It is returned once (``codes.shown`` groups it).

    Refusals: ``access.operation_over``, ``access.site_unknown``, ``access.scope_missing``, ``access.not_allowed`` …
    """
    running = queries.running_operation(operation)
    where = site_area(site, area, operation)
    require(by, Permission.MANAGE_DEVICES, area=where, operation=operation, at=clock.now())
    if not name.strip():
        raise Refusal("access.name_missing", "name")
    if kind not in KINDS_OF_DEVICE:
        raise Refusal("access.device_kind", "kind")
    code, row = new_pairing_code(
        district=running.district, operation=operation, name=name, by=by, site=site, area=area, hours=hours
    )
    row.kind, row.holder = kind, holder
    row.save(force_insert=True)
    record(by=by, action="device.code_issued", subject=f"code/{row.pk}", area=where, operation=operation)
    return code


def new_pairing_code(
    *, district: int, operation: int, name: str, by: User | None, site: int | None, area: str, hours: int = CODE_HOURS
) -> tuple[str, PairingCode]:
    """A code and its row, not yet written: for writers of many."""
    code = codes.new_code()
    row = PairingCode(code_hash=codes.code_digest(code), district=district, operation=operation, made_by=by)
    row.name, row.site, row.area = name.strip()[:60], site, "" if site else area
    row.expires_at = clock.now() + timedelta(hours=hours)
    return code, row


@transaction.atomic
def pair_device(*, code: str, name: str, app: str) -> tuple[Device, str]:
    """Turn a code into a device and its token. The token is returned once; its digest is kept.

    When the answer was lost on the way, the same code works again for a quarter of an hour, as long as the device has
    never been in contact; the first token then stops working. Refusals: ``access.code_mistyped``, ``code_unknown``,
    ``code_used``, ``code_expired``, ``operation_over``.
    """
    digest, now = codes.code_digest(codes.read_code(code)), clock.now()
    row = PairingCode.objects.select_for_update().filter(code_hash=digest).first()
    if row is None:
        raise Refusal("access.code_unknown", "code")
    if row.expires_at <= now:
        raise Refusal("access.code_expired", "code")
    queries.running_operation(row.operation)
    token = codes.new_token()
    device = pair_again(row, token, now) if row.used_at else pair_first(row, token, app, now)
    record(
        by=None,
        action="device.paired",
        subject=f"device/{device.pk}",
        operation=device.operation,
        device=device.pk,
        detail={"code": row.pk, "again": row.used_at is not None, "calls_itself": name[:60]},
    )
    PairingCode.objects.filter(pk=row.pk).update(used_at=now, device=device.pk)
    return device, token


def pair_first(row: PairingCode, token: str, app: str, now: datetime) -> Device:
    """The new device of a code, with its scope."""
    device = Device.objects.create(
        id=uuid7(),
        district=row.district,
        operation=row.operation,
        name=row.name,
        kind=row.kind,
        token_hash=codes.token_digest(token),
        holder=row.holder,
        paired_at=now,
        app_version=app[:40],
    )
    DeviceScope.objects.create(device=device, site=row.site, area=row.area, valid_from=EVER)
    return device


def pair_again(row: PairingCode, token: str, now: datetime) -> Device:
    """The device that this code became a moment ago, with a new token. Refusal ``access.code_used``."""
    device = Device.objects.select_for_update().filter(pk=row.device).first() if row.device else None
    recent = row.used_at is not None and now - row.used_at < PAIR_AGAIN
    if device is None or not recent or device.last_contact is not None or device.revoked_at is not None:
        raise Refusal("access.code_used", "code")
    Device.objects.filter(pk=device.pk).update(token_hash=codes.token_digest(token))
    return device


@transaction.atomic
def rescope_device(
    *, device: Device, by: User | None, site: int | None = None, area: str = "", at: datetime | None = None
) -> None:
    """Move a device to a site or an area from ``at`` (now): what it reports of earlier is judged by its earlier scope.

    Refusals: as for ``issue_pairing_code``.
    """
    where, now = site_area(site, area, device.operation), clock.now()
    require(by, Permission.MANAGE_DEVICES, area=where, operation=device.operation, at=now)
    require_over_device(by, device)
    start = at or now
    Device.objects.select_for_update().get(pk=device.pk)
    open_scopes = DeviceScope.objects.filter(device=device, valid_to=None)
    open_scopes.filter(valid_from__lt=start).update(valid_to=start)
    open_scopes.filter(valid_from__gte=start).delete()
    DeviceScope.objects.create(device=device, site=site, area="" if site else area, valid_from=start)
    detail = {"site": site, "area": area, "from": start.isoformat()}
    record(
        by=by,
        action="device.moved",
        subject=f"device/{device.pk}",
        area=where,
        operation=device.operation,
        detail=detail,
    )
    queries.forget_devices()


def require_over_device(by: User | None, device: Device) -> None:
    """Refuse a device that reports for no place of ``by``'s. Refusal ``access.not_allowed``."""
    if by is None:
        return
    grants, at = queries.grants_of(by), clock.now()
    for area in queries.areas_of_device(device):
        if rules.allowed(grants, Permission.MANAGE_DEVICES, area, device.operation, at):
            return
    raise Refusal("access.not_allowed", "device")


@transaction.atomic
def revoke_device(*, device: Device, by: User | None, reason: str, lost: bool = False) -> None:
    """Take a device out of use, or report it lost. It may still post what it holds (flagged), and nothing else.

    Its secret is destroyed: whoever has the phone and learns a PIN later gets nothing more from here.
    """
    require_over_device(by, device)
    if not reason.strip():
        raise Refusal("access.reason_missing", "reason")
    now = clock.now()
    fresh = Device.objects.select_for_update().get(pk=device.pk)
    lost_at = fresh.lost_at or (now if lost else None)
    Device.objects.filter(pk=device.pk).update(revoked_at=fresh.revoked_at or now, lost_at=lost_at)
    DeviceSecret.objects.filter(pk=device.pk).delete()
    record(
        by=by,
        action="device.lost" if lost else "device.revoked",
        subject=f"device/{device.pk}",
        operation=device.operation,
        reason=reason.strip(),
    )
    queries.forget_devices()


class Contact(NamedTuple):
    """What a device says of itself on its way."""

    device: UUID
    at: datetime
    highest_seq: int = 0
    unsent: int = 0
    skew: timedelta = timedelta(0)
    app: str = ""


# Rows are locked in one order, because two web processes may have heard of the same devices.
CHECK_IN = """
WITH quick AS (SELECT set_config('synchronous_commit', 'off', true)),
said AS (
    SELECT * FROM unnest(%s::uuid[], %s::timestamptz[], %s::bigint[], %s::int[], %s::bigint[], %s::text[])
        AS c(device, at, highest_seq, unsent, skew_ms, app)
), locked AS MATERIALIZED (
    SELECT d.id FROM access_device d, quick WHERE d.id IN (SELECT device FROM said) ORDER BY d.id FOR NO KEY UPDATE OF d
)
UPDATE access_device d
SET last_contact = greatest(d.last_contact, c.at), highest_seq = greatest(d.highest_seq, c.highest_seq),
    unsent = c.unsent, skew_ms = c.skew_ms, app_version = coalesce(nullif(c.app, ''), d.app_version)
FROM locked l JOIN said c ON c.device = l.id WHERE d.id = l.id
"""


def check_in(contacts: Iterable[Contact]) -> None:
    """Note what devices say of themselves: one UPDATE, not waited for on disk. Of one device the last words count.

    Call it outside the facts' transaction; the intake does, once a second for all that were heard of.
    """
    latest: dict[UUID, Contact] = {}
    for one in contacts:
        before = latest.get(one.device, one)
        highest = max(one.highest_seq, before.highest_seq)
        latest[one.device] = one._replace(highest_seq=highest, app=one.app or before.app)
    rows = [
        (one.device, one.at, one.highest_seq, one.unsent, int(one.skew / timedelta(milliseconds=1)), one.app[:40])
        for one in latest.values()
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(CHECK_IN, [list(column) for column in zip(*rows, strict=True)])
