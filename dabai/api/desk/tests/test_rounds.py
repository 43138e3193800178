"""A round through the interface, from draft to closed, and what is refused on the way."""

import uuid
from datetime import timedelta

import pytest

from dabai.kernel import clock
from dabai.testing.models import RosterEntry, Round

pytestmark = pytest.mark.django_db


def plan(drill, **more):
    now = clock.now()
    return {
        "name": "第1轮",
        "pool_size": 10,
        "areas": [drill.streets[0]],
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=8)).isoformat(),
        "sites": [{"site": drill.points[0].pk, "stations": 2}],
        "estimates": [{"area": drill.communities[0], "people": 40}],
    } | more


def test_a_round_goes_from_draft_to_closed(at, drill):
    manager, commander = at("round_manager"), at("commander")
    status, drafted = manager.post(f"operations/{drill.id}/rounds", plan(drill))
    assert (status, drafted["state"], drafted["number"]) == (201, "draft", 1)
    step = f"rounds/{drafted['id']}/step"
    assert commander.post(step, {"to": "approved"})[1]["state"] == "approved"
    for wanted in ("running", "make_up", "closing", "closed"):
        status, moved = manager.post(step, {"to": wanted, "reason": "演练"})
        assert (status, moved["state"]) == (200, wanted)
    assert manager.get(f"rounds/{drafted['id']}")[1]["state"] == "closed"
    assert manager.get(f"operations/{drill.id}/rounds")[1]["rounds"][0]["id"] == drafted["id"]
    assert manager.get(f"rounds/{drafted['id']}/gaps") == (200, {"devices": []})


def test_a_step_out_of_turn_is_a_conflict(at, drill):
    manager = at("round_manager")
    drafted = manager.post(f"operations/{drill.id}/rounds", plan(drill))[1]
    status, body = manager.post(f"rounds/{drafted['id']}/step", {"to": "closed"})
    assert (status, body["code"]) == (409, "testing.step_impossible")
    assert "闭" in body["message"] or body["message"]


def test_a_draft_is_all_or_nothing(at, drill):
    body = plan(drill, sites=[{"site": 999_999, "stations": 1}])
    status, answer = at("round_manager").post(f"operations/{drill.id}/rounds", body)
    assert (status, answer["code"]) == (422, "testing.site_unknown")
    assert not Round.objects.exists()


@pytest.mark.parametrize("who", ["volunteer", "commander", "auditor", "lab_reviewer"])
def test_only_the_round_manager_drafts(at, drill, who):
    status, body = at(who).post(f"operations/{drill.id}/rounds", plan(drill))
    assert (status, body["code"]) == (403, "access.not_allowed")


def test_the_outsider_does_not_learn_that_there_is_an_operation(at, drill):
    status, body = at("outsider").get(f"operations/{drill.id}/rounds")
    assert (status, body["code"]) == (404, "access.operation_not_found")


BAD = [
    {"name": ""},
    {"name": "x" * 200},
    {"areas": []},
    {"areas": ["340602\0"]},
    {"areas": ["999999"]},
    {"starts_at": "yesterday"},
    {"ends_at": "2001-01-01T00:00:00+08:00"},
    {"pool_size": 7_000},
    {"pool_size": -1},
    {"sites": [{"site": 2**60, "stations": 1}]},
    {"estimates": [{"area": "3406", "people": 1}]},
    {"groups": ["nobody"]},
    {"number": 2**40},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_bad_input_is_refused_with_the_field(at, drill, bad):
    status, body = at("round_manager").post(f"operations/{drill.id}/rounds", plan(drill, **bad))
    assert status == 422, body
    assert next(iter(bad)) in (body["field"] or ""), body


@pytest.mark.parametrize("path", ["rounds/0", "rounds/999999", f"rounds/{2**70}", "rounds/-3", "operations/0/rounds"])
def test_what_is_not_there_is_not_found(at, path):
    assert at("round_manager").get(path)[0] == 404


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '{"to": "nowhere"}', '{"to": 1}'])
def test_a_body_that_is_none_is_a_clients_error(at, drill, body):
    drafted = at("round_manager").post(f"operations/{drill.id}/rounds", plan(drill))[1]
    assert 400 <= at("round_manager").post(f"rounds/{drafted['id']}/step", body)[0] < 500


def test_reading_back_goes_page_by_page(at, drill, django_assert_max_num_queries):
    drafted = at("round_manager").post(f"operations/{drill.id}/rounds", plan(drill))[1]
    people = sorted(uuid.uuid4() for _ in range(1_200))
    RosterEntry.objects.bulk_create(
        RosterEntry(district=drill.district, round=drafted["id"], person=one, area=drill.grids[0]) for one in people
    )
    found, after = [], ""
    while after is not None:
        with django_assert_max_num_queries(8):
            status, page = at("round_manager").get(f"rounds/{drafted['id']}/people", after=after, limit=500)
        assert status == 200
        found += page["people"]
        after = page["next"]
    assert [one["person"] for one in found] == [str(one) for one in people]
    assert {one["outcome"] for one in found} == {"outstanding"}
    assert at("round_manager").get(f"rounds/{drafted['id']}/tubes") == (200, {"tubes": [], "next": None})


def test_an_area_outside_the_scope_is_refused(at, drill):
    drafted = at("round_manager").post(f"operations/{drill.id}/rounds", plan(drill))[1]
    assert at("round_manager").get(f"rounds/{drafted['id']}/people", area="370105")[0] == 403
    assert at("round_manager").get(f"rounds/{drafted['id']}/people", area="x")[0] == 422
    assert at("round_manager").get(f"rounds/{drafted['id']}/people", after="x")[0] == 422
    assert at("lab_reviewer").get(f"rounds/{drafted['id']}/people")[0] == 403
