"""Results by person for the province's platform, as a file: only what is new or changed since the last one.

What was sent for a person and a round is kept as a digest. A result that changed goes out again as a correction with
what was said before; one that was taken back goes out as withdrawn. A pool that is not negative makes nobody positive:
its people are 待复核. Columns, their order and their words are data (``layouts/*.toml``).

Names and numbers are decrypted for the file alone. Who exports needs the permission in the whole district and gives a
reason; both are in the audit log with the file's digest, and the file may carry them as a watermark.
"""

import hashlib
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Literal, cast
from uuid import UUID

from django.db import connection, transaction
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabai.access.actions import record, require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.exchange.writing import Cell, write_csv, write_xlsx
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import say
from dabai.people.models import Identity
from dabai.people.queries import OpenPerson, open_people
from dabai.places import queries as places
from dabai.protocols.models import Operation, OperationKind
from dabai.testing.models import ProvinceExport
from dabai.testing.outcomes import OUTCOME

LAYOUTS = Path(__file__).resolve().parent / "layouts"
FORMS = {"csv": write_csv, "xlsx": write_xlsx}
PAGE = 5_000
IN_MEMORY = 64 * 2**20

Value = Literal[
    "row", "mark", "round", "round_name", "name", "document_kind", "number", "phone", "area", "area_name", "group",
    "single", "sampled_at", "site", "site_code", "tube", "laboratory", "laboratory_code", "outcome", "was",
    "released_at", "constant",
]  # fmt: skip


# --- layouts --------------------------------------------------------------------------------------------------


class LayoutColumn(BaseModel):
    """One column: its header, where its value comes from, and how it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    header: str = Field(min_length=1, max_length=80)
    value: Value
    words: str = ""
    format: str = "%Y-%m-%d %H:%M"
    text: str = ""


class Layout(BaseModel):
    """The columns of a file and its words. Only outcomes that have a word are reported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=40)
    columns: list[LayoutColumn] = Field(min_length=1, max_length=100)
    words: dict[str, dict[str, str]]

    @property
    def reported(self) -> list[str]:
        """The outcomes that go out."""
        return [outcome for outcome in self.words.get("outcome", {}) if outcome != "withdrawn"]


@cache
def layout_of(name: str) -> Layout:
    """A layout by name. Refusals ``testing.layout_unknown``, ``testing.layout_invalid`` naming the field at fault."""
    path = LAYOUTS / f"{name}.toml"
    if path.parent != LAYOUTS or not path.is_file():
        raise Refusal("testing.layout_unknown", "layout")
    try:
        return Layout.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError) as wrong:
        errors = wrong.errors() if isinstance(wrong, ValidationError) else []
        said = ".".join(str(part) for part in errors[0]["loc"]) if errors else "TOML"
        raise Refusal("testing.layout_invalid", "layout", said=said) from None


def layouts() -> dict[str, str]:
    """The layouts there are: name to title."""
    return {path.stem: layout_of(path.stem).name for path in sorted(LAYOUTS.glob("*.toml"))}


# --- what is new ----------------------------------------------------------------------------------------------

# What may be reported of everybody known by now, with the tube that says so, against what was sent. ``silent`` rows are
# of people who turned out to be somebody else with the same number: the province knows the number, nothing goes out.
NEWS = f"""
CREATE TEMPORARY TABLE province_news ON COMMIT DROP AS
WITH corrected AS MATERIALIZED (
    SELECT person,
           (array_agg(name_token ORDER BY happened_at DESC, id) FILTER (WHERE name_token IS NOT NULL))[1] AS name,
           (array_agg(number_token ORDER BY happened_at DESC, id) FILTER (WHERE number_token IS NOT NULL))[1] AS number
    FROM people_correction c WHERE c.district = %(district)s AND c.operation = %(operation)s AND NOT EXISTS (
        SELECT 1 FROM journal_withdrawal w WHERE w.district = c.district AND w.target = c.id)
    GROUP BY person
), told AS (
    SELECT c.round, c.number, c.name, c.person, c.area, o.outcome, o.released_at,
           d.tube, d.first_at, d.alone, d.lab, d.site,
           sha256(convert_to(concat_ws('|', o.outcome, d.tube, extract(epoch FROM o.released_at),
                  encode(COALESCE(k.name, p.name_token), 'hex'), encode(COALESCE(k.number, p.number_token), 'hex')),
                  'UTF8')) AS digest
    FROM (SELECT x.*, r.operation, r.number, r.name, COALESCE(i.name_conflict, false) AS name_conflict
          FROM testing_round r
          JOIN testing_coverage x ON x.district = r.district AND x.round = r.id AND x.samples > 0
          LEFT JOIN people_identity i ON i.district = x.district AND i.person = x.person
          WHERE r.operation = %(operation)s AND (%(round)s::int IS NULL OR r.id = %(round)s)) c {OUTCOME}
    JOIN people_person p ON p.district = c.district AND p.id = c.person
    LEFT JOIN corrected k ON k.person = c.person
    LEFT JOIN LATERAL (
        SELECT t.tube, t.first_at, t.lab, t.site, t.single AND t.people <= 1 AS alone
        FROM unnest(c.tubes) AS u(tube)
        JOIN testing_tube t ON t.district = c.district AND t.operation = c.operation AND t.tube = u.tube
        WHERE t.released_at IS NOT NULL AND CASE o.outcome WHEN 'negative' THEN t.outcome = 1
              WHEN 'positive' THEN t.outcome = 2 AND t.single AND t.people <= 1 ELSE t.outcome IN (2, 3) END
        ORDER BY t.first_at DESC NULLS LAST, t.tube DESC LIMIT 1) d ON true
    WHERE o.outcome = ANY(%(reported)s)
), sent AS (
    SELECT s.*, r.number, r.name FROM testing_round r
    JOIN testing_province_row s ON s.district = r.district AND s.round = r.id
    WHERE r.operation = %(operation)s AND (%(round)s::int IS NULL OR r.id = %(round)s)
)
SELECT row_number() OVER (ORDER BY number, area, person) AS n, news.* FROM (
    SELECT COALESCE(t.round, s.round) AS round, COALESCE(t.number, s.number) AS number,
           COALESCE(t.name, s.name) AS name, COALESCE(t.person, s.person) AS person,
           COALESCE(t.area, q.area, '') AS area,
           COALESCE(t.outcome, 'withdrawn') AS outcome,
           CASE WHEN %(again)s::int IS NULL THEN s.outcome END AS was, t.released_at, COALESCE(t.tube, '') AS tube,
           t.first_at AS sampled_at, t.alone AS single, t.lab, t.site, COALESCE(t.digest, '') AS digest,
           CASE WHEN s.export = %(again)s THEN 'repeat' WHEN s.person IS NULL THEN 'new' ELSE 'correction' END AS mark,
           t.person IS NULL AND i.canonical <> i.person
           AND COALESCE(j.number_token = q.number_token, true) AS silent
    FROM told t FULL JOIN sent s ON s.round = t.round AND s.person = t.person
    LEFT JOIN people_identity i ON t.person IS NULL AND i.district = %(district)s AND i.person = s.person
    LEFT JOIN people_person q ON t.person IS NULL AND q.district = %(district)s AND q.id = s.person
    LEFT JOIN people_person j ON t.person IS NULL AND j.district = %(district)s AND j.id = i.canonical
    WHERE CASE WHEN %(again)s::int IS NOT NULL THEN s.export = %(again)s AND COALESCE(t.digest, '') = s.digest
               WHEN t.person IS NULL THEN s.outcome <> 'withdrawn'
               ELSE s.person IS NULL OR s.digest <> t.digest END) news
"""  # noqa: S608 - constants only
PAGE_OF_NEWS = """
SELECT n, mark, number, name, person, area, single, sampled_at, site, tube, lab, outcome, was, released_at
FROM province_news WHERE n > %s AND NOT COALESCE(silent, false) ORDER BY n LIMIT %s
"""
KEEP_SENT = """
INSERT INTO testing_province_row (district, round, person, export, outcome, digest)
SELECT %s, round, person, %s, outcome, digest FROM province_news
ON CONFLICT (district, round, person) DO UPDATE
SET export = EXCLUDED.export, outcome = EXCLUDED.outcome, digest = EXCLUDED.digest
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished file, rewound. It holds personal data in clear: hand it over and close it."""

    export: ProvinceExport
    file: BinaryIO
    name: str
    rows: int


def export(
    *,
    by: User,
    operation: int,
    reason: str,
    layout: str = "province-cn",
    form: str = "csv",
    round_id: int | None = None,
    watermark: bool = True,
) -> Exported:
    """The file of what is new or changed since the last one, in one round or in all; remembered as sent.

    Refusals: ``testing.reason_missing``, ``testing.layout_unknown``, ``testing.form_unknown``, ``testing.nothing_new``,
    ``access.not_allowed``.
    """
    with transaction.atomic():
        found = permitted(by, operation, reason, form)
        count = gather(found, layout_of(layout), round_id=round_id)
        if not count:
            raise Refusal("testing.nothing_new", "operation")
        made = ProvinceExport(
            operation=operation,
            round=round_id,
            number=ProvinceExport.objects.filter(operation=operation).count() + 1,
            made_at=clock.now(),
            upto_seq=newest_seq(found.district),
            rows=count,
            by=by.pk,
            reason=reason.strip()[:200],
        )
        file = write(made, found, by, layout, form, watermark)
        made.digest = digest_of(file)
        made.save(force_insert=True)
        with connection.cursor() as cursor:
            cursor.execute(KEEP_SENT, [found.district, made.pk])
        log(by, "testing.province_exported", found, made, reason)
    return Exported(made, file, file_name(layout_of(layout), found, made, form), count)


def again(
    *, by: User, operation: int, number: int, reason: str, layout: str = "province-cn", form: str = "csv"
) -> Exported:
    """The same file once more, for one that was lost on the way. What has changed since goes out with the next one.

    Refusals: ``testing.export_unknown`` and those of ``export``.
    """
    with transaction.atomic():
        found = permitted(by, operation, reason, form)
        made = ProvinceExport.objects.filter(operation=operation, number=number).first()
        if made is None:
            raise Refusal("testing.export_unknown", "number")
        count = gather(found, layout_of(layout), round_id=made.round, again=made.pk)
        file = write(made, found, by, layout, form, watermark=True)
        log(by, "testing.province_exported_again", found, made, reason)
    return Exported(made, file, file_name(layout_of(layout), found, made, form), count)


def permitted(by: User, operation: int, reason: str, form: str) -> Operation:
    """The operation, locked against a second export, for somebody who may have all of it and says why."""
    if not reason.strip():
        raise Refusal("testing.reason_missing", "reason")
    if form not in FORMS:
        raise Refusal("testing.form_unknown", "form")
    found = Operation.objects.select_for_update().get(pk=operation)
    require(by, Permission.EXPORT_RESULTS, area=str(found.district), operation=operation, at=clock.now())
    return found


def gather(found: Operation, layout: Layout, *, round_id: int | None, again: int | None = None) -> int:
    """Put what goes out into a temporary table of this transaction; how many rows the file will have."""
    values = {"district": found.district, "operation": found.pk, "round": round_id, "again": again}
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.province_news")
        cursor.execute(NEWS, values | {"reported": layout.reported})
        cursor.execute("ALTER TABLE province_news ADD PRIMARY KEY (n)")
        cursor.execute("SELECT count(*) FROM province_news WHERE NOT COALESCE(silent, false)")
        return int(cursor.fetchone()[0])


# --- the file -------------------------------------------------------------------------------------------------


def write(made: ProvinceExport, found: Operation, by: User, layout: str, form: str, watermark: bool) -> BinaryIO:
    """The whole file, rewound. It stays in memory up to a size, then in a file without a name."""
    chosen = layout_of(layout)
    file = cast(BinaryIO, SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - the caller closes it
    header = [column.header for column in chosen.columns]
    marked = watermark_of(made, by, clock.now()) if watermark else None
    try:
        FORMS[form](file, header, lines(found, chosen), watermark=marked)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def watermark_of(made: ProvinceExport, by: User, at: datetime) -> str:
    """Who took this file, when and why."""
    time = at.astimezone(clock.zone()).strftime("%Y-%m-%d %H:%M")
    facts = {"number": made.number, "rows": made.rows, "user": by.display_name, "time": time, "reason": made.reason}
    return say("testing.province.watermark", "zh", **facts)


def lines(found: Operation, layout: Layout) -> Iterator[list[Cell]]:
    """The rows of the file, opened a page at a time."""
    sites = {one.id: one for one in places.sites(found.pk, closed=True)}
    after = number = 0
    while page := page_of_news(after):
        after = page[-1]["n"]
        people = people_of(found, {one["person"] for one in page})
        areas = places.names({one["area"] for one in page} | {one["area"][:12] for one in page})
        for one in page:
            number += 1
            yield line(layout, values_of(one, number, people.get(one["person"]), areas, sites))


def page_of_news(after: int) -> list[dict[str, Any]]:
    """The next rows that go out."""
    with connection.cursor() as cursor:
        cursor.execute(PAGE_OF_NEWS, [after, PAGE])
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def people_of(found: Operation, people: Collection[UUID]) -> dict[UUID, OpenPerson]:
    """Names and documents by canonical id. Somebody registered without a number is known by the number of a double."""
    same = Identity.objects.filter(district=found.district, canonical__in=people).values_list("person", "canonical")
    doubles = {person: canonical for person, canonical in same if person != canonical}
    opened = open_people(found.pk, {*people, *doubles})
    for person in sorted(doubles):
        canonical = opened.get(doubles[person])
        if person in opened and opened[person].number and not (canonical and canonical.number):
            opened[doubles[person]] = opened[person]
    return opened


def values_of(
    one: Mapping[str, Any], number: int, person: OpenPerson | None, areas: Mapping[str, str], sites: Mapping[int, Any]
) -> dict[str, Any]:
    """Every value that a column may show. Whoever is not known yet has a result and no name."""
    site, lab = sites.get(one["site"]), sites.get(one["lab"])
    place = areas.get(one["area"][:12]) or areas.get(one["area"]) or ""
    return {
        "row": number,
        "mark": one["mark"],
        "round": one["number"],
        "round_name": one["name"],
        "name": person.name if person else "",
        "document_kind": person.document_kind if person else "",
        "number": (person.number or "") if person else "",
        "phone": (person.phone or "") if person else "",
        "group": person.group if person else "",
        "area": one["area"],
        "area_name": place,
        "single": "" if one["single"] is None else str(one["single"]).lower(),
        "sampled_at": one["sampled_at"],
        "site": site.name if site else "",
        "site_code": site.code if site else "",
        "tube": one["tube"],
        "laboratory": lab.name if lab else "",
        "laboratory_code": lab.code if lab else "",
        "outcome": one["outcome"],
        "was": one["was"] or "",
        "released_at": one["released_at"],
    }


def line(layout: Layout, values: Mapping[str, Any]) -> list[Cell]:
    """One row as the layout writes it."""
    return [cell(layout, column, values) for column in layout.columns]


def cell(layout: Layout, column: LayoutColumn, values: Mapping[str, Any]) -> Cell:
    """One cell: a time in its format, a code in its word, a constant as it is."""
    if column.value == "constant":
        return column.text
    value = values[column.value]
    if isinstance(value, datetime):
        return value.astimezone(clock.zone()).strftime(column.format)
    if column.words and value:
        value = layout.words.get(column.words, {}).get(value, value)
    return cast(Cell, value)


def file_name(layout: Layout, found: Operation, made: ProvinceExport, form: str) -> str:
    """What the file is called; that of a drill says so."""
    drill = say("operations.kind.drill", "zh") + "-" if found.kind == OperationKind.DRILL else ""
    day = made.made_at.astimezone(clock.zone()).strftime("%Y%m%d")
    return f"{drill}{layout.name}-{found.district}-{made.number:03}-{day}.{form}"


def digest_of(file: BinaryIO) -> bytes:
    """SHA-256 of the file, rewound afterwards."""
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    file.seek(0)
    return digest.digest()


def newest_seq(district: int) -> int:
    """How far the journal had come: what the file knows of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM journal_entry WHERE district = %s ORDER BY seq DESC LIMIT 1", [district])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def log(by: User, action: str, found: Operation, made: ProvinceExport, reason: str) -> None:
    """A line in the audit log: which file, how many rows, its digest."""
    detail = {"rows": made.rows, "round": made.round, "digest": bytes(made.digest).hex()}
    about = {"subject": f"province/{made.number}", "operation": found.pk, "area": str(found.district)}
    record(by=by, action=action, reason=reason, detail=detail, **about)


def exports_of(operation: int) -> list[ProvinceExport]:
    """What was sent, newest first."""
    return list(ProvinceExport.objects.filter(operation=operation).order_by("-number"))
