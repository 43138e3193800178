"""A shift with phones made ready in the database that ``DATABASE_URL`` names: for tests of the field app, and the demo.

::

    python -m dabai.testkit.shift new 240         a drill of its own with so many residents
    python -m dabai.testkit.shift join 7          a round to try out in operation 7, at the point with most residents
    python -m dabai.testkit.shift lose 7          what happens to people: the phone of operation 7 that was paired last
    python -m dabai.testkit.shift forget nurse    is lost, and somebody forgets a PIN and gets another

Prints one JSON object: where and what is worked on, codes that pair phones, log-ins with their PINs, people with what
stands on their cards, and labels for tubes, bags and boxes. The whole of it is made up, and a secret all the same: it
opens phones.
"""

import csv
import io
import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import django

SHOWN = 400
POOL = 10
NAMES = ("文体中心采样点", "第二小学采样点", "区疾控中心实验室")
# Who holds which phone: member of the cast, role, kind of device, and where it works.
PHONES = {
    "sampler": ("swab_nurse", "phone", "point"),
    "sampler2": ("volunteer", "phone", "point"),
    "packer": ("packer", "phone", "point"),
    "courier": ("courier", "phone", "district"),
    "lab": ("lab_technician", "lab", "laboratory"),
    "door": ("grid_worker", "phone", "community"),
    "spare": ("swab_nurse", "phone", "point"),
}


def new(count: int) -> dict[str, Any]:
    """A drill with the cast, so many residents in the community of its first point, and a running round."""
    from dabai.access import actions as access
    from dabai.testkit.cast import make_cast
    from dabai.testkit.district import make_operation

    drill = make_operation()
    for site, name in zip((*drill.points, drill.laboratory), NAMES, strict=False):
        site.name = name
        site.save(update_fields=["name"])
    point = drill.points[0]
    cast = make_cast(drill.id, str(drill.district), since=drill.operation.started_at - timedelta(days=1))
    bring(drill.id, drill.district, point.area, count)
    running = open_round(drill.id, [point.area], {site.pk: 2 for site in drill.points})
    places = {
        "point": {"site": point.pk},
        "laboratory": {"site": drill.laboratory.pk},
        "community": {"area": point.area},
        "district": {"area": str(drill.district)},
    }
    return {
        **shared(drill.id, running, point.area),
        "site": {"id": point.pk, "code": point.code, "name": point.name},
        "laboratory": {"id": drill.laboratory.pk, "name": drill.laboratory.name},
        "codes": {
            name: access.issue_pairing_code(operation=drill.id, name=name, by=None, kind=kind, **places[place])  # type: ignore[arg-type]
            for name, (_, kind, place) in PHONES.items()
        },
        "workers": {
            name: {"login": who, "pin": access.reset_pin(user=getattr(cast, who).user, by=None)}
            for name, who in {name: part[0] for name, part in PHONES.items() if name != "spare"}.items()
        },
    }


def join(operation: int) -> dict[str, Any]:
    """In an operation that is under way: a round at the point whose community has most residents, and one phone."""
    from dabai.access import actions as access
    from dabai.people.models import Person
    from dabai.places.models import Site, SiteKind

    points = Site.objects.filter(operation=operation, kind=SiteKind.SAMPLING_POINT, active=True).order_by("code")
    point = max(points, key=lambda one: Person.objects.filter(operation=operation, area__startswith=one.area).count())
    running = open_round(operation, [point.area], {point.pk: 1})
    user = access.create_user(username="tiyan", display_name="体验采样员", by=None, drill_only=True)
    access.assign_role(user=user, role="registrar", area=point.area, by=None, operation=operation)
    code = access.issue_pairing_code(operation=operation, name="体验手机", by=None, site=point.pk)
    return {
        **shared(operation, running, point.area),
        "site": {"id": point.pk, "code": point.code, "name": point.name},
        "codes": {"sampler": code},
        "workers": {"sampler": {"login": user.username, "pin": access.reset_pin(user=user, by=None)}},
    }


def lose(operation: int) -> dict[str, Any]:
    """The phone of an operation that was paired last is reported lost."""
    from dabai.access import actions as access
    from dabai.access.models import Device

    device = Device.objects.filter(operation=operation).order_by("paired_at").last()
    assert device is not None
    access.revoke_device(device=device, by=None, reason="丢失", lost=True)
    return {"device": str(device.pk)}


def forget(login: str) -> dict[str, Any]:
    """Somebody has forgotten their PIN, and the desk gives them another."""
    from dabai.access import actions as access
    from dabai.access.models import User

    return {"login": login, "pin": access.reset_pin(user=User.objects.get(username=login), by=None)}


def bring(operation: int, district: int, community: str, count: int) -> None:
    """Residents of one community, from a list as districts have them."""
    from dabai.people import actions, imports
    from dabai.testkit.residents import HEADER, resident_rows

    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *resident_rows(count, [community])])
    content = text.getvalue().encode()
    found = actions.upload_list(
        by=None,
        operation=operation,
        district=district,
        purpose="residents",
        label="居民名单",
        area=str(district),
        file_name="residents.csv",
        pieces=[content],
        size=len(content),
    )
    imports.stage(found.pk)
    actions.accept_import(by=None, import_id=found.pk)
    imports.commit(found.pk)


def open_round(operation: int, areas: list[str], stations: Mapping[int, int]) -> Any:
    """The next round: drafted, approved and started, for twelve hours from now."""
    from dabai.kernel import clock
    from dabai.testing import actions

    now = clock.now()
    times = {"starts_at": now - timedelta(minutes=10), "ends_at": now + timedelta(hours=12)}
    plan = actions.Plan(name="试采", areas=areas, pool_size=POOL, **times)
    made = actions.draft(by=None, operation=operation, plan=plan)
    actions.assign_sites(by=None, round_id=made.pk, stations=stations)
    actions.approve(by=None, round_id=made.pk)
    return actions.start(by=None, round_id=made.pk)


def shared(operation: int, running: Any, area: str) -> dict[str, Any]:
    """What both tell."""
    from dabai.kernel.codes import make_codes, resident_code
    from dabai.people.models import Person
    from dabai.people.queries import open_people

    ids = Person.objects.filter(operation=operation, area__startswith=area, spot=False).order_by(
        "area", "building", "id"
    )
    opened = open_people(operation, list(ids.values_list("id", flat=True)[:SHOWN]))
    people = {one.number: (person, one) for person, one in opened.items() if one.number}
    batch = f"{running.number % 10}RY"
    return {
        "operation": operation,
        "round": running.pk,
        "area": area,
        "people": [
            {"id": str(person), "code": resident_code(person), "name": one.name, "number": one.number, "area": one.area}
            for person, one in people.values()
        ],
        **{
            name: make_codes(kind, "DJ", batch, 1, count)  # type: ignore[arg-type]
            for name, kind, count in (("tubes", "tube", 200), ("bags", "bag", 20), ("boxes", "box", 20))
        },
    }


def main(words: list[str]) -> None:
    """Prepare and print."""
    django.setup()
    what, of = words
    told = forget(of) if what == "forget" else {"new": new, "join": join, "lose": lose}[what](int(of))
    sys.stdout.write(json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
