"""What a device needs to know in the field: reference data and the changes feed."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from dabai.access.guard import device_auth
from dabai.access.queries import DeviceContext
from dabai.api import due, forms
from dabai.api import slice as slices
from dabai.api.slice import current_slice
from dabai.journal.feed import Cursor, changes_after
from dabai.kernel import clock
from dabai.places.models import SiteKind
from dabai.places.queries import SiteRow, sites
from dabai.protocols.models import Operation, OperationKind
from dabai.protocols.queries import rules_of
from dabai.registry import kinds
from dabai.testing.models import Round
from dabai.testing.queries import rounds_of, samples_seen

router = Router(tags=["devices"])
for _part in (slices.router, due.router, forms.router):
    router.add_router("", _part)


def scope_of(items: Any) -> list[dict[str, Any]]:
    """A scope as JSON."""
    return [
        {"site": one.site, "area": one.area or None, "valid_from": one.valid_from, "valid_to": one.valid_to}
        for one in items
    ]


@router.get("/reference", auth=device_auth)
def reference(request: HttpRequest) -> dict[str, Any]:
    """What a device needs to know: the operation, its rounds with the rules for codes and pools, the sites it may
    report from with their stations, laboratories, kinds of fact and their levels.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    now = clock.now()
    operation = Operation.objects.get(pk=context.operation)
    return {
        "district": context.district,
        "operation": {
            "id": operation.pk,
            "name": operation.name,
            "kind": operation.kind,
            "drill": operation.kind == OperationKind.DRILL,
            "ended": operation.ended_at is not None,
        },
        "now": now,
        "scope": scope_of(context.scopes),
        "rounds": [round_shown(one) for one in rounds_of(context.operation) if one.approved_at],
        "sites": [
            site_shown(one)
            for one in sites(context.operation)
            if one.kind == SiteKind.LABORATORY or context.covers(one.id, one.area, now)
        ],
        "slice": current_slice(context).as_dict(),
        "kinds": {name: kind.level for name, kind in kinds().items() if not kind.desk},
    }


def round_shown(one: Round) -> dict[str, Any]:
    """A round with the rules that a phone warns by: those of the profile version that it was approved with."""
    rules = rules_of(one.profile)
    return {
        "id": one.pk,
        "number": one.number,
        "name": one.name,
        "pool_size": one.pool_size,
        "state": one.state,
        "starts_at": one.starts_at,
        "ends_at": one.ends_at,
        "codes": rules.codes.model_dump(),
        "pooling": rules.pooling.model_dump(),
        "open_minutes": rules.pooling.open_minutes,
        "tubes_per_bag": rules.transport.tubes_per_bag,
    }


def site_shown(one: SiteRow) -> dict[str, Any]:
    """A site and the stations that work there."""
    head = {"id": one.id, "code": one.code, "kind": one.kind, "name": one.name, "area": one.area}
    stations = [{"number": station.number, "name": station.name} for station in one.stations if station.active]
    return {**head, "stations": stations}


SAMPLED = ("testing.sample_taken", "testing.late_entry")
WITHDRAWN = "journal.fact_withdrawn"


@router.get("/changes", auth=device_auth)
def changes(request: HttpRequest, cursor: str = "", limit: int = 500) -> dict[str, Any]:
    """What happened in the device's scope after ``cursor``, in commit order; ``reset`` means: forget and start
    again. ``samples`` says who was swabbed by the sample facts among the entries, ``withdrawn`` which facts the
    withdrawals among them withdraw: phones warn by them.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    start = Cursor.read(cursor, context)
    answer = changes_after(context, start, max(1, min(limit, 1000)))
    return {**answer, **seen(context, answer["entries"])}


def seen(context: DeviceContext, entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The samples and withdrawals behind entries of the feed, in its order: one statement."""
    accepted = {UUID(one["id"]): one for one in entries if one["verdict"] == "accepted"}
    sampled = [fact for fact, one in accepted.items() if one["kind"] in SAMPLED]
    withdrawals = [fact for fact, one in accepted.items() if one["kind"] == WITHDRAWN]
    samples, targets = samples_seen(context.district, sampled, withdrawals)
    return {
        "samples": [
            {
                "id": str(fact),
                "person": str(one.person),
                "tube": one.tube,
                "round": one.round,
                "site": one.site,
                "device": accepted[fact]["device"],
                "at": one.at,
            }
            for fact in sampled
            if (one := samples.get(fact))
        ],
        "withdrawn": [str(targets[fact]) for fact in withdrawals if fact in targets],
    }
