"""Looking up one's own results: who is told what, and that nobody learns more."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dabai.api import lookup
from dabai.journal.models import Entry
from dabai.people.models import Identity
from dabai.registry import settle_down
from dabai.testing.own import Claim
from dabai.testkit.cast import number_of
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import deliver
from dabai.testkit.story import TUBES, Story, open_round

pytestmark = pytest.mark.django_db
NUMBER, NAME = number_of(50), "演查询"


@pytest.fixture(autouse=True)
def _counted_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Questions are answered in the test's own transaction; ``test_together`` has the thread."""
    monkeypatch.setattr(lookup.together, "ask", lambda claim: lookup.answers([claim])[0])
    lookup.forget()
    yield
    lookup.forget()


@pytest.fixture
def story(drill: PreparedOperation) -> Story:
    return Story(drill, open_round(drill, 3)[0])


def register(story: Story, number: str = NUMBER, name: str = NAME) -> UUID:
    body = {"site": story.drill.points[0].pk, "name": name, "document": {"kind": "01", "number": number}}
    return story.tell("people.person_registered", body, 1)


def deliver_all(story: Story) -> None:
    for reporter, one in story.told:
        assert [receipt.verdict for receipt in deliver(reporter, [one])] == ["accepted"]
    settle_down()


def ask(number: str = NUMBER, name: str = NAME, address: str = "10.0.0.1") -> Any:
    question = {"number": number, "name": name}
    return Client(REMOTE_ADDR=address).post("/api/v1/lookup", question, content_type="application/json")


def outcomes(*asked: str) -> list[str]:
    answer = ask(*asked)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    return [one["outcome"] for one in answer.json()["results"]]


@pytest.mark.parametrize(
    ("single", "outcome", "told"),
    [
        (False, "negative", "negative"),
        (False, "positive", "pending_retest"),
        (False, "suspect", "pending_retest"),
        (True, "positive", "positive"),
        (True, "suspect", "pending_retest"),
        (True, "invalid", "invalid"),
    ],
)
def test_what_somebody_is_told(story: Story, single: bool, outcome: str, told: str) -> None:
    story.swab(register(story), TUBES[0], 2, single=single)
    story.result(TUBES[0], outcome, 60)
    deliver_all(story)
    assert outcomes() == [told]


def test_nothing_is_told_before_it_is_released(story: Story) -> None:
    story.swab(register(story), TUBES[0], 2)
    deliver_all(story)
    found = ask().json()["results"]
    assert [(one["outcome"], one["released_at"]) for one in found] == [("awaiting", None)]
    assert found[0]["drill"] is True


def test_a_tube_that_two_teams_claim_tells_nobody_anything(story: Story) -> None:
    story.swab(register(story), TUBES[0], 2)
    story.swab(UUID(int=7), TUBES[0], 3, point=1)
    story.result(TUBES[0], "positive", 60)
    deliver_all(story)
    found = ask().json()["results"]
    assert [(one["outcome"], one["released_at"]) for one in found] == [("pending_retest", None)]


def test_the_number_may_be_typed_as_people_type(story: Story) -> None:
    story.swab(register(story), TUBES[0], 2)
    story.result(TUBES[0], "negative", 60)
    deliver_all(story)
    assert outcomes(f" {NUMBER[:6]} {NUMBER[6:]} ", " 演 查询") == ["negative"]


def test_one_number_under_two_names_tells_neither_until_it_is_settled(story: Story) -> None:
    story.swab(register(story), TUBES[0], 2)
    register(story, name="演别人")
    story.result(TUBES[0], "negative", 60)
    deliver_all(story)
    assert Identity.objects.filter(name_conflict=True).exists()
    assert outcomes() == outcomes(NUMBER, "演别人") == ["pending_retest"]


def test_a_corrected_name_counts_and_the_old_one_no_longer(story: Story) -> None:
    person = register(story)
    story.swab(person, TUBES[0], 2)
    body = {"person": str(person), "name": "演更正", "reason": "听错"}
    story.tell("people.corrected", body, 5, story.manager())
    deliver_all(story)
    assert outcomes(NUMBER, "演更正") == ["awaiting"]
    assert outcomes(NUMBER, NAME) == []


def test_a_withdrawn_registration_is_nobody(story: Story) -> None:
    person = register(story)
    story.swab(person, TUBES[0], 2)
    story.withdraw(person, 5)
    deliver_all(story)
    assert outcomes() == []


def test_a_stranger_a_wrong_name_and_somebody_without_results_are_answered_alike(story: Story) -> None:
    register(story)
    deliver_all(story)
    ask()  # reads what is remembered
    said = []
    for number, name in ((NUMBER, NAME), (NUMBER, "演错名"), (number_of(51), NAME), ("not a number", "x")):
        with CaptureQueriesContext(connection) as queries:
            answer = ask(number, name)
        said.append((answer.status_code, answer.content, dict(answer.headers), len(queries)))
    assert said[0][:2] == (200, b'{"results":[]}')
    assert all(one == said[0] for one in said)


def test_an_ended_operation_tells_nothing(story: Story, drill: PreparedOperation) -> None:
    story.swab(register(story), TUBES[0], 2)
    deliver_all(story)
    drill.operation.ended_at = drill.operation.started_at + timedelta(days=1)
    drill.operation.save(update_fields=["ended_at"])
    assert outcomes() == []


@pytest.mark.parametrize("known", [True, False])
def test_too_many_questions_about_one_number_wait(story: Story, known: bool) -> None:
    if known:
        register(story)
        deliver_all(story)
    before = Entry.objects.count()
    for n in range(lookup.BY_NUMBER.limit):
        assert ask(address=f"10.0.1.{n}").status_code == 200
    answer = ask(address="10.0.2.1")
    assert (answer.status_code, answer.json()["code"]) == (429, "api.lookup_too_many")
    assert ask(f"{NUMBER[:6]} {NUMBER[6:]}", address="10.0.2.2").status_code == 429
    assert ask(number_of(52), address="10.0.2.3").status_code == 200
    assert Entry.objects.count() == before


def test_too_many_questions_from_one_address_wait(drill: PreparedOperation) -> None:
    numbers = [number_of(100 + n) for n in range(lookup.BY_ADDRESS.limit + 1)]
    statuses = [ask(number).status_code for number in numbers]
    assert statuses == [200] * lookup.BY_ADDRESS.limit + [429]
    assert ask(numbers[-1], address="10.0.0.2").status_code == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"number": 5, "name": "x"}', b'{"number": "1", "name": ""}'])
def test_a_malformed_question_is_refused(db: None, body: bytes) -> None:
    answer = Client().post("/api/v1/lookup", body, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == "api.request_invalid"


def test_many_questions_at_once_get_the_answers_that_each_would_get_alone(story: Story) -> None:
    people = [(number_of(60 + n), name) for n, name in enumerate(("演甲", "演乙", "演丙", "演丁"))]
    for n, (number, name) in enumerate(people[:3]):
        story.swab(register(story, number, name), TUBES[n], 2 + n)
    story.result(TUBES[0], "negative", 60)
    story.result(TUBES[1], "positive", 60)
    deliver_all(story)
    claims = [Claim(*one) for one in (*people, (people[0][0], "演错名"), people[0], ("?", "?"))]
    with CaptureQueriesContext(connection) as queries:
        together = lookup.answers(claims)
    assert together == [lookup.answers([claim])[0] for claim in claims]
    assert [[one["outcome"] for one in found] for found in together] == [
        ["negative"], ["pending_retest"], ["awaiting"], [], [], ["negative"], [],
    ]  # fmt: skip
    assert len(queries) <= 2
