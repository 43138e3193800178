"""What a device needs to know in the field: reference data and the changes feed."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from dabai.access.guard import device_auth
from dabai.access.queries import DeviceContext
from dabai.journal.feed import Cursor, changes_after
from dabai.kernel import clock
from dabai.places.models import Site
from dabai.registry import kinds
from dabai.testing.queries import rounds_of

router = Router(tags=["devices"])


def scope_of(items: Any) -> list[dict[str, Any]]:
    """A scope as JSON."""
    return [
        {"site": one.site, "area": one.area or None, "valid_from": one.valid_from, "valid_to": one.valid_to}
        for one in items
    ]


@router.get("/reference", auth=device_auth)
def reference(request: HttpRequest) -> dict[str, Any]:
    """What a device needs to know: rounds, the sites it may report from, laboratories, kinds of fact and their
    levels.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    sites = Site.objects.filter(operation=context.operation, active=True).order_by("pk")
    shown = [one for one in sites if one.kind == "laboratory" or context.covers(one.pk, one.area, clock.now())]
    return {
        "district": context.district,
        "operation": context.operation,
        "now": clock.now(),
        "scope": scope_of(context.scopes),
        "rounds": [
            {
                "id": one.pk,
                "number": one.number,
                "name": one.name,
                "pool_size": one.pool_size,
                "state": one.state,
                "starts_at": one.starts_at,
                "ends_at": one.ends_at,
            }
            for one in rounds_of(context.operation)
            if one.approved_at
        ],
        "sites": [
            {"id": one.pk, "code": one.code, "kind": one.kind, "name": one.name, "area": one.area} for one in shown
        ],
        "kinds": {name: kind.level for name, kind in kinds().items() if not kind.desk},
    }


@router.get("/changes", auth=device_auth)
def changes(request: HttpRequest, cursor: str = "", limit: int = 500) -> dict[str, Any]:
    """What happened in the device's scope after ``cursor``, in commit order; ``reset`` means: forget and start
    again.
    """
    context: DeviceContext = request.auth  # type: ignore[attr-defined]
    start = Cursor.read(cursor, context)
    return changes_after(context, start, max(1, min(limit, 1000)))
