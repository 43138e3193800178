"""What goes wrong at points and in boxes, and how it is put right (DOMAIN §3: the failure list of health notices).

Every mishap ends well: whoever's swab was lost is swabbed again, so that valid person-times stay what they were. Each
takes tubes of its own; a small replay has at least one of each kind as long as there are tubes.
"""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

from dabai.testkit.replay.field import RoundTruth, Tube, make_up_tubes
from dabai.testkit.replay.people import RESIDENT_ID

# One mishap in so many tubes, at least one a round.
FREQUENCY = {
    "contested": 500,  # two teams with one barcode; found before packing
    "overtaken": 1000,  # the same, but the second team's phone reports after the first result is out
    "moved": 150,  # a swab recorded in the neighbouring tube
    "voided": 400,  # dropped before it was sealed; everybody swabbed again at once
    "rejected": 400,  # leaking, turned away by the laboratory; everybody swabbed again in the make-up session
    "short": 300,  # packed on paper, left standing on the table, sent with the next box
    "wrong_person": 300,  # recorded for a neighbour; withdrawn, the right one entered late
    "double": 150,  # scanned twice; one record withdrawn
    "late_entry": 100,  # swabbed but not recorded until after the tube was sealed
    "wrong_label": 300,  # a box's label scanned for the tube's; refused, scanned again
    "empty_id": 300,  # registered with an empty number; registered again, joined by the desk
    "no_paper": 300,  # on the list, but registered without a document; joined by the desk
}


def go_wrong(truth: RoundTruth, seed: str) -> None:
    """Let things go wrong in one round."""
    rng = random.Random(f"{seed}/mishaps/{truth.plan.number}")
    free = [tube for tube in truth.tubes if not tube.mishap and not tube.make_up and tube.site.kind == "sampling_point"]
    rng.shuffle(free)
    total = len(truth.tubes)
    for kind, one_in in FREQUENCY.items():
        for _ in range(max(1, total // one_in)):
            _once(kind, truth, free)


def _once(kind: str, truth: RoundTruth, free: list[Tube]) -> None:
    """One mishap of a kind on the first free tube that it fits; none when there is no such tube."""
    for tube in free:
        if FITS[kind](tube) and _apply(kind, truth, tube, free):
            free.remove(tube)
            return


def _apply(kind: str, truth: RoundTruth, tube: Tube, free: list[Tube]) -> bool:
    if kind in NEEDS_PARTNER:
        other = next((t for t in free if NEEDS_PARTNER[kind](tube, t)), None)
        if other is None:
            return False
        free.remove(other)
        tube.partner, other.partner = other, tube
        other.mishap = f"{kind}/other"
    tube.mishap = kind
    if kind in HAPPENS:
        HAPPENS[kind](truth, tube)
    return True


def _pooled(tube: Tube) -> bool:
    return not tube.single and len(tube.swabs) > 1


def _has_listed_resident(tube: Tube) -> bool:
    return _pooled(tube) and any(swab.way == "listed" and swab.person.kind == RESIDENT_ID for swab in tube.swabs)


def _anything(tube: Tube) -> bool:
    return bool(tube.swabs)


def _other_site(tube: Tube, other: Tube) -> bool:
    return other.site != tube.site and not other.single


def _later_elsewhere(tube: Tube, other: Tube) -> bool:
    return _other_site(tube, other) and other.sealed_at > tube.sealed_at


def _beside(tube: Tube, other: Tube) -> bool:
    """Another tube of the same table, or at least of the same point, filled at about that time."""
    near = abs(other.sealed_at - tube.sealed_at) < timedelta(hours=3)
    return other is not tube and other.site == tube.site and not other.single and near


FITS: dict[str, Callable[[Tube], bool]] = {
    "contested": _pooled,
    "overtaken": _pooled,
    "moved": _pooled,
    "voided": _anything,
    "rejected": _anything,
    "short": _pooled,
    "wrong_person": _has_listed_resident,
    "double": _has_listed_resident,
    "late_entry": _has_listed_resident,
    "wrong_label": _has_listed_resident,
    "empty_id": _has_listed_resident,
    "no_paper": _has_listed_resident,
}
NEEDS_PARTNER: dict[str, Callable[[Tube, Tube], bool]] = {
    "contested": _other_site,
    "overtaken": _later_elsewhere,
    "moved": _beside,
}


def _same_barcode(truth: RoundTruth, tube: Tube) -> None:
    """The partner came with this tube's barcode; the desk decides that it gets a new label."""
    assert tube.partner is not None
    tube.partner.scanned = tube.scanned
    tube.partner.label = truth.labels.next("T")


def _dropped(truth: RoundTruth, tube: Tube) -> None:
    tube.fate = "voided"
    again = _again_at_once(truth, tube)
    truth.tubes.append(again)


def _again_at_once(truth: RoundTruth, tube: Tube) -> Tube:
    """The same people swabbed again a few minutes later into the next tube of the strip."""
    text = truth.labels.next("T")
    later = timedelta(minutes=5) + (tube.sealed_at - tube.swabs[0].at)
    swabs = [type(swab)(swab.person, swab.at + later, swab.way) for swab in tube.swabs]
    return Tube(text, text, tube.site, tube.station, swabs, tube.single, tube.sealed_at + later)


def _leaked(truth: RoundTruth, tube: Tube) -> None:
    tube.fate = "rejected"
    people = [swab.person for swab in tube.swabs]
    again = make_up_tubes(truth, tube.site, people, single=tube.single)
    truth.tubes += again
    _same_ways(tube, again)


def _same_ways(tube: Tube, again: list[Tube]) -> None:
    """Whoever is on no list is registered again where they are swabbed again."""
    ways = {swab.person.key: swab.way for swab in tube.swabs}
    for swab in (swab for other in again for swab in other.swabs):
        swab.way = ways[swab.person.key]


def _without_number(way: str) -> Callable[[RoundTruth, Tube], None]:
    def happens(_: RoundTruth, tube: Tube) -> None:
        swab = next(s for s in tube.swabs if s.way == "listed" and s.person.kind == RESIDENT_ID)
        swab.way = way

    return happens


HAPPENS: dict[str, Callable[[RoundTruth, Tube], None]] = {
    "contested": _same_barcode,
    "overtaken": _same_barcode,
    "voided": _dropped,
    "rejected": _leaked,
    "empty_id": _without_number("empty_id"),
    "no_paper": _without_number("no_paper"),
}


def held_back(truth: RoundTruth, count: int) -> None:
    """The last tubes of the sessions, read but not yet released when the story ends: their people still wait."""
    plain = [tube for tube in truth.tubes if tube.valid and not tube.mishap and not tube.make_up]
    last = sorted(plain, key=lambda tube: (tube.sealed_at, tube.label))
    for tube in last[len(last) - count :]:
        tube.released = False


def kinds(truth: RoundTruth) -> Iterator[str]:
    """The mishaps of a round, one word each time."""
    return (tube.mishap for tube in truth.tubes if tube.mishap and "/" not in tube.mishap)
