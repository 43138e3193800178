"""The cast: the same thirteen people in tests, documents, the demo and screenshots.

Each has an account with a role, and is a resident too. Accounts show how colleagues call them (周护士); full names,
document numbers and phones belong to the resident, and must never be found in the clear. All of it is made up: nobody
is called 演, the numbers are of people born in 1900, and the phones are numbered in a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from django.contrib.auth.hashers import make_password

from dabai.access.models import Assignment, User
from dabai.access.rules import Role
from dabai.kernel import clock
from dabai.people.rules import check_digit

PASSWORD = "xiao-mi-yang-2022"  # noqa: S105 - of accounts that exist in drills and tests only
ELSEWHERE = "370105"


@dataclass(frozen=True)
class Member:
    """One of the cast: the account, its role, and who they are as a resident."""

    key: str
    user: User
    role: Role
    name: str
    number: str
    phone: str


@dataclass(frozen=True)
class Cast:
    """Everyone. The outsider is a commander, but of another district, and must always be refused."""

    volunteer: Member
    swab_nurse: Member
    packer: Member
    courier: Member
    lab_technician: Member
    lab_reviewer: Member
    grid_worker: Member
    investigator: Member
    commander: Member
    auditor: Member
    administrator: Member
    round_manager: Member
    outsider: Member

    def __iter__(self) -> Iterator[Member]:
        return iter(getattr(self, field.name) for field in fields(self))

    def of_role(self, role: Role) -> Member:
        """The first member with a role here."""
        return next(member for member in self if member.role is role and member.key != "outsider")


PARTS: dict[str, tuple[Role, str, str]] = {
    "volunteer": (Role.REGISTRAR, "志愿者小禾", "演佳禾"),
    "swab_nurse": (Role.REGISTRAR, "周护士", "演周宁"),
    "packer": (Role.PACKER, "装箱员老高", "演高岳"),
    "courier": (Role.COURIER, "转运员小段", "演段驰"),
    "lab_technician": (Role.LAB_TECHNICIAN, "检验员小石", "演石泉"),
    "lab_reviewer": (Role.LAB_REVIEWER, "审核员孔老师", "演孔明微"),
    "grid_worker": (Role.GRID_WORKER, "网格员孙姐", "演孙桂兰"),
    "investigator": (Role.INVESTIGATOR, "流调员小徐", "演徐溯"),
    "commander": (Role.COMMANDER, "纵指挥长", "演纵怀安"),
    "auditor": (Role.AUDITOR, "审计员老白", "演白正"),
    "administrator": (Role.ADMINISTRATOR, "系统管理员小罗", "演罗辑"),
    "round_manager": (Role.ROUND_MANAGER, "轮次管理员小任", "演任周全"),
    "outsider": (Role.COMMANDER, "外区指挥长", "演外来"),
}


def make_cast(operation: int, area: str, *, password: str = PASSWORD, since: datetime | None = None) -> Cast:
    """The cast with their roles in ``area`` of an operation. Called again, it gives the same people further roles."""
    start = since or clock.now()
    accounts = make_accounts(password)
    members = {}
    for place, (key, (role, _, name)) in enumerate(PARTS.items(), start=1):
        where, which = (ELSEWHERE, None) if key == "outsider" else (area, operation)
        Assignment.objects.get_or_create(
            user=accounts[key], role=role, area=where, operation=which, valid_to=None, defaults={"valid_from": start}
        )
        members[key] = Member(key, accounts[key], role, name, number_of(place), f"199000{place:05}")
    return Cast(**members)


def make_accounts(password: str) -> dict[str, User]:
    """The accounts, made where they are missing: one hash serves them all."""
    there = {user.username: user for user in User.objects.filter(username__in=PARTS)}
    hashed = make_password(password) if len(there) < len(PARTS) else ""
    missing = [
        User(username=key, display_name=shown, organisation="杜集区疫情防控指挥部", drill_only=True, password=hashed)
        for key, (_, shown, _) in PARTS.items()
        if key not in there
    ]
    User.objects.bulk_create(missing)
    return there | {user.username: user for user in missing}


def number_of(place: int) -> str:
    """A citizen number that was never given out: of a person born in 1900, with a right check digit (GB 11643)."""
    body = f"340602190001{place:02}{place:03}"
    return body + check_digit(body)
