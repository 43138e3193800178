"""Time of this installation: one clock, one business zone.

A drill may run on its own clock (``DABAI_DRILL_CLOCK=2022-03-13T07:00:00+08:00x60``): ``dabai serve`` sets it for all
of its processes, and only on a database that holds nothing but drills. No code asks whether it is being replayed.
"""

import os
import time
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from django.conf import settings


@cache
def drill_clock() -> tuple[datetime, float, float] | None:
    """(drill start, rate, real time at which it started) when a drill clock is set, else None."""
    text = os.environ.get("DABAI_DRILL_CLOCK")
    return parse_drill_clock(text) if text else None


def parse_drill_clock(text: str) -> tuple[datetime, float, float]:
    """Read ``START[xRATE][@REAL]``; ``@REAL`` is the Unix time of the start, so that all processes agree."""
    head, _, real = text.partition("@")
    start_text, _, rate = head.partition("x")
    start = datetime.fromisoformat(start_text)
    if start.tzinfo is None:
        start = start.replace(tzinfo=zone())
    return start, float(rate or 1), float(real) if real else time.time()


def now() -> datetime:
    """The server's time, aware, UTC."""
    drill = drill_clock()
    if drill is None:
        return datetime.now(UTC)
    start, rate, real = drill
    return start.astimezone(UTC) + timedelta(seconds=(time.time() - real) * rate)


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC. PostgreSQL knows no displacement beyond sixteen hours; Python and JSON do.

    ``ValueError`` where the calendar ends before the zone does.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


@cache
def noise() -> timedelta:
    """Differences between two clocks below this are the network's delay, not a wrong clock. A fast clock widens it."""
    drill = drill_clock()
    return timedelta(seconds=max(30.0, 2.0 * drill[1] if drill else 0.0))


@cache
def zone() -> ZoneInfo:
    """The business zone, in which days are cut."""
    return ZoneInfo(settings.TIME_ZONE)


def business_day(moment: datetime) -> date:
    """The calendar day of ``moment`` in the business zone."""
    return moment.astimezone(zone()).date()


def hour_of(moment: datetime) -> datetime:
    """The start of the clock hour that ``moment`` lies in (whole hours agree in every zone we serve)."""
    return moment.replace(minute=0, second=0, microsecond=0)
