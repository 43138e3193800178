"""The audit log as a chain: whoever changes a row of it, or takes one out, is found out.

The database refuses to change a row (a trigger); who administers the database can switch that off. So each row gets a
*link*: a number without gaps, and an HMAC over the link before it and the row as it stands. Its key derives from the
installation's secret key, which is not in the database, so that links can't be made anew there either.

Links follow a moment after their rows, in a transaction of their own that does nothing else (``actions.follow``):
waiting for each other's links while holding locks on rows could stop two writers for good, and a long transaction would
stop everybody. A process that dies in between leaves rows without a link, which ``dabai audit`` catches up on.
What no chain shows is that its end was cut off: for that, note the head that ``dabai audit`` prints somewhere else.
"""

import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac

from dabai.kernel.refusal import Refusal

CHAIN_LOCK = 7_350
BATCH = 5_000
TOLD = 100
ROW = ("id", "at", "actor_id", "device", "operation", "action", "subject", "area", "reason", "detail::text")
_COLUMNS = ", ".join(f"a.{name}" for name in ROW)


def chain_keys() -> list[bytes]:
    """The keys of links: the newest makes them, those of earlier secret keys still prove them."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [salted_hmac("dabai.access.audit", "chain", secret=one, algorithm="sha256").digest() for one in secrets]


def link(key: bytes, before: bytes, row: Sequence[Any]) -> bytes:
    """The HMAC-SHA256 of a link: over the one before it (empty for the first) and all columns of the row."""
    number, at, *rest = row
    told = [number, at.astimezone(UTC).isoformat(timespec="microseconds"), *rest]
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str)
    return hmac.digest(key, before + text.encode(), "sha256")


# ---- making links: ``actions.link_rows`` writes them


LINKED = "SELECT EXISTS (SELECT 1 FROM access_audit_link WHERE entry = %s)"
TURN = "SELECT pg_advisory_xact_lock(%s), set_config('synchronous_commit', 'off', true)"
HEAD = "SELECT number, mac FROM access_audit_link ORDER BY number DESC LIMIT 1"
LOOSE = f"""
SELECT {_COLUMNS} FROM access_audit a LEFT JOIN access_audit_link l ON l.entry = a.id
WHERE a.id >= %s AND l.entry IS NULL ORDER BY a.id LIMIT {BATCH}
"""  # noqa: S608 - our own names


def is_linked(entry: int) -> bool:
    """Whether a row has its link."""
    with connection.cursor() as cursor:
        cursor.execute(LINKED, [entry])
        return bool(cursor.fetchone()[0])


def next_links(cursor: Any, first: int) -> list[tuple[int, int, bytes]]:
    """Number, row and HMAC of the links that committed rows from id ``first`` on lack; at most ``BATCH``.

    Nobody else makes any until this transaction ends, and it does not wait for the disk.
    """
    cursor.execute(TURN, [CHAIN_LOCK])
    cursor.execute(LOOSE, [first])
    rows = cursor.fetchall()
    cursor.execute(HEAD)
    number, mac = cursor.fetchone() or (0, b"")
    key, before, made = chain_keys()[0], bytes(mac), []
    for place, row in enumerate(rows, start=number + 1):
        before = link(key, before, row)
        made.append((place, row[0], before))
    return made


# ---- looking at them


class Break(NamedTuple):
    """Where the chain does not hold: a row was ``changed`` or is ``missing``, a link is (``unlinked``), or another than
    was noted (``made_anew``)."""

    number: int
    entry: int | None
    what: str


class Head(NamedTuple):
    """The last link of a chain, by which it can be known again later."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac[:32]}"


@dataclass(slots=True)
class Verdict:
    """What a look at the whole chain has found; ``breaks`` are the first hundred of ``broken``."""

    head: Head = field(default_factory=partial(Head, 0, ""))
    broken: int = 0
    breaks: list[Break] = field(default_factory=list)

    def add(self, one: Break) -> None:
        """Count a break, and tell it if it is among the first."""
        self.broken += 1
        if len(self.breaks) < TOLD:
            self.breaks.append(one)


LINKS = f"""
SELECT l.number, l.entry, l.mac, {_COLUMNS} FROM access_audit_link l LEFT JOIN access_audit a ON a.id = l.entry
WHERE l.number > %s ORDER BY l.number LIMIT {BATCH}
"""  # noqa: S608 - our own names


def verify(noted: str = "") -> Verdict:
    """Look at every link and its row. ``noted`` is a head of earlier days, as text: it must still be a link.

    A second or two for 100,000 rows. Links are looked at as they stand, so that one break is not followed by others.
    """
    verdict, keys, before = Verdict(), chain_keys(), b""
    known = dict([read_head(noted)]) if noted else {}
    for number, entry, mac, *row in links():
        for gone in range(verdict.head.number + 1, number):
            verdict.add(Break(gone, None, "unlinked"))
        follows = number == verdict.head.number + 1
        verdict.head = Head(number, mac.hex())
        if row[0] is None:
            verdict.add(Break(number, entry, "missing"))
        elif follows and mac not in [link(key, before, row) for key in keys]:
            verdict.add(Break(number, entry, "changed"))
        if not mac.hex().startswith(known.pop(number, "")):
            verdict.add(Break(number, entry, "made_anew"))
        before = mac
    for number in known:
        verdict.add(Break(number, None, "unlinked"))
    return verdict


def read_head(text: str) -> Head:
    """A head as ``str`` wrote it. Refusal ``access.head_form``."""
    number, _, mac = text.strip().partition(":")
    if not re.fullmatch(r"[0-9]{1,18}", number) or not re.fullmatch(r"[0-9a-f]{16,64}", mac):
        raise Refusal("access.head_form", "noted")
    return Head(int(number), mac)


def links() -> Iterator[tuple[Any, ...]]:
    """Every link with the columns of its row (None where it is gone), in their order."""
    last = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(LINKS, [last])
            rows = cursor.fetchall()
        for row in rows:
            yield (row[0], row[1], bytes(row[2]), *row[3:])
        if len(rows) < BATCH:
            return
        last = rows[-1][0]
