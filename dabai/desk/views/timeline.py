"""A line of facts as a page shows it: newest first, who, what, where, and two times."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from dabai.access.guard import access_of
from dabai.access.rules import Permission
from dabai.desk.shell import detail_name, fact_name, text
from dabai.journal.models import EntryFlag
from dabai.kernel.words import known
from dabai.testing.timelines import Event

TONES = {
    "testing.sample_taken": "action",
    "testing.late_entry": "retest",
    "testing.tube_voided": "late",
    "testing.tube_rejected": "late",
    "testing.result_released": "done",
    "testing.result_corrected": "retest",
    "testing.claim_settled": "retest",
    "journal.fact_withdrawn": "late",
    "people.merged": "retest",
}
SHOWN = (
    "station",
    "count",
    "people",
    "items",
    "into",
    "from",
    "to",
    "outcome",
    "was",
    "verdict",
    "run",
    "instrument",
    "given_by",
    "taken_by",
    "vehicle",
    "temperature",
    "seal",
    "number",
    "note",
    "until",
    "next_visit",
    "reason",
)
# What a desk takes back because it was not so; results are corrected, decisions are decided again.
AT_THE_POINT = ("sample_taken", "late_entry", "tube_sealed", "tube_voided", "sample_moved", "not_sampled")
ON_THE_ROAD = ("tubes_bagged", "box_packed", "box_sealed", "box_handed_over", "box_received")
ABOUT_THE_ROSTER = ("excused", "roster_added", "roster_removed")
WITHDRAWN_HERE = {f"testing.{name}" for name in (*AT_THE_POINT, *ON_THE_ROAD, *ABOUT_THE_ROSTER)}
WITHDRAWN_HERE |= {"people.person_registered", "people.corrected"}
WORDS = {"outcome": "testing.outcome", "was": "testing.outcome", "verdict": "testing.verdict"}


def shown_line(request: HttpRequest, events: list[Event]) -> list[dict[str, Any]]:
    """The events for the template, newest first."""
    return [shown_event(request, event) for event in reversed(events)]


def shown_event(request: HttpRequest, event: Event) -> dict[str, Any]:
    """One event: what it is called, its tone, and its details in words."""
    access = access_of(request)
    may_withdraw = event.kind in WITHDRAWN_HERE and not event.withdrawn and access.may(Permission.DECIDE_INBOX)
    merge = event.kind == "people.merged" and not event.withdrawn and access.may(Permission.MERGE_PEOPLE)
    return {
        "event": event,
        "tone": TONES.get(event.kind, ""),
        "name": fact_name(request, event.kind),
        "details": [one for key in SHOWN if (one := detail(request, event, key))],
        "flags": [text(request, f"journal.flag.{flag.name.lower()}") for flag in EntryFlag if event.flags & flag],
        "person": reverse("desk:person", args=[event.person]) if event.person and event.who else "",
        "merge": event.fact if merge else None,
        "withdraw": event.fact if may_withdraw else None,
    }


def detail(request: HttpRequest, event: Event, key: str) -> tuple[str, str] | None:
    """One detail as (label, value); None where there is nothing to say."""
    value = event.detail.get(key)
    if value in (None, "", [], {}):
        return None
    words = f"{WORDS[key]}.{value}" if key in WORDS else f"testing.rejected.{value}"
    named = (key in WORDS or key == "reason") and known(words)
    return detail_name(request, key), text(request, words) if named else str(value)
