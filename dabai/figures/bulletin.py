"""What a bulletin (战报) says, from frozen figures to words. Pure: the same content, the same text, in both languages.

The order is that of press bulletins (DOMAIN §8): scope and beginning, points, stations and staff, how many are due, how
many are sampled (with both counts), how many have a result, what is not negative, a line for each area, progress and
what comes next. A pool that is not negative is never told as positive; a figure that is not known says why.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dabai.figures.definitions import FIGURES, Kind
from dabai.kernel import clock
from dabai.kernel.words import say

Content = Mapping[str, Any]
ROUND_LINES = ("scope", "forces", "due", "estimated", "sampled", "samples", "results", "not_negative")
PROGRESS_LINES = (
    "progress", "delivery", "sample_to_receipt", "receipt_to_result", "sample_to_result", "tube_counts"
)  # fmt: skip
TO_DATE_LINES = ("scope_to_date", "forces", "samples_to_date", "results_to_date")
TO_DATE_PROGRESS = ("delivery", "sample_to_result", "tube_counts")
AREA_COLUMNS = {
    "due": "due",
    "covered": "covered",
    "rate": "sampling_rate",
    "outstanding": "outstanding",
    "resulted": "people_resulted",
    "pending": "pending_people",
    "positive": "positive_people",
}
PLACE_COLUMNS = {"person_times": "person_times", "tubes": "tubes"}
ROUND_COLUMNS = PLACE_COLUMNS | {"people": "people_tested"}
# What an issue states, and so what a correction compares. Staff is what is registered today, not what facts say.
NOT_COMPARED = ("staff",)
COMPARED_OF_AREA = ("due", "covered", "outstanding", "resulted", "pending", "positive")


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands on an issue beside its content."""

    issue: int
    corrects: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of the same kind: told as sentences in text, as a table in HTML."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[str]


@dataclass(slots=True)
class Rendered:
    """An issue in one language, not yet text or HTML."""

    lang: str
    title: str
    notes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)


# --- numbers in words -----------------------------------------------------------------------------------------


def number(value: float) -> str:
    """With separators; one decimal for what is no count."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def percent(top: int, bottom: int) -> str:
    """A share with two decimals, cut off: 99.999 % is not all of them."""
    return f"{(Decimal(top) * 100 / Decimal(bottom)).quantize(Decimal('0.01'), ROUND_FLOOR)}%"


def shown(name: str, value: Mapping[str, Any], lang: str) -> str:
    """A frozen figure with its unit, its two counts where it is a share, its doubts, or why it is not known."""
    figure = FIGURES[name]
    if value["value"] is None:
        return say("figures.shown.unknown", lang, reason=say(f"figures.reason.{value['reason']}", lang))
    if figure.kind == Kind.RATE:
        top, bottom = value["top"], value["bottom"]
        counts = {"top": number(top), "bottom": number(bottom), "percent": percent(top, bottom)}
        text = say("figures.shown.share", lang, **counts)
    else:
        one = "_one" if value["value"] == 1 else ""
        text = say(f"figures.shown.{figure.unit}{one}", lang, n=number(value["value"]))
    if value["estimate"]:
        text = say("figures.shown.estimate", lang, shown=text)
    if value["warning"]:
        text = say("figures.shown.warning", lang, shown=text, warning=say(f"figures.warning.{value['warning']}", lang))
    return text


def moment(text: str | None) -> str:
    """A frozen time as people of the district write it."""
    return f"{datetime.fromisoformat(text).astimezone(clock.zone()):%Y-%m-%d %H:%M}" if text else ""


# --- an issue ---------------------------------------------------------------------------------------------------


def render(content: Content, heading: Heading, changes: Sequence[Mapping[str, Any]], lang: str) -> Rendered:
    """The whole issue in one language."""
    to_date = content["round"] is None
    rendered = Rendered(lang, title(content, lang), notes(content, heading, lang))
    told = {name: shown(name, value, lang) for name, value in content["values"].items()}
    told["starts_at"] = moment(content["starts_at"])
    rendered.lines = sentences(TO_DATE_LINES if to_date else ROUND_LINES, told, content, lang)
    rendered.tables = [*tables(content, lang), *change_tables(changes, lang)]
    rendered.closing = sentences(TO_DATE_PROGRESS if to_date else PROGRESS_LINES, told, content, lang)
    if following := content.get("next"):
        about = {"name": round_name(following, lang), "starts_at": moment(following["starts_at"])}
        rendered.closing.append(say("figures.bulletin.next", lang, **about))
    if heading.comment:
        rendered.closing.append(say("figures.bulletin.comment", lang, comment=heading.comment))
    return rendered


def title(content: Content, lang: str) -> str:
    """Whose figures these are."""
    places = {"district": content["district"]["name"], "operation": content["operation"]["name"]}
    if content["round"] is None:
        return say("figures.bulletin.title_to_date", lang, **places)
    return say("figures.bulletin.title_round", lang, **places, round=round_name(content["round"], lang))


def round_name(found: Mapping[str, Any], lang: str) -> str:
    """A round by number and name."""
    return say("figures.bulletin.round_named", lang, number=found["number"], name=found["name"])


def notes(content: Content, heading: Heading, lang: str) -> list[str]:
    """Issue and cut-off, whether it is a drill, and what it corrects."""
    found = [say("figures.bulletin.issue", lang, issue=heading.issue)]
    found.append(say("figures.bulletin.cut_off", lang, at=moment(content["cut_off"])))
    if content["operation"]["kind"] == "drill":
        found.append(say("figures.bulletin.drill", lang))
    if heading.corrects is not None:
        found.append(say("figures.bulletin.corrects", lang, issue=heading.corrects))
    return found


def sentences(keys: Iterable[str], told: Mapping[str, str], content: Content, lang: str) -> list[str]:
    """The sentences of an issue; what is due by estimate is mentioned only where somebody is."""
    estimated = content["values"].get("estimated", {}).get("value")
    return [say(f"figures.bulletin.{key}", lang, **told) for key in keys if key != "estimated" or estimated]


def tables(content: Content, lang: str) -> list[Table]:
    """The lines by area, by round and by place of sampling, as far as the content has them."""
    found = [
        table("by_area", "area", AREA_COLUMNS, content["areas"], lang),
        table("by_round", "round", ROUND_COLUMNS, content["rounds"], lang),
        table("by_place", "place", PLACE_COLUMNS, content["places"], lang),
    ]
    return [one for one in found if one.rows]


def table(heading: str, line: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]], lang: str) -> Table:
    """One table, and its rows as sentences."""
    told = [{"name": place_name(row, lang)} | {name: cell(row, name) for name in columns} for row in rows]
    return Table(
        title=say(f"figures.bulletin.{heading}", lang),
        header=["", *(say(f"figures.name.{figure}", lang) for figure in columns.values())],
        rows=[[row["name"], *(row[name] for name in columns)] for row in told],
        lines=[say(f"figures.bulletin.{line}", lang, **row) for row in told],
    )


def place_name(row: Mapping[str, Any], lang: str) -> str:
    """The name of an area or round, its code where it has none."""
    if "number" in row:
        return round_name(row, lang)
    return str(row["name"] or row["area"] or say("figures.bulletin.no_area", lang))


def cell(row: Mapping[str, Any], name: str) -> str:
    """A number of a row; a rate from its two counts."""
    if name == "rate":
        return percent(row["covered"], row["due"]) if row["due"] else "–"
    return number(row[name])


# --- what changed -----------------------------------------------------------------------------------------------


def changes_between(old: Content, new: Content) -> list[dict[str, Any]]:
    """What a correction must state: ``{"figure", "area", "name", "old", "new"}`` for each number that differs.

    ``area`` is empty for figures of the whole. Only what an issue states is compared, not the time it was made.
    """
    found: list[dict[str, Any]] = [
        {"figure": name, "area": "", "name": "", "old": old["values"].get(name), "new": value}
        for name, value in new["values"].items()
        if name not in NOT_COMPARED and counted(old["values"].get(name)) != counted(value)
    ]
    before = {row["area"]: row for row in old["areas"]}
    after = {row["area"]: row for row in new["areas"]}
    for area in sorted(before.keys() | after.keys()):
        a, b = before.get(area, {}), after.get(area, {})
        label = (b or a)["name"]
        found += [
            {"figure": AREA_COLUMNS[name], "area": area, "name": label, "old": a.get(name, 0), "new": b.get(name, 0)}
            for name in COMPARED_OF_AREA
            if a.get(name, 0) != b.get(name, 0)
        ]
    return found


def counted(value: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """What of a frozen figure counts as its number."""
    return () if value is None else (value["value"], value["top"], value["bottom"])


def change_tables(changes: Sequence[Mapping[str, Any]], lang: str) -> list[Table]:
    """What a correction states: old and new."""
    rows = [change_row(change, lang) for change in changes]
    if not rows:
        return []
    lines = [say(f"figures.bulletin.{'change_area' if area else 'change'}", lang, area=area, **told)
             for (area, told) in rows]  # fmt: skip
    cells = [[f"{area} {told['name']}".strip(), told["old"], told["new"]] for area, told in rows]
    return [Table(say("figures.bulletin.changes", lang), ["", "", ""], cells, lines)]


def change_row(change: Mapping[str, Any], lang: str) -> tuple[str, dict[str, str]]:
    """One change: the area's name (empty for the whole), the figure's name, old and new with units."""
    name = say(f"figures.name.{change['figure']}", lang)
    return change["name"], {
        "name": name,
        "old": change_side(change["figure"], change["old"], lang),
        "new": change_side(change["figure"], change["new"], lang),
    }


def change_side(name: str, side: Any, lang: str) -> str:
    """One side of a change: a frozen figure of the whole, or a plain number of an area."""
    if isinstance(side, Mapping):
        return shown(name, side, lang)
    return "–" if side is None else number(side)


# --- text and HTML ----------------------------------------------------------------------------------------------


def as_text(rendered: Rendered) -> str:
    """Plain text, a sentence a line."""
    lines = [rendered.title, *rendered.notes, "", *rendered.lines]
    for one in rendered.tables:
        lines += ["", one.title, *one.lines]
    return "\n".join([*lines, "", *rendered.closing]) + "\n"


def as_html(rendered: Rendered) -> str:
    """A self-contained ``<article>`` without style; everything in it is escaped."""
    return format_html(
        '<article class="bulletin" lang="{}"><h1>{}</h1>{}{}{}{}</article>\n',
        {"zh": "zh-CN"}.get(rendered.lang, rendered.lang),
        rendered.title,
        paragraphs(rendered.notes, "note"),
        paragraphs(rendered.lines, "line"),
        format_html_join("", "{}", ((html_table(one),) for one in rendered.tables)),
        paragraphs(rendered.closing, "line"),
    )


def paragraphs(lines: Iterable[str], kind: str) -> SafeString:
    """One paragraph a line."""
    return format_html_join("", '<p class="{}">{}</p>', ((kind, line) for line in lines))


def html_table(one: Table) -> SafeString:
    """A table with a caption; a header only where it names something."""
    head = format_html_join("", '<th scope="col">{}</th>', ((name,) for name in one.header))
    rows = format_html_join("", "<tr>{}</tr>", ((html_cells(row),) for row in one.rows))
    shown_head = format_html("<thead><tr>{}</tr></thead>", head) if any(one.header) else ""
    return format_html("<table><caption>{}</caption>{}<tbody>{}</tbody></table>", one.title, shown_head, rows)


def html_cells(row: Sequence[str]) -> SafeString:
    """The cells of a row, its first one naming it."""
    first = format_html('<th scope="row">{}</th>', row[0])
    return first + format_html_join("", "<td>{}</td>", ((text,) for text in row[1:]))
