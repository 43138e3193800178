"""The door: facts in, receipts out, each fact once for ever.

A batch becomes one transaction: ids seen before get their old receipt before any rule runs; the rest go to the handlers
of their kinds; then the journal rows are written as the last statement before COMMIT under one transaction-level
advisory lock per district, so that ``seq`` follows commit order and a reader never skips. Small requests that arrive
together are committed together by one writer thread per process (group commit); a failure reruns each request alone.
"""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from dabai.access.actions import Contact, check_in
from dabai.access.keys import ring
from dabai.journal.kinds import Fact, Kinds
from dabai.journal.models import Verdict
from dabai.journal.rows import Insert, moment_text, uuids
from dabai.kernel.ids import natural_id
from dabai.kernel.refusal import Refusal

SEQ_LOCK = 7_341
GROUP_FACTS = 2_000
GROUP_WAIT = 0.002
COMMIT_TIMEOUT = 30.0
CHECK_IN_SECONDS = 1.0


class Receipt(NamedTuple):
    """What was stored for a fact. ``refused`` comes with a stable code and, where known, the field. It never
    changes.
    """

    id: UUID
    verdict: str
    code: str | None = None
    field: str | None = None

    def as_dict(self) -> dict[str, str]:
        """For JSON, without empty parts."""
        answer = {"id": str(self.id), "verdict": self.verdict}
        if self.code:
            answer["code"] = self.code
        if self.field:
            answer["field"] = self.field
        return answer


def refused(fact_id: Any, refusal: Refusal) -> Receipt:
    """The receipt of a refusal."""
    return Receipt(fact_id, "refused", refusal.code, refusal.field)


def store(facts: Sequence[Fact]) -> list[Receipt]:
    """Store one batch of one district in the current transaction and answer in its order.

    The number of SQL statements depends on the kinds in the batch, never on its size. Raises database errors; the
    caller retries. Commit at once afterwards: the district's ``seq`` lock is held.
    """
    with connection.cursor() as cursor:
        old = old_receipts(cursor, facts)
        fresh: dict[str, Fact] = {}
        for fact in facts:
            if fact.text not in old:
                fresh.setdefault(fact.text, fact)
        new = list(fresh.values())
        handle(cursor, new)
        reused = [fact for fact in facts if is_reuse(fact, fresh, old)] if len(new) < len(facts) else []
        keep(cursor, [fact for fact in new if fact.refusal], reused)
        mark(cursor, new)
        enter(cursor, new)
    if len(new) == len(facts):
        return [first_receipt(fact) for fact in new]
    return [receipt_of(fact, fresh, old) for fact in facts]


Old = dict[str, tuple[bytes, Receipt]]


def old_receipts(cursor: Any, facts: Sequence[Fact]) -> Old:
    """Digest and receipt of the ids seen before."""
    cursor.execute(
        """SELECT e.id, e.digest, e.verdict, k.code, k.field
           FROM journal_entry e LEFT JOIN journal_kept k ON k.district = e.district AND k.id = e.id
           WHERE e.district = %s AND e.id = ANY(%s::uuid[])""",
        [facts[0].district, uuids(fact.text for fact in facts)],
    )
    return {
        str(row[0]): (bytes(row[1]), Receipt(row[0], Verdict(row[2]).name.lower(), row[3], row[4] or None))
        for row in cursor.fetchall()
    }


def is_reuse(fact: Fact, fresh: dict[str, Fact], old: Old) -> bool:
    """Whether a fact comes under an id that another fact already has."""
    digest = old[fact.text][0] if fact.text in old else fresh[fact.text].digest
    return digest != fact.digest


def receipt_of(fact: Fact, fresh: dict[str, Fact], old: Old) -> Receipt:
    """Same id and digest: the same receipt; another digest: refused, and the first one stands."""
    if is_reuse(fact, fresh, old):
        return Receipt(fact.id, "refused", "journal.id_reused", "id")
    return old[fact.text][1] if fact.text in old else first_receipt(fresh[fact.text])


def first_receipt(fact: Fact) -> Receipt:
    """The receipt of a fact that has just been judged."""
    return refused(fact.id, fact.refusal) if fact.refusal else Receipt(fact.id, "accepted")


def handle(cursor: Any, facts: Sequence[Fact]) -> None:
    """Hand the readable facts to their kinds' handlers, one call for each kind."""
    by_kind: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.refusal is None:
            by_kind[fact.kind_name].append(fact)
    for name in sorted(by_kind):
        batch = by_kind[name]
        kind = batch[0].kind
        assert kind is not None
        for fact, refusal in zip(batch, kind.handle(cursor, batch), strict=True):
            fact.refusal = refusal


def keep(cursor: Any, facts: Sequence[Fact], reused: Sequence[Fact]) -> None:
    """Keep the bodies of refused facts, encrypted, for the inbox. Nothing that was sent is lost."""
    rows = [kept_row(fact.id, fact, fact.refusal) for fact in facts if fact.refusal]
    again = Refusal("journal.id_reused", "id")
    rows += [kept_row(natural_id(fact.id, fact.digest.hex()), fact, again) for fact in reused]
    if not rows:
        return
    cursor.execute(
        """INSERT INTO journal_kept (district, id, operation, kind, code, field, area, key, body_enc, received_at,
        state,
                                     settled_reason)
           SELECT *, 'open', '' FROM unnest(%s::int[], %s::uuid[], %s::int[], %s::text[], %s::text[], %s::text[],
                                            %s::text[], %s::smallint[], %s::bytea[], %s::timestamptz[])
           ON CONFLICT DO NOTHING""",
        [list(column) for column in zip(*rows, strict=True)],
    )


def kept_row(row_id: Any, fact: Fact, refusal: Refusal | None) -> tuple[Any, ...]:
    """One row of ``journal_kept``."""
    assert refusal is not None
    keys = ring(fact.operation)
    body = orjson.dumps(fact.raw).decode()
    sealed = keys.seal("journal_kept", "body", row_id, body)
    head = (fact.district, row_id, fact.operation, fact.kind_name[:60], refusal.code, refusal.field or "")
    return (*head, fact.area, keys.current, sealed, fact.received_at)


MARK = Insert("journal_mark", {"district": "int", "operation": "int", "kind": "smallint", "key": "text"})


def mark(cursor: Any, facts: Any) -> None:
    """Leave the marks of accepted facts, each once."""
    rows = {(f.district, f.operation, int(one[0]), one[1]) for f in facts if f.refusal is None for one in f.marks}
    MARK(cursor, sorted(rows))


ENTRY = Insert(
    "journal_entry",
    {
        "district": "int",
        "id": "uuid",
        "operation": "int",
        "kind": "smallint",
        "verdict": "smallint",
        "flags": "smallint",
        "digest": "bytea",
        "device": "uuid",
        "device_seq": "bigint",
        "actor": "int",
        "site": "int",
        "area": "text",
        "happened_at": "timestamptz",
        "received_at": "timestamptz",
    },
)


ACCEPTED, REFUSED = Verdict.ACCEPTED.value, Verdict.REFUSED.value


def enter(cursor: Any, facts: Sequence[Fact]) -> None:
    """Write the journal rows: the last statement before COMMIT, under the district's lock (``seq`` is its default)."""
    if facts:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [SEQ_LOCK, facts[0].district])
        ENTRY(cursor, [entry_row(fact) for fact in facts])


def entry_row(fact: Fact) -> tuple[Any, ...]:
    """One row of the journal, without its ``seq``."""
    return (
        fact.district,
        fact.text,
        fact.operation,
        fact.kind.number if fact.kind else 0,
        REFUSED if fact.refusal else ACCEPTED,
        fact.flags,
        fact.digest,
        fact.device,
        fact.device_seq,
        fact.actor,
        fact.site,
        fact.area,
        moment_text(fact.happened_at),
        moment_text(fact.received_at),
    )


def commit(facts: Sequence[Fact]) -> list[Receipt]:
    """Store a batch in a transaction of its own; receipts leave only after COMMIT."""
    if not facts:
        return []
    with transaction.atomic():
        return store(facts)


def commit_retrying(facts: Sequence[Fact], tries: int = 3) -> list[Receipt]:
    """``commit``, tried again when the connection was lost or another transaction had the same ids at the same
    moment.
    """
    for attempt in range(1, tries + 1):
        for fact in facts:
            fact.marks.clear()
            fact.refusal = fact.refusal if fact.body is None else None
        try:
            return commit(facts)
        except (OperationalError, InterfaceError):
            connection.close()
            if attempt == tries:
                raise
            time.sleep(0.2 * attempt)
        except Error:
            if attempt == tries:
                raise
    raise AssertionError("unreachable")


@dataclass(slots=True)
class Submission:
    """One request's facts on their way to the writer, and what their device said of itself."""

    facts: list[Fact]
    done: "Future[list[Receipt]]"
    contact: Contact | None = None


class GroupWriter(threading.Thread):
    """The writer thread of a process: commits what arrives together in one transaction with its own connection.

    What devices say of themselves is written beside it, once a second for all of them: they are many, and a statement
    for each request would cost as much as its facts.
    """

    def __init__(self) -> None:
        super().__init__(name="dabai-intake", daemon=True)
        self.waiting: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self.contacts: list[Contact] = []
        self.check_in_at = 0.0

    def submit(self, facts: list[Fact], contact: Contact | None = None) -> list[Receipt]:
        """Hand in a request's facts and wait for their receipts (after COMMIT)."""
        submission = Submission(facts, Future(), contact)
        self.waiting.put(submission)
        return submission.done.result(COMMIT_TIMEOUT)

    def run(self) -> None:
        """Commit group after group, until told to stop."""
        while group := self.gather():
            self.commit_group(group)
            self.hear(group)
        self.check_in()
        connection.close()

    def gather(self) -> list[Submission]:
        """Wait for a request, then take what else arrives within a moment, up to a number of facts. Empty: stop."""
        first = self.first()
        if first is None:
            return []
        group = [first]
        count = len(first.facts)
        deadline = time.monotonic() + GROUP_WAIT
        while count < GROUP_FACTS:
            try:
                more = self.waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if more is None:
                self.waiting.put(None)
                break
            group.append(more)
            count += len(more.facts)
        return group

    def first(self) -> Submission | None:
        """The next request; while nothing comes, devices that were heard of are written down when it is time."""
        while self.contacts:
            try:
                return self.waiting.get(timeout=max(0.0, self.check_in_at - time.monotonic()))
            except queue.Empty:
                self.check_in()
        return self.waiting.get()

    def hear(self, group: list[Submission]) -> None:
        """Remember what the devices of a group said; write it down when the last time is a second ago."""
        self.contacts += [one.contact for one in group if one.contact is not None]
        if time.monotonic() >= self.check_in_at:
            self.check_in()

    def check_in(self) -> None:
        """Write down what devices said. It is said again with the next request, so a database that is away loses it."""
        contacts, self.contacts = self.contacts, []
        self.check_in_at = time.monotonic() + CHECK_IN_SECONDS
        try:
            check_in(contacts)
        except Error:
            connection.close()

    def commit_group(self, group: list[Submission]) -> None:
        """One transaction for each district of the group; whatever fails is rerun request by request."""
        districts: dict[int, list[Submission]] = defaultdict(list)
        for submission in group:
            districts[submission.facts[0].district].append(submission)
        for submissions in districts.values():
            try:
                receipts = iter(commit([fact for one in submissions for fact in one.facts]))
                for one in submissions:
                    one.done.set_result([next(receipts) for _ in one.facts])
            except Exception:
                self.commit_each(submissions)

    def commit_each(self, submissions: list[Submission]) -> None:
        """Rerun each request alone, so that one that fails takes no neighbour with it."""
        for one in submissions:
            try:
                one.done.set_result(commit_retrying(one.facts))
            except Exception as error:
                one.done.set_exception(error)


_writer: list[GroupWriter] = []
_writer_lock = threading.Lock()


def writer() -> GroupWriter:
    """The process's writer, started at first use (after any fork)."""
    with _writer_lock:
        if not _writer or not _writer[0].is_alive():
            _writer[:] = [GroupWriter()]
            _writer[0].start()
    return _writer[0]


def stop_writer() -> None:
    """Let the writer finish what it has, close its connection and end; the next submission starts another."""
    with _writer_lock:
        while _writer:
            one = _writer.pop()
            one.waiting.put(None)
            one.join(COMMIT_TIMEOUT)


def submit(facts: list[Fact], contact: Contact | None = None) -> list[Receipt]:
    """Store a request's facts through the group writer; receipts in the order sent."""
    if not facts:
        check_in([contact] if contact else [])
        return []
    return writer().submit(facts, contact)


__all__ = ["Kinds", "Receipt", "commit", "commit_retrying", "store", "submit"]
