"""What a protocol profile (病种方案) says: every rule of a disease as data, checked when it is loaded.

A profile is one TOML file and, once in use, one stored version: who is enrolled under a version keeps it. Contact
rules went from 14+7 days to 7+3 to 5+3 within 18 months, so nothing here is a constant in code. Values that no source
confirmed are listed by their dotted path in ``unverified``; a screen that shows one says so.

Durations carry their unit in the name. Days of tests count from the beginning of their phase, day 1 first; a place is
where the person stays, and phases follow one another (7 days at a site, then 3 at home).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, LiteralString, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from dabai.kernel.codes import check_pattern
from dabai.kernel.refusal import Refusal

PROFILES = Path(__file__).resolve().parent / "profiles"

Slug = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{1,39}$")]
CodeName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,39}$")]
Minutes = Annotated[int, Field(ge=1, le=60 * 24 * 7)]
Days = Annotated[int, Field(ge=0, le=365)]
Text = Annotated[str, Field(min_length=1, max_length=400)]
PoolSize = Literal[1, 5, 10, 20]
Sharing = Literal["nobody", "household", "street", "anybody"]
AreaClass = Literal["lockdown", "control", "precaution", "normal"]
Place = Literal["site", "home_quarantine", "home_monitoring", "monitoring", "self_monitoring"]
Specimen = Literal["op_swab", "np_swab", "antigen", "environment", "blood", "stool"]


def _wrong(code: LiteralString, /, **params: object) -> PydanticCustomError:
    """A mistake that only we can name; its code and params come out of ``parse_profile`` as a refusal."""
    return PydanticCustomError(code, code, params or None)


def _check_unique(codes: list[str]) -> None:
    for code in codes:
        if codes.count(code) > 1:
            raise _wrong("protocols.code_twice", twice=code)


def _safe_pattern(pattern: str) -> str:
    try:
        check_pattern(pattern)
    except Refusal as no:
        raise PydanticCustomError(no.code, "pattern", no.params or None) from None
    return pattern


Pattern = Annotated[str, AfterValidator(_safe_pattern)]


class Part(BaseModel):
    """A part of a profile: unknown fields are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Words(Part):
    """A name in both languages."""

    zh: Text
    en: Text


class Source(Part):
    """Where values come from."""

    title: Text
    issued: date | None = None
    note: str = Field("", max_length=400)


class Range(Part):
    """From ``low`` to ``high``, both included."""

    low: float = Field(ge=0)
    high: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise _wrong("protocols.range", low=self.low, high=self.high)
        return self


class InfectiousWindow(Part):
    """Days before onset (or sampling, without symptoms) and after it in which a case infects others."""

    before_days: Days
    after_days: Days


# --- Testing --------------------------------------------------------------------------------------------------------


class PoolRule(Part):
    """Who gets which tube. The first rule whose conditions all hold for a person is theirs; empty lists always hold."""

    code: CodeName
    name: Words
    groups: list[CodeName] = []
    area_classes: list[AreaClass] = []
    household_sealed: bool | None = None
    size: PoolSize
    sharing: Sharing

    @model_validator(mode="after")
    def _alone_or_together(self) -> Self:
        if (self.size == 1) != (self.sharing == "nobody"):
            raise _wrong("protocols.pool_sharing")
        return self


class Pooling(Part):
    """混采 rules, ending with one that holds for everybody. What breaks them is flagged, never refused."""

    sizes: list[PoolSize] = Field(min_length=1)
    default_size: PoolSize
    open_minutes: Minutes
    short_pool: Literal["allow", "confirm", "confirm_by_second"]
    grey_zone: Literal["retest_single", "as_positive"]
    rules: list[PoolRule] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        last = self.rules[-1]
        if last.groups or last.area_classes or last.household_sealed is not None:
            raise _wrong("protocols.pool_last_rule", rule=last.code)
        if missing := {self.default_size, *(rule.size for rule in self.rules)} - set(self.sizes):
            raise _wrong("protocols.pool_size", size=min(missing))
        _check_unique([rule.code for rule in self.rules])
        return self


class Codes(Part):
    """Regular expressions for barcodes that are not ours (``dabai.kernel.codes``); None accepts only our own."""

    tube_pattern: Pattern | None = None
    box_pattern: Pattern | None = None
    bag_pattern: Pattern | None = None


class Transport(Part):
    """From the first swab of a tube to the laboratory, and what a box and a bag hold."""

    swab_to_lab_minutes: Minutes
    transfer_dwell_minutes: Minutes | None = None
    cold_test_within_hours: Annotated[int, Field(ge=1, le=168)]
    tubes_per_bag: Annotated[int, Field(ge=1, le=200)]
    temperature_c: Range | None = None


class Results(Part):
    """How soon a result is due, and how Ct values are read (advice only: what the laboratory states counts)."""

    receipt_to_result_minutes: Minutes
    swab_to_result_minutes: Minutes
    retest_within_minutes: Minutes
    ct_positive_at_most: float | None = Field(None, gt=0, le=50)
    ct_not_infectious_from: float | None = Field(None, gt=0, le=50)
    four_eyes: bool = True


class Organisation(Part):
    """What a plan of a round starts from, and the pace per open station-hour beyond which a figure is doubted."""

    round_hours: Annotated[int, Field(ge=1, le=24 * 14)]
    people_per_point: Range
    people_per_sampler: Annotated[int, Field(ge=1)]
    staff_per_station: float = Field(gt=0)
    shift_hours: float = Field(gt=0, le=24)
    queue_places: Annotated[int, Field(ge=0)]
    pace_per_station_hour: Range
    wait_hours_after_vaccination: Annotated[int, Field(ge=0)] = 0


# --- Contacts and monitoring ----------------------------------------------------------------------------------------


class Phase(Part):
    """A stretch of days in one place."""

    place: Place
    days: Annotated[int, Field(ge=1, le=365)]


class ContactTest(Part):
    """A test due on a day of a phase (the first is 1). ``double``: two swabs, two reagents, best two laboratories."""

    phase: Annotated[int, Field(ge=1)]
    day: Annotated[int, Field(ge=1)]
    specimen: Specimen
    double: bool = False


class ContactClass(Part):
    """One class of people exposed: how far back exposure counts, where they stay, when they are tested and go free."""

    code: CodeName
    name: Words
    lookback_hours: Annotated[int, Field(ge=0)]
    phases: list[Phase] = []
    tests: list[ContactTest] = []
    release: list[Words] = []
    upgrade: Words | None = None

    @model_validator(mode="after")
    def _tests_in_phases(self) -> Self:
        for test in self.tests:
            if test.phase > len(self.phases):
                raise _wrong("protocols.test_phase", phase=test.phase, phases=len(self.phases))
            if test.day > self.phases[test.phase - 1].days:
                raise _wrong("protocols.test_day", day=test.day, days=self.phases[test.phase - 1].days)
        return self

    @property
    def days(self) -> int:
        """Days from the last exposure to the end of the last phase."""
        return sum(phase.days for phase in self.phases)

    def test_days(self) -> list[int]:
        """Days counted from the last exposure (day 1 is the first day after it) on which a test is due, in order."""
        before = [sum(phase.days for phase in self.phases[:i]) for i in range(len(self.phases))]
        return sorted(before[test.phase - 1] + test.day for test in self.tests)


class Question(Part):
    """A symptom or question that a monitored person is asked about."""

    code: CodeName
    name: Words


class Monitoring(Part):
    """Readings a day, and what is asked."""

    per_day: Annotated[int, Field(ge=1, le=12)]
    questions: list[Question] = []


# --- Hygiene and alerts ---------------------------------------------------------------------------------------------


class DisinfectionTask(Part):
    """How an object is disinfected. Either a concentration or a method without one (boiling)."""

    object: CodeName
    name: Words
    agent: CodeName
    mg_l: Annotated[int, Field(ge=1)] | None = None
    minutes: Annotated[int, Field(ge=1)]
    ml_m2: Range | None = None


class Waste(Part):
    """Medical waste of this disease."""

    label: Text
    max_fill: float = Field(gt=0, le=1)
    hold_hours: Annotated[int, Field(ge=1)]
    keep_years: Annotated[int, Field(ge=1)]
    grams_per_person: float | None = Field(None, gt=0)


class Alert(Part):
    """When somebody is to be told. ``code`` names a check of the figures, ``limit`` its threshold."""

    code: CodeName
    limit: float
    to: list[CodeName] = Field(min_length=1)


class Profile(Part):
    """One version of one disease's rules."""

    level: Literal[1] = 1
    id: Slug
    name: Words
    version: Annotated[int, Field(ge=1)]
    effective_from: date
    effective_to: date | None = None
    legal_class: Words
    report_deadline_hours: Annotated[int, Field(ge=1)]
    fever_c: float = Field(ge=35, le=42)
    incubation_days: Range
    infectious_window: InfectiousWindow
    retention_days: Annotated[int, Field(ge=1)]
    codes: Codes = Codes()
    pooling: Pooling
    transport: Transport
    results: Results
    organisation: Organisation
    contact_classes: list[ContactClass] = []
    monitoring: Monitoring
    disinfection: list[DisinfectionTask] = []
    ppe: dict[CodeName, list[CodeName]] = {}
    waste: Waste
    alerts: list[Alert] = []
    sources: list[Source] = Field(min_length=1)
    unverified: list[str] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.effective_to is not None and self.effective_to < self.effective_from:
            raise _wrong("protocols.effective")
        _check_unique([one.code for one in self.contact_classes])
        _check_unique([one.code for one in self.alerts])
        _check_unique([one.object for one in self.disinfection])
        _check_unique(self.symptoms)
        paths = [path for path, _ in flat(self.model_dump(mode="json"))]
        for path in self.unverified:
            if not any(known == path or known.startswith(f"{path}.") for known in paths):
                raise _wrong("protocols.unverified_path", path=path)
        return self

    @property
    def symptoms(self) -> list[str]:
        """Codes of the symptoms that are asked about."""
        return [question.code for question in self.monitoring.questions]

    def contact_class(self, code: str) -> ContactClass | None:
        """The class of this code, or None: a profile may not judge it (second-ring contacts since November 2022)."""
        return next((one for one in self.contact_classes if one.code == code), None)

    def is_unverified(self, path: str) -> bool:
        """Whether the value at this path stands without a confirmed source."""
        return any(path == marked or path.startswith(f"{marked}.") for marked in self.unverified)


# --- Loading and comparing ------------------------------------------------------------------------------------------


class ProfileInvalid(Refusal):
    """A profile that can't be used. ``problems`` has one ``Refusal`` per mistake, each naming its field."""

    def __init__(self, problems: list[Refusal]) -> None:
        self.problems = problems
        super().__init__("protocols.invalid", problems[0].field, count=len(problems))


_PROBLEMS = {
    "missing": "protocols.missing",
    "extra_forbidden": "protocols.unknown_field",
    "literal_error": "protocols.not_a_choice",
    "string_pattern_mismatch": "protocols.form",
    "greater_than_equal": "protocols.too_small",
    "greater_than": "protocols.too_small",
    "less_than_equal": "protocols.too_large",
    "less_than": "protocols.too_large",
}
_LIMITS = ("ge", "gt", "le", "lt")


def parse_profile(body: Mapping[str, Any]) -> Profile:
    """A profile from plain data (a stored version, a parsed file). Raises ``ProfileInvalid`` with every mistake."""
    try:
        return Profile.model_validate(body)
    except ValidationError as wrong:
        raise ProfileInvalid([_problem(dict(error)) for error in wrong.errors(include_url=False)]) from None


def _problem(error: dict[str, Any]) -> Refusal:
    """One mistake that pydantic found, as a refusal: the field by its dotted path, list places counted from 1."""
    path = ".".join(str(step + 1) if isinstance(step, int) else step for step in error["loc"])
    context = error.get("ctx") or {}
    if "." in error["type"]:  # one of ours
        return Refusal(error["type"], path or "profile", **context)
    limit = next((context[name] for name in _LIMITS if name in context), None)
    code = _PROBLEMS.get(error["type"], "protocols.value")
    return Refusal(code, path or "profile", limit=limit, choices=context.get("expected"), said=error["msg"])


def load_profile(path: str | PathLike[str]) -> Profile:
    """A profile from a TOML file. Raises ``ProfileInvalid``, also for a file that is no TOML (with its line)."""
    try:
        body = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        line = re.search(r"line ([0-9]+)", str(wrong))
        raise ProfileInvalid([Refusal("protocols.toml", "file", line=int(line[1]) if line else 0)]) from None
    return parse_profile(body)


def shipped_profiles() -> dict[str, Profile]:
    """The profiles that come with the system, by id."""
    loaded = [load_profile(path) for path in sorted(PROFILES.glob("*.toml"))]
    return {profile.id: profile for profile in loaded}


class Change(NamedTuple):
    """A value that differs between two versions; None where it did not exist."""

    field: str
    before: Any
    after: Any


def diff(a: Profile, b: Profile) -> list[Change]:
    """What changed from ``a`` to ``b``, by dotted path.

    Members of a list that have a code are compared by it, so that a rule put in front does not look like a change of
    all rules behind it.
    """
    before, after = dict(flat(a.model_dump(mode="json"))), dict(flat(b.model_dump(mode="json")))
    paths = [*before, *(path for path in after if path not in before)]
    changed = [path for path in paths if path not in before or path not in after or before[path] != after[path]]
    return [Change(path, before.get(path), after.get(path)) for path in changed]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values of nested data with their dotted paths."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, inner in enumerate(value, 1):
            yield from flat(inner, f"{path}.{inner.get('code') or inner.get('object') or place}")
    else:
        yield path, value
