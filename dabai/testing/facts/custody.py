"""From the rack to the laboratory: bags, boxes, hand-over and reception."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from dabai.journal.kinds import Body, Code, Count, Fact, Kind, Login, Reference, Text
from dabai.journal.models import MarkKind
from dabai.journal.rows import Insert, accepted, place
from dabai.kernel.refusal import Refusal
from dabai.testing.facts.judging import at_lab, check_container
from dabai.testing.models import BoxEventKind

Placing = Callable[[Fact], "Refusal | None"]


Items = Annotated[list[Code], Field(max_length=200)]


class TubesBagged(Body):
    """Tubes lie in a bag; ``rack`` is what the packer counted by hand."""

    site: Reference
    bag: Code
    tubes: Annotated[list[Code], Field(min_length=1, max_length=100)]
    rack: Count


class BoxPacked(Body):
    """Bags or loose tubes lie in a transfer box."""

    site: Reference
    box: Code
    bags: Items = []
    tubes: Items = []


class BoxSealed(Body):
    """A box was closed under a seal number with so many tubes, as counted."""

    site: Reference
    box: Code
    seal: Text
    tubes: Count


class BoxHandedOver(Body):
    """A box changed hands; both parties signed."""

    site: Reference
    box: Code
    tubes: Count
    given_by: Login
    taken_by: Login
    vehicle: Annotated[str, Field(max_length=20, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    temperature: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None


class BoxReceived(Body):
    """The laboratory counted the tubes of a box in the presence of the courier."""

    lab: Reference
    box: Code
    tubes: Count
    given_by: Login
    taken_by: Login
    note: Text = ""


PACKING_ROW = Insert(
    "testing_packing",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "item": "text",
        "container": "text",
        "rack": "smallint",
        "happened_at": "timestamptz",
    },
)


def pack_items(fact: Fact, items: Sequence[str], container: str) -> list[tuple[Any, ...]]:
    """Typed rows: each item once."""
    head = (fact.district, fact.id, fact.operation)
    rack = getattr(fact.body, "rack", None)
    return [(*head, item, container, rack, fact.happened_at) for item in dict.fromkeys(items)]


def bag_tubes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``tubes_bagged``: one INSERT of a row for each tube."""
    verdicts = [place(f, f.body.site) or check_container("bag", f.body.bag, "body.bag") for f in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        for tube in fact.body.tubes:
            fact.mark(MarkKind.RESULT, tube)
        fact.mark(MarkKind.BOX, fact.body.bag)
        rows += pack_items(fact, fact.body.tubes, fact.body.bag)
    PACKING_ROW(cursor, rows)
    return verdicts


def pack_boxes(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
    """``box_packed``: one INSERT of a row for each bag and loose tube. A box with nothing in it is refused."""
    verdicts = [judge_packing(fact) for fact in facts]
    rows = []
    for fact in accepted(facts, verdicts):
        for tube in fact.body.tubes:
            fact.mark(MarkKind.RESULT, tube)
        fact.mark(MarkKind.BOX, fact.body.box)
        rows += pack_items(fact, [*fact.body.bags, *fact.body.tubes], fact.body.box)
    PACKING_ROW(cursor, rows)
    return verdicts


def judge_packing(fact: Fact) -> Refusal | None:
    """A packed box has a box code and something in it."""
    if not fact.body.bags and not fact.body.tubes:
        return Refusal("testing.box_empty", "body.tubes")
    return judge_box(fact)


def judge_box(fact: Fact) -> Refusal | None:
    """A box fact at a point."""
    return place(fact, fact.body.site) or check_container("box", fact.body.box, "body.box")


def judge_received(fact: Fact) -> Refusal | None:
    """A box fact at a laboratory."""
    return at_lab(fact) or check_container("box", fact.body.box, "body.box")


BOX_EVENT = Insert(
    "testing_box_event",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "box": "text",
        "kind": "smallint",
        "site": "int",
        "count": "smallint",
        "given_by": "text",
        "taken_by": "text",
        "vehicle": "text",
        "temperature": "float8",
        "seal": "text",
        "note": "text",
        "happened_at": "timestamptz",
    },
)


def box_event(kind: BoxEventKind, judge: Placing) -> Callable[[Any, Sequence[Fact]], list[Refusal | None]]:
    """The handler of one kind of box event: one INSERT."""

    def handle(cursor: Any, facts: Sequence[Fact]) -> list[Refusal | None]:
        verdicts = [judge(fact) for fact in facts]
        BOX_EVENT(cursor, [box_row(fact, kind) for fact in accepted(facts, verdicts)])
        return verdicts

    return handle


def box_row(fact: Fact, kind: BoxEventKind) -> tuple[Any, ...]:
    """The typed row; marks the box."""
    body = fact.body
    fact.mark(MarkKind.BOX, body.box)
    head = (fact.district, fact.id, fact.operation, body.box, kind.value, fact.site, body.tubes)
    parties = (getattr(body, "given_by", ""), getattr(body, "taken_by", ""), getattr(body, "vehicle", ""))
    tail = (getattr(body, "temperature", None), getattr(body, "seal", ""), getattr(body, "note", ""))
    return (*head, *parties, *tail, fact.happened_at)


KINDS = (
    Kind("testing.tubes_bagged", 29, TubesBagged, bag_tubes),
    Kind("testing.box_packed", 30, BoxPacked, pack_boxes),
    Kind("testing.box_sealed", 31, BoxSealed, box_event(BoxEventKind.SEALED, judge_box)),
    Kind("testing.box_handed_over", 32, BoxHandedOver, box_event(BoxEventKind.HANDED_OVER, judge_box)),
    Kind("testing.box_received", 33, BoxReceived, box_event(BoxEventKind.RECEIVED, judge_received)),
)
