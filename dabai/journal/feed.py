"""The changes feed for phones: what happened in a device's scope, in commit order, behind an opaque cursor.

The cursor carries where the reader is, the scope it was made for and the level of this feed. When scope or level differ
the answer says ``reset``: the phone forgets what it has and starts again, without a new release of the app.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from dabai.access.queries import DeviceContext
from dabai.journal.door import kinds
from dabai.journal.facts import KINDS
from dabai.journal.models import Verdict
from dabai.kernel import clock

LEVEL = 1
WINDOW = 20_000
FACT_WITHDRAWN = next(kind.number for kind in KINDS if kind.name == "journal.fact_withdrawn")

# A withdrawal belongs to no place: it is for those whom its target is for, as soon as that is known.
ENTRIES = f"""
SELECT e.seq, e.id, e.kind, e.verdict, e.flags, e.device, e.site, e.happened_at FROM journal_entry e
WHERE e.district = %(district)s AND e.seq > %(seq)s AND e.seq <= %(upto)s AND e.operation = %(operation)s
  AND (e.site = ANY(%(sites)s) OR e.area LIKE ANY(%(areas)s) OR e.device = %(device)s
       OR (e.kind = {FACT_WITHDRAWN} AND EXISTS (
            SELECT FROM journal_withdrawal w JOIN journal_entry t ON t.district = w.district AND t.id = w.target
            WHERE w.district = e.district AND w.id = e.id
              AND (t.site = ANY(%(sites)s) OR t.area LIKE ANY(%(areas)s) OR t.device = %(device)s))))
ORDER BY e.seq LIMIT %(limit)s
"""  # noqa: S608 - constants only
CASES = """
SELECT a.seq, a.code, a.subject, a.state, a.facts, a.site, a.round FROM journal_attention a
WHERE a.district = %(district)s AND a.operation = %(operation)s AND a.seq > %(seq)s AND a.seq <= %(upto)s
  AND (a.site = ANY(%(sites)s) OR a.area LIKE ANY(%(areas)s))
ORDER BY a.seq LIMIT %(limit)s
"""
LATEST = """
SELECT greatest((SELECT max(seq) FROM journal_entry WHERE district = %(district)s),
                (SELECT max(seq) FROM journal_attention WHERE district = %(district)s))
"""


def fingerprint(context: DeviceContext) -> str:
    """Changes when what the device may see changes."""
    scopes = sorted((one.site or 0, one.area or "") for one in in_force(context))
    return hashlib.sha256(repr((context.operation, scopes)).encode()).hexdigest()[:16]


def in_force(context: DeviceContext) -> list[Any]:
    """The scope items that hold now."""
    now = clock.now()
    return [one for one in context.scopes if one.valid_from <= now and (one.valid_to is None or now < one.valid_to)]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader is. ``reset`` when the one it showed was made for another scope or level, or is not ours."""

    seq: int
    reset: bool

    @classmethod
    def read(cls, text: str, context: DeviceContext) -> "Cursor":
        """Understand a cursor; anything else than one of ours for this scope starts again from zero."""
        if not text:
            return cls(0, False)
        try:
            known = orjson.loads(base64.urlsafe_b64decode(text.encode()))
            seq, scope, level = int(known["s"]), known["f"], known["l"]
        except (ValueError, KeyError, TypeError):
            return cls(0, True)
        fits = scope == fingerprint(context) and level == LEVEL and 0 <= seq < 2**62
        return cls(seq, False) if fits else cls(0, True)


def written(seq: int, context: DeviceContext) -> str:
    """A cursor as text."""
    parts = {"s": seq, "f": fingerprint(context), "l": LEVEL}
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


def changes_after(context: DeviceContext, start: Cursor, limit: int) -> dict[str, Any]:
    """Entries and cases of the device's scope after ``start``: three statements, however far behind the reader is.

    Each call looks through a bounded window of the journal; ``more`` says that there is more behind it.
    """
    scopes = in_force(context)
    with connection.cursor() as cursor:
        cursor.execute(LATEST, {"district": context.district})
        latest = cursor.fetchone()[0] or 0
        upto = min(latest, start.seq + WINDOW)
        where = {
            "district": context.district,
            "operation": context.operation,
            "device": context.id,
            "seq": start.seq,
            "upto": upto,
            "sites": [one.site for one in scopes if one.site],
            "areas": [f"{one.area}%" for one in scopes if one.area],
            "limit": limit,
        }
        cursor.execute(ENTRIES, where)
        entries = cursor.fetchall()
        cursor.execute(CASES, where)
        cases = cursor.fetchall()
    reached = min(row[-1][0] if len(row) == limit else upto for row in (entries, cases))
    return {
        "cursor": written(reached, context),
        "reset": start.reset,
        "more": reached < latest,
        "entries": [entry(row) for row in entries if row[0] <= reached],
        "attention": [case(row) for row in cases if row[0] <= reached],
    }


def entry(row: tuple[Any, ...]) -> dict[str, Any]:
    """A journal row as JSON: what was stored for which fact, never its body."""
    seq, id_, kind, verdict, flags, device, site, happened_at = row
    names = {one.number: name for name, one in kinds().items()}
    return {
        "seq": seq,
        "id": str(id_),
        "kind": names.get(kind),
        "verdict": Verdict(verdict).name.lower(),
        "flags": flags,
        "device": str(device) if device else None,
        "site": site,
        "happened_at": happened_at,
    }


def case(row: tuple[Any, ...]) -> dict[str, Any]:
    """An attention case as JSON."""
    seq, code, subject, state, facts, site, number = row
    known = orjson.loads(facts) if isinstance(facts, str) else facts
    head = {"seq": seq, "code": code, "subject": subject, "state": state}
    return {**head, "facts": known, "site": site, "round": number}
