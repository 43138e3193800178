"""What a desk prepares about protocols: profiles are loaded and published as versions, operations begin and end.

A version is never changed. Publishing other rules under a known slug makes the next version; whoever is enrolled under
the old one, a round for instance, keeps it. An operation comes with a data key of its own, so that its end can leave
nothing readable.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from dabai.access.actions import record, require, require_somewhere
from dabai.access.keys import make_key
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal
from dabai.protocols import schema
from dabai.protocols.models import Operation, OperationKind, Profile
from dabai.protocols.queries import newest

PROFILE_LOCK = 7_343


# --- profiles -------------------------------------------------------------------------------------------------


def load_shipped() -> list[Profile]:
    """Store the profiles that come with the system where they are new or changed; the newest version of each."""
    return [store(rules) for _, rules in sorted(schema.shipped_profiles().items())]


def publish(*, by: User | None, body: Mapping[str, Any]) -> Profile:
    """A district's own rules, as the next version of their slug; the version that is there if nothing changed.

    Refusals: ``schema.ProfileInvalid`` naming every field at fault; ``access.not_allowed``.
    """
    require_somewhere(by, Permission.MANAGE_OPERATIONS, at=clock.now())
    rules = schema.parse_profile(body)
    stored = store(rules)
    record(by=by, action="operations.profile_published", subject=f"profile/{stored.slug}/{stored.version}")
    return stored


def store(rules: schema.Profile) -> Profile:
    """The newest version of the slug if it says the same, else the next one. Safe from several processes."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PROFILE_LOCK])
        last = newest(rules.id)
        if last is not None and said(last.body) == said(as_body(rules)):
            return last
        version = last.version + 1 if last else rules.version
        return Profile.objects.create(slug=rules.id, version=version, body=as_body(rules) | {"version": version})


def as_body(rules: schema.Profile) -> dict[str, Any]:
    """What is stored of a profile: plain data."""
    return rules.model_dump(mode="json")


def said(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says apart from the number of its version."""
    return {name: value for name, value in body.items() if name != "version"}


# --- operations -----------------------------------------------------------------------------------------------


def create_operation(
    *,
    by: User | None,
    district: int,
    name: str,
    kind: str,
    profile: str | int,
    started_at: datetime | None = None,
) -> Operation:
    """A new ``response`` or ``drill`` with its own data key. ``profile`` is a slug or a version's id.

    Refusals: ``operations.district_form``, ``operations.name_missing``, ``operations.kind_unknown``,
    ``operations.profile_unknown``, ``operations.clock_is_drill``, ``access.not_allowed``.
    """
    if not areas.is_code(str(district)) or areas.level(str(district)) != "district":
        raise Refusal("operations.district_form", "district")
    require(by, Permission.MANAGE_OPERATIONS, area=str(district), operation=None, at=clock.now())
    if not name.strip():
        raise Refusal("operations.name_missing", "name")
    if kind not in OperationKind.values:
        raise Refusal("operations.kind_unknown", "kind")
    if kind == OperationKind.RESPONSE and clock.drill_clock() is not None:
        raise Refusal("operations.clock_is_drill", "kind")
    with transaction.atomic():
        made = Operation.objects.create(
            district=district,
            name=name.strip()[:80],
            kind=kind,
            profile=wanted_profile(profile),
            started_at=started_at or clock.now(),
        )
        make_key(made.pk)
        about = {"subject": f"operation/{made.pk}", "operation": made.pk, "area": str(district)}
        record(by=by, action="operations.created", **about, detail={"kind": kind})
    return made


def wanted_profile(profile: str | int) -> Profile:
    """The version of this id, or the newest of this slug, loading what we ship where it is not stored yet."""
    if isinstance(profile, int):
        found = Profile.objects.filter(pk=profile).first()
    else:
        found = newest(profile)
        if found is None and profile in schema.shipped_profiles():
            found = store(schema.shipped_profiles()[profile])
    if found is None:
        raise Refusal("operations.profile_unknown", "profile")
    return found


def change_profile(*, by: User | None, operation: int, profile: str | int, reason: str) -> Operation:
    """Run the rest of an operation by other rules: rounds drafted from now on take them, earlier ones keep theirs.

    Refusals: ``operations.reason_missing``, ``operations.profile_unknown``, ``operations.ended``,
    ``access.not_allowed``.
    """
    with transaction.atomic():
        found = locked(by, operation, reason)
        found.profile = wanted_profile(profile)
        found.save(update_fields=["profile"])
        log(by, "operations.profile_changed", found, reason, profile=found.profile.pk)
    return found


def end_operation(*, by: User | None, operation: int, reason: str) -> Operation:
    """End an operation; its facts stay readable until its keys are destroyed (*sunset*).

    Refusals: ``operations.reason_missing``, ``access.not_allowed``, ``operations.ended``.
    """
    with transaction.atomic():
        found = locked(by, operation, reason)
        found.ended_at = clock.now()
        found.save(update_fields=["ended_at"])
        log(by, "operations.ended", found, reason)
    return found


def locked(by: User | None, operation: int, reason: str) -> Operation:
    """The running operation, locked, for somebody who may change it and says why."""
    if not reason.strip():
        raise Refusal("operations.reason_missing", "reason")
    found = Operation.objects.select_for_update().get(pk=operation)
    require(by, Permission.MANAGE_OPERATIONS, area=str(found.district), operation=operation, at=clock.now())
    if found.ended_at is not None:
        raise Refusal("operations.ended", "operation")
    return found


def log(by: User | None, action: str, found: Operation, reason: str, **detail: Any) -> None:
    """A line in the audit log about an operation."""
    about = {"subject": f"operation/{found.pk}", "operation": found.pk, "area": str(found.district)}
    record(by=by, action=action, reason=reason, detail=detail, **about)
