"""From the bytes of a request to facts: the envelope, the body of each kind, its digest, and the corrected time.

Nothing here looks at the database's facts. A fact whose envelope or body is wrong becomes a refused fact; its
neighbours are not touched. The words of pydantic never reach a receipt: only the path of the field does.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dabai.journal.kinds import Fact, Kinds, Reporter
from dabai.journal.models import EntryFlag
from dabai.journal.reference import reference
from dabai.kernel import clock
from dabai.kernel.ids import natural_id
from dabai.kernel.refusal import Refusal, field_path

MAX_FACTS = 500
FUTURE = timedelta(minutes=10)
LONG_AGO = timedelta(days=60)
DEPTH = 60
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[57][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


KIND = re.compile(r"[a-z_.]{1,60}")


class Envelope(BaseModel):
    """What every fact carries, whatever its kind."""

    model_config = ConfigDict(extra="forbid")

    id: UUID = Field(description="UUIDv7 made where the fact was reported, or the uuid5 of a natural thing.")
    kind: str = Field(max_length=60, pattern=r"^[a-z_.]+$", examples=["testing.sample_taken"])
    level: int = Field(default=1, ge=1, le=10_000, description="Version of the body's form.")
    happened_at: AwareDatetime = Field(description="When it happened, by the device's clock.")
    device_seq: int | None = Field(default=None, ge=0, lt=2**62, description="Running number of the device's facts.")
    by: str | None = Field(
        default=None,
        max_length=40,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Log-in name of the worker signed on to the device.",
    )
    body: dict[str, Any]


# The validator itself: what ``model_validate`` adds to it costs as much again, ten thousand times a second.
read_envelope: Callable[[Any], Envelope] = TypeAdapter(Envelope).validator.validate_python


def digest_of(raw: Any) -> bytes:
    """16 bytes that two copies of the same fact share, whatever the order of their keys."""
    return hashlib.sha256(orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)).digest()[:16]


def first_field(error: ValidationError, prefix: str = "") -> str:
    """The path of the first field that is wrong, e.g. ``body.document.number``; never its value."""
    return prefix + field_path(error.errors(include_url=False, include_input=False)[0]["loc"])


def measured_skew(sent_at: datetime | None, received_at: datetime) -> timedelta:
    """How far the device's clock is behind the server's; small differences are the network. One that fell back by years
    with its battery is as good a clock as any, once it is known by how much."""
    if sent_at is None:
        return timedelta(0)
    skew = received_at - sent_at
    return skew if abs(skew) > clock.noise() else timedelta(0)


def time_of(said: datetime, skew: timedelta, received_at: datetime) -> datetime:
    """When a fact happened. What a device wrote before its clock was lost, or put right, is believed as it stands."""
    corrected = said + skew
    return said if not is_plausible(corrected, received_at) and is_plausible(said, received_at) else corrected


def is_plausible(happened_at: datetime, received_at: datetime) -> bool:
    """Whether something that was received then can have happened at this time."""
    return received_at - LONG_AGO < happened_at < received_at + FUTURE


def when(said: datetime, arrival: "Arrival") -> tuple[datetime, int]:
    """``time_of`` in UTC, and the flag of a clock that can't be right. ``OverflowError`` at the ends of the calendar.

    Nearly every fact happened at a plausible time, and moments of one zone compare four times as fast.
    """
    moment = said.astimezone(UTC) + arrival.skew
    if arrival.since < moment < arrival.until:
        return moment, 0
    moment = time_of(said, arrival.skew, arrival.received_at).astimezone(UTC)
    return moment, 0 if is_plausible(moment, arrival.received_at) else EntryFlag.IMPLAUSIBLE_CLOCK


@dataclass(frozen=True, slots=True)
class Arrival:
    """What all facts of a request share: who sent them, when they came, how far the device's clock is off.

    ``since`` and ``until`` bound what can have happened before they came.
    """

    reporter: Reporter
    received_at: datetime
    since: datetime
    until: datetime
    skew: timedelta
    kinds: Kinds
    actors: Mapping[str, int]
    device: str | None


def read_facts(
    raws: Sequence[Any], *, kinds: Kinds, reporter: Reporter, received_at: datetime, skew: timedelta
) -> list[Fact]:
    """One ``Fact`` for each item, in order; those that can't be read carry their refusal."""
    actors = reference(reporter.operation).actors
    device = None if reporter.device is None else str(reporter.device)
    now = received_at.astimezone(UTC)
    arrival = Arrival(reporter, received_at, now - LONG_AGO, now + FUTURE, skew, kinds, actors, device)
    return [read_fact(raw, arrival) for raw in raws]


def read_fact(raw: Any, arrival: Arrival) -> Fact:
    """Read one fact. Refusals: ``journal.envelope_invalid``, ``kind_unknown``, ``level_unknown``, ``body_invalid``,
    ``role_missing``."""
    reporter, received_at = arrival.reporter, arrival.received_at
    try:
        envelope = read_envelope(raw)
        digest = digest_of(raw)
        happened_at, doubt = when(envelope.happened_at, arrival)
    except OverflowError:
        return unreadable(raw, Refusal("journal.envelope_invalid", "happened_at"), arrival)
    except ValidationError as error:
        return unreadable(raw, Refusal("journal.envelope_invalid", first_field(error)), arrival)
    except (TypeError, orjson.JSONEncodeError):
        return unreadable(raw, Refusal("journal.envelope_invalid"), arrival)
    kind = arrival.kinds.get(envelope.kind)
    fact = Fact(envelope.id, kind, envelope.kind, happened_at, received_at, reporter, digest, raw, str(envelope.id))
    fact.device = arrival.device
    fact.device_seq = envelope.device_seq
    fact.flags = reporter.flags | doubt
    fact.actor = reporter.user
    if envelope.by is not None and arrival.device is not None:
        fact.actor = arrival.actors.get(envelope.by)
        fact.flags |= 0 if fact.actor else EntryFlag.ACTOR_UNKNOWN
    fact.refusal = read_body(fact, envelope)
    return fact


def read_body(fact: Fact, envelope: Envelope) -> Refusal | None:
    """Validate the body by its kind; older levels are converted first."""
    kind = fact.kind
    if not ID.fullmatch(fact.text):
        return Refusal("journal.envelope_invalid", "id")
    if kind is None:
        return Refusal("journal.kind_unknown", "kind")
    if envelope.level > kind.level:
        return Refusal("journal.level_unknown", "level")
    if not fact.reporter.may_report(kind):
        return Refusal("journal.role_missing", "kind")
    body = envelope.body
    try:
        for level in range(envelope.level, kind.level):
            body = kind.convert[level](body)
        fact.body = kind.body.__pydantic_validator__.validate_python(body)
    except ValidationError as error:
        return Refusal("journal.body_invalid", first_field(error, "body."))
    return None


def shallow(value: Any, depth: int = 0) -> Any:
    """The value without what lies deeper than anything that means something, so that it can be kept."""
    if depth == DEPTH:
        return None
    if isinstance(value, dict):
        return {name: shallow(one, depth + 1) for name, one in value.items()}
    return [shallow(one, depth + 1) for one in value] if isinstance(value, list) else value


def unreadable(raw: Any, refusal: Refusal, arrival: Arrival) -> Fact:
    """A fact whose envelope is wrong still gets a receipt and is kept, under its own id if it has one."""
    reporter, moment = arrival.reporter, arrival.received_at
    text = str(raw.get("id", "")) if isinstance(raw, dict) else ""
    raw = shallow(raw)
    digest = digest_of(raw)
    id_ = UUID(text) if ID.fullmatch(text) else natural_id("unreadable", reporter.device, reporter.user, digest.hex())
    kind = raw.get("kind") if isinstance(raw, dict) else None
    name = kind if isinstance(kind, str) and KIND.fullmatch(kind) else ""
    body = raw if isinstance(raw, dict) else {"unreadable": raw}
    return Fact(id_, None, name, moment, moment, reporter, digest, body, str(id_), arrival.device, refusal=refusal)
