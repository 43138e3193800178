"""How fast facts come in: HTTP in, durable, encrypted, indexed, marked, receipt out; against the bare driver."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection

from tests.load import bare
from tests.load.figure import Figure, paired
from tests.load.installation import WEB_PROCESSES
from tests.load.reports import Field, Report, batch_reports, plain_batches, tube_reports
from tests.load.sender import send
from tests.load.stage import Stage

CONNECTIONS = 32
Make = Callable[[Field, int], list[Report]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: how it is made, how many samples a run sends, the rate that is asked for."""

    name: str
    make: Make
    samples: int
    target: float


TUBES_OF_TEN = Kind("intake_tube_of_ten", tube_reports, 40_000, 4_000)
OF_200 = Kind("intake_200", batch_reports, 80_000, 10_000)


def intake(stage: Stage, kind: Kind) -> list[Figure]:
    """Median of five pairs, ours and bare in turn."""
    with stage.place.web() as port:
        field = new_field(stage)
        size = stage.scaled(kind.samples)
        ours(stage, port, kind.make(field, size // 4))
        way = fastest(stage, field, kind, size // 2)
        mine, other = [], []
        for _ in range(stage.pairs):
            mine.append(ours(stage, port, kind.make(field, size)))
            other.append(theirs(stage, kind.make(field, size), *way))
    about = {"bare_way": way[0], "bare_connections": way[1], "connections": CONNECTIONS, "samples": stage.world.samples}
    return [paired(kind.name, mine, other, unit="samples/s", target=kind.target, **about)]


GROWTH_RUNS = 3


def before_growth(stage: Stage) -> list[Figure]:
    """What ``growth`` compares with: tubes of ten a second while there are few samples."""
    stage.rates = rates(stage)
    return []


def growth(stage: Stage) -> list[Figure]:
    """Tubes of ten with many samples, as a part of what it was with few; ``bare``: the same of the bare driver."""
    assert stage.rates is not None
    (ours, bare), (ours_before, bare_before) = rates(stage), stage.rates
    part, other = ours / ours_before, bare / bare_before
    detail = {"before": round(ours_before), "after": round(ours), "samples": stage.world.samples}
    name = "intake_20m_vs_1m"
    return [Figure(name, part, "of the rate before", 0.8, part >= 0.8, bare=other, ratio=part / other, detail=detail)]


def rates(stage: Stage) -> tuple[float, float]:
    """Ours and bare, the median of a few runs in turn."""
    with stage.place.web() as port:
        field, size = new_field(stage), stage.scaled(TUBES_OF_TEN.samples)
        ours(stage, port, tube_reports(field, size // 4))
        mine, other = [], []
        for _ in range(1 if stage.quick else GROWTH_RUNS):
            mine.append(ours(stage, port, tube_reports(field, size)))
            other.append(theirs(stage, tube_reports(field, size), "copy", CONNECTIONS))
    return statistics.median(mine), statistics.median(other)


def new_field(stage: Stage) -> Field:
    """A field force on a fresh round."""
    return Field(stage.world, stage.running_round().pk)


def ours(stage: Stage, port: int, reports: Sequence[Report]) -> float:
    """Samples a second through the web processes. Every fact must be accepted."""
    requests = [report.request(port) for report in reports]
    settle(stage)
    sent = send(port, requests, connections=CONNECTIONS)
    facts = sum(len(report.facts) for report in reports)
    if sent.failed or sent.accepted != facts:
        raise SystemExit(f"{sent.failed} requests failed; {sent.accepted} of {facts} facts accepted")
    p50, p99, load = sent.quantile(0.5) * 1000, sent.quantile(0.99) * 1000, sent.processor_seconds / sent.seconds
    stage.note(f"ours: {len(reports)} requests, p50 {p50:.0f} ms, p99 {p99:.0f} ms, load generator {load:.2f} cores")
    return sum(report.samples for report in reports) / sent.seconds


def theirs(stage: Stage, reports: Sequence[Report], way: str, connections: int) -> float:
    """Samples a second by the bare driver."""
    batches = plain_batches(reports)
    settle(stage)
    return bare.run(stage.place.url, batches, way=way, connections=connections)


def settle(stage: Stage) -> None:
    """The same start for each run: everything written out, no marks waiting."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE journal_mark")
    connection.close()
    stage.place.checkpoint()


def fastest(stage: Stage, field: Field, kind: Kind, samples: int) -> tuple[str, int]:
    """Which of the bare driver's ways counts: COPY or unnest, on as many connections as our writers have (one in each
    web process) or as the load generator has."""
    ways = [(way, connections) for way in bare.WAYS for connections in (WEB_PROCESSES, CONNECTIONS)]
    rates = {way: theirs(stage, kind.make(field, samples), *way) for way in ways}
    stage.note(f"bare: {', '.join(f'{way} x {many} {rates[way, many]:.0f}/s' for way, many in ways)}")
    return max(ways, key=lambda way: rates[way])
