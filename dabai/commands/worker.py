"""``dabai worker``: turns marks into derived rows and figures, for ever. ``dabai serve`` starts it; one is enough.

Two of them do no harm: a lock in the database lets one work at a time.
"""

import argparse
import logging
import signal
import threading
import time
from pathlib import Path

from dabai.commands._folder import heartbeat_file

HELP = "Recompute derived state and figures as facts come in (started by dabai serve)."
IDLE = 0.1
PACE = 0.25
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
    """Both stages in turn. While marks keep coming, figures are still brought up to date every second.

    A turn costs the same for one mark as for a hundred, so while marks keep coming each takes what came in a while.
    """
    from django.db import Error, connection

    from dabai import registry
    from dabai.journal.partitions import make_ahead
    from dabai.kernel import clock
    from dabai.kernel.growth import Growth

    growth = Growth(registry.JOINED)
    figures_at = beat_at = 0.0
    partitions_at = -PARTITIONS
    as_of, looked = None, False
    taken = 0
    while not stop.is_set():
        began, before = time.monotonic(), taken
        try:
            if time.monotonic() - beat_at > HEARTBEAT:
                beat_at = beat()
            if time.monotonic() - partitions_at > PARTITIONS:
                make_ahead(clock.now())
                partitions_at = time.monotonic()
            started = clock.now()
            limit = growth.limit(registry.MARKS)
            taken = registry.derive_once(limit)
            as_of = as_of if taken >= limit else started
            idle = not taken
            if idle or time.monotonic() - figures_at > BUSY_CELLS:
                idle = not registry.figures_once(as_of=as_of) and idle
                figures_at = time.monotonic()
            if idle:
                registry.correct_bulletins(everything=not looked)
                looked = True
                stop.wait(IDLE)
            elif before and 0 < taken < limit:
                stop.wait(max(0.0, began + PACE - time.monotonic()))
        except Error:
            log.exception("the database did not do what was asked; trying again")
            connection.close()
            stop.wait(1.0)


def beat() -> float:
    """Touch the heartbeat file that ``dabai doctor`` reads."""
    from django.conf import settings

    folder = Path(settings.DATA_FOLDER)
    if folder.is_dir():
        heartbeat_file(folder).touch()
    return time.monotonic()
