"""Profiles: the four we ship say what the guidelines say, and a wrong one names every field at fault."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabai.people.rules import KeyGroup
from dabai.protocols.schema import (
    PROFILES,
    Change,
    Profile,
    ProfileInvalid,
    diff,
    flat,
    load_profile,
    parse_profile,
    shipped_profiles,
)

SHIPPED = shipped_profiles()
NAMES = ["covid19-cn-20", "covid19-cn-8", "covid19-cn-9", "respiratory-generic"]


def body(name: str = "covid19-cn-9") -> dict[str, Any]:
    return tomllib.loads((PROFILES / f"{name}.toml").read_text("utf-8"))


def changed(path: str, value: Any, name: str = "covid19-cn-9") -> dict[str, Any]:
    """A profile's data with one value set; steps of the path that are numbers count from 0."""
    data = body(name)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = data
    for step in steps:
        place = place[step]
    place[last] = value
    return data


def problems(data: dict[str, Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(ProfileInvalid) as caught:
        parse_profile(data)
    assert caught.value.code == "protocols.invalid"
    assert caught.value.params == {"count": len(caught.value.problems)}
    return [(problem.code, problem.field) for problem in caught.value.problems]


# --- What we ship ---------------------------------------------------------------------------------------------------


def test_four_profiles_load_under_their_names() -> None:
    assert sorted(SHIPPED) == NAMES
    assert all(profile.id == Path(profile.id).stem for profile in SHIPPED.values())


@pytest.mark.parametrize(
    ("name", "code", "days", "tests"),
    [
        ("covid19-cn-8", "close_contact", [("site", 14), ("home_monitoring", 7)], [1, 4, 7, 14, 16, 21]),
        ("covid19-cn-8", "secondary_contact", [("site", 7)], [1, 4, 7]),
        ("covid19-cn-9", "close_contact", [("site", 7), ("home_monitoring", 3)], [1, 2, 3, 5, 7, 10]),
        ("covid19-cn-9", "secondary_contact", [("home_quarantine", 7)], [1, 4, 7]),
        ("covid19-cn-20", "close_contact", [("site", 5), ("home_quarantine", 3)], [1, 2, 3, 5, 6, 8]),
        ("covid19-cn-20", "high_risk_spillover", [("home_quarantine", 7)], [1, 3, 5, 7]),
        ("covid19-cn-20", "closed_loop_staff", [("home_monitoring", 5)], []),
    ],
)
def test_contact_rules_of_the_editions(name: str, code: str, days: list[tuple[str, int]], tests: list[int]) -> None:
    found = SHIPPED[name].contact_class(code)
    assert found is not None
    assert [(phase.place, phase.days) for phase in found.phases] == days
    assert found.test_days() == tests
    assert found.days == sum(count for _, count in days)


def test_second_ring_contacts_are_no_longer_judged_by_the_twenty_measures() -> None:
    assert SHIPPED["covid19-cn-20"].contact_class("secondary_contact") is None


def test_only_the_eighth_edition_doubles_the_swab_at_release() -> None:
    doubled = {name: [t.day for c in p.contact_classes for t in c.tests if t.double] for name, p in SHIPPED.items()}
    assert doubled == {"covid19-cn-8": [14], "covid19-cn-9": [], "covid19-cn-20": [], "respiratory-generic": []}


def test_editions_follow_one_another_without_a_gap() -> None:
    eight, nine, twenty = (SHIPPED[f"covid19-cn-{n}"] for n in (8, 9, 20))
    for before, after in ((eight, nine), (nine, twenty)):
        assert before.effective_to is not None
        assert (after.effective_from - before.effective_to).days == 1


@pytest.mark.parametrize("name", NAMES)
def test_values_every_round_needs(name: str) -> None:
    profile = SHIPPED[name]
    assert profile.transport.swab_to_lab_minutes == 240
    assert (profile.organisation.pace_per_station_hour.low, profile.organisation.pace_per_station_hour.high) == (
        30,
        150,
    )
    assert profile.monitoring.per_day == 2
    assert "fever" in profile.symptoms
    assert profile.is_unverified("fever_c")
    assert not profile.is_unverified("organisation.queue_places") or name == "respiratory-generic"


@pytest.mark.parametrize("name", NAMES)
def test_groups_of_the_rules_are_groups_that_people_can_be_in(name: str) -> None:
    groups = {group for rule in SHIPPED[name].pooling.rules for group in rule.groups}
    assert groups <= set(KeyGroup)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_survives_being_stored_as_json(name: str) -> None:
    stored = SHIPPED[name].model_dump(mode="json")
    assert parse_profile(stored) == SHIPPED[name]
    assert stored["codes"]["tube_pattern"] == "[0-9A-Z]{12}"


# --- Mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("fever_c", 98.6, ("protocols.too_large", "fever_c")),
        ("monitoring.per_day", 0, ("protocols.too_small", "monitoring.per_day")),
        ("pooling.sizes", [1, 7], ("protocols.not_a_choice", "pooling.sizes.2")),
        ("pooling.sizes", [1, 5, 10], ("protocols.pool_size", "pooling")),
        ("pooling.rules.0.sharing", "anybody", ("protocols.pool_sharing", "pooling.rules.1")),
        ("pooling.rules.3.groups", ["student"], ("protocols.pool_last_rule", "pooling")),
        ("pooling.rules.1.code", "elsewhere", ("protocols.code_twice", "pooling")),
        ("pooling.rules.1.feverish", True, ("protocols.unknown_field", "pooling.rules.2.feverish")),
        ("id", "Covid 19", ("protocols.form", "id")),
        ("level", 2, ("protocols.not_a_choice", "level")),
        ("report_deadline_hours", "soon", ("protocols.value", "report_deadline_hours")),
        ("incubation_days", {"low": 9, "high": 2}, ("protocols.range", "incubation_days")),
        ("effective_to", "2020-01-01", ("protocols.effective", "profile")),
        ("codes.tube_pattern", "(A+)+", ("codes.pattern_repeats", "codes.tube_pattern")),
        ("contact_classes.0.tests.0.day", 8, ("protocols.test_day", "contact_classes.1")),
        ("contact_classes.0.tests.0.phase", 3, ("protocols.test_phase", "contact_classes.1")),
        ("contact_classes.1.code", "close_contact", ("protocols.code_twice", "profile")),
        ("unverified", ["fever"], ("protocols.unverified_path", "profile")),
        ("sources", [], ("protocols.value", "sources")),
    ],
)
def test_a_mistake_is_named_with_its_field(path: str, value: Any, problem: tuple[str, str]) -> None:
    assert problems(changed(path, value)) == [problem]


def test_all_mistakes_are_named_at_once() -> None:
    data = body()
    del data["waste"], data["transport"]["tubes_per_bag"]
    data["colour"] = "white"
    assert problems(data) == [
        ("protocols.missing", "transport.tubes_per_bag"),
        ("protocols.missing", "waste"),
        ("protocols.unknown_field", "colour"),
    ]


def test_a_file_that_is_no_toml_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('id = "x"\nname = \n', "utf-8")
    with pytest.raises(ProfileInvalid) as caught:
        load_profile(path)
    assert [(p.code, p.params) for p in caught.value.problems] == [("protocols.toml", {"line": 2})]
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileInvalid):
        load_profile(path)


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)


@given(st.sampled_from([path for path, _ in flat(body())]), values)
def test_no_value_breaks_it(path: str, value: Any) -> None:
    """Any value in any place: a profile, or a list of problems that each name a field."""
    try:
        outcome: Any = parse_profile(_placed(body(), path, value))
    except ProfileInvalid as no:
        outcome = [problem for problem in no.problems if not problem.field]
    assert isinstance(outcome, Profile) or outcome == []


def _placed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """``flat`` names members of lists by their code or number; follow the same way back."""
    place: Any = data
    *steps, last = path.split(".")
    for step in steps:
        place = place[step] if isinstance(place, dict) else _member(place, step)
    if isinstance(place, dict):
        place[last] = value
    return data


def _member(members: list[Any], step: str) -> Any:
    named = [m for m in members if step in (m.get("code"), m.get("object"))]
    return named[0] if named else members[int(step) - 1]


# --- Differences ----------------------------------------------------------------------------------------------------


def test_a_profile_differs_from_itself_in_nothing() -> None:
    assert all(diff(profile, profile) == [] for profile in SHIPPED.values())


def test_one_changed_value_is_one_change() -> None:
    later = parse_profile(changed("transport.swab_to_lab_minutes", 120) | {"version": 2})
    assert diff(SHIPPED["covid19-cn-9"], later) == [
        Change("version", 1, 2),
        Change("transport.swab_to_lab_minutes", 240, 120),
    ]


def test_a_rule_put_in_front_changes_no_other() -> None:
    data = body()
    rule = {
        "code": "students",
        "name": {"zh": "学生", "en": "students"},
        "groups": ["student"],
        "size": 10,
        "sharing": "street",
    }
    data["pooling"]["rules"].insert(1, rule)
    changes = diff(SHIPPED["covid19-cn-9"], parse_profile(data))
    assert changes
    assert all(change.field.startswith("pooling.rules.students.") and change.before is None for change in changes)


def test_what_the_ninth_edition_changed() -> None:
    changes = {
        change.field: (change.before, change.after) for change in diff(SHIPPED["covid19-cn-8"], SHIPPED["covid19-cn-9"])
    }
    assert changes["contact_classes.close_contact.phases.1.days"] == (14, 7)
    assert changes["contact_classes.secondary_contact.phases.1.place"] == ("site", "home_quarantine")
