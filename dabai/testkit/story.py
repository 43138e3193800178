"""A story of one round in which everything goes wrong that the field is known for, as a set of facts.

Two teams use one barcode, a person is put into a sealed tube, a sample is moved, then moved again, a tube leaks, a box
is short, a document is typed twice, people are merged and unmerged, results are read before the registration they
belong
to, corrected and withdrawn. Tests deliver it in every order and must find one state.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from dabai.kernel.codes import make_codes, make_tube_codes
from dabai.kernel.ids import natural_id
from dabai.testing.models import RosterEntry, Round, RoundState
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import START, AnyPhone, desk, fact

TUBES = make_tube_codes("DJ", "03A", 1, 12)
BAG = make_codes("bag", "DJ", "03A", 1, 1)[0]
BOX = make_codes("box", "DJ", "03A", 1, 1)[0]


@dataclass(slots=True)
class Story:
    """Who reports what: ``told`` is a list of (reporter, fact); its order means nothing."""

    drill: PreparedOperation
    round: Round
    told: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def phone(self, number: int = 0) -> AnyPhone:
        """A phone of the district."""
        return AnyPhone(self.drill.district, self.drill.id, device=natural_id("phone", number))

    def tell(self, kind: str, body: dict[str, Any], minute: int, who: Any = None) -> UUID:
        """Add a fact whose id depends on the story alone, so that every telling is the same set."""
        one = fact(kind, body, at=timedelta(minutes=minute))
        one["id"] = str(natural_id("story", len(self.told)))
        self.told.append((who or self.phone(), one))
        return UUID(one["id"])

    def swab(self, person: UUID, tube: str, minute: int, point: int = 0, **more: Any) -> UUID:
        """One person into one tube."""
        place = {"round": self.round.pk, "site": self.drill.points[point].pk, "station": 1}
        kind = "testing.late_entry" if "reason" in more else "testing.sample_taken"
        return self.tell(kind, {**place, "tube": tube, "person": str(person), **more}, minute)

    def seal(self, tube: str, people: int, minute: int, point: int = 0) -> UUID:
        """A tube sealed with a hand count."""
        place = {"round": self.round.pk, "site": self.drill.points[point].pk, "station": 1}
        return self.tell("testing.tube_sealed", {**place, "tube": tube, "people": people}, minute)

    def result(self, tube: str, outcome: str, minute: int) -> UUID:
        """Read by one, approved and released by another."""
        lab = self.drill.laboratory.pk
        reader, reviewer = self.lab(101), self.lab(102)
        read = self.tell("testing.result_read", {"lab": lab, "tube": tube, "outcome": outcome}, minute, reader)
        ids = {"lab": lab, "results": [str(read)]}
        self.tell("testing.result_reviewed", {**ids, "verdict": "approved"}, minute + 5, reviewer)
        self.tell("testing.result_released", ids, minute + 6, reviewer)
        return read

    def lab(self, user: int) -> Any:
        """Somebody at the laboratory's desk."""
        from dabai.access.rules import Role

        return desk(self.drill.district, self.drill.id, user, Role.LAB_REVIEWER)

    def manager(self) -> Any:
        """The round manager at the desk."""
        from dabai.access.rules import Role

        return desk(self.drill.district, self.drill.id, 103, Role.ROUND_MANAGER)

    def withdraw(self, target: UUID, minute: int) -> UUID:
        """Something was not so."""
        return self.tell("journal.fact_withdrawn", {"target": str(target), "reason": "记错"}, minute)


def open_round(drill: PreparedOperation, people: int = 12) -> tuple[Round, list[UUID]]:
    """A running round with a roster of so many people, in grids of the first community."""
    running = Round.objects.create(
        district=drill.district,
        operation=drill.id,
        number=1,
        name="第1轮",
        profile=drill.operation.profile_id,
        state=RoundState.RUNNING,
        starts_at=START,
        approved_at=START,
    )
    ids = [natural_id("resident", number) for number in range(people)]
    grids = drill.grids[:3]
    RosterEntry.objects.bulk_create(
        RosterEntry(district=drill.district, round=running.pk, person=person, area=grids[number % 3])
        for number, person in enumerate(ids)
    )
    return running, ids


def everything_goes_wrong(drill: PreparedOperation) -> Story:
    """The whole story."""
    running, people = open_round(drill)
    story = Story(drill, running)
    place = {"round": running.pk, "site": drill.points[0].pk}
    story.tell("testing.station_opened", {**place, "station": 1}, 0)
    story.tell("testing.station_closed", {**place, "station": 1}, 300)
    story.tell("testing.queue_counted", {**place, "people": 40}, 30)

    first = [story.swab(person, TUBES[0], 1 + n) for n, person in enumerate(people[:5])]
    story.seal(TUBES[0], 5, 10)
    story.swab(people[5], TUBES[0], 12, reason="封管后补", second="nurse2")
    second = [story.swab(person, TUBES[1], 20 + n) for n, person in enumerate(people[6:9])]
    story.seal(TUBES[1], 3, 30)
    sent = story.tell(
        "testing.sample_moved", {**place, "sample": str(second[0]), "to_tube": TUBES[2], "reason": "放错"}, 31
    )
    again = {**place, "sample": str(second[0]), "to_tube": TUBES[3], "reason": "又放错"}
    story.tell("testing.sample_moved", again, 32)
    story.withdraw(sent, 33)
    story.swab(people[0], TUBES[3], 34)

    # Two teams, one barcode; a desk settles it, then a third claim comes.
    story.swab(people[9], TUBES[4], 40)
    story.swab(people[10], TUBES[4], 41, point=1)
    story.seal(TUBES[4], 1, 45)
    claims = [
        {"round": running.pk, "site": drill.points[0].pk, "station": 1, "becomes": TUBES[4]},
        {"round": running.pk, "site": drill.points[1].pk, "station": 1, "becomes": TUBES[5]},
    ]
    story.tell("testing.claim_settled", {"tube": TUBES[4], "claims": claims, "reason": "现场核对"}, 90, story.manager())
    story.result(TUBES[4], "negative", 200)
    story.result(TUBES[5], "positive", 200)

    # A tube that leaks, one that is void, and one that was only thought to be.
    story.swab(people[11], TUBES[6], 50)
    story.tell("testing.tube_rejected", {"lab": drill.laboratory.pk, "tube": TUBES[6], "reason": "leak"}, 150)
    story.swab(people[11], TUBES[7], 160, single=True)
    void = story.tell("testing.tube_voided", {**place, "tube": TUBES[7], "reason": "破损"}, 161)
    story.withdraw(void, 162)
    story.withdraw(first[2], 163)

    pack(story, drill)
    identities(story, drill, people)
    correct = story.result(TUBES[0], "negative", 210)
    body = {"lab": drill.laboratory.pk, "result": str(correct), "outcome": "suspect", "reason": "复核"}
    story.tell("testing.result_corrected", body, 230, story.lab(102))
    wrong = story.result(TUBES[1], "positive", 215)
    story.withdraw(wrong, 216)
    story.result(TUBES[1], "negative", 220)
    story.result(TUBES[7], "positive", 260)
    return story


def pack(story: Story, drill: PreparedOperation) -> None:
    """Bag, box, hand over one tube short, receive."""
    site = {"site": drill.points[0].pk}
    parties = {"given_by": "packer", "taken_by": "courier"}
    story.tell("testing.tubes_bagged", {**site, "bag": BAG, "tubes": TUBES[:3], "rack": 3}, 100)
    story.tell("testing.box_packed", {**site, "box": BOX, "bags": [BAG], "tubes": [TUBES[3]]}, 105)
    story.tell("testing.box_sealed", {**site, "box": BOX, "seal": "S1", "tubes": 4}, 106)
    story.tell("testing.box_handed_over", {**site, "box": BOX, "tubes": 4, **parties}, 110)
    story.tell("testing.box_received", {"lab": drill.laboratory.pk, "box": BOX, "tubes": 3, **parties}, 140)
    story.tell("testing.run_started", {"lab": drill.laboratory.pk, "run": "R1", "tubes": TUBES[:2]}, 170)


def identities(story: Story, drill: PreparedOperation, people: list[UUID]) -> None:
    """The same document twice, once under another name; a merge, and one taken back."""
    site, where = drill.points[0].pk, {"round": story.round.pk}
    number = {"kind": "01", "number": "340602190001010028"}
    register = "people.person_registered"
    one = story.tell(register, {"site": site, "name": "欧阳测试", "document": number}, 60)
    two = story.tell(register, {"site": drill.points[1].pk, "name": "欧阳测式", "document": number}, 61)
    three = story.tell(register, {"site": site, "name": "测试丙"}, 62)
    story.swab(one, TUBES[8], 63)
    story.swab(two, TUBES[9], 64)
    story.swab(three, TUBES[8], 65)
    manager = story.manager()
    story.tell("people.merged", {"one": str(three), "other": str(people[4]), "reason": "同一人"}, 70, manager)
    gone = story.tell("people.merged", {"one": str(one), "other": str(people[5]), "reason": "误判"}, 71, manager)
    story.tell("people.unmerged", {"merge": str(gone), "reason": "不是同一人"}, 72, manager)
    story.tell(
        "testing.roster_added", {**where, "person": str(two), "area": drill.grids[0], "reason": "常住"}, 73, manager
    )
    story.tell("testing.roster_removed", {**where, "person": str(people[8]), "reason": "迁出"}, 74, manager)
    story.tell("testing.excused", {**where, "person": str(people[10]), "reason": "住院"}, 75, manager)
    body = {**where, "site": site, "person": str(people[3]), "outcome": "absent", "reason": "敲门无人"}
    story.tell("testing.not_sampled", body, 76)
