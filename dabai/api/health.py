"""``GET /health``: for supervisors, load balancers and the replay. Says nothing about people."""

from datetime import datetime

from django.db import connection
from django.http import HttpRequest
from ninja import Router, Schema

from dabai.access.guard import public
from dabai.kernel import clock

router = Router(tags=["health"])


class Health(Schema):
    """Whether the installation works, its time, and how much the worker has still to do."""

    ok: bool
    now: datetime
    rate: float
    drill: bool
    as_of: datetime
    waiting: int


@router.get("/health", response=Health, auth=None)
@public
def health(request: HttpRequest) -> Health:
    """Answers only when the database does. ``waiting``: marks not yet worked off; 0 means every figure is current."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM (SELECT 1 FROM journal_mark LIMIT 100000) m")
        waiting = cursor.fetchone()[0]
    drill = clock.drill_clock()
    now = clock.now()
    return Health(
        ok=True, now=now, rate=drill[1] if drill else 1.0, drill=drill is not None, as_of=now, waiting=waiting
    )
