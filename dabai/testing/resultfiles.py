"""A laboratory's result file: read whatever columns it has, say row by row what is wrong, hand in the rest as facts.

Each good row is one ``testing.result_read``. Its id is made of what it says (laboratory, tube, run, outcome, cycles,
time), not of the file: the same file twice, or a longer one of the same day, adds nothing that was there; a corrected
file adds the corrected results as new facts, and the newest one in force wins. Whoever uploads is the reader of the
results, so somebody else must review them. How a laboratory's columns were matched is remembered for its next file.
"""

import dataclasses
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, BinaryIO

import orjson

from dabai.access.actions import require
from dabai.access.models import User
from dabai.access.rules import Permission
from dabai.exchange.columns import RESULT_COLUMNS, Column, ColumnMap, match_columns, outcome_from_text
from dabai.exchange.tables import Limits, Row, open_table
from dabai.journal.door import submit_desk
from dabai.kernel import clock
from dabai.kernel.codes import check_code
from dabai.kernel.ids import natural_id
from dabai.kernel.refusal import Refusal
from dabai.places.models import Site, SiteKind
from dabai.testing.models import ColumnMapping, ResultFile
from dabai.testing.queries import tube_patterns

CHUNK = 500
KEPT_ERRORS = 5_000
FUTURE = timedelta(minutes=10)
HIGHEST_CYCLE = 60.0
LIMITS = Limits(file_bytes=2**28, rows=500_000)
PURPOSE = "results"

# Targets beside the two of the usual kits. The key after ``ct_`` is what the fact calls the target.
MORE_TARGETS = (
    Column("ct_e", ("e", "e ct", "ct e", "ct值e", "e ct值", "e基因", "e gene")),
    Column("ct_s", ("s", "s ct", "ct s", "ct值s", "s ct值", "s基因", "s gene")),
    Column("ct_rdrp", ("rdrp", "rdrp ct", "ct rdrp", "rdrp ct值")),
    Column("ct_ic", ("ic", "内标", "内参", "ct ic", "内标ct", "内标ct值", "rnase p", "rp", "internal control")),
)
WANTED = (*RESULT_COLUMNS, *MORE_TARGETS)
TARGETS = {"ct_orf1ab": "ORF1ab", "ct_n": "N", "ct_e": "E", "ct_s": "S", "ct_rdrp": "RdRp", "ct_ic": "IC"}

# SNOMED CT, as laboratory systems send it.
CODED = {
    "260373001": "positive",
    "10828004": "positive",
    "260415000": "negative",
    "260385009": "negative",
    "419984006": "suspect",
    "455371000124106": "invalid",
}
# What one laboratory writes for negative another writes for "nothing here": asked once, then remembered.
UNCLEAR = frozenset({"-", "—", "–", "0", "1", "n", "p", "/"})
NO_CYCLE = frozenset(
    {"-", "--", "—", "——", "/", "noct", "no ct", "undet", "undet.", "undetermined", "n/a", "na", "none", "无", "未检出",
     "阴性", "neg", "negative"}
)  # fmt: skip


# --- what one row says ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A good row: ``number`` as the spreadsheet shows it."""

    number: int
    tube: str
    run: str
    outcome: str
    ct: dict[str, float | None] | None
    read_at: datetime

    def fact(self, operation: int, lab: int) -> dict[str, Any]:
        """The fact that this row reports. The same row makes the same fact, whatever file it stands in."""
        moment = self.read_at.isoformat()
        cycles = orjson.dumps(self.ct, option=orjson.OPT_SORT_KEYS).decode()
        key = natural_id("result_read", operation, lab, self.tube, self.run, self.outcome, cycles, moment)
        body = {"lab": lab, "tube": self.tube, "run": self.run, "outcome": self.outcome, "ct": self.ct}
        return {"id": str(key), "kind": "testing.result_read", "happened_at": moment, "body": body}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row was not taken: its number, our name of the field, the code of the reason. Never what the cell says."""

    row: int
    field: str
    code: str
    params: dict[str, Any] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For storing."""
        return {"row": self.row, "field": self.field, "code": self.code, "params": self.params}

    @property
    def refusal(self) -> Refusal:
        """For ``say_refusal``."""
        return Refusal(self.code, self.field, **self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a person says about a laboratory's files, remembered for the next one.

    ``columns``: our key -> their header (or column number). ``words``: what they write -> our outcome, where it is not
    clear by itself. ``date_order``: ``dmy`` or ``mdy`` for dates such as 03/04/2022.
    """

    columns: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
    words: Mapping[str, str] = dataclasses.field(default_factory=dict)
    date_order: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For storing."""
        return {"columns": dict(self.columns), "words": dict(self.words), "date_order": self.date_order}


@dataclass(slots=True)
class Reading:
    """A file as read: what it says, what is wrong with it, and how its columns were understood."""

    rows: list[ResultRow] = dataclasses.field(default_factory=list)
    errors: list[RowError] = dataclasses.field(default_factory=list)
    seen: int = 0
    repeated: int = 0
    choices: Choices = dataclasses.field(default_factory=Choices)
    unknown: list[str] = dataclasses.field(default_factory=list)


# --- reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Everything that the meaning of a row depends on beside its cells."""

    columns: ColumnMap
    words: Mapping[str, str]
    date_order: str
    patterns: Sequence[str]
    read_at: datetime | None
    now: datetime
    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)

    def row(self, row: Row, errors: list[RowError]) -> ResultRow | None:
        """What a row says; None when something is wrong with it, and then all of that goes into ``errors``."""
        before = len(errors)

        def judged(read: Callable[..., Any], *parts: Any) -> Any:
            try:
                return read(*parts)
            except Refusal as refusal:
                errors.append(error_of(row.number, refusal))
                return None

        cells = judged(self.columns.pick, row)
        if cells is None:
            return None
        tube = judged(read_tube, cells["tube"], self.patterns)
        outcome = self.outcomes.get(cells["outcome"]) or judged(self.outcome, cells["outcome"])
        ct = judged(read_cycles, cells)
        read_at = judged(self.moment, cells["tested_at"])
        return ResultRow(row.number, tube, cells["run"][:40], outcome, ct, read_at) if len(errors) == before else None

    def outcome(self, text: str) -> str:
        """The outcome of a cell, remembered: a laboratory has few words."""
        found = self.outcomes[text] = read_outcome(text, self.words)
        return found

    def moment(self, text: str) -> datetime:
        """When the result was read: what the row says, or what was said for the whole file."""
        if not text and self.read_at is not None:
            return self.read_at
        found = read_time(text, self.date_order)
        if found > self.now + FUTURE:
            raise Refusal("testing.time_future", "tested_at")
        return found


def read_file(
    source: BinaryIO,
    *,
    patterns: Sequence[str] = (),
    choices: Choices | None = None,
    read_at: datetime | None = None,
    now: datetime | None = None,
) -> Reading:
    """Read a whole file without storing anything.

    ``patterns`` are the foreign barcodes that the operation's profiles accept; ``read_at`` counts where a row has no
    time. Refusals are those of ``open_table`` and ``ColumnMap.check``: a file that can't be read at all.
    """
    said = choices or Choices()
    with open_table(source, limits=LIMITS) as table:
        columns = match_columns(table.header, WANTED, remembered=said.columns)
        columns.check()
        rows = list(table.rows)
    order = said.date_order or date_order(row.cells[columns.places["tested_at"]] for row in with_time(rows, columns))
    words = {plain(text): outcome for text, outcome in said.words.items()}
    reader = Reader(columns, words, order, patterns, read_at, now or clock.now())
    kept = Choices(columns=columns.remember(), words=said.words, date_order=order)
    reading = Reading(seen=len(rows), choices=kept, unknown=columns.unknown)
    for row in rows:
        if (found := reader.row(row, reading.errors)) is not None:
            reading.rows.append(found)
    settle_repeats(reading)
    return reading


def with_time(rows: Sequence[Row], columns: ColumnMap) -> Iterator[Row]:
    """The rows that can tell in which order the laboratory writes its dates."""
    return (row for row in rows if "tested_at" in columns.places and row.problem is None)


def error_of(number: int, refusal: Refusal) -> RowError:
    """A refusal as the error of a row."""
    params = {name: value for name, value in refusal.params.items() if name != "row"}
    return RowError(number, refusal.field or "", refusal.code, params)


def settle_repeats(reading: Reading) -> None:
    """A row that says the same as an earlier one counts once; rows that contradict each other are all held back.

    The same tube may well stand twice in a file: in another run, or read again later.
    """
    first: dict[tuple[str, str, datetime], ResultRow] = {}
    fought: dict[tuple[str, str, datetime], list[int]] = {}
    for row in reading.rows:
        key = (row.tube, row.run, row.read_at)
        earlier = first.setdefault(key, row)
        if (earlier.outcome, earlier.ct) != (row.outcome, row.ct):
            fought.setdefault(key, [earlier.number]).append(row.number)
    held = {number: numbers for numbers in fought.values() for number in numbers}
    for number, numbers in sorted(held.items()):
        other = next(one for one in numbers if one != number)
        reading.errors.append(RowError(number, "tube", "testing.rows_contradict", {"other": other}))
    good = [row for key, row in first.items() if key not in fought]
    reading.repeated = len(reading.rows) - len(good) - len(held)
    reading.rows = good
    reading.errors.sort(key=lambda error: error.row)


def plain(text: str) -> str:
    """A cell as far as its wording matters."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def read_tube(text: str, patterns: Sequence[str]) -> str:
    """The barcode of a tube: one of ours, or one that a profile of the operation accepts. Refusals ``codes.…``."""
    if not text:
        raise Refusal("codes.empty", "tube")
    found: Refusal | None = None
    for pattern in patterns or (None,):
        try:
            return check_code("tube", text, pattern).text
        except Refusal as refusal:
            found = refusal
    assert found is not None
    raise Refusal(found.code, "tube", **found.params)


def read_outcome(text: str, words: Mapping[str, str]) -> str:
    """The outcome that a laboratory's word means. ``testing.outcome_missing``, ``_unclear`` or ``_unknown``."""
    word = plain(text)
    outcome = words.get(word)
    if outcome is None and word in UNCLEAR:
        raise Refusal("testing.outcome_unclear", "outcome")
    outcome = outcome or CODED.get(word) or outcome_from_text(word)
    if outcome is None:
        raise Refusal("testing.outcome_unknown" if word else "testing.outcome_missing", "outcome")
    return outcome


def read_cycles(cells: Mapping[str, str]) -> dict[str, float | None] | None:
    """Cycle by target, None for a target that was not detected; nothing at all where the file gives none."""
    found = {name: read_cycle(cells[key], key) for key, name in TARGETS.items() if cells[key]}
    return found or None


@lru_cache(20_000)
def read_cycle(text: str, key: str) -> float | None:
    """One cycle. Refusal ``testing.cycle`` for what is no number from 0 to 60."""
    try:
        value = float(text)
    except ValueError:
        if plain(text) in NO_CYCLE:
            return None
        raise Refusal("testing.cycle", key) from None
    if not 0 <= value <= HIGHEST_CYCLE:
        raise Refusal("testing.cycle", key)
    return value or None


# --- times ----------------------------------------------------------------------------------------------------

_CLOCK = r"(?:[T\s]+(?:(上午|下午|AM|PM)\s*)?(\d{1,2})[:时点](\d{1,2})分?(?::?(\d{1,2})(?:\.\d+)?秒?)?\s*(AM|PM)?)?"
_ZONE = r"\s*(Z|[+-]\d{2}:?\d{2})?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})\s*[-/.年]\s*(\d{{1,2}})\s*[-/.月]\s*(\d{{1,2}})日?{_CLOCK}{_ZONE}", re.IGNORECASE)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}){_CLOCK}{_ZONE}", re.IGNORECASE)
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})?")


def date_order(texts: Iterator[str]) -> str:
    """``dmy`` or ``mdy`` for dates that end with the year, by the first day above the twelfth; "" where none is."""
    for text in texts:
        found = _YEAR_LAST.match(text)
        if found and int(found[1]) > 12:
            return "dmy"
        if found and int(found[2]) > 12:
            return "mdy"
    return ""


@lru_cache(20_000)
def read_time(text: str, order: str) -> datetime:
    """A time as laboratories write it, in the business zone unless it names its own.

    Refusals: ``testing.time_missing``, ``testing.time_form``, ``testing.time_of_day`` (a date alone is not enough: how
    long a result took is measured), ``testing.time_order`` (03/04/2022 in a file that does not say which is the day).
    """
    if not text:
        raise Refusal("testing.time_missing", "tested_at")
    text = unicodedata.normalize("NFKC", text).strip()
    if found := _DIGITS.fullmatch(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
        return aware(year, month, day, (hour, minute, second), None)
    if found := _YEAR_FIRST.fullmatch(text):
        return aware(int(found[1]), int(found[2]), int(found[3]), clock_of(found.groups()[3:8]), found[9])
    if found := _YEAR_LAST.fullmatch(text):
        if not order:
            raise Refusal("testing.time_order", "tested_at")
        one, two = int(found[1]), int(found[2])
        day, month = (one, two) if order == "dmy" else (two, one)
        return aware(int(found[3]), month, day, clock_of(found.groups()[3:8]), found[9])
    raise Refusal("testing.time_form", "tested_at")


def clock_of(parts: Sequence[str | None]) -> tuple[int, int, int] | None:
    """Hour, minute and second of a 12- or 24-hour clock; None where there is no time of day."""
    before, hour, minute, second, after = parts
    if hour is None:
        return None
    half = (before or after or "").upper()
    hours = int(hour) % 12 + 12 * (half in ("下午", "PM")) if half else int(hour)
    return hours, int(minute or 0), int(second or 0)


def aware(year: int, month: int, day: int, at: tuple[int, int, int] | None, zone: str | None) -> datetime:
    """The moment; ``testing.time_of_day`` without a time of day, ``testing.time_form`` for a day that is none."""
    if at is None:
        raise Refusal("testing.time_of_day", "tested_at")
    try:
        zone_text = "+00:00" if zone in ("Z", "z") else zone or ""
        found = datetime.fromisoformat(f"{year:04}-{month:02}-{day:02}T{at[0]:02}:{at[1]:02}:{at[2]:02}{zone_text}")
    except ValueError:
        raise Refusal("testing.time_form", "tested_at") from None
    return (found if found.tzinfo else found.replace(tzinfo=clock.zone())).astimezone(UTC)


# --- handing in -----------------------------------------------------------------------------------------------


def upload(
    *,
    by: User,
    operation: int,
    lab: int,
    source: BinaryIO,
    file_name: str,
    choices: Choices | None = None,
    read_at: datetime | None = None,
) -> ResultFile:
    """Read a file and hand in its good rows. What was remembered of the laboratory holds unless ``choices`` are given.

    Refusals: ``access.not_allowed``, ``testing.lab_unknown``, and those of ``read_file``.
    """
    site = Site.objects.filter(operation=operation, pk=lab, kind=SiteKind.LABORATORY).first()
    if site is None:
        raise Refusal("testing.lab_unknown", "lab")
    require(by, Permission.UPLOAD_RESULTS, area=site.area, operation=operation, at=clock.now())
    digest = hashlib.sha256(read_all(source)).digest()
    said = choices or remembered(operation, lab)
    read_at = same_time(operation, lab, digest) or read_at
    reading = read_file(source, patterns=tube_patterns(operation), choices=said, read_at=read_at)
    refused = hand_in(by, operation, lab, reading)
    reading.errors = sorted([*reading.errors, *refused], key=lambda error: error.row)
    if reading.rows:
        remember(operation, lab, reading.choices)
    return ResultFile.objects.create(
        operation=operation,
        lab=lab,
        file_name=file_name[:120],
        file_digest=digest,
        rows=reading.seen,
        accepted=len(reading.rows) - len(refused),
        errors=[error.as_dict() for error in reading.errors[:KEPT_ERRORS]],
        mapping=reading.choices.as_dict() | {"read_at": read_at.isoformat() if read_at else None},
        by=by.pk,
        created_at=clock.now(),
    )


def read_all(source: BinaryIO) -> bytes:
    """The bytes of a file, rewound before and after."""
    source.seek(0)
    content = source.read(LIMITS.file_bytes + 1)
    source.seek(0)
    return content


def hand_in(by: User, operation: int, lab: int, reading: Reading) -> list[RowError]:
    """Send the good rows as facts, some hundred at a time; what the door refused, row by row."""
    refused: list[RowError] = []
    for start in range(0, len(reading.rows), CHUNK):
        rows = reading.rows[start : start + CHUNK]
        receipts = submit_desk(user=by, operation=operation, facts=[row.fact(operation, lab) for row in rows])
        for row, receipt in zip(rows, receipts, strict=True):
            if receipt.verdict == "refused":
                refused.append(RowError(row.number, receipt.field or "", receipt.code or ""))
    return refused


def same_time(operation: int, lab: int, digest: bytes) -> datetime | None:
    """The time given for the whole file when it was uploaded before: the same file says the same things."""
    earlier = ResultFile.objects.filter(operation=operation, lab=lab, file_digest=digest).order_by("pk").first()
    given = earlier.mapping.get("read_at") if earlier else None
    return datetime.fromisoformat(given) if given else None


def remembered(operation: int, lab: int) -> Choices:
    """How the laboratory's last file was understood."""
    row = ColumnMapping.objects.filter(operation=operation, purpose=PURPOSE, source=str(lab)).first()
    return Choices(**row.mapping) if row else Choices()


def remember(operation: int, lab: int, choices: Choices) -> None:
    """Keep how this file was understood for the next one."""
    ColumnMapping.objects.update_or_create(
        operation=operation, purpose=PURPOSE, source=str(lab), defaults={"mapping": choices.as_dict()}
    )
