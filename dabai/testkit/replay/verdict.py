"""Whether the system's own records agree with the ledger and with what was published."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dabai.testkit.replay.day import Day
from dabai.testkit.replay.ledger import Comparison, compare_people, compare_tubes
from dabai.testkit.replay.scenario import Figure
from dabai.testkit.replay.setting_up import Offices


@dataclass
class Verdict:
    """What a replay found. ``sabotage``: whether each kind shows in the records of those whom it was about."""

    people: dict[str, Any] = field(default_factory=dict)
    tubes: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)
    bulletins: list[dict[str, Any]] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)
    sabotage: dict[str, bool] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Only when everybody, every tube and every figure agrees and nothing unexpected was said on the way."""
        compared = [self.people, self.tubes]
        agree = all(part["compared"] and not part["different"] for part in compared)
        return agree and not self.problems and all(figure["ok"] for figure in self.figures.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "people": self.people,
            "figures": self.figures,
            "tubes": self.tubes,
            "problems": self.problems,
            "counts": self.counts,
            **({"sabotage": self.sabotage} if self.sabotage else {}),
        }


def judge(offices: Offices, days: list[Day], to_date: Mapping[str, Any], problems: list[str]) -> Verdict:
    """Read everything back and compare. ``to_date``: the published bulletin of the operation."""
    verdict = Verdict(problems=problems, bulletins=[day.bulletin for day in days] + [dict(to_date)])
    everybody = compare_everybody(offices, days)
    verdict.people, verdict.wrong = everybody.as_dict(), everybody.wrong
    verdict.tubes = _compare_racks(offices, days).as_dict()
    issued = {day.plan.number: day.bulletin for day in days} | {0: dict(to_date)}
    for figure in offices.scenario.figures:
        verdict.figures[figure.id] = _figure(offices, figure, issued.get(figure.round, {}))
    return verdict


def compare_everybody(offices: Offices, days: list[Day]) -> Comparison:
    """Person by person, round by round."""
    keys = {person: key for key, person in offices.known.people.items()}
    for day in days:
        keys |= dict(day.reports.met) if day.reports else {}
    total = Comparison()
    for day in days:
        number = offices.known.rounds[day.plan.number]
        rows = offices.manager.pages(f"rounds/{number}/people", "people")
        _add(total, compare_people(day.truth, rows, keys))
    return total


def _compare_racks(offices: Offices, days: list[Day]) -> Comparison:
    """Tube by tube."""
    total = Comparison()
    for day in days:
        number = offices.known.rounds[day.plan.number]
        _add(total, compare_tubes(day.truth, offices.manager.pages(f"rounds/{number}/tubes", "tubes")))
    return total


def _add(total: Comparison, part: Comparison) -> None:
    total.compared += part.compared
    total.different += part.different
    total.examples += part.examples
    total.wrong |= part.wrong


def _figure(offices: Offices, figure: Figure, bulletin: Mapping[str, Any]) -> dict[str, Any]:
    """One published number against the live figure, and against the bulletin where it must stand in it."""
    query: dict[str, object] = {}
    if figure.site:
        query["site"] = offices.known.sites[figure.site]
    if figure.since:
        query["since"] = figure.since.isoformat()
    if figure.round:
        path = f"rounds/{offices.known.rounds[figure.round]}/figures"
    else:
        path = f"operations/{offices.operation}/figures"
    actual = offices.manager.get(path, **query)["figures"].get(figure.figure)
    result = {"expected": figure.expected, "actual": actual, "ok": actual == figure.expected}
    if figure.bulletin:
        frozen = bulletin.get("figures", {}).get(figure.figure)
        result["bulletin"] = frozen
        stated = states(bulletin.get("text_zh", ""), figure.expected) and states(
            bulletin.get("text_en", ""), figure.expected
        )
        result["ok"] = result["ok"] and frozen == figure.expected and stated
    return result


def states(text: str, number: int) -> bool:
    """Whether a text says this number, with or without thousands separators."""
    return str(number) in re.findall(r"\d+", re.sub(r"(?<=\d)[,，\u202f\xa0](?=\d{3})", "", text))
