"""Who may do what, where and when. Pure: plain values in, verdict out.

A person is given *roles* in an *area* for a *time*; a role is a set of *permissions* and of kinds of fact that it may
report. What no role gives nobody has: there is no superuser. Two roles stand apart (separation of duties, GB/T 22239):
the *administrator* runs accounts, devices and keys and sees no personal data; the *auditor* sees who did what and
changes nothing. Neither can be held together with another role.

Areas are code prefixes: a role in ``340602001`` reaches everything whose code begins so. The empty prefix is the whole
installation; only its first administrator gets it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dabai.kernel.refusal import Refusal


class Role(StrEnum):
    """What somebody is in the response."""

    COMMANDER = "commander"
    ROUND_MANAGER = "round_manager"
    REGISTRAR = "registrar"
    PACKER = "packer"
    COURIER = "courier"
    LAB_TECHNICIAN = "lab_technician"
    LAB_REVIEWER = "lab_reviewer"
    GRID_WORKER = "grid_worker"
    INVESTIGATOR = "investigator"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Permission(StrEnum):
    """One thing that a screen or an action asks for. Those in ``PERSONAL`` show or take personal data."""

    SEE_FIGURES = "see_figures"
    SEE_ROUNDS = "see_rounds"
    PLAN_ROUNDS = "plan_rounds"
    APPROVE_ROUND = "approve_round"
    RUN_ROUND = "run_round"
    MANAGE_OPERATIONS = "manage_operations"
    MANAGE_PLACES = "manage_places"
    SEE_TUBES = "see_tubes"
    SEE_INBOX = "see_inbox"
    DECIDE_INBOX = "decide_inbox"
    SEE_PEOPLE_MASKED = "see_people_masked"
    SEARCH_PEOPLE = "search_people"
    REVEAL_PERSON = "reveal_person"
    IMPORT_PEOPLE = "import_people"
    MERGE_PEOPLE = "merge_people"
    CORRECT_PEOPLE = "correct_people"
    EXCUSE_PEOPLE = "excuse_people"
    ENTER_FACTS = "enter_facts"
    UPLOAD_RESULTS = "upload_results"
    REVIEW_RESULTS = "review_results"
    RELEASE_RESULTS = "release_results"
    CORRECT_RESULTS = "correct_results"
    EXPORT_RESULTS = "export_results"
    PREPARE_BULLETIN = "prepare_bulletin"
    PUBLISH_BULLETIN = "publish_bulletin"
    MANAGE_ACCOUNTS = "manage_accounts"
    SEE_DEVICES = "see_devices"
    MANAGE_DEVICES = "manage_devices"
    MANAGE_KEYS = "manage_keys"
    SEE_AUDIT = "see_audit"


PERSONAL = frozenset(
    {
        Permission.DECIDE_INBOX,
        Permission.SEE_PEOPLE_MASKED,
        Permission.SEARCH_PEOPLE,
        Permission.REVEAL_PERSON,
        Permission.IMPORT_PEOPLE,
        Permission.MERGE_PEOPLE,
        Permission.CORRECT_PEOPLE,
        Permission.EXCUSE_PEOPLE,
        Permission.ENTER_FACTS,
        Permission.EXPORT_RESULTS,
    }
)

# The one matrix. A permission that is not in a role's set is denied to it.
MATRIX: dict[Role, frozenset[Permission]] = {
    Role.COMMANDER: frozenset(
        {
            Permission.SEE_FIGURES,
            Permission.SEE_ROUNDS,
            Permission.APPROVE_ROUND,
            Permission.RUN_ROUND,
            Permission.MANAGE_OPERATIONS,
            Permission.SEE_TUBES,
            Permission.SEE_INBOX,
            Permission.SEE_PEOPLE_MASKED,
            Permission.SEARCH_PEOPLE,
            Permission.REVEAL_PERSON,
            Permission.EXPORT_RESULTS,
            Permission.PREPARE_BULLETIN,
            Permission.PUBLISH_BULLETIN,
            Permission.SEE_DEVICES,
        }
    ),
    Role.ROUND_MANAGER: frozenset(
        {
            Permission.SEE_FIGURES,
            Permission.SEE_ROUNDS,
            Permission.PLAN_ROUNDS,
            Permission.RUN_ROUND,
            Permission.MANAGE_PLACES,
            Permission.SEE_TUBES,
            Permission.SEE_INBOX,
            Permission.DECIDE_INBOX,
            Permission.SEE_PEOPLE_MASKED,
            Permission.SEARCH_PEOPLE,
            Permission.REVEAL_PERSON,
            Permission.IMPORT_PEOPLE,
            Permission.MERGE_PEOPLE,
            Permission.CORRECT_PEOPLE,
            Permission.EXCUSE_PEOPLE,
            Permission.ENTER_FACTS,
            Permission.EXPORT_RESULTS,
            Permission.PREPARE_BULLETIN,
            Permission.SEE_DEVICES,
            Permission.MANAGE_DEVICES,
        }
    ),
    Role.REGISTRAR: frozenset(
        {Permission.SEE_FIGURES, Permission.SEE_ROUNDS, Permission.SEE_PEOPLE_MASKED, Permission.ENTER_FACTS}
    ),
    Role.PACKER: frozenset({Permission.SEE_ROUNDS, Permission.SEE_TUBES}),
    Role.COURIER: frozenset({Permission.SEE_ROUNDS, Permission.SEE_TUBES}),
    Role.LAB_TECHNICIAN: frozenset({Permission.SEE_ROUNDS, Permission.SEE_TUBES, Permission.UPLOAD_RESULTS}),
    Role.LAB_REVIEWER: frozenset(
        {
            Permission.SEE_ROUNDS,
            Permission.SEE_TUBES,
            Permission.UPLOAD_RESULTS,
            Permission.REVIEW_RESULTS,
            Permission.RELEASE_RESULTS,
            Permission.CORRECT_RESULTS,
        }
    ),
    Role.GRID_WORKER: frozenset(
        {
            Permission.SEE_FIGURES,
            Permission.SEE_ROUNDS,
            Permission.SEE_PEOPLE_MASKED,
            Permission.REVEAL_PERSON,
            Permission.ENTER_FACTS,
        }
    ),
    Role.INVESTIGATOR: frozenset(
        {
            Permission.SEE_FIGURES,
            Permission.SEE_ROUNDS,
            Permission.SEE_TUBES,
            Permission.SEE_PEOPLE_MASKED,
            Permission.SEARCH_PEOPLE,
            Permission.REVEAL_PERSON,
        }
    ),
    Role.AUDITOR: frozenset(
        {Permission.SEE_FIGURES, Permission.SEE_ROUNDS, Permission.SEE_DEVICES, Permission.SEE_AUDIT}
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            Permission.MANAGE_ACCOUNTS,
            Permission.SEE_DEVICES,
            Permission.MANAGE_DEVICES,
            Permission.MANAGE_KEYS,
        }
    ),
}
ALONE = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
# Who works with a phone or at a bench: a sheet of accounts gives them a PIN.
IN_THE_FIELD = frozenset(
    {Role.REGISTRAR, Role.PACKER, Role.COURIER, Role.LAB_TECHNICIAN, Role.LAB_REVIEWER, Role.GRID_WORKER}
)
# How long a worker stays signed on to a device: a shift.
SHIFT = timedelta(hours=12)

_WITHDRAW = frozenset({"journal.fact_withdrawn"})
_AT_THE_POINT = frozenset(
    {
        "testing.station_opened",
        "testing.station_closed",
        "testing.queue_counted",
        "people.person_registered",
        "testing.sample_taken",
        "testing.late_entry",
        "testing.tube_sealed",
        "testing.tube_voided",
        "testing.sample_moved",
        "testing.not_sampled",
        "testing.tubes_bagged",
    }
)
_PACKING = frozenset({"testing.tubes_bagged", "testing.box_packed", "testing.box_sealed", "testing.box_handed_over"})
_AT_THE_BENCH = frozenset(
    {"testing.box_received", "testing.tube_rejected", "testing.run_started", "testing.result_read"}
)
_IDENTITY = frozenset({"people.merged", "people.unmerged", "people.corrected"})
_DECISIONS = frozenset(
    {
        "journal.attention_settled",
        "testing.claim_settled",
        "testing.excused",
        "testing.roster_added",
        "testing.roster_removed",
    }
)
_REVIEW = frozenset({"testing.result_reviewed", "testing.result_released", "testing.result_corrected"})

# Which kinds of fact a role may report. Paper comes in through the round manager, so what the point does is there too.
REPORTS: dict[Role, frozenset[str]] = {
    Role.COMMANDER: frozenset(),
    Role.ROUND_MANAGER: _AT_THE_POINT | _PACKING | _IDENTITY | _DECISIONS | _WITHDRAW,
    Role.REGISTRAR: _AT_THE_POINT | _WITHDRAW,
    Role.PACKER: _PACKING | _WITHDRAW,
    Role.COURIER: frozenset({"testing.box_handed_over"}) | _WITHDRAW,
    Role.LAB_TECHNICIAN: _AT_THE_BENCH | _WITHDRAW,
    Role.LAB_REVIEWER: _AT_THE_BENCH | _REVIEW | _WITHDRAW,
    Role.GRID_WORKER: frozenset({"people.person_registered", "testing.not_sampled"}) | _WITHDRAW,
    Role.INVESTIGATOR: frozenset(),
    Role.AUDITOR: frozenset(),
    Role.ADMINISTRATOR: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role in an area for a time; ``operation`` None: in every operation."""

    role: Role
    area: str
    operation: int | None
    valid_from: datetime
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScopeItem:
    """A site, or an area prefix, where a device may report from ``valid_from`` until before ``valid_to``."""

    site: int | None
    area: str | None
    valid_from: datetime
    valid_to: datetime | None = None


def in_force(item: Grant | ScopeItem, at: datetime) -> bool:
    """Whether it holds at that moment: from its start, until before its end."""
    return item.valid_from <= at and (item.valid_to is None or at < item.valid_to)


def in_operation(grant: Grant, operation: int | None) -> bool:
    """Whether the grant reaches the operation; asking about None asks about any."""
    return grant.operation is None or operation is None or grant.operation == operation


def allowed(
    assignments: Iterable[Grant], permission: Permission, area: str, operation: int | None, at: datetime
) -> bool:
    """Whether somebody with these grants may do this to what lies in ``area``. Denied unless a grant says so."""
    return any(
        permission in MATRIX[grant.role]
        and in_operation(grant, operation)
        and in_force(grant, at)
        and area.startswith(grant.area)
        for grant in assignments
    )


def prefixes(
    assignments: Iterable[Grant], permission: Permission, operation: int | None, at: datetime, within: str = ""
) -> list[str]:
    """The areas in which the permission holds, as the fewest code prefixes, cut to ``within``; empty: nowhere.

    What a list is filtered by: a street's officer who opens a district's list sees the street's part of it.
    """
    found = {
        max(grant.area, within, key=len)
        for grant in assignments
        if permission in MATRIX[grant.role]
        and in_operation(grant, operation)
        and in_force(grant, at)
        and (grant.area.startswith(within) or within.startswith(grant.area))
    }
    return sorted(one for one in found if not any(one != other and one.startswith(other) for other in found))


def roles_in_force(assignments: Iterable[Grant], operation: int | None, at: datetime) -> frozenset[Role]:
    """The roles that somebody has in an operation at a moment, wherever."""
    return frozenset(grant.role for grant in assignments if in_operation(grant, operation) and in_force(grant, at))


def may_report(roles: Iterable[str], kind: str) -> bool:
    """Whether one of these roles may report this kind of fact. Roles nobody knows report nothing."""
    return any(role in REPORTS and kind in REPORTS[Role(role)] for role in roles)


def roles_that_report(kind: str) -> frozenset[str]:
    """The roles that may report a kind of fact."""
    return frozenset(role.value for role, kinds in REPORTS.items() if kind in kinds)


def roles_on_device(
    assignments: Iterable[Grant], operation: int, areas: Iterable[str], at: datetime
) -> frozenset[Role]:
    """The roles with which somebody may sign on to a device that reports for these areas: those that report anything,
    and hold in one of the areas, in what contains it, or in a part of it."""
    places = tuple(areas)
    return frozenset(
        grant.role
        for grant in assignments
        if REPORTS[grant.role]
        and in_operation(grant, operation)
        and in_force(grant, at)
        and any(place.startswith(grant.area) or grant.area.startswith(place) for place in places)
    )


def device_may(scopes: Iterable[ScopeItem], site: int | None, site_area: str, at: datetime) -> bool:
    """Whether a device with these scopes may report from the site, or from the area where there is no site, at ``at``.

    ``at`` is when it happened, so that a phone moved to another site still reports rightly what it did at the first.
    """
    return any(in_force(scope, at) and reaches(scope, site, site_area) for scope in scopes)


def reaches(scope: ScopeItem, site: int | None, area: str) -> bool:
    """Whether a scope item names the site, or an area that ``area`` lies in. An empty area names nothing."""
    if scope.site is not None:
        return scope.site == site
    return bool(scope.area) and area.startswith(str(scope.area))


def check_roles_together(held: Iterable[str], wanted: str) -> None:
    """Refuse a role beside one that must be held alone: ``access.role_unknown``, ``access.roles_conflict``."""
    if wanted not in MATRIX:
        raise Refusal("access.role_unknown", "role")
    others = {role for role in held if role != wanted}
    if others and (Role(wanted) in ALONE or others & ALONE):
        raise Refusal("access.roles_conflict", "role")


def check_grant(by: Iterable[Grant] | None, *, myself: bool, area: str, operation: int | None, at: datetime) -> None:
    """Refuse a grant that the giver may not give: to themselves, or outside the area that they administer.

    ``by`` None is the installation itself (the first administrator). Refusals: ``access.own_account``,
    ``access.not_allowed``.
    """
    if by is None:
        return
    if myself:
        raise Refusal("access.own_account", "user")
    if not allowed(by, Permission.MANAGE_ACCOUNTS, area, operation, at):
        raise Refusal("access.not_allowed", "area")
