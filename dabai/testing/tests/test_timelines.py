"""Lines of a tube, a person and a box, told from a story in which everything goes wrong."""

from collections import Counter
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dabai.access.models import User
from dabai.journal import reference
from dabai.journal.models import Entry
from dabai.kernel import clock
from dabai.registry import settle_down
from dabai.testing.models import RosterEntry
from dabai.testing.queries import result_versions
from dabai.testing.timelines import Event, box_contents, box_timeline, person_timeline, tube_timeline
from dabai.testkit.field import deliver
from dabai.testkit.story import BOX, TUBES, Story, everything_goes_wrong

NAMES = {101: "检验员小石", 102: "审核员孔老师", 103: "轮次管理员小任"}


@pytest.fixture
def story(drill) -> Story:
    reference.forget()
    for key, name in NAMES.items():
        User.objects.create(pk=key, username=f"u{key}", display_name=name)
    told = everything_goes_wrong(drill)
    for reporter, fact in told.told:
        assert [receipt.verdict for receipt in deliver(reporter, [fact])] == ["accepted"]
    settle_down()
    return told


def kinds(events: list[Event]) -> Counter[str]:
    return Counter(event.kind.partition(".")[2] for event in events)


def person_of(story: Story, number: int) -> UUID:
    areas = RosterEntry.objects.filter(round=story.round.pk).values_list("person", flat=True)
    people = [UUID(fact["body"]["person"]) for _, fact in story.told if "person" in fact["body"]]
    return [person for person in dict.fromkeys(people) if person in set(areas)][number]


def fact_ids(story: Story, kind: str) -> list[str]:
    return [fact["id"] for _, fact in story.told if fact["kind"] == kind]


def test_a_tube_from_first_swab_to_correction(story):
    events = tube_timeline(story.drill.id, TUBES[0])
    expected = {"sample_taken": 5, "late_entry": 1, "tube_sealed": 1, "fact_withdrawn": 1, "tubes_bagged": 1}
    expected |= {"box_packed": 1, "box_sealed": 1, "box_handed_over": 1, "box_received": 1, "run_started": 1}
    expected |= {"result_read": 1, "result_reviewed": 1, "result_released": 1, "result_corrected": 1}
    assert kinds(events) == expected
    assert events == sorted(events, key=lambda event: event.happened_at)
    assert [event.kind for event in events if event.withdrawn] == ["testing.sample_taken"]
    read, corrected = [next(e for e in events if e.kind == f"testing.result_{what}") for what in ("read", "corrected")]
    assert (read.by, read.place) == (NAMES[101], story.drill.laboratory.name)
    assert (corrected.by, corrected.detail["was"], corrected.detail["outcome"]) == (NAMES[102], "negative", "suspect")
    assert all(event.received_at is not None and event.area for event in events)


def test_both_versions_of_a_corrected_result_are_kept(story):
    read, corrected = result_versions(story.drill.id, TUBES[0])
    assert (read.outcome, read.in_force, read.by_name) == ("negative", False, NAMES[101])
    assert (corrected.outcome, corrected.in_force, corrected.reason) == ("suspect", True, "复核")
    assert read.released_at == corrected.released_at is not None


def test_a_withdrawn_result_is_a_version_too(story):
    versions = result_versions(story.drill.id, TUBES[1])
    told = [(one.outcome, one.withdrawn, one.in_force) for one in versions]
    assert told == [("positive", True, False), ("negative", False, True)]


def test_moves_show_on_both_tubes(story):
    left, arrived = tube_timeline(story.drill.id, TUBES[1]), tube_timeline(story.drill.id, TUBES[3])
    assert kinds(left)["sample_moved"] == 2
    assert [e.detail["to"] for e in left if e.kind == "testing.sample_moved"] == [TUBES[2], TUBES[3]]
    assert kinds(arrived)["sample_moved"] == 2
    assert kinds(arrived)["sample_taken"] == 2


def test_a_settled_claim_shows_where_a_sample_went(story):
    kept, given = tube_timeline(story.drill.id, TUBES[4]), tube_timeline(story.drill.id, TUBES[5])
    assert kinds(kept)["claim_settled"] == kinds(given)["claim_settled"] == 1
    assert kinds(given)["sample_taken"] == 1
    (claim,) = [event for event in given if event.kind == "testing.claim_settled"]
    assert {one["becomes"] for one in claim.detail["claims"]} == {TUBES[4], TUBES[5]}
    assert claim.by == NAMES[103]


def test_withdrawals_stand_beside_what_they_take_back(story):
    events = tube_timeline(story.drill.id, TUBES[7])
    voided, withdrawal = [e for e in events if e.kind in ("testing.tube_voided", "journal.fact_withdrawn")]
    assert (voided.withdrawn, voided.detail["reason"]) == (True, "破损")
    assert withdrawal.detail["target"] == str(voided.fact)


def test_a_box_and_what_lies_in_it(story):
    events = box_timeline(story.drill.id, BOX)
    assert kinds(events) == {
        "tubes_bagged": 1,
        "box_packed": 1,
        "box_sealed": 1,
        "box_handed_over": 1,
        "box_received": 1,
    }
    assert [e.detail["count"] for e in events if "count" in e.detail] == [4, 4, 3]
    assert next(e for e in events if e.kind == "testing.box_packed").detail["items"] == 2
    assert [one.tube for one in box_contents(story.drill.id, BOX)] == sorted(TUBES[:4])


# --- a person


def test_a_person_from_roster_to_result(story):
    single = person_of(story, 11)
    events = person_timeline(story.drill.id, single)
    assert events[0].kind == "testing.round_approved"
    assert events[0].received_at is None
    assert kinds(events)["sample_taken"] == 2
    assert kinds(events)["tube_rejected"] == 1
    read = next(event for event in events if event.kind == "testing.result_read")
    assert (read.item, read.detail["outcome"], read.detail["single"]) == (TUBES[7], "positive", True)


def test_nobody_sees_a_pooled_positive_on_their_line(story):
    pooled = person_of(story, 10)
    events = person_timeline(story.drill.id, pooled)
    told = {
        event.detail["outcome"] for event in events if event.kind in ("testing.result_read", "testing.result_corrected")
    }
    assert "pending_retest" in told
    assert not told & {"positive", "suspect"}
    assert not any("ct" in event.detail for event in events)
    assert any(event.detail.get("outcome") == "positive" for event in tube_timeline(story.drill.id, TUBES[5]))


def test_a_line_shows_nobody_else(story):
    me = person_of(story, 0)
    events = person_timeline(story.drill.id, me)
    assert {event.person for event in events if event.person} == {me}
    assert kinds(events)["sample_taken"] == 2


def test_merged_people_share_one_line_with_masked_names(story):
    _, _, registered = fact_ids(story, "people.person_registered")
    merged = person_of(story, 4)
    mine, theirs = person_timeline(story.drill.id, UUID(registered)), person_timeline(story.drill.id, merged)
    assert mine == theirs
    assert kinds(mine)["merged"] == kinds(mine)["person_registered"] == 1
    assert {event.who for event in mine if event.person == UUID(registered)} == {"测*丙"}
    assert "测试丙" not in repr(mine)


def test_an_unmerged_person_keeps_the_story_of_it(story):
    first, _, _ = fact_ids(story, "people.person_registered")
    events = person_timeline(story.drill.id, UUID(first))
    assert kinds(events)["unmerged"] == 1
    assert next(event for event in events if event.kind == "people.merged").withdrawn


def test_nothing_is_known_of_a_stranger(story):
    assert tube_timeline(story.drill.id, "TDJ99999999X") == []
    assert person_timeline(story.drill.id, uuid4()) == []
    assert box_contents(story.drill.id, "XDJ99999999X") == []


def test_the_number_of_statements_does_not_depend_on_the_length(story):
    def statements(ask) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            ask()
        return len(captured)

    long, short = TUBES[0], TUBES[6]
    assert statements(lambda: tube_timeline(story.drill.id, long)) <= 5
    assert statements(lambda: tube_timeline(story.drill.id, long)) == statements(
        lambda: tube_timeline(story.drill.id, short)
    )
    people = [person_of(story, 0), person_of(story, 11)]
    counts = {statements(lambda one=one: person_timeline(story.drill.id, one)) for one in people}
    assert len(counts) == 1
    assert counts.pop() <= 9


def test_when_it_happened_and_when_it_came_in(story):
    events = tube_timeline(story.drill.id, TUBES[0])
    entries = {entry.id: entry for entry in Entry.objects.filter(id__in=[event.fact for event in events])}
    for event in events:
        entry = entries[event.fact]
        assert (event.happened_at, event.received_at) == (entry.happened_at, entry.received_at)
        assert event.received_at <= clock.now()
