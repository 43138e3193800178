"""The synthetic roster: the census's shape exactly, numbers that hold and belong to nobody."""

import csv
import io
from collections import Counter
from datetime import date

import pytest

from dabai.kernel.codes import own_kind
from dabai.people.rules import age_on, normalise_document, normalise_name, normalise_phone
from dabai.testkit.replay.field import World
from dabai.testkit.replay.labels import label
from dabai.testkit.replay.names import TRAVELLER_AREAS, Numbers
from dabai.testkit.replay.people import (
    CENSUS_DAY,
    COLUMNS,
    NO_DOCUMENT,
    RESIDENT_ID,
    Person,
    as_csv,
    roster,
    shapes,
    travellers,
)
from dabai.testkit.replay.scenario import Scenario, scaled
from dabai.testkit.replay.tests.conftest import scenario


@pytest.fixture(scope="module")
def tenth() -> list[Person]:
    return roster(scenario("duji-2022-03", 0.1))


def test_shapes_add_up_to_the_census() -> None:
    all_shapes = shapes(scenario("duji-2022-03", 1.0))
    bands: Counter[str] = Counter()
    for shape in all_shapes:
        bands.update(shape.bands)
    assert len(all_shapes) == 56
    assert sum(shape.people for shape in all_shapes) == 239_692
    assert sum(shape.families for shape in all_shapes) == 88_991
    assert sum(shape.collectives for shape in all_shapes) == 3_722
    assert sum(shape.in_collectives for shape in all_shapes) == 12_530
    assert sum(shape.male for shape in all_shapes) == 120_618
    assert bands == {"0-14": 41_394, "15-59": 145_702, "60-64": 52_596 - 42_261, "65+": 42_261}


def test_people_have_the_sexes_and_ages_of_the_census(tenth: list[Person]) -> None:
    ages = [age_on(person.born, CENSUS_DAY) for person in tenth]
    assert len(tenth) == scaled(239_692, 0.1)
    assert sum(person.sex == 1 for person in tenth) == scaled(120_618, 0.1)
    assert sum(age <= 14 for age in ages) == scaled(41_394, 0.1)
    assert sum(age >= 60 for age in ages) == scaled(52_596, 0.1)
    assert sum(age >= 65 for age in ages) == scaled(42_261, 0.1)


def test_people_live_in_as_many_households_as_counted(tenth: list[Person]) -> None:
    families = Counter(person.household for person in tenth if not person.collective)
    collectives = Counter(person.household for person in tenth if person.collective)
    assert len(families) == scaled(88_991, 0.1)
    assert len(collectives) == scaled(3_722, 0.1)
    assert sum(collectives.values()) == scaled(12_530, 0.1)
    assert abs(sum(families.values()) / len(families) - 2.55) < 0.01
    assert not set(families) & set(collectives)


def test_no_child_lives_alone(tenth: list[Person]) -> None:
    with_adult = {person.household for person in tenth if age_on(person.born, CENSUS_DAY) >= 15}
    assert {person.household for person in tenth} == with_adult


def test_drill_community_is_the_same_in_both_scenarios() -> None:
    small, large = roster(scenario("duji-drill", 0.1)), roster(scenario("duji-2022-03", 0.1))
    wanted = {person.grid[:12] for person in small}
    assert [p._replace(key=0) for p in small] == [p._replace(key=0) for p in large if p.grid[:12] in wanted]


def test_the_drill_has_exactly_its_people(drill: Scenario) -> None:
    assert len(roster(drill)) == 12_310


def test_roster_repeats_itself(drill: Scenario) -> None:
    assert roster(drill) == roster(drill)


def test_numbers_are_valid_unique_and_never_assigned(tenth: list[Person]) -> None:
    numbers = [person.number for person in tenth if person.kind == RESIDENT_ID]
    assert len(set(numbers)) == len(numbers)
    assert all(340_640 <= int(number[:6]) <= 340_699 for number in numbers)
    for person in tenth[::7]:
        if person.kind != NO_DOCUMENT:
            document = normalise_document(person.kind, person.number, today=date(2022, 3, 13))
            assert (document.number, document.doubt) == (person.number, None)
        if person.kind == RESIDENT_ID:
            assert (document.birth_date, document.sex) == (person.born, person.sex)


def test_names_and_phones_are_in_their_normal_form(tenth: list[Person]) -> None:
    for person in tenth[::17]:
        assert normalise_name(person.name) == person.name
        assert normalise_phone(person.phone) == person.phone
        assert person.phone.startswith("164")


def test_travellers_are_on_no_list(tenth: list[Person]) -> None:
    numbers = [Numbers(area) for area in TRAVELLER_AREAS]
    passing = travellers(scenario("duji-2022-03", 0.1), "ZLKD", 500, len(tenth), numbers)
    assert not {person.number for person in passing} & {person.number for person in tenth}
    assert len({person.number for person in passing}) == 500
    assert all(person.number[2:6] == "9999" for person in passing)
    assert [person.key for person in passing] == list(range(len(tenth), len(tenth) + 500))


def test_no_two_travellers_share_a_number(tenth: list[Person]) -> None:
    place = World(scenario("duji-2022-03", 0.1), tenth)
    people = [person for day in range(10) for person in place.new_people(f"ZLKD/{day}", 2000)]
    assert len({person.number for person in people}) == len({person.key for person in people}) == 20_000


def test_csv_has_a_row_for_each_person_in_order(tenth: list[Person]) -> None:
    rows = list(csv.DictReader(io.StringIO(b"".join(as_csv(tenth)).decode())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["证件号码"] for row in rows] == [person.number for person in tenth]


def test_labels_are_codes_that_the_server_knows_as_its_own() -> None:
    assert [own_kind(label(letter, 1, 417)) for letter in "TDX"] == ["tube", "bag", "box"]
