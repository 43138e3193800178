"""How numbers, times and durations are written, in Chinese and in English. Pure: a value and a language in, text out.

What can't be known reads ``—``, never 0. Times are those of the business zone; a duration never shows seconds.
"""

from datetime import UTC, datetime, timedelta

from dabai.kernel import clock

UNKNOWN = "—"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: float | None) -> str:
    """12,310; a fraction keeps one or two digits."""
    if value is None:
        return UNKNOWN
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"
    return f"{int(value):,}"


def percent(part: float | None, whole: float | None) -> str:
    """91.2 %, cut and not rounded up to 100; — where there is nothing to be a part of."""
    if part is None or not whole:
        return UNKNOWN
    share = int(part * 1000 / whole) / 10
    return f"{share:.1f}%"


def share(part: float | None, whole: float | None) -> float:
    """A share between 0 and 100 for a bar."""
    return 0.0 if not whole or part is None else max(0.0, min(100.0, part * 100 / whole))


def when(moment: datetime | None, lang: str, *, seconds: bool = False) -> str:
    """3月13日 08:05, or 13 Mar 08:05; the year only where it is not this one."""
    if moment is None:
        return UNKNOWN
    local, now = moment.astimezone(clock.zone()), clock.now().astimezone(clock.zone())
    hour = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    if lang == "zh":
        year = "" if local.year == now.year else f"{local.year}年"
        return f"{year}{local.month}月{local.day}日 {hour}"
    year = "" if local.year == now.year else f" {local.year}"
    return f"{local.day} {MONTHS[local.month - 1]}{year} {hour}"


def day(moment: datetime | None, lang: str) -> str:
    """The day alone."""
    return UNKNOWN if moment is None else when(moment, lang).rpartition(" ")[0]


def duration(span: timedelta | float | None, lang: str) -> str:
    """1 小时 20 分, or 1 h 20 min. A number is minutes."""
    if span is None:
        return UNKNOWN
    minutes = int(span.total_seconds() // 60 if isinstance(span, timedelta) else span)
    days, rest = divmod(abs(minutes), 1440)
    hours, minutes = divmod(rest, 60)
    names = ("天", "小时", "分") if lang == "zh" else ("d", "h", "min")
    parts = [(days, names[0]), (hours, names[1]), (minutes, names[2])]
    shown = [f"{value} {name}" for value, name in parts if value][:2]
    return " ".join(shown) or f"0 {names[2]}"


def for_input(moment: datetime | None) -> str:
    """The value of a ``datetime-local`` input."""
    return "" if moment is None else moment.astimezone(clock.zone()).strftime("%Y-%m-%dT%H:%M")


def from_input(text: str) -> datetime | None:
    """A moment from a ``datetime-local`` input, in the business zone; None for what is none."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=clock.zone())).astimezone(UTC)
