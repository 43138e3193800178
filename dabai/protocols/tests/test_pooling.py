"""Pool rules flag what should not have happened; they never refuse, whatever is in the tube."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabai.protocols.pooling import Finding, Member, check_pool, rule_for
from dabai.protocols.schema import shipped_profiles

SHIPPED = shipped_profiles()
NINE = SHIPPED["covid19-cn-9"].pooling
profiles = st.sampled_from([profile.pooling for profile in SHIPPED.values()])

members = st.builds(
    Member,
    person=st.integers(0, 30).map(str),
    group=st.sampled_from(["", "student", "close_contact", "cold_chain"]),
    household=st.sampled_from(["", "h1", "h2"]),
    street=st.sampled_from(["", "340602001", "340602002"]),
    household_sealed=st.booleans(),
    area_class=st.sampled_from(["normal", "lockdown", "control", "precaution"]),
)
tubes = st.lists(members, max_size=25)
sizes = st.sampled_from([None, 1, 5, 10, 20])


def people(n: int, **common) -> list[Member]:
    return [Member(person=str(i), **common) for i in range(n)]


def codes(*args, **kwargs) -> list[str]:
    return [finding.code for finding in check_pool(NINE, *args, **kwargs)]


def test_ten_neighbours_in_a_tube_of_ten() -> None:
    assert codes(people(10), size=10, minutes_open=12) == []
    assert codes(people(20), size=20) == []
    assert codes(people(10)) == [], "ten is the profile's default"


def test_counts() -> None:
    assert check_pool(NINE, people(11), size=10) == [Finding("over_full", limit=10, found=11)]
    assert check_pool(NINE, people(7), size=10) == [Finding("short", limit=10, found=7)]
    assert codes(people(7), size=10, confirmed=True) == []
    assert codes([], size=10) == ["empty"]
    assert codes(people(8), size=8) == ["size_not_allowed"]


def test_the_same_person_twice_counts_once() -> None:
    twice = [*people(9), Member("3")]
    assert check_pool(NINE, twice, size=10, confirmed=True) == [Finding("same_person_twice", ("3",), 1, 10)]


def test_a_key_group_is_alone() -> None:
    contact = Member("c", group="close_contact")
    assert codes([contact], size=1) == []
    assert codes([contact], size=10) == [], "alone in a tube although the round pools: right"
    assert check_pool(NINE, [*people(9), contact], size=10) == [Finding("key_group_pooled", ("c",), 1, 10)]
    two = [contact, contact._replace(person="d")]
    assert codes(two) == ["key_group_pooled"]
    assert codes(two, size=1) == ["over_full", "key_group_pooled"]


def test_a_sealed_household_has_its_own_tube() -> None:
    home = people(3, household="h1", household_sealed=True)
    assert codes(home, size=1) == []
    assert codes(home, size=10) == [], "a household is as large as it is"
    guest = Member("guest", household="h2", household_sealed=True)
    assert check_pool(NINE, [*home, guest]) == [Finding("mixed_households", ("0", "1", "2", "guest"), 1, 2)]
    assert "mixed_households" in codes([*home, Member("x", household_sealed=True)])
    assert codes(people(12, household="h1", household_sealed=True)) == ["over_full"]


def test_control_areas_have_five_in_a_tube_of_one_street() -> None:
    near = people(5, area_class="control", street="340602001")
    assert codes(near, size=10) == []
    assert codes([*near, Member("x", area_class="control", street="340602001")], size=10) == ["over_full"]
    assert "mixed_streets" in codes([*near[:4], Member("x", area_class="lockdown", street="340602002")])
    assert codes([*near[:4], Member("x")], size=10) == ["rules_mixed"]


def test_a_tube_left_open() -> None:
    assert codes(people(10), minutes_open=60) == []
    assert check_pool(NINE, people(10), minutes_open=61.4) == [Finding("open_too_long", limit=60, found=61)]


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_rule_can_be_met(name: str) -> None:
    """The first person whom a rule is for does get that rule."""
    for rule in SHIPPED[name].pooling.rules:
        member = Member(
            "a",
            group=(rule.groups or [""])[0],
            area_class=(rule.area_classes or ["normal"])[0],
            household_sealed=bool(rule.household_sealed),
        )
        assert rule_for(SHIPPED[name].pooling, member) == rule


@given(profiles, tubes, sizes, st.none() | st.floats(0, 1e6), st.booleans(), st.randoms())
def test_findings_do_not_depend_on_the_order(pooling, tube, size, minutes, confirmed, chance: random.Random) -> None:
    shuffled = chance.sample(tube, len(tube))
    options = {"size": size, "minutes_open": minutes, "confirmed": confirmed}
    assert check_pool(pooling, tube, **options) == check_pool(pooling, shuffled, **options)


@given(profiles, tubes, members, sizes)
@settings(max_examples=400)
def test_one_more_person_never_mends_bad_company(pooling, tube, more, size) -> None:
    """Everything but "short" and "empty" stays wrong when somebody is added."""
    before = {finding.code for finding in check_pool(pooling, tube, size=size)} - {"short", "empty"}
    after = {finding.code for finding in check_pool(pooling, [*tube, more], size=size)}
    assert before <= after


@given(profiles, members)
def test_one_person_is_always_in_good_company(pooling, member) -> None:
    found = {finding.code for finding in check_pool(pooling, [member], size=1)}
    assert found == set()


@given(profiles, tubes, sizes)
def test_only_people_of_the_tube_are_named(pooling, tube, size) -> None:
    named = {person for finding in check_pool(pooling, tube, size=size) for person in finding.people}
    assert named <= {member.person for member in tube}


@given(profiles, tubes, sizes)
def test_confirming_answers_a_short_tube_and_nothing_else(pooling, tube, size) -> None:
    plain = check_pool(pooling, tube, size=size)
    confirmed = check_pool(pooling, tube, size=size, confirmed=True)
    assert confirmed == [finding for finding in plain if finding.code != "short"]
