"""Effective-dated reference data that a refusal may depend on: sites and rounds, remembered by each process.

Remembered for a second, and read again before anything is refused for being unknown, so that a site or round made a
moment ago is never the reason for a refusal. They come through a reader that ``dabai.registry`` plugs in.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dabai.access.models import User

AGE = 1.0


@dataclass(frozen=True, slots=True)
class SiteReference:
    """A site as intake needs it."""

    id: int
    kind: str
    area: str


@dataclass(frozen=True, slots=True)
class RoundReference:
    """A round as intake needs it: when it was approved and closed (None: not yet), and its barcode pattern."""

    id: int
    approved_at: datetime | None
    closed_at: datetime | None
    tube_pattern: str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """Everything of one operation."""

    read_at: float
    district: int
    sites: dict[int, SiteReference]
    rounds: dict[int, RoundReference]
    actors: dict[str, int]


Parts = tuple[int, dict[int, SiteReference], dict[int, RoundReference]]
_known: dict[int, Reference] = {}
_renewing = threading.Lock()  # when it has grown old, one thread reads it again and the others go on with the old
_read_parts: list[Callable[[int], Parts]] = []


def plug(reader: Callable[[int], Parts]) -> None:
    """Tell where district, sites and rounds of an operation are read from (the domains above the journal)."""
    _read_parts[:] = [reader]


def reference(operation: int, *, fresh: bool = False) -> Reference:
    """The reference data of an operation; ``fresh`` reads it now."""
    known = _known.get(operation)
    if known is None or fresh:
        return renew(operation)
    if time.monotonic() - known.read_at > AGE and _renewing.acquire(blocking=False):
        try:
            return renew(operation)
        finally:
            _renewing.release()
    return known


def renew(operation: int) -> Reference:
    """Read the operation's reference data now, and remember it."""
    found = _known[operation] = read(operation)
    return found


def forget() -> None:
    """Drop what this process remembers (between tests)."""
    _known.clear()


def read(operation: int) -> Reference:
    """Read the operation's parts and the log-in names."""
    district, sites, rounds = _read_parts[0](operation)
    actors = dict(User.objects.values_list("username", "pk"))
    return Reference(time.monotonic(), district, sites, rounds, actors)


def round_of(fact_operation: int, number: int) -> RoundReference | None:
    """The round by id, read again once when it is unknown."""
    found = reference(fact_operation).rounds.get(number)
    return found or reference(fact_operation, fresh=True).rounds.get(number)


def site_of(fact_operation: int, number: int) -> SiteReference | None:
    """The site by id, read again once when it is unknown."""
    found = reference(fact_operation).sites.get(number)
    return found or reference(fact_operation, fresh=True).sites.get(number)
