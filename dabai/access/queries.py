"""Readers of access: who somebody is and what they may do, devices and their gaps, links, the audit log.

Some rows of packages above are needed here to judge a scope (the area of a site, whether an operation runs). They are
read by SQL and named by their table, so that no import goes upward.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q

from dabai.access import rules
from dabai.access.codes import token_digest
from dabai.access.models import Assignment, AuditEntry, Device, OneTimeLink, User
from dabai.access.rules import Grant, Permission, Role, ScopeItem
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal

REVEALED = "people.revealed"
REMEMBER_SECONDS = 2.0
REMEMBERED = 20_000
SILENT = timedelta(minutes=30)


# ---- operations and sites, as far as a scope needs them


@dataclass(frozen=True, slots=True)
class OperationRow:
    """What access needs to know of an operation."""

    id: int
    district: int
    kind: str
    ended_at: datetime | None


def operation_row(operation: int) -> OperationRow | None:
    """The operation, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, district, kind, ended_at FROM protocols_operation WHERE id = %s", [operation])
        row = cursor.fetchone()
    return OperationRow(*row) if row else None


def running_operation(operation: int) -> OperationRow:
    """The operation if it has not ended. Refusals ``access.operation_not_found``, ``access.operation_over``."""
    found = operation_row(operation)
    if found is None:
        raise Refusal("access.operation_not_found", "operation")
    if found.ended_at is not None:
        raise Refusal("access.operation_over", "operation")
    return found


def newest_operation(grants: Iterable[Grant], at: datetime) -> OperationRow | None:
    """The operation that a desk opens with: the newest that reaches one of these grants, running ones first."""
    held = [grant for grant in grants if rules.in_force(grant, at)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, district, kind, ended_at FROM protocols_operation ORDER BY ended_at IS NULL DESC, id DESC"
        )
        for row in cursor:
            found = OperationRow(*row)
            if any(rules.in_operation(one, found.id) and in_district(one.area, found.district) for one in held):
                return found
    return None


def in_district(area: str, district: int) -> bool:
    """Whether an area prefix lies in the district, or the district in it."""
    code = str(district)
    return area.startswith(code) or code.startswith(area)


def area_of_site(site: int, operation: int) -> str | None:
    """The area of a site of the operation, or None."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT area FROM places_site WHERE id = %s AND operation = %s", [site, operation])
        row = cursor.fetchone()
    return row[0] if row else None


def sites_by_code(operation: int) -> dict[str, tuple[int, str, str]]:
    """Site code to (id, area, name), for spreadsheets."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT code, id, area, name FROM places_site WHERE operation = %s", [operation])
        return {code: (number, area, name) for code, number, area, name in cursor.fetchall()}


# ---- people


def grants_of(user: User) -> list[Grant]:
    """All that was ever granted to a user; whether it holds is asked with a time. Nothing for a closed account."""
    if not user.is_active:
        return []
    rows = Assignment.objects.filter(user_id=user.pk).values_list("role", "area", "operation", "valid_from", "valid_to")
    return [Grant(Role(role), *rest) for role, *rest in rows if role in rules.MATRIX]


def areas_of(user: User, permission: Permission, operation: int | None, at: datetime | None = None) -> list[str]:
    """The area prefixes in which the user has the permission, the fewest that say it; empty: nowhere."""
    return rules.prefixes(grants_of(user), permission, operation, at or clock.now())


def may(user: User, permission: Permission, area: str, operation: int | None, at: datetime | None = None) -> bool:
    """Whether the user may do this to what lies in ``area``."""
    return rules.allowed(grants_of(user), permission, area, operation, at or clock.now())


def roles_of(user: User, operation: int | None, at: datetime | None = None) -> frozenset[Role]:
    """The roles that the user has in an operation, wherever."""
    return rules.roles_in_force(grants_of(user), operation, at or clock.now())


def has_administrator() -> bool:
    """Whether somebody can log in and administer accounts."""
    now = clock.now()
    held = Assignment.objects.filter(role=Role.ADMINISTRATOR, user__is_active=True, valid_from__lte=now)
    return any(one.user.has_usable_password() for one in held.exclude(valid_to__lte=now).select_related("user"))


def usable_link(token: str, *, lock: bool = False) -> OneTimeLink:
    """The link of this token if it still works. Refusals ``access.link_unknown``, ``link_used``, ``link_expired``."""
    links = OneTimeLink.objects.select_for_update(of=("self",)) if lock else OneTimeLink.objects
    link = links.filter(token_hash=token_digest(token)).select_related("user").first()
    if link is None:
        raise Refusal("access.link_unknown", "token")
    if link.used_at is not None:
        raise Refusal("access.link_used", "token")
    if link.expires_at <= clock.now() or (link.user is not None and not link.user.is_active):
        raise Refusal("access.link_expired", "token")
    return link


# ---- devices: who is calling


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """A device as a request needs it. ``covers`` makes it a scope of the journal."""

    id: UUID
    district: int
    operation: int
    kind: str
    name: str
    holder: int | None
    revoked_at: datetime | None
    lost_at: datetime | None
    scopes: tuple[ScopeItem, ...]
    token_hash: bytes

    @property
    def revoked(self) -> bool:
        """Whether it may still post and nothing else."""
        return self.revoked_at is not None

    @property
    def lost(self) -> bool:
        """Whether it was reported lost: its next contact tells it to wipe itself."""
        return self.lost_at is not None

    def covers(self, site: int | None, area: str, at: datetime) -> bool:
        """Whether its scopes reach the place at that time. Looks at the database again before it says no."""
        if rules.device_may(self.scopes, site, area, at):
            return True
        fresh = authenticate_digest(self.token_hash, reread=True)
        return fresh is not None and rules.device_may(fresh.scopes, site, area, at)


DEVICE = """
SELECT d.id, d.district, d.operation, d.kind, d.name, d.holder_id, d.revoked_at, d.lost_at,
       array_agg(s.site ORDER BY s.id), array_agg(s.area ORDER BY s.id),
       array_agg(s.valid_from ORDER BY s.id), array_agg(s.valid_to ORDER BY s.id)
FROM access_device d LEFT JOIN access_device_scope s ON s.device_id = d.id
WHERE d.token_hash = %s GROUP BY d.id
"""


def read_device(digest: bytes) -> DeviceContext | None:
    """The device of a token, from the database: one statement."""
    with connection.cursor() as cursor:
        cursor.execute(DEVICE, [digest])
        row = cursor.fetchone()
    if row is None:
        return None
    scopes = (ScopeItem(site, area, start, end) for site, area, start, end in zip(*row[8:], strict=True) if start)
    return DeviceContext(*row[:8], scopes=tuple(scopes), token_hash=digest)


# What every change of a device alters: a new scope, an ended one, a revocation, a loss.
CHANGES = """
SELECT (SELECT (count(*), max(id), count(valid_to), max(valid_to))::text FROM access_device_scope),
       (SELECT (count(revoked_at), count(lost_at), max(revoked_at), max(lost_at))::text FROM access_device)
"""


class DeviceMemory:
    """Devices that this process has met, by digest of their token: the last 20,000 of them, until any device changes.

    Phones post every few minutes each, so remembering them for a moment would save nothing: instead one thread asks
    every two seconds whether any device was changed, and then all are read again when they come.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, tuple[int, DeviceContext]] = OrderedDict()
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._looked_at = float("-inf")
        self._seen: tuple[Any, ...] | None = None
        self._generation = 0

    def generation(self) -> int:
        """A number that changes when any device has changed."""
        if time.monotonic() - self._looked_at > REMEMBER_SECONDS and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return self._generation

    def _look(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(CHANGES)
            seen = cursor.fetchone()
        self._generation += seen != self._seen
        self._seen, self._looked_at = seen, time.monotonic()

    def get(self, digest: bytes, generation: int) -> DeviceContext | None:
        """What is remembered and still holds."""
        held = self._held.get(digest)
        return held[1] if held and held[0] == generation else None

    def has_met(self, digest: bytes) -> bool:
        """Whether this token was ever a device's, as far as this process remembers."""
        return digest in self._held

    def put(self, digest: bytes, device: DeviceContext, generation: int) -> None:
        """Remember a device that was read in this generation, forgetting the one that was read longest ago."""
        with self._lock:
            self._held[digest] = (generation, device)
            self._held.move_to_end(digest)
            while len(self._held) > REMEMBERED:
                self._held.popitem(last=False)

    def forget(self) -> None:
        """Forget every device, and ask again whether any changed."""
        with self._lock:
            self._held.clear()
        self._looked_at = float("-inf")


_devices = DeviceMemory()


def authenticate_digest(digest: bytes, *, reread: bool = False) -> DeviceContext | None:
    """The device whose token has this digest; from memory unless ``reread``."""
    generation = _devices.generation()
    found = None if reread else _devices.get(digest, generation)
    if found is None:
        found = read_device(digest)
        if found is not None:
            _devices.put(digest, found, generation)
    return found


def authenticate_device(token: str, *, reread: bool = False) -> DeviceContext | None:
    """The device of this token, revoked ones too (they may still post); None for a token that never was one.

    A change is seen within two seconds; ``reread`` asks the database, as one does before refusing something.
    """
    return authenticate_digest(token_digest(token), reread=reread)


def has_met(token: str) -> bool:
    """Whether this process remembers the token as a device's: it need not be limited."""
    return _devices.has_met(token_digest(token))


def forget_devices() -> None:
    """Read every device again: after a change, and between tests."""
    _devices.forget()


def areas_of_device(device: Device) -> list[str]:
    """The areas that a device reports for now, sites by their area."""
    open_scopes = device.scopes.filter(valid_to=None)
    found = [scope.area or area_of_site(scope.site, device.operation) or "" for scope in open_scopes]
    return [area for area in found if area]


# ---- devices: what a desk sees of them


@dataclass(frozen=True, slots=True)
class Gap:
    """Facts number ``first`` to ``last`` that a device has made and that have not arrived."""

    device: UUID
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many facts that is."""
        return self.last - self.first + 1


# Numbers that add up to 1 + 2 + … + highest, and are as many, are all there: most devices are done with one scan that
# sorts nothing. Only for the others are the holes looked for.
GAPS = """
WITH wanted AS (
    SELECT id AS device, highest_seq FROM access_device
    WHERE operation = %(operation)s AND (%(device)s::uuid IS NULL OR id = %(device)s)
), came AS (
    SELECT device, count(*) AS number, sum(device_seq) AS total, max(device_seq) AS last FROM journal_entry
    WHERE district = %(district)s AND operation = %(operation)s AND device_seq > 0
      AND (%(device)s::uuid IS NULL OR device = %(device)s)
    GROUP BY device
), holed AS MATERIALIZED (
    SELECT w.device, w.highest_seq FROM wanted w LEFT JOIN came c ON c.device = w.device
    CROSS JOIN LATERAL (SELECT greatest(w.highest_seq, coalesce(c.last, 0)) AS highest) h
    WHERE (coalesce(c.number, 0), coalesce(c.total, 0)) <> (h.highest, h.highest * (h.highest + 1) / 2)
), framed AS (
    SELECT e.device, e.device_seq AS seq FROM journal_entry e
    WHERE e.district = %(district)s AND e.operation = %(operation)s AND e.device_seq > 0
      AND e.device = ANY(ARRAY(SELECT device FROM holed))
    UNION ALL SELECT device, 0 FROM holed
    UNION ALL SELECT h.device, h.highest_seq + 1 FROM holed h LEFT JOIN came c ON c.device = h.device
    WHERE coalesce(c.last, 0) <= h.highest_seq
), paired AS (
    SELECT device, seq, lead(seq) OVER (PARTITION BY device ORDER BY seq) AS next FROM framed
)
SELECT device, seq + 1, next - 1 FROM paired WHERE next > seq + 1 ORDER BY device, seq
"""


def device_gaps(operation: int, device: UUID | None = None) -> list[Gap]:
    """What devices have made and not delivered: runs of ``device_seq`` (from 1) between and after those that came.

    A device counts from 1; the end is the highest number that it has reported of itself. One statement over the
    operation's journal: for the closing of a round and for one device's page, not for a screen that polls.
    """
    row = operation_row(operation)
    if row is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(GAPS, {"operation": operation, "district": row.district, "device": device})
        return [Gap(*found) for found in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A line of the desk's list of devices. ``silent``: in use and not heard of for a while, or holding facts."""

    id: UUID
    name: str
    kind: str
    sites: list[int]
    areas: list[str]
    holder: str | None
    last_contact: datetime | None
    unsent: int
    highest_seq: int
    missing: int
    skew_ms: int
    app_version: str
    revoked_at: datetime | None
    lost_at: datetime | None
    silent: bool


DEVICES = """
SELECT d.id, d.name, d.kind,
       array_remove(array_agg(s.site ORDER BY s.site), NULL),
       array_remove(array_agg(DISTINCT coalesce(nullif(s.area, ''), p.area)), NULL),
       u.display_name, d.last_contact, d.unsent, d.highest_seq, d.skew_ms, d.app_version, d.revoked_at, d.lost_at
FROM access_device d
LEFT JOIN access_device_scope s ON s.device_id = d.id AND s.valid_from <= %(at)s
     AND (s.valid_to IS NULL OR s.valid_to > %(at)s)
LEFT JOIN places_site p ON p.id = s.site
LEFT JOIN access_user u ON u.id = d.holder_id
WHERE d.operation = %(operation)s
GROUP BY d.id, u.display_name ORDER BY d.name, d.id
"""


def devices_of(
    operation: int, areas: Iterable[str] = ("",), *, at: datetime | None = None, gaps: bool = True
) -> list[DeviceRow]:
    """The devices that report for a place in ``areas``, with what is missing from each.

    ``missing`` counts undelivered facts (``device_gaps``); without ``gaps`` it is 0 and the journal is not read.
    """
    now, wanted = at or clock.now(), tuple(areas)
    missing: dict[UUID, int] = {}
    for gap in device_gaps(operation) if gaps else []:
        missing[gap.device] = missing.get(gap.device, 0) + gap.count
    with connection.cursor() as cursor:
        cursor.execute(DEVICES, {"operation": operation, "at": now})
        rows = [device_row(row, missing, now) for row in cursor.fetchall()]
    return [row for row in rows if any(area.startswith(wanted) for area in row.areas or [""])]


def device_row(row: tuple[Any, ...], missing: dict[UUID, int], now: datetime) -> DeviceRow:
    """One line of the list from a row of ``DEVICES``."""
    key, name, kind, sites, areas, holder, contact, unsent, highest, skew, app, revoked, lost = row
    quiet = contact is None or now - contact > SILENT
    silent = lost is not None or (revoked is None and quiet) or unsent > 0
    head = (key, name, kind, sorted(set(sites or [])), areas or [], holder, contact, unsent, highest)
    return DeviceRow(*head, missing.get(key, 0), skew, app, revoked, lost, silent)


def devices_to_ask_about(operation: int, areas: Iterable[str] = ("",)) -> list[DeviceRow]:
    """The devices that stand in the way of closing a round: facts missing, still held, silent or lost."""
    return [row for row in devices_of(operation, areas) if row.missing or row.silent]


# ---- the audit log


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A line of the audit log."""

    at: datetime
    actor: str | None
    action: str
    subject: str
    area: str
    reason: str
    detail: dict[str, Any]


def audit_rows(
    *,
    areas: Iterable[str] = ("",),
    actor: int | None = None,
    subject: str = "",
    action: str = "",
    operation: int | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[tuple[int, AuditRow]]:
    """The newest lines first as (id, line); pass the last id as ``before`` for the next page.

    Lines without an area concern the installation or an account, and are shown to every auditor.
    """
    rows = AuditEntry.objects.select_related("actor").order_by("-pk")
    narrow: dict[str, Any] = {"actor_id": actor, "subject": subject, "action": action, "operation": operation}
    narrow |= {"at__gte": since, "pk__lt": before}
    rows = rows.filter(**{name: value for name, value in narrow.items() if value not in (None, "")})
    wanted = tuple(areas)
    if "" not in wanted:
        reach = Q(area="")
        for area in wanted:
            reach |= Q(area__startswith=area)
        rows = rows.filter(reach)
    return [(row.pk, audit_row(row)) for row in rows[:limit]]


def audit_row(row: AuditEntry) -> AuditRow:
    """The line of one entry; a device's entries have no actor."""
    actor = row.actor.username if row.actor else None
    return AuditRow(row.at, actor, row.action, row.subject, row.area, row.reason, row.detail)


def who_looked_at(person: UUID, limit: int = 1000) -> list[AuditRow]:
    """Everyone who was shown a person's data: when, who, which fields, with what reason."""
    rows = audit_rows(subject=f"person/{person}", action=REVEALED, limit=limit)
    return [row for _, row in rows]


@dataclass(frozen=True, slots=True)
class LookCount:
    """How often somebody revealed people, and how many different ones."""

    username: str
    display_name: str
    looks: int
    people: int
    last: datetime


LOOKS = """
SELECT u.username, u.display_name, count(*), count(DISTINCT a.subject), max(a.at)
FROM access_audit a JOIN access_user u ON u.id = a.actor_id
WHERE a.action = %s AND a.operation = %s AND a.at >= %s
GROUP BY u.id ORDER BY count(DISTINCT a.subject) DESC, u.username
"""


def who_looked_most(operation: int, since: datetime) -> list[LookCount]:
    """The report of who looked at how many people: the first thing an auditor reads."""
    with connection.cursor() as cursor:
        cursor.execute(LOOKS, [REVEALED, operation, since])
        return [LookCount(*row) for row in cursor.fetchall()]
