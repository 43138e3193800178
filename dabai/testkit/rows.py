"""Typed and derived rows put straight into their tables, for tests of lists and figures: what the first stage makes.

Small numbers stand for people and tubes; ``at`` counts minutes from the beginning of the round. Nothing here leaves a
mark: tests that want cells mark what they touched, or rebuild.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dabai.figures import cells
from dabai.journal.models import MarkKind, Withdrawal
from dabai.kernel import clock
from dabai.kernel.ids import natural_id
from dabai.people.models import Identity, Person
from dabai.testing.models import (
    Box,
    ChangeKind,
    Coverage,
    Outcome,
    RosterChange,
    RosterEntry,
    Round,
    RoundState,
    SiteEvent,
    SiteEventKind,
    Tube,
    TubeState,
)
from dabai.testkit.district import PreparedOperation

STARTS = datetime(2022, 3, 13, 0, 0, tzinfo=UTC)


def person(number: int) -> UUID:
    """The id of a person; a smaller number has a smaller id."""
    return UUID(int=(0x018F << 112) | number)


def moment(at: float | None) -> datetime | None:
    """Minutes from the beginning as a time."""
    return None if at is None else STARTS + timedelta(minutes=at)


@dataclass
class Rows:
    """Puts rows of one round."""

    drill: PreparedOperation
    number: int = 1
    round: Round = field(init=False)
    facts: int = 0

    def __post_init__(self) -> None:
        self.round = Round.objects.create(
            district=self.drill.district,
            operation=self.drill.id,
            number=self.number,
            name=f"第{self.number}轮",
            profile=self.drill.operation.profile_id,
            state=RoundState.RUNNING,
            areas=[str(self.drill.district)],
            starts_at=STARTS,
            ends_at=STARTS + timedelta(days=1),
            approved_at=STARTS,
        )

    @property
    def here(self) -> dict[str, Any]:
        """The columns that every row begins with."""
        return {"district": self.drill.district, "round": self.round.pk}

    def new_id(self) -> UUID:
        """The id of a fact: the same in every run."""
        self.facts += 1
        return natural_id("row", self.round.pk, self.facts)

    def resident(self, number: int, area: str, **columns: Any) -> UUID:
        """A row of the list of residents, without anything personal in it."""
        sealed = {"document_kind": "01", "key": 1, "name_enc": b"x", "name_token": b"x"}
        row = {"district": self.drill.district, "operation": self.drill.id, "id": person(number), "area": area}
        return Person.objects.create(**row | sealed | columns).id

    def due(self, number: int, area: str, **columns: Any) -> UUID:
        """Somebody on the frozen roster."""
        return RosterEntry.objects.create(**self.here, person=person(number), area=area, **columns).person

    def tube(
        self,
        code: str,
        *,
        site: int = 0,
        at: float = 0,
        samples: int = 1,
        released: float | None = None,
        **columns: Any,
    ) -> str:
        """A tube of a point (by its place in ``drill.points``), first sampled at ``at``; ``outcome`` by its name."""
        first = moment(at)
        assert first is not None
        row: dict[str, Any] = {
            "round": self.round.pk,
            "site": self.drill.points[site].pk,
            "station": 1,
            "area": self.drill.points[site].area,
            "state": TubeState.OPENED if released is None else TubeState.REPORTED,
            "claims": 1,
            "samples": samples,
            "people": samples,
            "first_at": first,
            "last_at": first,
            "hour": clock.hour_of(first),
            "released_at": moment(released),
        } | columns
        if isinstance(row.get("outcome"), str):
            row["outcome"] = Outcome[row["outcome"].upper()]
        key = {"district": self.drill.district, "operation": self.drill.id, "tube": code}
        Tube.objects.filter(**key).delete()
        Tube.objects.create(**key, **row)
        return code

    def covered(self, number: int, area: str, *tubes: str, at: float = 0, **columns: Any) -> UUID:
        """What the facts of the round say of somebody; with tubes, swabbed."""
        first = moment(at) if tubes else None
        row: dict[str, Any] = {
            "area": area,
            "rostered": True,
            "tubes": list(tubes),
            "samples": len(tubes),
            "first_at": first,
            "hour": clock.hour_of(first) if first else None,
            "site": self.drill.points[0].pk if tubes else None,
        } | columns
        Coverage.objects.filter(**self.here, person=person(number)).delete()
        return Coverage.objects.create(**self.here, person=person(number), **row).person

    def change(self, number: int, kind: ChangeKind, area: str, *, at: float = 0, reason: str = "") -> UUID:
        """A fact about a person and the round: added, removed, excused, refused, absent, exempt."""
        return RosterChange.objects.create(
            **self.here, id=self.new_id(), operation=self.drill.id, person=person(number), kind=kind, area=area,
            reason=reason, happened_at=moment(at),
        ).id  # fmt: skip

    def same(self, *numbers: int, name_conflict: bool = False) -> None:
        """These ids are one person."""
        ids = sorted(person(number) for number in numbers)
        Identity.objects.filter(district=self.drill.district, person__in=ids).delete()
        Identity.objects.bulk_create(
            Identity(
                district=self.drill.district, operation=self.drill.id, person=one, canonical=ids[0],
                name_conflict=name_conflict,
            )
            for one in ids
        )  # fmt: skip

    def station(self, kind: SiteEventKind, at: float, *, site: int = 0, station: int = 1) -> UUID:
        """A station opened or closed."""
        return SiteEvent.objects.create(
            **self.here, id=self.new_id(), operation=self.drill.id, site=self.drill.points[site].pk, station=station,
            kind=kind, happened_at=moment(at),
        ).id  # fmt: skip

    def box(self, code: str, *, site: int = 0, **columns: Any) -> str:
        """A transfer box."""
        key = {"district": self.drill.district, "operation": self.drill.id, "box": code}
        Box.objects.filter(**key).delete()
        Box.objects.create(**key, round=self.round.pk, site=self.drill.points[site].pk, **columns)
        return code

    def withdraw(self, fact: UUID) -> None:
        """The fact is no longer in force."""
        Withdrawal.objects.create(
            district=self.drill.district, id=self.new_id(), target=fact, reason="误报", happened_at=STARTS
        )

    def rebuild(self) -> None:
        """Work the cells out from nothing."""
        cells.rebuild(self.drill.district)

    def mark(self, cursor: Any, *, areas: Sequence[str] = (), sites: Sequence[int] = ()) -> None:
        """Leave the marks that the first stage would leave."""
        rows = [(MarkKind.AREA_CELL.value, f"{self.round.pk}/{area}") for area in areas]
        rows += [(MarkKind.SITE_CELL.value, f"{self.round.pk}/{site}") for site in sites]
        cursor.executemany(
            "INSERT INTO journal_mark (district, operation, kind, key) VALUES (%s, %s, %s, %s)",
            [(self.drill.district, self.drill.id, kind, key) for kind, key in rows],
        )
