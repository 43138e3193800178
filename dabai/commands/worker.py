"""``dabai worker``: turns marks into derived rows and figures, for ever. ``dabai serve`` starts it; one is enough.

Two of them do no harm: a lock in the database lets one work at a time.
"""

import argparse
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dabai.commands._folder import heartbeat_file

HELP = "Recompute derived state and figures as facts come in (started by dabai serve)."
IDLE = 0.1
PACE = 0.25
TURN = 1.0
FEWEST = 1000
BUSY_CELLS = 1.0
HEARTBEAT = 5.0
PARTITIONS = 6 * 3600.0

log = logging.getLogger("dabai.worker")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--once", action="store_true", help="work off what is there, then stop")


def run(args: argparse.Namespace) -> int:
    """Work until told to stop."""
    import django

    django.setup()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if args.once:
        from dabai.registry import settle_down

        settle_down()
        return 0
    work(stop)
    return 0


def work(stop: threading.Event) -> None:
    """Both stages in turn. While marks keep coming, figures are brought up to date every second, or
    as often as a quarter of the time allows.

    A turn costs the same for one mark as for a hundred, so while marks keep coming each takes what came in a while;
    and when many wait it takes no more than a second's work, or what came last would be seen two long turns later.
    """
    from django.db import Error, connection

    from dabai import registry
    from dabai.journal.partitions import make_ahead
    from dabai.kernel import clock
    from dabai.kernel.growth import Growth

    growth = Growth(registry.JOINED)
    cells = Cells()
    beat_at = 0.0
    partitions_at = -PARTITIONS
    as_of, looked = None, False
    taken, most = 0, registry.MARKS
    while not stop.is_set():
        began, before = time.monotonic(), taken
        try:
            if time.monotonic() - beat_at > HEARTBEAT:
                beat_at = beat()
            if time.monotonic() - partitions_at > PARTITIONS:
                make_ahead(clock.now())
                partitions_at = time.monotonic()
            started = clock.now()
            limit = growth.limit(most)
            begun = time.monotonic()
            taken = registry.derive_once(limit)
            most = most_marks(registry.MARKS, most, taken, time.monotonic() - begun)
            as_of = as_of if taken >= limit else started
            if cells.are_due(busy=taken > 0):
                with cells.timed():
                    rested = not registry.figures_once(as_of=as_of) and not taken
                if rested:
                    registry.correct_bulletins(everything=not looked)
                    looked = True
                    stop.wait(IDLE)
            elif not taken:
                stop.wait(IDLE)
            if before and 0 < taken < limit:
                stop.wait(max(0.0, began + PACE - time.monotonic()))
        except Error:
            log.exception("the database did not do what was asked; trying again")
            connection.close()
            stop.wait(1.0)


def most_marks(ceiling: int, most: int, taken: int, seconds: float) -> int:
    """How many marks make a turn of about a second, after a turn that took so many in so many seconds."""
    if taken < FEWEST:
        return most
    return min(ceiling, max(FEWEST, int(taken / seconds * TURN)))


@dataclass(slots=True)
class Cells:
    """When figures were last brought up to date, and how long that took."""

    at: float = float("-inf")
    took: float = 0.0

    def are_due(self, *, busy: bool) -> bool:
        """Whether it is time again: every second while facts keep coming, and with nothing else to do at once. Never so
        often that figures take more than a quarter of the time: a day's results touch every point with each turn.
        """
        rest = max(BUSY_CELLS, 3 * self.took) if busy else min(BUSY_CELLS, 2 * self.took)
        return time.monotonic() - self.at >= rest

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Note how long it takes."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.at = time.monotonic()
            self.took = self.at - began


def beat() -> float:
    """Touch the heartbeat file that ``dabai doctor`` reads."""
    from django.conf import settings

    folder = Path(settings.DATA_FOLDER)
    if folder.is_dir():
        heartbeat_file(folder).touch()
    return time.monotonic()
