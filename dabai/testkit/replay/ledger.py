"""The driver's own record: who was swabbed into which tube, what the laboratory saw, who must be negative, waiting or
outstanding. It is written from the truth alone; nothing that the server says goes in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dabai.testkit.replay.field import RoundTruth, Tube

EXAMPLES = 12


class Expected(NamedTuple):
    """What the system must know of one person in one round."""

    rostered: bool
    samples: int
    tubes: tuple[str, ...]
    outcome: str


@dataclass
class Comparison:
    """How many people (or tubes) were compared, and which differ. Examples and ``wrong`` have the driver's numbers,
    never a name."""

    compared: int = 0
    different: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)

    def note(self, what: str, expected: object, actual: object, key: int | None = None) -> None:
        self.compared += 1
        if expected != actual:
            self.different += 1
            self.wrong |= set() if key is None else {key}
            if len(self.examples) < EXAMPLES:
                self.examples.append({"what": what, "expected": expected, "actual": actual})

    @property
    def ok(self) -> bool:
        return self.compared > 0 and self.different == 0

    def as_dict(self) -> dict[str, Any]:
        return {"compared": self.compared, "different": self.different, "examples": self.examples}


def expected_people(truth: RoundTruth) -> dict[int, Expected]:
    """Everybody who is due or was swabbed in the round, by the driver's number."""
    due = {person.key for person in truth.due}
    excused = {person.key for person in truth.excused}
    tubes: dict[int, list[Tube]] = defaultdict(list)
    for tube in truth.tubes:
        if tube.valid:
            for swab in tube.swabs:
                tubes[swab.person.key].append(tube)
    return {
        key: Expected(
            rostered=key in due,
            samples=len(tubes[key]),
            tubes=tuple(sorted({tube.label for tube in tubes[key]})),
            outcome=_outcome(tubes[key], excused=key in excused),
        )
        for key in due | set(tubes)
    }


def _outcome(tubes: list[Tube], *, excused: bool) -> str:
    """Negative when every pool was, or when a single swab cleared what a suspect pool left open."""
    if not tubes:
        return "excused" if excused else "outstanding"
    out = [tube for tube in tubes if tube.released]
    if not out:
        return "awaiting"
    suspect = [tube for tube in out if tube.outcome == "suspect"]
    cleared = [tube for tube in out if tube.single and tube.outcome == "negative"]
    return "pending" if suspect and not cleared else "negative"


def compare_people(truth: RoundTruth, rows: Iterable[Mapping[str, Any]], keys: Mapping[str, int]) -> Comparison:
    """The server's people of a round against the truth. ``keys``: whom each id that was ever met stands for."""
    number = truth.plan.number
    expected = expected_people(truth)
    seen: dict[int, Expected] = {}
    result = Comparison()
    for row in rows:
        key = keys.get(row["person"])
        if key is None or key in seen:
            result.note(f"round {number}, unknown person or one person twice", None, row["outcome"])
            continue
        seen[key] = Expected(row["rostered"], row["samples"], tuple(sorted(row["tubes"])), row["outcome"])
    for key, wanted in expected.items():
        actual = seen.pop(key, None)
        result.note(f"round {number}, person {key}", wanted._asdict(), actual._asdict() if actual else None, key)
    for key, actual in seen.items():
        if actual.samples:
            result.note(f"round {number}, person {key}", None, actual._asdict())
    return result


def compare_tubes(truth: RoundTruth, rows: Iterable[Mapping[str, Any]]) -> Comparison:
    """The server's tubes of a round against the rack: people in each, and what became of it."""
    number = truth.plan.number
    actual = {row["tube"]: _tube_row(row) for row in rows}
    result = Comparison()
    for tube in truth.tubes:
        wanted = (None, tube.fate) if tube.fate else (len(tube.swabs), tube.outcome if tube.released else None)
        result.note(f"round {number}, tube {tube.label}", wanted, actual.pop(tube.label, None))
    for label, found in actual.items():
        result.note(f"round {number}, tube {label}", None, found)
    return result


def _tube_row(row: Mapping[str, Any]) -> tuple[int | None, str | None]:
    if row["state"] in ("voided", "rejected"):
        return None, row["state"]
    return row["people"], row["outcome"] if row["released"] else None
