"""How often somebody may fail, counted in memory: wrong passwords, unknown tokens, unknown pairing codes.

Each web process counts for itself, so the true limit is that number times the processes; nothing is written to the
database, so a flood of guesses costs it nothing. A restart forgets.
"""

import threading
import time
from collections import OrderedDict
from math import ceil

from django.http import HttpRequest


class Failures:
    """At most ``limit`` failures of a key within ``seconds``; then it is shut until that long after the first of them.

    Holds the last ``size`` keys: who floods it with new keys pushes out old ones, which only forgives earlier failures.
    """

    def __init__(self, limit: int, seconds: float, size: int = 20_000) -> None:
        self.limit, self.seconds, self.size = limit, seconds, size
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str, now: float | None = None) -> int:
        """Seconds until ``key`` may try again; 0: now."""
        moment = time.monotonic() if now is None else now
        first, count = self._counts.get(key, (moment, 0))
        left = first + self.seconds - moment
        return ceil(left) if count >= self.limit and left > 0 else 0

    def add(self, key: str, now: float | None = None) -> None:
        """Count a failure."""
        moment = time.monotonic() if now is None else now
        with self._lock:
            first, count = self._counts.pop(key, (moment, 0))
            if moment - first >= self.seconds:
                first, count = moment, 0
            self._counts[key] = (first, count + 1)
            while len(self._counts) > self.size:
                self._counts.popitem(last=False)

    def clear(self, key: str) -> None:
        """Forget the failures of a key that has succeeded."""
        with self._lock:
            self._counts.pop(key, None)

    def forget(self) -> None:
        """Forget everything (between tests)."""
        with self._lock:
            self._counts.clear()


def address_of(request: HttpRequest) -> str:
    """The address that a request comes from, as the server saw it; an IPv6 one by its /64, which is one household's.

    A forwarded-for header is anybody's to write and is not read.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    return ":".join(address.split(":")[:4]) if ":" in address else address
