"""Every figure once: what it is called, what it means, its unit, and the one expression that it is worked out by.

A *count* is a sum over leaf cells (``dabai.figures.cells``) or a count of what is set up (points, staff). A *rate*, a
*mean* and a *difference* are worked out of two counts when they are read, and always shown with both. A *quantile* is
read from the minutes of each tube. What is not known has no value but a reason; it is never 0.

A community without a list of names is due by a count, marked as an estimate: names replace it as they come, and people
swabbed there who are on no roster cover it, as far as it goes.

Names and sentences stand in the words catalogue (``figures.name.ID``, ``figures.meaning.ID``), from which, with this
module, ``docs/domain/figures.md`` is generated. Sources: DOMAIN §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from enum import StrEnum
from fractions import Fraction

from dabai.figures import histogram


class Kind(StrEnum):
    """How a figure comes about."""

    COUNT = "count"
    RATE = "rate"
    MEAN = "mean"
    DIFFERENCE = "difference"
    QUANTILE = "quantile"


class Source(StrEnum):
    """Where the counts of a figure are read."""

    PEOPLE = "people"  # area cells: attributed to the area of the roster
    POINTS = "points"  # site cells: attributed to the point where it happened
    MINUTES = "minutes"  # duration cells
    SET_UP = "set_up"  # what was planned: points, stations, staff
    FIGURES = "figures"  # worked out of other figures


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``sql`` is its expression over the cells of its source; ``of`` names the two figures it is made of.

    ``each_round``: its sum over several rounds would count people again, so it has a value for one round only.
    """

    id: str
    kind: Kind
    unit: str
    source: Source
    sql: str = ""
    of: tuple[str, str] = ("", "")
    each_round: bool = False
    measure: str = ""
    share: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """A figure as it was read. ``top`` and ``bottom`` are the two counts of a rate, mean or difference.

    ``reason`` says why there is no value; ``warning`` what is odd about it; ``estimate`` that it rests on a count
    without names.
    """

    figure: str
    value: int | Decimal | None
    top: int | None = None
    bottom: int | None = None
    reason: str = ""
    warning: str = ""
    estimate: bool = False


def people(name: str, sql: str) -> Figure:
    """A count of people from area cells."""
    return Figure(name, Kind.COUNT, "people", Source.PEOPLE, sql=sql, each_round=True)


def at_points(name: str, unit: str, sql: str) -> Figure:
    """A count of events from site cells."""
    return Figure(name, Kind.COUNT, unit, Source.POINTS, sql=sql)


def set_up(name: str, unit: str) -> Figure:
    """A count of what is set up for the round."""
    return Figure(name, Kind.COUNT, unit, Source.SET_UP)


def rate(name: str, top: str, bottom: str, *, each_round: bool = False) -> Figure:
    """A share of ``bottom``."""
    return Figure(name, Kind.RATE, "share", Source.FIGURES, of=(top, bottom), each_round=each_round)


def minutes(measure: str) -> list[Figure]:
    """Median, 90th percentile and maximum of a duration."""
    shares = {"p50": Fraction(1, 2), "p90": Fraction(9, 10), "max": Fraction(1)}
    return [
        Figure(f"{measure}_{name}", Kind.QUANTILE, "minutes", Source.MINUTES, measure=measure, share=share)
        for name, share in shares.items()
    ]


FIGURES: dict[str, Figure] = {
    figure.id: figure
    for figure in (
        set_up("rounds", "rounds"),
        set_up("areas", "areas"),
        set_up("points", "points"),
        set_up("stations", "stations"),
        set_up("staff", "staff"),
        people("roster_frozen", "sum(frozen)"),
        people("roster_added", "sum(added)"),
        people("roster_removed", "sum(removed)"),
        Figure("estimated", Kind.COUNT, "people", Source.SET_UP, each_round=True),
        people("due", "sum(frozen + added - removed)"),
        people("people_sampled", "sum(sampled)"),
        people("covered", "sum(sampled)"),
        rate("sampling_rate", "covered", "due", each_round=True),
        people("excused", "sum(excused)"),
        people("outstanding", "sum(frozen + added - removed - sampled - excused)"),
        people("unlisted", "sum(unlisted)"),
        people("people_tested", "sum(sampled + unlisted)"),
        people("people_resulted", "sum(resulted + unlisted_resulted)"),
        rate("return_rate", "people_resulted", "people_tested", each_round=True),
        people("negative_people", "sum(negative + unlisted_negative)"),
        people("pending_people", "sum(pending + unlisted_pending)"),
        people("positive_people", "sum(positive + unlisted_positive)"),
        at_points("person_times", "person_times", "sum(samples)"),
        at_points("tubes", "tubes", "sum(tubes)"),
        Figure("mean_pool", Kind.MEAN, "people_per_tube", Source.FIGURES, of=("person_times", "tubes")),
        at_points("tubes_sealed", "tubes", "sum(sealed)"),
        at_points("tubes_packed", "tubes", "sum(packed)"),
        at_points("tubes_handed", "tubes", "sum(handed)"),
        at_points("tubes_received", "tubes", "sum(received)"),
        at_points("tubes_read", "tubes", "sum(read)"),
        at_points("tubes_released", "tubes", "sum(released)"),
        at_points("tubes_not_negative", "tubes", "sum(not_negative)"),
        at_points("tubes_voided", "tubes", "sum(voided)"),
        at_points("tubes_rejected", "tubes", "sum(rejected)"),
        at_points("tubes_contested", "tubes", "sum(contested)"),
        at_points("tubes_on_time", "tubes", "sum(on_time)"),
        rate("on_time_rate", "tubes_on_time", "tubes_received"),
        at_points("station_minutes", "minutes", "sum(open_minutes)"),
        Figure(
            "per_station_hour", Kind.MEAN, "people_per_hour", Source.FIGURES, of=("person_times", "station_minutes")
        ),
        at_points("tubes_boxed", "tubes", "sum(boxed)"),
        at_points("tubes_counted_packing", "tubes", "sum(boxed_counted)"),
        Figure(
            "tube_difference_packing",
            Kind.DIFFERENCE,
            "tubes",
            Source.FIGURES,
            of=("tubes_boxed", "tubes_counted_packing"),
        ),
        at_points("tubes_delivered", "tubes", "sum(delivered)"),
        at_points("tubes_counted_lab", "tubes", "sum(delivered_counted)"),
        Figure(
            "tube_difference_lab", Kind.DIFFERENCE, "tubes", Source.FIGURES, of=("tubes_delivered", "tubes_counted_lab")
        ),
        *minutes("sample_to_receipt"),
        *minutes("receipt_to_result"),
        *minutes("sample_to_result"),
    )
}

# A mean whose bottom is counted in another unit than it is told in: minutes of stations, told by the hour.
SCALE = {"per_station_hour": 60}


def of_source(source: Source) -> list[Figure]:
    """The figures that one statement reads."""
    return [figure for figure in FIGURES.values() if figure.source == source]


@dataclass(frozen=True, slots=True)
class Read:
    """What the statements gave: counts by figure (None: not known), minutes by measure, reasons, and a usual pace."""

    counts: Mapping[str, int | None]
    minutes: Mapping[str, Mapping[int, int]]
    reasons: Mapping[str, str]
    pace: tuple[float, float] | None = None


def evaluate(read: Read) -> dict[str, Value]:
    """Every figure from what was read. Pure: the same counts, the same figures."""
    values = {figure.id: value_of(figure, read) for figure in FIGURES.values()}
    return {name: doubted(value, read) for name, value in values.items()}


# Where people are due by a count: how often the people due so, and those of them who are covered, add to a figure.
BY_ESTIMATE = {"due": (1, 0), "covered": (0, 1), "outstanding": (1, -1)}


def with_estimate(counts: Mapping[str, int | None], estimated: int, covered: int) -> dict[str, int | None]:
    """The counts of people with those who are due by a count alone, and those of them whom somebody swabbed covers."""
    changed = dict(counts) | {"estimated": estimated}
    for name, (times_due, times_covered) in BY_ESTIMATE.items():
        if (count := changed.get(name)) is not None:
            changed[name] = count + times_due * estimated + times_covered * covered
    return changed


def value_of(figure: Figure, read: Read) -> Value:
    """One figure."""
    if reason := read.reasons.get(figure.id):
        return Value(figure.id, None, reason=reason)
    if figure.kind == Kind.COUNT:
        count = read.counts.get(figure.id)
        return Value(figure.id, count, reason="" if count is not None else "unknown")
    if figure.kind == Kind.QUANTILE:
        return quantile_of(figure, read.minutes.get(figure.measure, {}))
    return composed(figure, read)


def quantile_of(figure: Figure, counts: Mapping[int, int]) -> Value:
    """A quantile, with the number of tubes that it rests on."""
    total = sum(counts.values())
    assert figure.share is not None
    value = histogram.largest(counts) if figure.share == 1 else histogram.quantile(counts, figure.share)
    return Value(figure.id, value, bottom=total, reason="" if total else "no_tubes_yet")


def composed(figure: Figure, read: Read) -> Value:
    """A rate, mean or difference of two counts; of nothing (or of what is not known) there is none."""
    top, bottom = (None if name in read.reasons else read.counts.get(name) for name in figure.of)
    reason = next((read.reasons[name] for name in figure.of if name in read.reasons), "")
    if top is None or bottom is None:
        return Value(figure.id, None, top, bottom, reason=reason or "unknown")
    if figure.kind == Kind.DIFFERENCE:
        return Value(figure.id, top - bottom, top, bottom)
    if bottom == 0:
        return Value(figure.id, None, top, bottom, reason="of_nothing")
    scaled = Decimal(top) * SCALE.get(figure.id, 1) / Decimal(bottom)
    rounding = ROUND_FLOOR if figure.kind == Kind.RATE else ROUND_HALF_UP  # 99.999 % is not all of them
    return Value(figure.id, scaled.quantize(Decimal("0.0001"), rounding), top, bottom)


def doubted(value: Value, read: Read) -> Value:
    """The same value, marked as odd or as resting on an estimate."""
    warning, estimate = "", False
    if value.figure == "per_station_hour" and value.value is not None and read.pace is not None:
        low, high = read.pace
        warning = "slow" if value.value < Decimal(str(low)) else "fast" if value.value > Decimal(str(high)) else ""
    if value.figure.startswith("tube_difference_") and value.value:
        warning = "tubes_differ"
    if value.figure in ("due", "outstanding", "sampling_rate"):
        estimate = bool(read.counts.get("estimated"))
    if not warning and not estimate:
        return value
    return Value(value.figure, value.value, value.top, value.bottom, value.reason, warning, estimate)
