"""What a kind of fact is: a name, a number, a body, who may report it, and the handler that writes its typed rows.

The journal knows nothing of the domains above it; ``dabai.registry`` lists the kinds and hands them to the door.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from dabai.journal.models import EntryFlag, MarkKind
from dabai.kernel.clock import in_utc
from dabai.kernel.refusal import Refusal


class Body(BaseModel):
    """Base of every fact's body: unknown fields are refused, strings are stripped, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)


# The only forms that bodies use: what PostgreSQL can hold, without control characters.
Text = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Code = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9A-Z][0-9A-Z_.:/-]*$")]
Login = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[^\x00-\x1f\x7f]+$")]
AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}([0-9]{3}([0-9]{3}([0-9]{2})?)?)?$")]
Reference = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=30_000)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]


class Reporter(Protocol):
    """Who stands behind a request: a paired device, or a desk user. ``flags`` are bits of ``EntryFlag``."""

    district: int
    operation: int
    device: UUID | None
    user: int | None
    flags: int

    def may_report(self, kind: "Kind") -> bool:
        """Whether this kind of fact may come from here at all."""
        ...

    def covers(self, kind: str, site: int | None, area: str, at: datetime) -> bool:
        """Whether a fact of this kind, at this site or in this area, happening then, lies in the reporter's scope."""
        ...


@dataclass(slots=True)
class Fact:
    """One reported fact on its way in. A handler sets ``site`` and ``area`` (where it belongs) and leaves marks.

    ``text`` is the id as it is written, ``device`` the reporting device's (None for a desk): a batch writes them often.
    """

    id: UUID
    kind: "Kind | None"
    kind_name: str
    happened_at: datetime
    received_at: datetime
    reporter: Reporter
    digest: bytes
    raw: dict[str, Any]
    text: str = ""
    device: str | None = None
    body: Any = None
    device_seq: int | None = None
    actor: int | None = None
    flags: int = 0
    site: int | None = None
    area: str = ""
    refusal: Refusal | None = None
    marks: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.text = self.text or str(self.id)

    @property
    def district(self) -> int:
        """The district of the reporter; a body never says it."""
        return self.reporter.district

    @property
    def operation(self) -> int:
        """The operation that the reporter belongs to."""
        return self.reporter.operation

    def covers(self, site: int | None, area: str) -> bool:
        """Whether the reporter may report this there, as of when it happened; by the server's clock if that can't be
        so.
        """
        at = self.received_at if self.flags & EntryFlag.IMPLAUSIBLE_CLOCK else self.happened_at
        return self.reporter.covers(self.kind_name, site, area, at)

    def mark(self, kind: MarkKind, key: str) -> None:
        """Ask the worker to look at ``key`` again."""
        self.marks.append((kind, key))


Handler = Callable[[Any, Sequence[Fact]], "list[Refusal | None]"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fact. ``number`` is what the journal stores and is never reused; ``level`` the newest body it knows.

    ``handle(cursor, facts)`` writes the typed rows of a batch with a fixed number of SQL statements and says, fact by
    fact, None or why it is refused. ``desk`` kinds come from a logged-in user only; which roles may report a kind
    stands in ``dabai.access.rules``. ``form`` says that phones report it through the form that is made of its body
    (``dabai.api.forms``), not by a screen of its own. ``convert`` turns an older body into the newest form, by its
    level.
    """

    name: str
    number: int
    body: type[Body]
    handle: Handler
    desk: bool = False
    form: bool = False
    level: int = 1
    convert: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)


Kinds = Mapping[str, Kind]
