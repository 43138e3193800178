"""A small district at work, for tests and pictures: residents from a list, a running round, tubes underway, results,
cases in the inbox, refused records, a bulletin. Everything comes in through the doors that phones and desks use.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dabai.access.rules import Role
from dabai.figures import actions as figures
from dabai.kernel import clock
from dabai.kernel.codes import make_codes, make_tube_codes
from dabai.kernel.ids import natural_id
from dabai.people import actions as people
from dabai.people import imports
from dabai.people.models import Person
from dabai.registry import settle_down
from dabai.testing import actions as testing
from dabai.testing.models import Round
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.field import AnyPhone, deliver, desk, fact
from dabai.testkit.residents import HEADER, resident_rows

TUBES = make_tube_codes("DJ", "07B", 1, 400)
BOXES = make_codes("box", "DJ", "07B", 1, 4)
READER, REVIEWER = Role.LAB_TECHNICIAN, Role.LAB_REVIEWER


@dataclass
class Scene:
    """What stands there."""

    drill: PreparedOperation
    cast: Cast
    round: Round
    residents: list[UUID]
    used: list[str] = field(default_factory=list)
    first_at: datetime = field(default_factory=clock.now)

    @property
    def contested(self) -> str:
        """The tube that two teams claim."""
        return self.used[-1]

    def phone(self, number: int = 0) -> AnyPhone:
        """A phone of the district."""
        return AnyPhone(self.drill.district, self.drill.id, device=natural_id("scene", number))

    def at(self, minute: float) -> datetime:
        """A moment after the first swab."""
        return self.first_at + timedelta(minutes=minute)


def make_scene(count: int = 360) -> Scene:
    """The whole scene. About four seconds."""
    drill = make_operation()
    cast = make_cast(drill.id, str(drill.district))
    residents = bring_residents(drill, cast, count)
    found = running_round(drill, cast)
    scene = Scene(drill, cast, found, residents, first_at=clock.now() - timedelta(hours=5))
    swab(scene, residents[: count * 3 // 4])
    go_wrong(scene)
    settle_down()
    figures.propose(by=None, operation=drill.id, round_id=found.pk, comment="秩序良好，物资充足。")
    return scene


def bring_residents(drill: PreparedOperation, cast: Cast, count: int) -> list[UUID]:
    """A list of residents in four communities, with two rows that can't be used; staged and committed."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    writer.writerows(resident_rows(count, [*drill.communities[:2], *drill.communities[-2:]]))
    writer.writerow(["", "居民身份证", "340602190001010002", "男", "", drill.communities[0], "1", "", "", "", "", ""])
    content = buffer.getvalue().encode()
    found = people.upload_list(
        by=cast.round_manager.user,
        operation=drill.id,
        district=drill.district,
        purpose="residents",
        label="公安常住人口（三月）",
        area=str(drill.district),
        file_name="residents.csv",
        pieces=[content],
        size=len(content),
    )
    imports.stage(found.pk)
    people.accept_import(by=cast.round_manager.user, import_id=found.pk)
    imports.commit(found.pk)
    return list(Person.objects.filter(operation=drill.id).order_by("area", "id").values_list("id", flat=True))


def running_round(drill: PreparedOperation, cast: Cast) -> Round:
    """Round 1: drafted, approved, started."""
    manager, commander, now = cast.round_manager.user, cast.commander.user, clock.now()
    plan = testing.Plan(
        name="第1轮",
        areas=[str(drill.district)],
        starts_at=now - timedelta(hours=6),
        ends_at=now + timedelta(hours=6),
        pool_size=10,
    )
    found = testing.draft(by=manager, operation=drill.id, plan=plan)
    testing.assign_sites(by=manager, round_id=found.pk, stations={site.pk: 2 for site in drill.points})
    testing.approve(by=commander, round_id=found.pk)
    testing.start(by=manager, round_id=found.pk)
    early = now - timedelta(hours=6)
    Round.objects.filter(pk=found.pk).update(approved_at=early)
    found.steps.update(at=early)
    return Round.objects.get(pk=found.pk)


def tens(people: list[UUID]) -> Iterator[list[UUID]]:
    """Ten by ten."""
    for start in range(0, len(people), 10):
        yield people[start : start + 10]


def swab(scene: Scene, residents: list[UUID]) -> None:
    """Everybody given into tubes of ten, most of them sealed, boxed, received, read and released."""
    told: list[dict[str, Any]] = []
    points = scene.drill.points
    for site in points:
        for station in (1, 2):
            told.append(fact("testing.station_opened", place(scene, site.pk) | {"station": station}, at=scene.at(-20)))
    for n, group in enumerate(tens(residents)):
        told += tube_of(scene, TUBES[n], group, points[n % len(points)].pk, minute=n * 4)
        scene.used.append(TUBES[n])
    deliver(scene.phone(), told)
    half = scene.used[: len(scene.used) * 3 // 4]
    carry(scene, half[: len(half) // 2], BOXES[0], 60)
    carry(scene, half[len(half) // 2 :], BOXES[1], 75, short=1)
    read_results(scene, half)


def place(scene: Scene, site: int) -> dict[str, Any]:
    """Where a fact happens."""
    return {"round": scene.round.pk, "site": site}


def tube_of(scene: Scene, tube: str, group: list[UUID], site: int, minute: int) -> list[dict[str, Any]]:
    """Ten swabs and a seal."""
    where = place(scene, site) | {"station": 1 + minute % 2, "tube": tube}
    told = [
        fact("testing.sample_taken", where | {"person": str(person)}, at=scene.at(minute + k / 10))
        for k, person in enumerate(group)
    ]
    return [*told, fact("testing.tube_sealed", where | {"people": len(group)}, at=scene.at(minute + 2))]


def carry(scene: Scene, tubes: list[str], box: str, minute: int, short: int = 0) -> None:
    """Packed, sealed, handed over, received; ``short`` tubes fewer are counted at the end."""
    site, lab = scene.drill.points[0].pk, scene.drill.laboratory.pk
    count = len(tubes)
    parties = {"given_by": "老高", "taken_by": "小段"}
    told = [
        fact("testing.box_packed", {"site": site, "box": box, "bags": [], "tubes": tubes}, at=scene.at(minute)),
        fact(
            "testing.box_sealed", {"site": site, "box": box, "seal": "F0317", "tubes": count}, at=scene.at(minute + 3)
        ),
        fact(
            "testing.box_handed_over",
            {"site": site, "box": box, "tubes": count, **parties, "vehicle": "皖F8Q21"},
            at=scene.at(minute + 9),
        ),
        fact(
            "testing.box_received",
            {"lab": lab, "box": box, "tubes": count - short, "given_by": "小段", "taken_by": "小石"},
            at=scene.at(minute + 41),
        ),
    ]
    deliver(scene.phone(1), told)


def read_results(scene: Scene, tubes: list[str]) -> None:
    """Read by one, reviewed and released by another; the last few still wait for each."""
    lab = scene.drill.laboratory.pk
    reader = desk(scene.drill.district, scene.drill.id, scene.cast.lab_technician.user.pk, READER)
    reviewer = desk(scene.drill.district, scene.drill.id, scene.cast.lab_reviewer.user.pk, REVIEWER)
    told = []
    for n, tube in enumerate(tubes):
        outcome = "positive" if n == 3 else "invalid" if n == 6 else "negative"
        ct = {"ORF1ab": 31.4, "N": 29.8} if outcome == "positive" else {"ORF1ab": None, "N": None}
        body = {"lab": lab, "tube": tube, "run": "R0313A", "outcome": outcome, "ct": ct}
        told.append(fact("testing.result_read", body, at=scene.at(150 + n / 10)))
    deliver(reader, told)
    few = max(1, len(told) // 8)
    approved, released = [one["id"] for one in told[:-few]], [one["id"] for one in told[: -2 * few]]
    review = fact("testing.result_reviewed", {"lab": lab, "results": approved, "verdict": "approved"}, at=scene.at(170))
    release = fact("testing.result_released", {"lab": lab, "results": released}, at=scene.at(180))
    deliver(reviewer, [review, release])


def go_wrong(scene: Scene) -> None:
    """A contested tube, people absent and refusing, a record out of scope, somebody registered on the spot."""
    points = scene.drill.points
    left = scene.residents[-20:]
    other = tube_of(scene, scene.used[-1], left[:3], points[1].pk, minute=161)
    attempts = [
        fact(
            "testing.not_sampled",
            place(scene, points[0].pk) | {"person": str(person), "outcome": outcome, "reason": reason},
            at=scene.at(200),
        )
        for person, outcome, reason in (
            (left[5], "absent", "两次上门无人应答"),
            (left[6], "refused", "称近日已检"),
            (left[7], "exempt", "住院"),
        )
    ]
    spot = fact(
        "people.person_registered",
        {"site": points[0].pk, "name": "演过路", "document": {"kind": "", "number": "340602190001010010"}},
        at=scene.at(205),
    )
    swabbed = tube_of(scene, TUBES[300], [UUID(spot["id"])], points[0].pk, minute=206)
    beyond = fact("testing.queue_counted", {"round": scene.round.pk, "site": 999_999, "people": 40}, at=scene.at(207))
    deliver(scene.phone(2), [*other, *attempts, spot, *swabbed, beyond])
    manager = desk(scene.drill.district, scene.drill.id, scene.cast.round_manager.user.pk, Role.ROUND_MANAGER)
    excused = {"round": scene.round.pk, "person": str(left[8]), "reason": "外出务工，已在当地检测"}
    deliver(manager, [fact("testing.excused", excused, at=scene.at(210))])
