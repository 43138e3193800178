"""Accounts, roles and devices from one spreadsheet: a row is a person, a device, or a person with a device.

====================  ================================================================================
username              makes the account if there is none; accounts get no password here but a welcome link
display_name          for a new account; organisation is optional
role, area            gives the role in that area (a code of 6, 9, 12 or 14 digits) in this operation
valid_from, valid_to  when the role holds; from now, without end, if empty
device                makes a pairing code for a device of that name
site                  where the device reports: the code of a site; without it, the row's area
pin                   six digits for signing on to phones; who works with one and has none is given a random one
====================  ================================================================================

Column names may be Chinese or English. A row that can't be used is reported with field and reason and changes nothing;
its neighbours go in. The same sheet again makes nothing twice, and changes nobody's PIN. Nobody's password is hashed,
and PINs lightly (``codes.pin_verifier``), so two thousand rows take some seconds; everything is written by a fixed
number of statements.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from os import PathLike
from typing import BinaryIO

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.db import connection, transaction

from dabai.access import codes, queries, rules
from dabai.access.actions import KINDS_OF_DEVICE, LINK_HOURS, entry, new_pairing_code, read_username, record_all
from dabai.access.models import Assignment, AuditEntry, Device, OneTimeLink, PairingCode, User
from dabai.access.rules import IN_THE_FIELD, Grant, Permission, Role
from dabai.access.slips import Slip
from dabai.exchange.columns import Column, match_columns
from dabai.exchange.rows import Limits, Row
from dabai.exchange.tables import open_table
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import LANGUAGES, say

SHEET_LOCK = 7_345
MAX_ROWS = 20_000
COLUMNS = (
    Column("username", ("用户名", "登录名", "账号", "工号", "log-in name", "login")),
    Column("display_name", ("姓名", "显示名", "name", "full name")),
    Column("organisation", ("单位", "所属单位", "organization", "employer")),
    Column("role", ("角色", "岗位", "职责")),
    Column("area", ("区域代码", "区划代码", "社区代码", "网格代码", "区域", "area code"), identifier=True),
    Column("valid_from", ("开始时间", "生效时间", "from", "valid from")),
    Column("valid_to", ("结束时间", "失效时间", "until", "valid to")),
    Column("device", ("设备名称", "设备", "手机", "device name")),
    Column("kind", ("设备类型", "kind of device", "device kind")),
    Column("site", ("点位代码", "采样点代码", "点位", "采样点", "site code")),
    Column("pin", ("签到口令", "口令", "sign-on pin"), identifier=True),
)


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of a row: ``created``, ``same`` (all of it was there), or ``refused`` with field and reason."""

    number: int
    outcome: str
    reason: Refusal | None = None


@dataclass(frozen=True, slots=True)
class SheetResult:
    """Row by row, and the slips to print: codes and links are in them and nowhere else."""

    rows: list[RowOutcome]
    slips: list[Slip]

    def count(self, outcome: str) -> int:
        """How many rows ended so."""
        return sum(row.outcome == outcome for row in self.rows)


@dataclass(slots=True)
class Wanted:
    """A row as it was meant."""

    number: int
    username: str = ""
    display_name: str = ""
    organisation: str = ""
    role: str = ""
    area: str = ""
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    device: str = ""
    kind: str = "phone"
    site: str = ""
    pin: str = ""


def import_sheet(*, source: str | PathLike[str] | BinaryIO, operation: int | None, by: User | None) -> SheetResult:
    """Read a CSV or XLSX file and apply it. Without an operation its roles hold in all of them, and it has no devices.

    Refusals of the whole file: ``tables.…``; of rows: in the result.
    """
    with open_table(source, limits=Limits(rows=MAX_ROWS, workbook_rows=MAX_ROWS)) as table:
        columns = match_columns(table.header, COLUMNS)
        if "username" not in columns.places and "device" not in columns.places:
            raise Refusal("access.sheet_columns", "username", columns="username, device")
        picked = [pick(columns.pick, row) for row in table.rows]
    return apply_sheet(rows=picked, operation=operation, by=by)


def pick(cells_of: object, row: Row) -> tuple[int, Mapping[str, str] | Refusal]:
    """The wanted cells of a row, or why it can't be read."""
    try:
        return row.number, cells_of(row)  # type: ignore[operator]
    except Refusal as refusal:
        return row.number, refusal


# ---- reading a row


def read_row(number: int, cells: Mapping[str, str]) -> Wanted:
    """Check the form of a row. Refusals name the column."""
    row = Wanted(number, display_name=cells.get("display_name", ""), organisation=cells.get("organisation", ""))
    row.username = read_username(cells["username"]) if cells.get("username") else ""
    row.device, row.site = cells.get("device", "").strip()[:60], cells.get("site", "").strip()
    if not row.username and not row.device:
        raise Refusal("access.sheet_empty", "username")
    row.pin = codes.check_pin(cells["pin"].strip()) if cells.get("pin", "").strip() else ""
    row.role = read_role(cells.get("role", ""))
    row.area = cells.get("area", "").strip()
    if row.area and not areas.is_code(row.area):
        raise Refusal("access.area_code", "area")
    if row.role and (not row.username or not row.area):
        raise Refusal(
            "access.area_code" if row.username else "access.username_form", "area" if row.username else "username"
        )
    if row.device and not row.site and not row.area:
        raise Refusal("access.scope_missing", "site")
    row.kind = cells.get("kind", "").strip().lower() or "phone"
    if row.kind not in KINDS_OF_DEVICE:
        raise Refusal("access.device_kind", "kind")
    row.valid_from, row.valid_to = read_time(cells, "valid_from"), read_time(cells, "valid_to")
    if row.valid_to and row.valid_to <= (row.valid_from or clock.now()):
        raise Refusal("access.period_order", "valid_to")
    return row


ROLE_NAMES = {role.value: role.value for role in Role} | {
    say(f"access.role.{role}", language).casefold(): role.value for role in Role for language in LANGUAGES
}


def read_role(text: str) -> str:
    """A role by its code or its name in either language; empty stays empty. Refusal ``access.role_unknown``."""
    name = text.strip().casefold()
    if name and name not in ROLE_NAMES:
        raise Refusal("access.role_unknown", "role")
    return ROLE_NAMES.get(name, "")


def read_time(cells: Mapping[str, str], key: str) -> datetime | None:
    """A day or a moment in the business zone. A last day (``valid_to``) is meant to its end. ``access.date_form``."""
    text = cells.get(key, "").strip().replace("/", "-")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        whole_day = len(text) == len(date.min.isoformat())
    except ValueError:
        raise Refusal("access.date_form", key) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=clock.zone())
    return moment + timedelta(days=1) if whole_day and key == "valid_to" else moment


# ---- what is there already, and what a row adds


@dataclass(slots=True)
class Plan:
    """What is there, read once, and what is to be written, collected row by row."""

    operation: int | None
    district: int
    by: User | None
    now: datetime
    mine: list[Grant] | None
    sites: dict[str, tuple[int, str, str]]
    users: dict[str, User]
    linked: set[int]
    held: dict[str, set[tuple[str, str, int | None, datetime | None]]]
    devices: dict[str, tuple[int | None, str]]
    new_users: dict[str, User] = field(default_factory=dict)
    to_welcome: dict[str, User] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    new_assignments: list[Assignment] = field(default_factory=list)
    new_codes: list[tuple[str, PairingCode, str]] = field(default_factory=list)

    def add(self, row: Wanted) -> str:
        """Check a row against all that is there and take it in whole or not at all; ``created`` or ``same``."""
        where = self.check_device(row) if row.device else ""
        role_is_new = bool(row.role) and self.check_role(row)
        user_is_new = bool(row.username) and self.check_user(row)
        device_is_new = bool(row.device) and row.device not in self.devices
        user = self.take_user(row) if row.username else None
        welcome_is_new = user is not None and self.take_welcome(user)
        if row.pin and row.username in self.to_welcome:
            self.pins.setdefault(row.username, row.pin)
        if role_is_new and user is not None:
            self.take_role(row, user)
        if device_is_new:
            self.take_device(row, user, where)
        return "created" if role_is_new or user_is_new or device_is_new or welcome_is_new else "same"

    def check_user(self, row: Wanted) -> bool:
        """Whether the account is new, and may be made."""
        if row.username in self.users or row.username in self.new_users:
            return False
        if not row.display_name.strip():
            raise Refusal("access.name_missing", "display_name")
        if self.mine is not None and not rules.prefixes(self.mine, Permission.MANAGE_ACCOUNTS, None, self.now):
            raise Refusal("access.not_allowed", "username")
        return True

    def check_role(self, row: Wanted) -> bool:
        """Whether the role is new, and may be given."""
        held = self.held.get(row.username, set())
        rules.check_roles_together([role for role, *_ in held], row.role)
        if (row.role, row.area, self.operation, row.valid_to) in held:
            return False
        myself = self.by is not None and self.by.username == row.username
        rules.check_grant(self.mine, myself=myself, area=row.area, operation=self.operation, at=self.now)
        return True

    def check_device(self, row: Wanted) -> str:
        """The area where the device reports, if it may; refuses the name of a device that reports elsewhere."""
        if self.operation is None:
            raise Refusal("access.operation_missing", "device")
        if row.site and row.site not in self.sites:
            raise Refusal("access.site_unknown", "site")
        site, where = self.sites[row.site][:2] if row.site else (None, row.area)
        if self.mine is not None and not rules.allowed(
            self.mine, Permission.MANAGE_DEVICES, where, self.operation, self.now
        ):
            raise Refusal("access.not_allowed", "site")
        if self.devices.get(row.device, (site, "" if site else row.area)) != (site, "" if site else row.area):
            raise Refusal("access.device_name_taken", "device")
        return where

    def take_user(self, row: Wanted) -> User:
        """The account of a row, made if need be."""
        found = self.users.get(row.username) or self.new_users.get(row.username)
        if found is None:
            found = User(
                username=row.username, display_name=row.display_name.strip()[:60], password=make_password(None)
            )
            found.organisation = row.organisation.strip()[:80]
            self.new_users[row.username] = found
        return found

    def take_welcome(self, user: User) -> bool:
        """Plan a welcome link for an account that has neither a password nor a link that works."""
        if user.username in self.to_welcome or user.pk in self.linked or not user.is_active:
            return False
        if not user.password.startswith(UNUSABLE_PASSWORD_PREFIX):
            return False
        self.to_welcome[user.username] = user
        return True

    def give_pins(self) -> dict[str, str]:
        """The PINs of those who are welcomed and have none: the sheet's, or a random one for who works with a phone."""
        without = [name for name, user in self.to_welcome.items() if not user.pin_hash]
        field_workers = {name for name in without if IN_THE_FIELD & {role for role, *_ in self.held.get(name, ())}}
        return {
            name: self.pins.get(name) or codes.new_pin()
            for name in without
            if name in self.pins or name in field_workers
        }

    def take_role(self, row: Wanted, user: User) -> None:
        """Plan an assignment."""
        start = row.valid_from or self.now
        made = Assignment(
            role=row.role, area=row.area, operation=self.operation, valid_from=start, valid_to=row.valid_to
        )
        made.user, made.granted_by = user, self.by
        self.new_assignments.append(made)
        self.held.setdefault(row.username, set()).add((row.role, row.area, self.operation, row.valid_to))

    def take_device(self, row: Wanted, user: User | None, where: str) -> None:
        """Plan a pairing code."""
        assert self.operation is not None
        site = self.sites[row.site][0] if row.site else None
        code, made = new_pairing_code(
            district=self.district, operation=self.operation, name=row.device, by=self.by, site=site, area=row.area
        )
        made.kind, made.holder = row.kind, user
        place = self.sites[row.site][2] if row.site else where
        self.new_codes.append((code, made, place))
        self.devices[row.device] = (site, "" if site else row.area)


def open_plan(rows: Iterable[Wanted], operation: int | None, by: User | None) -> Plan:
    """Read what is there: accounts named by the sheet, their roles and links, sites, devices and open codes."""
    district, now = queries.running_operation(operation).district if operation else 0, clock.now()
    users = {user.username: user for user in User.objects.filter(username__in={r.username for r in rows})}
    ids = {user.pk: name for name, user in users.items()}
    held: dict[str, set[tuple[str, str, int | None, datetime | None]]] = {}
    for user, *rest in Assignment.objects.filter(user__in=ids).values_list(
        "user", "role", "area", "operation", "valid_to"
    ):
        if rest[3] is None or rest[3] > now:
            held.setdefault(ids[user], set()).add((rest[0], rest[1], rest[2], rest[3]))
    open_links = OneTimeLink.objects.filter(user__in=ids, used_at=None, expires_at__gt=now)
    return Plan(
        operation=operation,
        district=district,
        by=by,
        now=now,
        mine=queries.grants_of(by) if by else None,
        sites=queries.sites_by_code(operation) if operation else {},
        users=users,
        linked=set(open_links.values_list("user", flat=True)),
        held=held,
        devices=devices_by_name(operation, now) if operation else {},
    )


def devices_by_name(operation: int, now: datetime) -> dict[str, tuple[int | None, str]]:
    """Where each device of the operation reports, and each that an open code will become: (site, area)."""
    codes_open = PairingCode.objects.filter(operation=operation, used_at=None, expires_at__gt=now)
    found = {name: (site, area) for name, site, area in codes_open.values_list("name", "site", "area")}
    paired = Device.objects.filter(operation=operation, revoked_at=None, scopes__valid_to=None)
    return found | {
        name: (site, area) for name, site, area in paired.values_list("name", "scopes__site", "scopes__area")
    }


# ---- writing


@transaction.atomic
def apply_sheet(
    *, rows: Iterable[tuple[int, Mapping[str, str] | Refusal]], operation: int | None, by: User | None
) -> SheetResult:
    """Make what the rows ask for: accounts, welcome links, roles, pairing codes. See the module's docstring.

    ``rows`` are (row number, cells by key or why the row can't be read). Refuses the whole with ``access.operation_…``.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SHEET_LOCK])
    outcomes: dict[int, RowOutcome] = {}
    wanted = []
    for number, cells in rows:
        try:
            if isinstance(cells, Refusal):
                raise cells
            wanted.append(read_row(number, cells))
        except Refusal as refusal:
            outcomes[number] = RowOutcome(number, "refused", refusal)
    plan = open_plan(wanted, operation, by)
    for row in wanted:
        try:
            outcomes[row.number] = RowOutcome(row.number, plan.add(row))
        except Refusal as refusal:
            outcomes[row.number] = RowOutcome(row.number, "refused", refusal)
    slips = write(plan)
    result = SheetResult([outcomes[number] for number in sorted(outcomes)], slips)
    detail = {name: result.count(name) for name in ("created", "same", "refused")}
    entry(by=by, action="sheet.applied", operation=operation, detail=detail).save(force_insert=True)
    return result


def write(plan: Plan) -> list[Slip]:
    """Write what was planned, and an audit row for each thing; slips carry the only copy of codes, links and PINs."""
    pins = plan.give_pins()
    set_pins(plan, pins)
    User.objects.bulk_create(plan.new_users.values())
    Assignment.objects.bulk_create(plan.new_assignments)
    PairingCode.objects.bulk_create([row for _, row, _ in plan.new_codes])
    slips = [pairing_slip(code, row, place) for code, row, place in plan.new_codes]
    slips += welcome(plan, pins)
    record_all(audit(plan))
    return slips


def set_pins(plan: Plan, pins: Mapping[str, str]) -> None:
    """Hash the PINs, on all cores; accounts that are there already are written, with an audit row for each."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        verifiers = list(pool.map(codes.pin_verifier, pins.values()))
    for name, verifier in zip(pins, verifiers, strict=True):
        plan.to_welcome[name].pin_hash = verifier
    known = [plan.users[name] for name in pins if name in plan.users]
    User.objects.bulk_update(known, ["pin_hash"], batch_size=1000)
    record_all([entry(by=plan.by, action="account.pin_set", subject=f"user/{user.pk}") for user in known])


def pairing_slip(code: str, row: PairingCode, place: str) -> Slip:
    """The slip of a device."""
    holder = row.holder.display_name if row.holder else ""
    return Slip("pair", name=row.name, place=place, holder=holder, secret=code, expires_at=row.expires_at)


def welcome(plan: Plan, pins: Mapping[str, str]) -> list[Slip]:
    """Write the welcome links; their slips, with the PINs that were just given."""
    expires = plan.now + timedelta(hours=LINK_HOURS["welcome"])
    slips, links = [], []
    for user in plan.to_welcome.values():
        token = codes.new_token()
        links.append(
            OneTimeLink(token_hash=codes.token_digest(token), user=user, purpose="welcome", expires_at=expires)
        )
        slips.append(
            Slip(
                "welcome",
                name=user.display_name,
                holder=user.username,
                secret=f"/welcome/{token}/",
                expires_at=expires,
                place=pins.get(user.username, ""),
            )
        )
    OneTimeLink.objects.bulk_create(links)
    return slips


def audit(plan: Plan) -> list[AuditEntry]:
    """One line for each account, role and code."""
    lines = [
        entry(
            by=plan.by,
            action="account.created",
            subject=f"user/{user.pk}",
            operation=plan.operation,
            detail={"pin": True} if user.pin_hash else {},
        )
        for user in plan.new_users.values()
    ]
    lines += [
        entry(
            by=plan.by,
            action="role.assigned",
            subject=f"user/{made.user.pk}",
            area=made.area,
            operation=plan.operation,
            detail={"role": made.role, "until": made.valid_to.isoformat() if made.valid_to else None},
        )
        for made in plan.new_assignments
    ]
    return lines + [
        entry(by=plan.by, action="device.code_issued", subject=f"code/{row.pk}", operation=plan.operation)
        for _, row, _ in plan.new_codes
    ]
