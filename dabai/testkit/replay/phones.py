"""How phones send: a tube at a time when they have a network, hours later when they had none, some things twice.

A *parcel* is one request. Phones with a wrong clock stamp everything with it, the sending too, as real ones do.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from dabai.testkit.replay.custody import Batch
from dabai.testkit.replay.field import Tube
from dabai.testkit.replay.reports import Fact, Reports, phone_of

PARCEL_LIMIT = 500
PARCEL_AT_ONCE = 60
OFFLINE = 0.15
REPEATED = 0.05
SHUFFLED = 0.3
SWAPPED = 0.03
OFFLINE_HOURS = (1, 4)
# Phones that believe it is another time. Real ones: dead battery (years), wrong zone, somebody's guess.
WRONG_CLOCKS = (timedelta(hours=-8), timedelta(minutes=47), timedelta(days=-800), timedelta(minutes=-21))
APP = "replay/1"


@dataclass(slots=True, eq=False)
class Parcel:
    """One request of a device. ``again``: a repeat, whose receipts must be those of the first."""

    device: str
    send_at: datetime
    facts: list[Fact]
    highest_seq: int = 0
    unsent: int = 0
    again: bool = False


def wrong_clocks(rng: random.Random, devices: Sequence[str]) -> dict[str, timedelta]:
    """A few phones with a wrong clock."""
    phones = sorted(devices)
    chosen = rng.sample(phones, min(len(WRONG_CLOCKS), len(phones)))
    return dict(zip(chosen, WRONG_CLOCKS, strict=False))


def parcels(reports: Reports, seed: str, batches: Sequence[Batch]) -> list[Parcel]:
    """Every request of a round's devices, in the order in which they leave."""
    rng = random.Random(f"{seed}/phones/{reports.truth.plan.number}")
    late = _offline(rng, reports, batches)
    sent: list[Parcel] = []
    for device in sorted(reports.by_device):
        facts = reports.by_device[device]
        mine = list(_drained(device, facts, late[device]) if device in late else _at_once(device, facts))
        if rng.random() < SHUFFLED:
            for parcel in mine:
                rng.shuffle(parcel.facts)
        _swap(rng, mine)
        _count_unsent(mine, facts)
        sent += mine
        sent += [_repeat(rng, parcel) for parcel in mine if rng.random() < REPEATED]
    return sorted(sent, key=lambda parcel: parcel.send_at)


def _at_once(device: str, facts: list[Fact]) -> Iterator[Parcel]:
    """What a phone with a network sends: all it has after each sealed tube."""
    waiting: list[Fact] = []
    for fact in facts:
        waiting.append(fact)
        if fact.ends or len(waiting) >= PARCEL_AT_ONCE:
            yield Parcel(device, fact.at + timedelta(seconds=5), waiting)
            waiting = []
    if waiting:
        yield Parcel(device, waiting[-1].at + timedelta(seconds=5), waiting)


def _drained(device: str, facts: list[Fact], drain_at: datetime) -> Iterator[Parcel]:
    """What a phone without a network sends when it finds one; from then on it is like the others."""
    before = [fact for fact in facts if fact.at < drain_at]
    for n in range(0, len(before), PARCEL_LIMIT):
        yield Parcel(device, drain_at + timedelta(seconds=n / PARCEL_LIMIT), before[n : n + PARCEL_LIMIT])
    yield from _at_once(device, facts[len(before) :])


def _offline(rng: random.Random, reports: Reports, batches: Sequence[Batch]) -> dict[str, datetime]:
    """Phones without a network, and when they find one: hours after the session; the second team of an overtaken
    barcode only when the first result is out. All before the round closes."""
    latest = reports.truth.plan.closed_at - timedelta(minutes=90)
    late: dict[str, datetime] = {}
    for device, facts in sorted(reports.by_device.items()):
        if not device.startswith(("TEAM", "LAB")) and rng.random() < OFFLINE:
            hours = rng.uniform(*OFFLINE_HOURS)
            late[device] = min(latest, facts[len(facts) // 2].at + timedelta(hours=hours))
    for tube in reports.truth.tubes:
        if tube.mishap == "overtaken" and tube.partner:
            device = phone_of(tube.partner.site, tube.partner.station)
            after = _released_at(batches, tube) + timedelta(minutes=20)
            late[device] = min(latest, max(after, late.get(device, after)))
    return late


def _released_at(batches: Sequence[Batch], tube: Tube) -> datetime:
    batch = next(batch for batch in batches if tube in batch.tubes)
    return batch.read_at + timedelta(minutes=45)


def _swap(rng: random.Random, mine: list[Parcel]) -> None:
    """Now and then a parcel overtakes the one before it."""
    for first, second in pairwise(mine):
        if rng.random() < SWAPPED and second.send_at - first.send_at < timedelta(hours=1):
            first.send_at = second.send_at + timedelta(seconds=1)


def _count_unsent(mine: list[Parcel], facts: list[Fact]) -> None:
    """What the phone says about itself with each request: its highest number and how many facts still wait."""
    made = sorted(fact.at for fact in facts)
    done = position = 0
    for parcel in sorted(mine, key=lambda parcel: parcel.send_at):
        while position < len(made) and made[position] <= parcel.send_at:
            position += 1
        done += len(parcel.facts)
        parcel.highest_seq = max(position, max(fact.seq for fact in parcel.facts))
        parcel.unsent = max(0, position - done)


def _repeat(rng: random.Random, parcel: Parcel) -> Parcel:
    """The same request again: the answer got lost on the way."""
    later = timedelta(minutes=rng.choice((1, 3, 40)))
    facts = list(parcel.facts)
    return Parcel(parcel.device, parcel.send_at + later, facts, parcel.highest_seq, parcel.unsent, again=True)


def as_json(parcel: Parcel, now: datetime, skew: timedelta, first_seq: int) -> dict[str, Any]:
    """The body of the request, by the phone's own clock. ``first_seq``: facts of this device in earlier rounds."""
    return {
        "sent_at": (now + skew).isoformat(),
        "highest_seq": first_seq + parcel.highest_seq,
        "unsent": parcel.unsent,
        "app": APP,
        "facts": [_fact(fact, skew, first_seq) for fact in parcel.facts],
    }


def _fact(fact: Fact, skew: timedelta, first_seq: int) -> dict[str, Any]:
    return {
        "id": fact.id,
        "kind": fact.kind,
        "level": 1,
        "happened_at": (fact.at + skew).isoformat(),
        "device_seq": first_seq + fact.seq,
        "by": fact.by,
        "body": fact.body,
    }


def first_seqs(earlier: Mapping[str, int], reports: Reports) -> dict[str, int]:
    """How many facts each device had before this round."""
    return {device: earlier.get(device, 0) for device in reports.by_device}
