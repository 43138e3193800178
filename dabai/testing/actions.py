"""What a desk prepares for testing: rounds from draft to closed, their points, and counts for places without names.

A draft may be changed in everything. Approval freezes scope, rules and roster: who is due is copied from the list of
residents in one statement, so that the denominator (应检) can't move under anybody's feet. From then on the roster
changes only by facts (``testing.roster_added``, ``testing.roster_removed``), and both numbers are shown.

``by`` is who does it, None the installation itself (a command). Everybody else needs the permission in the whole scope
of the round: refusal ``access.not_allowed``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction

from dabai.access.actions import record, require
from dabai.access.models import User
from dabai.access.queries import DeviceRow, devices_to_ask_about
from dabai.access.rules import Permission
from dabai.journal.models import MarkKind
from dabai.kernel import clock
from dabai.kernel.areas import is_code, within
from dabai.kernel.refusal import Refusal
from dabai.people.rules import KeyGroup
from dabai.places.models import Area, Site
from dabai.protocols.models import Operation, Profile
from dabai.protocols.queries import pool_sizes
from dabai.testing import rules
from dabai.testing.models import Round, RoundEstimate, RoundSite, RoundStep

LOCK_WAIT = "300ms"
SCAN_LIMIT = "3s"
MOST_ESTIMATED = 1_000_000
MOST_STATIONS = 200


# --- drafts ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a draft says: when, where, whom, and by which rules."""

    name: str
    areas: Sequence[str]
    starts_at: datetime
    ends_at: datetime | None = None
    groups: Sequence[str] = ()
    profile: int | None = None
    pool_size: int | None = None


def draft(*, by: User | None, operation: int, plan: Plan, number: int | None = None) -> Round:
    """A new round of an operation. Left out: the next number, and profile and pool size of the operation.

    Refusals: those of ``rules.normalise_scope`` and ``rules.check_times``; ``testing.area_unknown``,
    ``testing.group_unknown``, ``testing.pool_size``, ``testing.number_taken``, ``testing.name_missing``.
    """
    with transaction.atomic():
        found = lock_operation(operation)
        fields = checked(plan, found)
        new = Round(district=found.district, operation=operation, number=free_number(operation, number), **fields)
        permit(by, Permission.PLAN_ROUNDS, new)
        new.save(force_insert=True)
        log_step(new, rules.FIRST, by)
    return new


def revise(*, by: User | None, round_id: int, plan: Plan) -> Round:
    """Change a draft as a whole. Refusal ``testing.round_frozen`` once it is approved; else as ``draft``."""
    with transaction.atomic():
        found = locked(round_id)
        rules.check_editable(found.state)
        permit(by, Permission.PLAN_ROUNDS, found)
        fields = checked(plan, Operation.objects.get(pk=found.operation))
        for name, value in fields.items():
            setattr(found, name, value)
        permit(by, Permission.PLAN_ROUNDS, found)
        found.save(update_fields=list(fields))
        log_step(found, rules.FIRST, by)
    return found


def discard(*, by: User | None, round_id: int) -> None:
    """Throw a draft away. Refusal ``testing.round_frozen`` once it is approved."""
    with transaction.atomic():
        found = locked(round_id)
        rules.check_editable(found.state)
        permit(by, Permission.PLAN_ROUNDS, found)
        subject = f"round/{found.pk}"
        record(by=by, action="testing.round_discarded", subject=subject, operation=found.operation)
        found.delete()


def checked(plan: Plan, operation: Operation) -> dict[str, Any]:
    """The columns of a draft, or the refusal of what can't be."""
    if not plan.name.strip():
        raise Refusal("testing.name_missing", "name")
    rules.check_times(plan.starts_at, plan.ends_at)
    areas = rules.normalise_scope(plan.areas, operation.district)
    missing = set(areas) - set(Area.objects.filter(code__in=areas).values_list("code", flat=True))
    if missing:
        raise Refusal("testing.area_unknown", "areas", area=min(missing))
    profile = operation.profile if plan.profile is None else Profile.objects.get(pk=plan.profile)
    return {
        "name": plan.name.strip()[:80],
        "areas": areas,
        "groups": checked_groups(plan.groups),
        "profile": profile.pk,
        "pool_size": checked_pool(plan.pool_size, profile.body),
        "starts_at": plan.starts_at,
        "ends_at": plan.ends_at,
    }


def checked_pool(wanted: int | None, body: dict[str, Any]) -> int:
    """How many people share a tube where no rule of the profile says otherwise. Refusal ``testing.pool_size``."""
    sizes, usual = pool_sizes(body)
    if wanted is not None and wanted not in sizes:
        raise Refusal("testing.pool_size", "pool_size")
    return wanted or usual


def checked_groups(groups: Sequence[str]) -> list[str]:
    """Key groups of the scope, each once. Refusal ``testing.group_unknown``."""
    known = {group.value for group in KeyGroup}
    for group in groups:
        if group not in known:
            raise Refusal("testing.group_unknown", "groups")
    return sorted(set(groups))


def free_number(operation: int, wanted: int | None) -> int:
    """The number of a new round: the one that is asked for if it is free, else the next."""
    taken = set(Round.objects.filter(operation=operation).values_list("number", flat=True))
    if wanted is not None and (wanted < 1 or wanted in taken):
        raise Refusal("testing.number_taken", "number")
    return wanted or max(taken, default=0) + 1


# --- approval -------------------------------------------------------------------------------------------------


def approve(*, by: User | None, round_id: int, with_spot: bool = False) -> Round:
    """Freeze a draft: its roster is copied from the residents, its samples get a partition, its areas get figures.

    ``with_spot`` puts people who were registered on the spot earlier in this operation on the roster, too: travellers
    seldom belong there. Refusals: ``testing.step_impossible``; ``testing.roster_empty`` when nobody would be due.
    Under half a minute for 1,000,000 residents.
    """
    draft_round = Round.objects.get(pk=round_id)
    rules.next_state(draft_round.state, "approve")
    permit(by, Permission.APPROVE_ROUND, draft_round)
    partitioned = make_partition(round_id)
    with transaction.atomic():
        found = locked(round_id)
        state = rules.next_state(found.state, "approve")
        found.roster_size = freeze_roster(found, with_spot=with_spot)
        if not found.roster_size and not RoundEstimate.objects.filter(round=found, people__gt=0).exists():
            raise Refusal("testing.roster_empty", "areas")
        mark_areas(found)
        move_to(found, state, by, detail={"roster": found.roster_size, "partition": partitioned})
        analyse_roster()
    return found


# A person on two lists is one row of the roster, under the canonical id. Away rows (moved, died) put nobody on it, but
# somebody whose old row says "away" and whose new row does not is due at the new place. In the order of its lists, a
# roster is written more than twice as fast, and a grid's people lie side by side.
FREEZE = """
INSERT INTO testing_roster_entry (district, round, person, area, building, household, "group")
WITH listed AS (
    SELECT p.district, p.id, p.area, p.building, p.household, p."group", i.canonical
    FROM people_person p
    LEFT JOIN people_identity i ON i.district = p.district AND i.person = p.id
    WHERE p.district = %(district)s AND p.operation = %(operation)s AND p.area LIKE ANY(%(areas)s)
      AND NOT p.away AND (NOT p.spot OR %(with_spot)s AND NOT EXISTS (
          SELECT 1 FROM journal_withdrawal w WHERE w.district = p.district AND w.target = p.id))
      AND (cardinality(%(groups)s::text[]) = 0 OR p."group" = ANY(%(groups)s))
)
SELECT district, %(round)s, id AS person, area, building, household, "group" FROM listed WHERE canonical IS NULL
UNION ALL
(SELECT DISTINCT ON (canonical) district, %(round)s, canonical, area, building, household, "group"
 FROM listed WHERE canonical IS NOT NULL ORDER BY canonical, (id <> canonical), id)
ORDER BY area, building, person
"""


def freeze_roster(found: Round, *, with_spot: bool) -> int:
    """Copy who is due, in one statement; how many they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            FREEZE,
            {
                "district": found.district,
                "operation": found.operation,
                "round": found.pk,
                "areas": [f"{area}%" for area in found.areas],
                "groups": list(found.groups),
                "with_spot": with_spot,
            },
        )
        return int(cursor.rowcount)


def mark_areas(found: Round) -> None:
    """Ask for the figures of every area that the roster or a count speaks of."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO journal_mark (district, operation, kind, key)
               SELECT %(district)s, %(operation)s, %(kind)s, %(round)s || '/' || area
               FROM (SELECT area FROM testing_roster_entry WHERE district = %(district)s AND round = %(round)s
                     UNION SELECT area FROM testing_round_estimate WHERE round_id = %(round)s) areas""",
            {
                "district": found.district,
                "operation": found.operation,
                "kind": MarkKind.AREA_CELL.value,
                "round": found.pk,
            },
        )


def make_partition(round_id: int) -> bool:
    """Give the round's samples a partition of their own; False where they stay in the DEFAULT one.

    Attaching locks the DEFAULT partition while it is searched for rows of this round, so both the wait and the search
    are cut short: intake never waits for us. Without a partition everything works, only slower in the long run.
    """
    name = f"testing_sample_r{int(round_id)}"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
            if cursor.fetchone()[0]:
                return True
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
            cursor.execute(f"SET LOCAL statement_timeout = '{SCAN_LIMIT}'")
            cursor.execute(f"CREATE TABLE {name} (LIKE testing_sample INCLUDING ALL)")
            cursor.execute(f"ALTER TABLE testing_sample ATTACH PARTITION {name} FOR VALUES IN ({int(round_id)})")
            cursor.execute("SET LOCAL lock_timeout = DEFAULT; SET LOCAL statement_timeout = DEFAULT")
    except DatabaseError:
        return False
    return True


def analyse_roster() -> None:
    """Tell the planner about a million new rows before anybody sees them, not when autovacuum comes round."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE testing_roster_entry")


# --- running --------------------------------------------------------------------------------------------------


def start(*, by: User | None, round_id: int) -> Round:
    """Points may open. Refusal ``testing.step_impossible``."""
    return step(by=by, round_id=round_id, name="start")


def begin_make_up(*, by: User | None, round_id: int, reason: str = "") -> Round:
    """The main session is over; those who were missed are sought (补采, 查缺补漏). Also the way back from closing."""
    return step(by=by, round_id=round_id, name="begin_make_up", reason=reason)


def step(*, by: User | None, round_id: int, name: str, reason: str = "") -> Round:
    """One step that needs nothing but the right state."""
    with transaction.atomic():
        found = locked(round_id)
        permit(by, Permission.RUN_ROUND, found)
        move_to(found, rules.next_state(found.state, name), by, reason=reason)
    return found


def begin_closing(*, by: User | None, round_id: int, reason: str = "") -> Round:
    """Stop sampling. The devices that may still hold facts (gaps, silence, unsent) are listed in the step."""
    with transaction.atomic():
        found = locked(round_id)
        permit(by, Permission.RUN_ROUND, found)
        state = rules.next_state(found.state, "begin_closing")
        move_to(found, state, by, reason=reason, detail={"devices": [trouble(one) for one in devices_of(found)]})
    return found


def close(*, by: User | None, round_id: int, reasons: Mapping[str, str], reason: str = "") -> Round:
    """End a round. ``reasons`` says, by device id, why a device that is still listed may be left behind.

    A fact of the round that arrives later is accepted and flagged. Refusals: ``testing.device_unexplained``,
    ``testing.step_impossible``.
    """
    with transaction.atomic():
        found = locked(round_id)
        permit(by, Permission.RUN_ROUND, found)
        state = rules.next_state(found.state, "close")
        devices = devices_of(found)
        rules.check_explained([str(one.id) for one in devices], reasons)
        explained = [trouble(one) | {"reason": reasons[str(one.id)].strip()[:200]} for one in devices]
        move_to(found, state, by, reason=reason, detail={"devices": explained})
    return found


def devices_of(found: Round) -> list[DeviceRow]:
    """The devices of the operation that may still hold facts. A round can't be told from a device, so all of them."""
    return devices_to_ask_about(found.operation)


def trouble(device: DeviceRow) -> dict[str, Any]:
    """What is wrong with a device, for the step's record: facts missing, facts it still holds, its last contact."""
    contact = device.last_contact.isoformat() if device.last_contact else None
    told = {"device": str(device.id), "name": device.name, "missing": device.missing, "unsent": device.unsent}
    return {**told, "last_contact": contact}


def move_to(found: Round, state: str, by: User | None, *, reason: str = "", detail: Any = None) -> None:
    """Write the new state and its step."""
    at = log_step(found, state, by, reason=reason, detail=detail)
    found.state = state
    found.approved_at = at if state == "approved" else found.approved_at
    found.closed_at = at if state == "closed" else found.closed_at
    found.save(update_fields=["state", "approved_at", "closed_at", "roster_size"])


def log_step(found: Round, state: str, by: User | None, *, reason: str = "", detail: Any = None) -> datetime:
    """Note who did what to a round, when and why."""
    at = clock.now()
    RoundStep.objects.create(
        round=found, state=state, at=at, by=by.pk if by else None, reason=reason[:200], detail=detail or {}
    )
    return at


# --- points and counts ----------------------------------------------------------------------------------------


def assign_sites(*, by: User | None, round_id: int, stations: Mapping[int, int]) -> None:
    """Which points serve a round, with how many stations each (site id -> number); replaces what was assigned.

    A door-to-door team counts as a point with one station. Refusals: ``testing.site_unknown``,
    ``testing.stations_number`` (1 to 200), ``testing.round_over``.
    """
    with transaction.atomic():
        found = locked(round_id)
        permit(by, Permission.PLAN_ROUNDS, found)
        rules.check_not_over(found.state)
        known = set(Site.objects.filter(operation=found.operation, pk__in=stations).values_list("pk", flat=True))
        for site, number in stations.items():
            if site not in known:
                raise Refusal("testing.site_unknown", f"stations.{site}")
            if not 1 <= number <= MOST_STATIONS:
                raise Refusal("testing.stations_number", f"stations.{site}")
        RoundSite.objects.filter(round=found).delete()
        RoundSite.objects.bulk_create([RoundSite(round=found, site=s, stations=n) for s, n in sorted(stations.items())])
        log_step(found, found.state, by, detail={"sites": len(stations)})


def estimate(*, by: User | None, round_id: int, people: Mapping[str, int]) -> None:
    """How many people are due in areas that have no list of names yet (area -> people, 0 to take a count back).

    Names replace the count as they come (``rules.estimate_left``); a complete list ends it: say 0. Refusals:
    ``testing.area_outside`` (not in the round's scope), ``testing.estimate_number``, ``testing.round_over``.
    """
    with transaction.atomic():
        found = locked(round_id)
        permit(by, Permission.PLAN_ROUNDS, found)
        rules.check_not_over(found.state)
        for area, number in people.items():
            if not within(area, found.areas) or not is_code(area):
                raise Refusal("testing.area_outside", f"people.{area}")
            if not 0 <= number <= MOST_ESTIMATED:
                raise Refusal("testing.estimate_number", f"people.{area}")
        RoundEstimate.objects.bulk_create(
            [RoundEstimate(round=found, area=area, people=number) for area, number in sorted(people.items())],
            update_conflicts=True,
            unique_fields=["round", "area"],
            update_fields=["people"],
        )
        mark_areas(found)
        log_step(found, found.state, by, detail={"estimates": dict(people)})


# --- who may, and who goes first --------------------------------------------------------------------------------


def locked(round_id: int) -> Round:
    """The round, locked against other desks."""
    return Round.objects.select_for_update().get(pk=round_id)


def lock_operation(operation: int) -> Operation:
    """The operation, locked: one desk at a time makes rounds of it."""
    return Operation.objects.select_for_update().get(pk=operation)


def permit(by: User | None, permission: Permission, found: Round) -> None:
    """Refuse whoever may not do this in every area of the round. Refusal ``access.not_allowed``."""
    for area in found.areas:
        require(by, permission, area=area, operation=found.operation, at=clock.now())
