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

from dabai.testkit.replay.phones import Parcel, as_json
from dabai.testkit.replay.reports import Fact
from dabai.testkit.replay.wire import Clock, Refused, Unreachable, Wire

THREADS = 4
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
    """Spoils one thing on its way in: the phones and the ledger know nothing of it."""

    def __init__(self, what: str | None) -> None:
        self.what = what
        self.fact: str | None = None
        self.other_tube = ""
        self.twin = ""

    def aim(self, facts: Iterable[Fact], spared: set[str]) -> None:
        """Choose an ordinary sample of the round, and another tube's label."""
        samples = [f for f in facts if f.kind == "testing.sample_taken" and f.body["tube"] not in spared]
        if self.what not in ("drop", "rebind", "double") or self.fact or not samples:
            return
        chosen = samples[len(samples) // 2]
        others = (f.body["tube"] for f in samples if f.body["site"] == chosen.body["site"])
        tube = next((tube for tube in others if tube != chosen.body["tube"]), "")
        self.fact, self.other_tube = chosen.id, tube or samples[0].body["tube"]
        # A version 7 id like the first, one bit apart in its random part.
        self.twin = str(uuid.UUID(int=uuid.UUID(chosen.id).int ^ 1))

    def spoil(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request as it arrives."""
        hit = [fact for fact in body["facts"] if fact["id"] == self.fact]
        if not hit:
            return body
        if self.what == "drop":
            body["facts"] = [fact for fact in body["facts"] if fact["id"] != self.fact]
        elif self.what == "rebind":
            hit[0]["body"] = hit[0]["body"] | {"tube": self.other_tube}
        elif self.what == "double":
            body["facts"] = [*body["facts"], hit[0] | {"id": self.twin}]
        return body

    def mend(self, parcel: Parcel, receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The receipts that the phone sees: it must not notice."""
        seen = {receipt["id"]: receipt for receipt in receipts}
        if self.fact in {fact.id for fact in parcel.facts}:
            seen.setdefault(self.fact, {"id": self.fact, "verdict": "accepted"})
        return [seen[fact.id] for fact in parcel.facts if fact.id in seen]


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
        with self.wake:
            times = [self.busy] if self.busy else []
            return any(time <= until for time in times + [entry[0] for entry in self.heap[:1]])

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
