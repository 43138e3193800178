"""A few threads that send the phones' parcels when their time has come, and keep every receipt."""

import heapq
import itertools
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dabai.testkit.replay.field import Tube
from dabai.testkit.replay.phones import Parcel, as_json
from dabai.testkit.replay.reports import Fact
from dabai.testkit.replay.wire import Clock, Refused, Unreachable, Wire

THREADS = 4
FACT_SABOTAGES = {"drop", "rebind", "double"}
HELD_POLL = 0.02


@dataclass
class Receipts:
    """What the server said about each fact, and everything that should not have been said."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    verdicts: dict[str, str] = field(default_factory=dict)
    expected_refusals: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    facts: int = 0
    requests: int = 0

    def note(self, parcel: Parcel, receipts: list[dict[str, Any]]) -> None:
        with self.lock:
            self.requests += 1
            self.facts += len(receipts)
            if [receipt["id"] for receipt in receipts] != [fact.id for fact in parcel.facts]:
                self.problems.append(f"{parcel.device}: receipts do not answer the facts that were sent")
            for fact, receipt in zip(parcel.facts, receipts, strict=False):
                self._note_one(fact, receipt)

    def _note_one(self, fact: Fact, receipt: dict[str, Any]) -> None:
        said = f"{receipt['verdict']} {receipt.get('code') or ''}".strip()
        before = self.verdicts.setdefault(fact.id, said)
        if before != said:
            self.problems.append(f"{fact.kind}: a receipt changed from {before} to {said}")
        refused = receipt["verdict"] == "refused"
        if refused != (fact.id in self.expected_refusals):
            self.problems.append(f"{fact.kind}: {said} {receipt.get('field') or ''}".strip())

    def trouble(self, text: str) -> None:
        with self.lock:
            self.problems.append(text)


class Sabotage:
    """Spoils a thing of each asked kind on its way in: the phones and the ledger know nothing of it.

    Each takes tubes of its own. ``people`` are the driver's numbers of those in whose records it must show.
    """

    def __init__(self, *kinds: str) -> None:
        self.kinds = set(kinds)
        self.facts: dict[str, str] = {}
        self.other_tube = ""
        self.tubes: set[str] = set()
        self.people: dict[str, set[int]] = {}

    def aim(self, facts: Iterable[Fact], spared: set[str], keys: Mapping[str, int]) -> None:
        """Choose ordinary samples of people on the list. ``spared``: tubes that are odd as it is."""
        samples = [f for f in facts if f.kind == "testing.sample_taken" and f.body["person"] in keys]
        samples = [f for f in samples if f.body["tube"] not in spared]
        for kind in sorted(self.kinds & FACT_SABOTAGES - set(self.people)):
            free = [fact for fact in samples if fact.body["tube"] not in self.tubes]
            if pair := _with_neighbour(free[len(free) // 2 :] + free):
                chosen, other = pair
                self.facts[chosen.id] = kind
                self.people[kind] = {keys[chosen.body["person"]]}
                self.tubes |= {chosen.body["tube"], other}
                self.other_tube = other if kind == "rebind" else self.other_tube

    def take(self, tube: Tube) -> bool:
        """Whether this is the tube whose result is spoiled; it is the first ordinary pool that is offered."""
        free = not tube.mishap and len(tube.swabs) > 1 and tube.label not in self.tubes
        if "wrong-result" not in self.kinds or "wrong-result" in self.people or not free:
            return False
        self.people["wrong-result"] = {swab.person.key for swab in tube.swabs}
        return True

    def spoil(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as it arrives."""
        facts: list[dict[str, Any]] = []
        for fact in body["facts"]:
            kind = self.facts.get(fact["id"])
            if kind == "rebind":
                fact["body"] = fact["body"] | {"tube": self.other_tube}
            if kind != "drop":
                facts.append(fact)
            if kind == "double":
                # A version 7 id like the first, one bit apart in its random part.
                facts.append(fact | {"id": str(uuid.UUID(int=uuid.UUID(fact["id"]).int ^ 1))})
        return body | {"facts": facts}

    def mend(self, parcel: Parcel, receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The receipts that the phone sees: it must not notice."""
        seen = {receipt["id"]: receipt for receipt in receipts}
        for fact in parcel.facts:
            if fact.id in self.facts:
                seen.setdefault(fact.id, {"id": fact.id, "verdict": "accepted"})
        return [seen[fact.id] for fact in parcel.facts if fact.id in seen]


def _with_neighbour(samples: list[Fact]) -> tuple[Fact, str] | None:
    """The first sample at whose point there is another tube, and that tube."""
    for fact in samples:
        for other in samples:
            if other.body["site"] == fact.body["site"] and other.body["tube"] != fact.body["tube"]:
                return fact, other.body["tube"]
    return None


class Senders:
    """The network between points and server. A device always uses the same thread, so that its order is its own."""

    def __init__(self, wire: Wire, clock: Clock, receipts: Receipts, sabotage: Sabotage) -> None:
        self.wire, self.clock, self.receipts, self.sabotage = wire, clock, receipts, sabotage
        self.tokens: Mapping[str, str] = {}
        self.skew: Mapping[str, timedelta] = {}
        self.first_seq: dict[int, Mapping[str, int]] = {}
        self.lanes = [_Lane(self) for _ in range(THREADS)]
        self.ticket = itertools.count()
        self.network = threading.Event()
        self.network.set()

    def start(self, tokens: Mapping[str, str], skew: Mapping[str, timedelta]) -> None:
        self.tokens, self.skew = tokens, skew
        for lane in self.lanes:
            lane.start()

    def post(self, parcels: Iterable[Parcel], first_seq: Mapping[str, int]) -> None:
        """Take parcels to send when their time comes."""
        for parcel in parcels:
            lane = self.lanes[zlib.crc32(parcel.device.encode()) % THREADS]
            lane.put(parcel, next(self.ticket), first_seq.get(parcel.device, 0))

    def send(self, parcel: Parcel, first_seq: int) -> None:
        """One request; its receipts are kept."""
        body = as_json(parcel, self.clock.now(), self.skew.get(parcel.device, timedelta()), first_seq)
        body = self.sabotage.spoil(body)
        try:
            answer = self.wire.post("/api/v1/facts", {"Authorization": f"Device {self.tokens[parcel.device]}"}, body)
            self.receipts.note(parcel, self.sabotage.mend(parcel, answer["receipts"]))
        except (Refused, Unreachable) as problem:
            self.receipts.trouble(f"{parcel.device}: {problem}")

    def waiting(self, until: datetime) -> bool:
        """Whether a parcel that should have left by then has not been answered yet."""
        return any(lane.due(until) for lane in self.lanes)

    def next_at(self, now: datetime) -> datetime:
        """When the earliest parcel should have left that has not been answered yet; now if there is none."""
        return min([now, *(at for lane in self.lanes if (at := lane.next_at()) is not None)])

    def settle(self, until: datetime) -> None:
        """Wait until everything due by ``until`` has been answered."""
        while self.waiting(until):
            time.sleep(0.02)

    @contextmanager
    def held(self) -> Iterator[None]:
        """While no phone has a network: what is on its way arrives, the rest waits until the end of this."""
        self.network.clear()
        while any(lane.sends() for lane in self.lanes):
            time.sleep(0.02)
        try:
            yield
        finally:
            self.network.set()

    def stop(self) -> None:
        self.network.set()
        for lane in self.lanes:
            lane.stop()
        for lane in self.lanes:
            lane.join()


class _Lane(threading.Thread):
    """One thread with the parcels of its devices, earliest first."""

    def __init__(self, senders: Senders) -> None:
        super().__init__(daemon=True)
        self.senders = senders
        self.wake = threading.Condition()
        self.heap: list[tuple[datetime, int, int, Parcel]] = []
        self.busy: datetime | None = None
        self.ended = False

    def put(self, parcel: Parcel, ticket: int, first_seq: int) -> None:
        with self.wake:
            heapq.heappush(self.heap, (parcel.send_at, ticket, first_seq, parcel))
            self.wake.notify()

    def due(self, until: datetime) -> bool:
        return (first := self.next_at()) is not None and first <= until

    def next_at(self) -> datetime | None:
        """When the earliest parcel leaves, or should have left, that has not been answered yet."""
        with self.wake:
            return self.busy or (self.heap[0][0] if self.heap else None)

    def sends(self) -> bool:
        with self.wake:
            return self.busy is not None

    def stop(self) -> None:
        with self.wake:
            self.ended = True
            self.wake.notify()

    def run(self) -> None:
        while (taken := self._take()) is not None:
            parcel, first_seq = taken
            self.senders.send(parcel, first_seq)
            with self.wake:
                self.busy = None

    def _take(self) -> tuple[Parcel, int] | None:
        """The next parcel whose time has come; None at the end."""
        with self.wake:
            while not self.ended:
                left = self.senders.clock.seconds_until(self.heap[0][0]) if self.heap else 3600.0
                if left <= 0 and self.senders.network.is_set():
                    send_at, _, first_seq, parcel = heapq.heappop(self.heap)
                    self.busy = send_at
                    return parcel, first_seq
                self.wake.wait(timeout=max(left, HELD_POLL))
            return None
