"""The way of a tube from the rack to the laboratory: bags, boxes, couriers, runs (管→袋→箱→交接→接收→结果)."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dabai.testkit.replay.field import POST_HOURS, RoundTruth, Tube
from dabai.testkit.replay.scenario import Scenario, SitePlan

PICK_UP_EVERY = timedelta(hours=2)
AFTER_SESSION = timedelta(minutes=15)
LOADING = timedelta(minutes=5)
ON_THE_ROAD = timedelta(minutes=40)
RUN_GRID = timedelta(minutes=30)
RUN_TAKES = timedelta(hours=2)
PLATE = 94


@dataclass(eq=False)
class Box:
    """A transfer box. ``bags``: label and what stands on its list; ``missing``: on the list, but not inside."""

    label: str
    site: SitePlan
    courier: int
    laboratory: SitePlan
    sealed_at: datetime
    bags: list[tuple[str, list[Tube]]]
    missing: list[Tube] = field(default_factory=list)

    @property
    def listed(self) -> list[Tube]:
        return [tube for _, tubes in self.bags for tube in tubes]

    @property
    def inside(self) -> list[Tube]:
        return [tube for tube in self.listed if tube not in self.missing]

    @property
    def received_at(self) -> datetime:
        return self.sealed_at + LOADING + ON_THE_ROAD


@dataclass(eq=False)
class Batch:
    """What a laboratory runs at one time: plates of at most 94 tubes, one result file for all of them."""

    laboratory: SitePlan
    started_at: datetime
    runs: list[tuple[str, list[Tube]]]

    @property
    def read_at(self) -> datetime:
        return self.started_at + RUN_TAKES

    @property
    def tubes(self) -> list[Tube]:
        return [tube for _, tubes in self.runs for tube in tubes]


def pick_ups(truth: RoundTruth, site: SitePlan) -> list[datetime]:
    """When a courier comes: every two hours of a session, after its end, and after the make-up session."""
    times: list[datetime] = []
    for start, end in _working_hours(truth, site):
        moment = start + PICK_UP_EVERY
        while moment < end:
            times.append(moment)
            moment += PICK_UP_EVERY
        times.append(end + AFTER_SESSION)
    return times


def _working_hours(truth: RoundTruth, site: SitePlan) -> Iterator[tuple[datetime, datetime]]:
    if site.kind == "checkpoint":
        zone = truth.plan.starts_at.tzinfo
        for day in truth.plan.posts:
            yield datetime.combine(day, POST_HOURS[0], zone), datetime.combine(day, POST_HOURS[1], zone)
        return
    for span in (*truth.plan.sessions, truth.plan.make_up):
        yield span.start, span.end


def pack(scenario: Scenario, truth: RoundTruth) -> list[Box]:
    """All boxes of a round. A tube whose barcode came twice stands aside until the last pick-up, under its new label;
    one that was left on the table stands on the list of its box and goes with the next."""
    by_site: dict[SitePlan, list[Tube]] = defaultdict(list)
    for tube in sorted(truth.tubes, key=lambda tube: (tube.sealed_at, tube.label)):
        if tube.fate != "voided":
            by_site[tube.site].append(tube)
    boxes: list[Box] = []
    for n, (site, tubes) in enumerate(sorted(by_site.items(), key=lambda item: item[0].code)):
        laboratory = scenario.laboratories[n % len(scenario.laboratories)]
        boxes += _pack_site(scenario, truth, tubes, pick_ups(truth, site), n % scenario.field["couriers"], laboratory)
    return sorted(boxes, key=lambda box: (box.sealed_at, box.label))


def _pack_site(
    scenario: Scenario, truth: RoundTruth, tubes: list[Tube], times: list[datetime], courier: int, lab: SitePlan
) -> Iterator[Box]:
    waiting = list(tubes)
    forgotten: list[Tube] = []
    for time in times:
        last = time == times[-1]
        ready = [t for t in waiting if last or (t.sealed_at <= time - LOADING and not _set_aside(t))]
        waiting = [t for t in waiting if t not in ready]
        left_out = [] if last else [t for t in ready if t.mishap == "short"]
        yield from _boxes(scenario, truth, forgotten + ready, left_out, time, courier, lab)
        forgotten = left_out


def _set_aside(tube: Tube) -> bool:
    return tube.label != tube.scanned


def _boxes(
    scenario: Scenario,
    truth: RoundTruth,
    tubes: list[Tube],
    left_out: list[Tube],
    time: datetime,
    courier: int,
    lab: SitePlan,
) -> Iterator[Box]:
    """Bags of twenty, boxes of three bags."""
    per_bag = scenario.field["tubes_per_bag"]
    per_box = per_bag * scenario.field["bags_per_box"]
    for start in range(0, len(tubes), per_box):
        load = tubes[start : start + per_box]
        bags = [(truth.labels.next("D"), load[n : n + per_bag]) for n in range(0, len(load), per_bag)]
        missing = [tube for tube in load if tube in left_out]
        yield Box(truth.labels.next("X"), load[0].site, courier, lab, time, bags, missing)


def runs(truth: RoundTruth, boxes: list[Box]) -> list[Batch]:
    """What the laboratories run: everything received and not rejected, every half an hour."""
    arrived: dict[tuple[datetime, str], list[Box]] = defaultdict(list)
    for box in boxes:
        arrived[_next_run(truth, box.received_at), box.laboratory.code].append(box)
    batches = []
    for (start, code), received in sorted(arrived.items(), key=lambda item: item[0]):
        tubes = [tube for box in received for tube in box.inside if tube.fate != "rejected"]
        name = f"{code}-{start:%m%d%H%M}"
        plates = [(f"{name}-{n // PLATE + 1}", tubes[n : n + PLATE]) for n in range(0, len(tubes), PLATE)]
        if plates:
            batches.append(Batch(received[0].laboratory, start, plates))
    return batches


def _next_run(truth: RoundTruth, received: datetime) -> datetime:
    """The first time of the grid at least ten minutes after the box was opened."""
    waited = received + timedelta(minutes=10) - truth.plan.starts_at
    steps = -(-waited // RUN_GRID)
    return truth.plan.starts_at + steps * RUN_GRID
