"""Both ways in: a paired device's request, and a desk's decision. They meet in the same intake.

Which kinds exist is plugged in by ``dabai.registry``, so that a domain may hand in facts without knowing the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from dabai.access.actions import Contact
from dabai.access.models import User
from dabai.access.queries import DeviceContext, grants_of
from dabai.access.rules import REPORTS, Grant, in_force, in_operation
from dabai.journal.decode import MAX_FACTS, measured_skew, read_facts
from dabai.journal.intake import Receipt, submit
from dabai.journal.kinds import Kind, Kinds
from dabai.journal.models import EntryFlag
from dabai.journal.reference import reference
from dabai.kernel import clock
from dabai.kernel.ids import uuid7
from dabai.kernel.refusal import Refusal

_kinds: list[Callable[[], Kinds]] = []


def plug_kinds(reader: Callable[[], Kinds]) -> None:
    """Tell where the kinds of fact are listed."""
    _kinds[:] = [reader]


def kinds() -> Kinds:
    """Every kind of fact by name."""
    return _kinds[0]()


@dataclass(slots=True)
class DeviceReporter:
    """A paired device. What it reports lies in its effective-dated scope; a revoked one is accepted with a flag."""

    context: DeviceContext
    district: int = 0
    operation: int = 0
    device: UUID | None = None
    user: int | None = None
    flags: int = 0

    def __post_init__(self) -> None:
        self.district, self.operation = self.context.district, self.context.operation
        self.device = self.context.id
        gone = self.context.revoked_at is not None or self.context.lost_at is not None
        self.flags = EntryFlag.REVOKED_DEVICE if gone else 0

    def may_report(self, kind: Kind) -> bool:
        """A device reports what happens in the field; decisions are a desk's."""
        return not kind.desk

    def covers(self, kind: str, site: int | None, area: str, at: datetime) -> bool:  # noqa: ARG002
        """Judged by the device's scope as of when it happened, read again before anything is refused for it."""
        return self.context.covers(site, area, at)


@dataclass(slots=True)
class DeskReporter:
    """A logged-in user: each kind where one of their roles that may report it reaches."""

    district: int
    operation: int
    user: int | None
    grants: Sequence[Grant]
    now: datetime
    device: UUID | None = None
    flags: int = 0
    held: list[Grant] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = [g for g in self.grants if in_operation(g, self.operation) and in_force(g, self.now)]

    def may_report(self, kind: Kind) -> bool:
        """Whether any role in force may report this kind, wherever."""
        return any(kind.name in REPORTS[grant.role] for grant in self.held)

    def covers(self, kind: str, site: int | None, area: str, at: datetime) -> bool:  # noqa: ARG002
        """Whether a role that may report this kind reaches the area."""
        return any(kind in REPORTS[grant.role] and area.startswith(grant.area) for grant in self.held)


@dataclass(frozen=True, slots=True)
class Said:
    """What a device says of itself beside its facts."""

    sent_at: datetime | None = None
    highest_seq: int = 0
    unsent: int = 0
    app: str = ""


def submit_device(
    reporter: DeviceReporter, raws: Sequence[Any], said: Said, *, closed: Mapping[int, Refusal] | None = None
) -> list[Receipt]:
    """Facts of a device's request, with receipts in the order sent. Those in the places ``closed`` could not be opened:
    they are refused so, and kept as they came."""
    received_at = clock.now()
    skew = measured_skew(said.sent_at, received_at)
    facts = read_facts(raws, kinds=kinds(), reporter=reporter, received_at=received_at, skew=skew)
    for place, refusal in (closed or {}).items():
        facts[place].refusal = refusal
    contact = Contact(reporter.context.id, received_at, said.highest_seq, said.unsent, skew, said.app)
    return submit(facts, contact)


def submit_desk(*, user: User, operation: int, facts: Sequence[dict[str, Any]]) -> list[Receipt]:
    """A desk's facts: ``{"kind", "body"}`` and, where known, ``id``, ``happened_at`` (ISO text or datetime) and
    ``level``.

    Missing ids are made here, missing times are now. Refusal ``journal.too_many_facts`` above 500.
    """
    if len(facts) > MAX_FACTS:
        raise Refusal("journal.too_many_facts", "facts", limit=MAX_FACTS)
    now = clock.now()
    reporter = DeskReporter(reference(operation).district, operation, user.pk, grants_of(user), now)
    raws = [desk_envelope(fact, now) for fact in facts]
    return submit(read_facts(raws, kinds=kinds(), reporter=reporter, received_at=now, skew=now - now))


def desk_envelope(fact: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A desk's fact in the form that phones send."""
    at = fact.get("happened_at") or now
    return {
        **fact,
        "id": str(fact.get("id") or uuid7()),
        "happened_at": at.isoformat() if isinstance(at, datetime) else at,
    }
