"""What a desk does about people that is no fact: lists brought in, reviewed, taken or thrown away; people revealed.

Merging, correcting and registering are facts (``dabai.people.facts``). ``by`` is who does it, None the installation
itself. Everybody else needs the permission in the whole area of the list: refusal ``access.not_allowed``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from dabai.access.actions import log_reveal, record, require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.kernel import areas, clock
from dabai.kernel.refusal import Refusal
from dabai.people import imports, queries
from dabai.people.models import Household, Import, ImportState, Person, StagedRow
from dabai.people.staging import TABLE_OF

MOST_BYTES = 2**30
LABEL = 80
FILE_NAME = 120
ENDED = (ImportState.COMMITTED, ImportState.DISCARDED)


def upload_list(
    *,
    by: User | None,
    operation: int,
    district: int,
    purpose: str,
    label: str,
    area: str,
    file_name: str,
    pieces: Iterable[bytes],
    size: int,
) -> Import:
    """Keep an uploaded list, encrypted, ready to be staged (``imports.stage`` in the background).

    ``purpose`` is ``residents`` or ``cross_list``; ``area`` is what the list may fill: rows that lie elsewhere are
    refused, rows that say nothing lie there if it is a community or grid. Refusals: ``people.purpose_unknown``,
    ``people.area_code``, ``people.label_missing``, ``people.upload_large``, ``people.upload_cut``.
    """
    require(by, Permission.IMPORT_PEOPLE, area=area, operation=operation, at=clock.now())
    check_upload(district, purpose, label, area, size)
    with transaction.atomic():
        found = Import.objects.create(
            operation=operation,
            district=district,
            purpose=purpose,
            label=label.strip()[:LABEL],
            area=area,
            file_name=file_name[-FILE_NAME:],
            file_digest=b"",
            state=ImportState.READING,
            by=by.pk if by else None,
            created_at=clock.now(),
        )
        stored = imports.keep_upload(found, pieces, size)
        found.file_digest, found.rows_total = stored.digest, max(0, stored.lines - 1)
        found.save(update_fields=["file_digest", "rows_total"])
        note(by, found, "people.list_uploaded", {"purpose": purpose, "bytes": size, "sha256": stored.digest.hex()})
    return found


def check_upload(district: int, purpose: str, label: str, area: str, size: int) -> None:
    """Refuse what no list can be."""
    if purpose not in TABLE_OF:
        raise Refusal("people.purpose_unknown", "purpose")
    if not areas.is_code(area) or not area.startswith(str(district)):
        raise Refusal("people.area_code", "area")
    if not label.strip():
        raise Refusal("people.label_missing", "label")
    if not 0 < size <= MOST_BYTES:
        raise Refusal("people.upload_large" if size else "tables.empty", "file", limit_mb=MOST_BYTES // 2**20)


def note(by: User | None, found: Import, action: str, detail: Mapping[str, Any] | None = None) -> None:
    """A line of the audit log about an import."""
    record(
        by=by, action=action, subject=f"import/{found.pk}", area=found.area, operation=found.operation,
        detail=dict(detail or {}),
    )  # fmt: skip


def held(by: User | None, import_id: int, states: Sequence[str]) -> Import:
    """An import, locked, in one of these states. Refusals ``people.import_unknown``, ``people.import_state``."""
    found = Import.objects.select_for_update().filter(pk=import_id).first()
    if found is None:
        raise Refusal("people.import_unknown", "import")
    require(by, Permission.IMPORT_PEOPLE, area=found.area, operation=found.operation, at=clock.now())
    if found.state not in states:
        raise Refusal("people.import_state", "import", state=found.state)
    return found


@transaction.atomic
def choose_columns(
    *, by: User | None, import_id: int, columns: Mapping[str, str | int], table: Mapping[str, Any] | None = None
) -> None:
    """Say which column is which (field to header name or column number) where the names did not tell; staging begins
    anew. ``table`` may name the ``sheet`` or the ``header_row``. Refusal ``people.column_unknown``."""
    found = held(by, import_id, (ImportState.READING, ImportState.FAILED))
    unknown = [key for key in columns if key not in {column.key for column in imports.COLUMNS}]
    if unknown:
        raise Refusal("people.column_unknown", unknown[0])
    StagedRow.objects.filter(district=found.district, batch=found.pk).delete()
    options = {key: value for key, value in (table or {}).items() if key in ("sheet", "header_row")}
    Import.objects.filter(pk=import_id).update(
        mapping={"columns": dict(columns), "table": options}, state=ImportState.READING, rows_done=0, error=None
    )


@transaction.atomic
def retry_import(*, by: User | None, import_id: int) -> None:
    """Let a list that has failed be staged again, from where it stopped (``imports.stage`` in the background)."""
    held(by, import_id, (ImportState.FAILED,))
    Import.objects.filter(pk=import_id).update(state=ImportState.READING, error=None, finished_at=None)


@transaction.atomic
def accept_import(*, by: User | None, import_id: int) -> None:
    """Let a reviewed list be committed (``imports.commit`` in the background)."""
    found = held(by, import_id, (ImportState.STAGED,))
    Import.objects.filter(pk=import_id).update(state=ImportState.COMMITTING)
    note(by, found, "people.list_accepted", {name: found.counts.get(name, 0) for name in imports.OUTCOMES})


@transaction.atomic
def discard_import(*, by: User | None, import_id: int, reason: str = "") -> None:
    """Throw a list away with everything that was staged of it; the audit log keeps that there was one."""
    found = held(by, import_id, (ImportState.READING, ImportState.STAGED, ImportState.FAILED))
    imports.discard(found)
    Import.objects.filter(pk=import_id).update(state=ImportState.DISCARDED, finished_at=clock.now())
    record(
        by=by, action="people.list_discarded", subject=f"import/{import_id}", area=found.area,
        operation=found.operation, reason=reason,
    )  # fmt: skip


@transaction.atomic
def keep_as_own_person(*, by: User | None, import_id: int, number: int) -> None:
    """Take a doubled row for somebody of their own after all, without the document that somebody else has.

    So that a number written into two lines loses nobody: the person is on the roster, and the document is asked for at
    the swab. Refusal ``people.row_not_doubled``, also where the line just repeats a resident.
    """
    found = held(by, import_id, (ImportState.STAGED,))
    rows = StagedRow.objects.filter(district=found.district, batch=import_id, number=number, outcome="doubled")
    kept = rows.exclude(person=F("existing")).update(
        outcome="added",
        document_kind="00",
        number_enc=None,
        number_token=None,
        tail_token=None,
        doubt="",
        existing=None,
    )
    if not kept:
        raise Refusal("people.row_not_doubled", "number")
    imports.recount(found)
    note(by, found, "people.row_kept", {"row": number})


@transaction.atomic
def set_away(*, by: User | None, operation: int, person: UUID, away: bool, reason: str) -> None:
    """Note that a resident has moved away or died (on no new roster from now on), or is back.

    A round that runs already is changed by ``testing.roster_removed``. Refusals ``people.person_unknown``,
    ``people.reason_missing``.
    """
    found = person_row(operation, person)
    require(by, Permission.CORRECT_PEOPLE, area=found.area, operation=operation, at=clock.now())
    if not reason.strip():
        raise Refusal("people.reason_missing", "reason")
    Person.objects.filter(district=found.district, id=person).update(away=away)
    action = "people.away" if away else "people.back"
    record(
        by=by, action=action, subject=f"person/{person}", area=found.area, operation=operation, reason=reason.strip()
    )


@transaction.atomic
def seal_households(
    *, by: User | None, operation: int, district: int, area: str, building: str, sealed: bool, reason: str
) -> int:
    """Seal the households of a building (of a whole area with ``building=""``) to their homes, or open them again.

    Where a household is sealed, one household shares one tube (一户一管). Answers how many households changed.
    """
    require(by, Permission.RUN_ROUND, area=area, operation=operation, at=clock.now())
    if not areas.is_code(area):
        raise Refusal("people.area_code", "area")
    homes = Household.objects.filter(district=district, operation=operation, area__startswith=area)
    homes = homes.filter(building=building) if building else homes
    changed = homes.filter(sealed=not sealed).update(sealed=sealed)
    action = "people.households_sealed" if sealed else "people.households_opened"
    detail = {"building": building, "households": changed}
    record(by=by, action=action, subject="household", area=area, operation=operation, reason=reason, detail=detail)
    return changed


def person_row(operation: int, person: UUID) -> Person:
    """The row of somebody in an operation. Refusal ``people.person_unknown``."""
    found = Person.objects.filter(operation=operation, id=person).first()
    if found is None:
        raise Refusal("people.person_unknown", "person")
    return found


REVEALABLE = ("name", "number", "phone", "address")


def reveal(*, by: User, operation: int, person: UUID, fields: Sequence[str], reason: str) -> dict[str, str]:
    """What is stored of a person, readable: the given fields of ``REVEALABLE`` that are known.

    Logged before it is shown, with who, whom, which fields and why. Refusals: ``people.field_unknown``,
    ``people.person_unknown``, ``access.reason_missing``, ``access.not_allowed``.
    """
    unknown = [name for name in fields if name not in REVEALABLE]
    if unknown or not fields:
        raise Refusal("people.field_unknown", "fields")
    found = person_row(operation, person)
    log_reveal(by=by, operation=operation, people=[(person, found.area)], reason=reason, fields=list(fields))
    known = queries.open_people(operation, [person])[person]
    return {name: value for name in fields if (value := getattr(known, name)) is not None}
