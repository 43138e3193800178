"""From the field to the board: how long a swab takes to be seen, and how quickly the board answers."""

import http.client
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection

from dabai.testing.coverage import outstanding
from dabai.testkit.replay.desk import Account, Desk
from dabai.testkit.replay.wire import Wire
from tests.load.figure import Figure, at_most
from tests.load.reports import Field, Report, tube_reports
from tests.load.rounds import POOL, new_round
from tests.load.sender import sending
from tests.load.stage import Stage
from tests.load.world import DISTRICT, LOG_IN

OFFERED = 4_000
SECONDS = 30
CONNECTIONS = 32
PROBE_EVERY = 1.0
PATIENCE = 60.0
ASKED = 30
PAGE = 100


def desk_of(port: int, member: str) -> Desk:
    """One of the cast, logged in."""
    desk = Desk(Wire(f"http://127.0.0.1:{port}"), Account(member, LOG_IN))
    desk.log_in()
    return desk


@dataclass
class Probes:
    """Tubes of ten sent one after the other, each looked for on the board until it is there."""

    port: int
    desk: Desk
    field: Field
    grids: list[str]
    seen: list[float] = field(default_factory=list)

    def send(self, number: int) -> None:
        """A tube of ten of one grid, far from the others; how long after the receipt the grid's figure shows them."""
        visit, which = divmod(number, len(self.grids))
        world, grid = self.field.world, self.grids[which]
        self.field.next_person = world.first_person(grid) + visit * POOL
        before = self.sampled(grid)
        report = next(iter(tube_reports(self.field, POOL)))
        receipt_at = self.post(report)
        end = receipt_at + PATIENCE
        while self.sampled(grid) < before + POOL:
            if time.monotonic() > end:
                raise SystemExit(f"a tube was not on the board after {PATIENCE:.0f} s")
            time.sleep(0.05)
        self.seen.append(time.monotonic() - receipt_at)

    def post(self, report: Report) -> float:
        """Send a report; when its receipt was there."""
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            head = {"Authorization": f"Device {report.phone.token}", "Content-Type": "application/json"}
            wire.request("POST", "/api/v1/facts", orjson.dumps({"facts": report.facts}), head)
            receipts = orjson.loads(wire.getresponse().read())["receipts"]
            assert all(one["verdict"] == "accepted" for one in receipts)
            return time.monotonic()
        finally:
            wire.close()

    def sampled(self, grid: str) -> int:
        """How many people of a grid the board shows as swabbed."""
        return int(self.desk.get(f"rounds/{self.field.round}/coverage", area=grid)["area"]["sampled"])


def fact_to_board(stage: Stage) -> list[Figure]:
    """Tubes of ten at 4,000 samples a second for half a minute, with the worker at work."""
    rate, seconds = (200, 3) if stage.quick else (OFFERED, SECONDS)
    row = new_round(stage.place, stage.world)
    stage.place.checkpoint()
    with stage.place.web() as port, stage.place.worker():
        load, sample = Field(stage.world, row.pk), Field(stage.world, row.pk, spot_every=0)
        requests = [report.request(port) for report in tube_reports(load, rate * seconds)]
        spare = stage.world.grids[-max(1, len(stage.world.grids) // 10) :]
        probes = Probes(port, desk_of(port, "commander"), sample, spare)
        probes.send(0)
        probes.seen.clear()
        with sending(port, requests, connections=CONNECTIONS, rate=rate / POOL) as answer:
            number = 1
            while not answer.poll():
                started = time.monotonic()
                probes.send(number)
                number += 1
                time.sleep(max(0.0, started + PROBE_EVERY - time.monotonic()))
            sent = answer.recv()
        drained = wait_for_worker(port)
    p50, worst = statistics.median(probes.seen), max(probes.seen)
    achieved = sent.requests * POOL / sent.seconds
    detail = {
        "p50": round(p50, 2), "probes": len(probes.seen), "offered": rate, "achieved": round(achieved),
        "failed": sent.failed, "request_p99_ms": round(sent.quantile(0.99) * 1000),
        "drained_after_s": round(drained, 2), "people": stage.people, "samples": stage.world.samples,
    }  # fmt: skip
    return [at_most("fact_to_board", worst, 3.0, **detail)]


def wait_for_worker(port: int) -> float:
    """Seconds until no mark waits any more."""
    wire, started = Wire(f"http://127.0.0.1:{port}"), time.monotonic()
    while wire.get("/api/v1/health", {})["waiting"]:
        time.sleep(0.1)
    return time.monotonic() - started


# --- asking the board -----------------------------------------------------------------------------------------


def coverage(stage: Stage) -> list[Figure]:
    """The board's own request at every depth of the newest round that is through, and a grid's outstanding list."""
    through, fresh = stage.newest_past_round(), new_round(stage.place, stage.world)
    grid = stage.world.grids[len(stage.world.grids) // 2]
    with stage.place.web() as port:
        desk = desk_of(port, "commander")
        depths = {
            name: grid[:length] for name, length in (("district", 6), ("street", 9), ("community", 12), ("grid", 14))
        }
        took = {
            name: times(lambda area=area: desk.get(f"rounds/{through}/coverage", area=area))  # type: ignore[misc]
            for name, area in depths.items()
        }
    worst = max(took, key=lambda name: took[name][1])
    depth = {name: {"p50": round(one[0], 1), "p95": round(one[1], 1)} for name, one in took.items()}
    lists = times(lambda: list_of(fresh.pk, grid))
    return [
        at_most(
            "coverage_1m", took[worst][1], 100.0, "ms", p50=round(took[worst][0], 1), depths=depth, people=stage.people
        ),
        at_most("outstanding_grid", lists[1], 50.0, "ms", p50=round(lists[0], 1), page=PAGE, people=stage.people),
    ]


def list_of(round_id: int, grid: str) -> Any:
    """The first page of who is outstanding in a grid."""
    with connection.cursor() as cursor:
        found = outstanding(cursor, DISTRICT, round_id, [grid], limit=PAGE)
    assert found.rows
    return found


def times(ask: Callable[[], Any]) -> tuple[float, float]:
    """Median and 95th percentile of how long something takes, in milliseconds, after a few tries to warm up."""
    took = []
    for number in range(ASKED + 3):
        started = time.perf_counter()
        ask()
        if number >= 3:
            took.append((time.perf_counter() - started) * 1000)
    took.sort()
    return statistics.median(took), took[int(len(took) * 0.95)]
