"""How fast facts come in: HTTP in, durable, encrypted, indexed, marked, receipt out; against the bare driver."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import connection

from tests.load import bare
from tests.load.figure import Figure, paired
from tests.load.installation import WEB_PROCESSES
from tests.load.reports import Field, Report, batch_reports, plain_batches, tube_reports
from tests.load.rounds import open_round
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


def intake(stage: Stage, kind: Kind) -> Figure:
    """Median of five pairs, ours and bare in turn."""
    with stage.place.web() as port:
        field = new_field(stage)
        size = stage.scaled(kind.samples)
        ours(stage, port, kind.make(field, size // 4))
        way = faster_way(stage, field, kind, size // 4)
        mine, other = [], []
        for _ in range(stage.pairs):
            mine.append(ours(stage, port, kind.make(field, size)))
            other.append(theirs(stage, kind.make(field, size), way))
    about = {"bare_way": way, "bare_connections": WEB_PROCESSES, "connections": CONNECTIONS, "samples": stage.world.samples}
    return paired(kind.name, mine, other, unit="samples/s", target=kind.target, **about)


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
    stage.note(f"ours {len(reports)} requests: p50 {sent.quantile(0.5) * 1000:.0f} ms, p99 {sent.quantile(0.99) * 1000:.0f} ms, generator {sent.processor_seconds / sent.seconds:.2f} cores")
    return sum(report.samples for report in reports) / sent.seconds


def theirs(stage: Stage, reports: Sequence[Report], way: str) -> float:
    """Samples a second by the bare driver."""
    batches = plain_batches(reports)
    settle(stage)
    return bare.run(stage.place.url, batches, way=way, connections=WEB_PROCESSES)


def settle(stage: Stage) -> None:
    """The same start for each run: everything written out, no marks waiting."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE journal_mark")
    connection.close()
    stage.place.checkpoint()


def faster_way(stage: Stage, field: Field, kind: Kind, samples: int) -> str:
    """Which of the bare driver's ways counts."""
    rates = {way: theirs(stage, kind.make(field, samples), way) for way in bare.WAYS}
    stage.note(f"bare {kind.name}: " + ", ".join(f"{way} {rate:.0f}/s" for way, rate in rates.items()))
    return max(rates, key=lambda way: rates[way])
