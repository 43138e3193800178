"""The rules of a round of testing, as plain values in and a verdict out: no database, no clock.

A round goes 草拟 → 已批准 → 进行中 → 补采 → 收尾 → 已结束. A result counts when it was read, approved by somebody else
than the reader (four eyes, 双人复核) and released. Nobody is ever told that a pooled tube was positive: its people are
待复核 until a single sample of theirs has a result.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from dabai.kernel.areas import is_code
from dabai.kernel.refusal import Refusal

# --- The round ------------------------------------------------------------------------------------------------------

# State -> step -> next state. The diagram in docs/domain/round.md is drawn from this.
ROUND: Mapping[str, Mapping[str, str]] = {
    "draft": {"approve": "approved"},
    "approved": {"start": "running"},
    "running": {"begin_make_up": "make_up", "begin_closing": "closing"},
    "make_up": {"begin_closing": "closing"},
    "closing": {"begin_make_up": "make_up", "close": "closed"},
    "closed": {},
}
FIRST = "draft"


def next_state(state: str, step: str) -> str:
    """The state that ``step`` leads to. Refusal ``testing.step_impossible`` when the round is not in a state for it."""
    following = ROUND[state].get(step)
    if following is None:
        raise Refusal("testing.step_impossible", "step", state=state, step=step)
    return following


def steps_from(state: str) -> list[str]:
    """What can be done next with a round in ``state``."""
    return list(ROUND[state])


def check_editable(state: str) -> None:
    """Scope, roster and rules change only before approval. Refusal ``testing.round_frozen``."""
    if state != FIRST:
        raise Refusal("testing.round_frozen")


def check_not_over(state: str) -> None:
    """Points and counts change until a round is closed. Refusal ``testing.round_over``."""
    if not ROUND[state]:
        raise Refusal("testing.round_over")


class Window(NamedTuple):
    """A stretch of a round's life: it is in ``state`` from ``since`` on, until the next one."""

    since: datetime
    state: str


def state_at(history: Sequence[Window], moment: datetime) -> str:
    """The state of a round as of ``moment``, from its history in order of time; a draft before the first step."""
    state = FIRST
    for window in history:
        if window.since > moment:
            break
        state = window.state
    return state


def normalise_scope(areas: Iterable[str], district: int) -> list[str]:
    """Area prefixes of a round, sorted, without those that lie in another one.

    Refusals: ``testing.scope_empty``, ``testing.area_form`` (no area code), ``testing.area_elsewhere`` (not ours).
    """
    codes = sorted(set(areas))
    if not codes:
        raise Refusal("testing.scope_empty", "areas")
    kept: list[str] = []
    for code in codes:
        if not is_code(code):
            raise Refusal("testing.area_form", "areas")
        if not code.startswith(str(district)):
            raise Refusal("testing.area_elsewhere", "areas", area=code)
        if not kept or not code.startswith(kept[-1]):
            kept.append(code)
    return kept


def check_times(starts_at: datetime, ends_at: datetime | None) -> None:
    """A round ends after it starts. Refusal ``testing.times_reversed``."""
    if ends_at is not None and ends_at <= starts_at:
        raise Refusal("testing.times_reversed", "ends_at")


def estimate_left(estimate: int, named: int) -> int:
    """How many people of an area known by a count are still without a name: names replace the count as they come."""
    return max(0, estimate - named)


def check_explained(troubles: Iterable[str], reasons: Mapping[str, str]) -> None:
    """Every device that may still hold facts needs a reason when a round closes. ``testing.device_unexplained``."""
    silent = [device for device in troubles if not reasons.get(device, "").strip()]
    if silent:
        raise Refusal("testing.device_unexplained", f"reasons.{silent[0]}", devices=len(silent))


# --- Results of a tube ----------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """A result as read: which tube, what, by whom, when."""

    id: UUID
    tube: str
    outcome: str
    by: int | None
    happened_at: datetime


class Decision(NamedTuple):
    """What was decided about a reading: ``approved``, ``returned``, ``released`` or ``corrected`` (then to what)."""

    id: UUID
    result: UUID
    kind: str
    by: int | None
    happened_at: datetime
    outcome: str | None = None


class InForce(NamedTuple):
    """The result that a tube has: the reading, its outcome after corrections, and when it was released."""

    result: UUID
    outcome: str
    released_at: datetime
    corrected: bool


def check_four_eyes(reader: int | None, reviewer: int | None) -> None:
    """Whoever read a result does not approve it. Refusal ``testing.four_eyes``."""
    if not is_second_person(reader, reviewer):
        raise Refusal("testing.four_eyes", "results")


def is_second_person(reader: int | None, reviewer: int | None) -> bool:
    """Whether an approval counts: by a known person, and not the one who read the result (an instrument is nobody)."""
    return reviewer is not None and reviewer != reader


def fold_reading(reading: Reading, decisions: Iterable[Decision]) -> InForce | None:
    """What the decisions about one reading make of it, whatever order they came in; None when it is not in force.

    The newest review decides, so a result that was returned after it had been approved is taken back; the newest
    correction gives the outcome; the first release is when people could know. A reader's own review counts for nothing.
    """
    ordered = sorted((d for d in decisions if d.result == reading.id), key=lambda d: (d.happened_at, d.id))
    reviews = [d for d in ordered if d.kind in ("approved", "returned") and is_second_person(reading.by, d.by)]
    releases = [d for d in ordered if d.kind == "released"]
    corrections = [d for d in ordered if d.kind == "corrected" and d.outcome]
    if not reviews or reviews[-1].kind != "approved" or not releases:
        return None
    outcome = corrections[-1].outcome if corrections else reading.outcome
    return InForce(reading.id, str(outcome), releases[0].happened_at, bool(corrections))


def result_of_tube(
    readings: Iterable[Reading], decisions: Sequence[Decision], withdrawn: Set[UUID] = frozenset()
) -> InForce | None:
    """The result in force of one tube: of its readings in force the newest by (happened_at, id) wins.

    ``withdrawn`` are ids of facts (readings or decisions) that were taken back. The answer depends on the set of
    facts only: this is what the worker's derivation is tested against.
    """
    standing = [d for d in decisions if d.id not in withdrawn]
    newest = sorted((r for r in readings if r.id not in withdrawn), key=lambda r: (r.happened_at, r.id), reverse=True)
    return next((found for reading in newest if (found := fold_reading(reading, standing))), None)


# --- Results of a person --------------------------------------------------------------------------------------------

NOT_NEGATIVE = ("positive", "suspect")


class TubeOfPerson(NamedTuple):
    """A tube with a valid sample of somebody. ``single``: and of nobody else; ``outcome`` is None until released."""

    single: bool
    outcome: str | None
    first_at: datetime
    contested: bool = False


def outcome_of_person(tubes: Sequence[TubeOfPerson], *, name_conflict: bool = False) -> str:
    """What a person may be told: one of ``dabai.testing.outcomes.OUTCOMES``.

    ``pending`` (待复核): a pooled tube that is not negative, or a suspect single one, and no later single result that
    says negative or positive. Only a single tube makes anybody positive. A disputed name or tube withholds the result.
    """
    if not tubes:
        return "none"
    if name_conflict or any(tube.contested for tube in tubes):
        return "withheld"
    released = [tube for tube in tubes if tube.outcome is not None]
    if not released:
        return "awaiting"
    if any(tube.single and tube.outcome == "positive" for tube in released):
        return "positive"
    if any(is_open(tube, released) for tube in released):
        return "pending"
    return "negative" if any(tube.outcome == "negative" for tube in released) else "invalid"


def is_open(tube: TubeOfPerson, released: Iterable[TubeOfPerson]) -> bool:
    """Whether a tube that is not negative still waits for a later single sample's result."""
    if tube.outcome not in NOT_NEGATIVE:
        return False
    return not any(
        other.single and other.outcome in ("negative", "positive") and other.first_at > tube.first_at
        for other in released
    )
