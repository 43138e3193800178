"""Coverage, figures, the inbox, decisions and bulletins through the interface."""

import uuid

import pytest

from dabai import registry
from dabai.journal.models import Attention, Kept
from dabai.testkit.story import open_round

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(drill):
    found, people = open_round(drill)
    return found, people


def test_coverage_adds_up_at_every_level(at, drill, running, django_assert_max_num_queries):
    found, people = running
    from dabai.testing.actions import mark_areas

    mark_areas(found)
    registry.settle_down()
    manager = at("round_manager")
    with django_assert_max_num_queries(16):
        status, body = manager.get(f"rounds/{found.pk}/coverage")
    assert status == 200
    assert body["area"]["due"] == len(people) == sum(row["due"] for row in body["children"])
    street = body["children"][0]["code"]
    below = manager.get(f"rounds/{found.pk}/coverage", area=street)[1]
    assert below["area"]["due"] == body["children"][0]["due"]
    assert manager.get(f"rounds/{found.pk}/coverage", area="370105")[0] == 403
    assert manager.get(f"rounds/{found.pk}/coverage", area="3406")[0] == 422
    assert at("packer").get(f"rounds/{found.pk}/coverage")[0] == 403


def test_figures_are_numbers_or_null(at, drill, running):
    found, _ = running
    status, body = at("commander").get(f"rounds/{found.pk}/figures")
    assert (status, body["figures"]["person_times"]) == (200, 0)
    status, body = at("commander").get(f"operations/{drill.id}/figures", site=drill.points[0].pk)
    assert status == 200
    assert at("commander").get(f"operations/{drill.id}/figures", site=999_999)[0] == 404
    assert at("commander").get(f"operations/{drill.id}/figures", since="soon")[0] == 422
    for since in ("0098-09-23T02:48:52+18:03", "2022-03-13T00:00:00-23:59"):  # more than PostgreSQL calls a zone
        assert at("commander").get(f"operations/{drill.id}/figures", since=since)[0] == 200
    assert at("commander").get(f"operations/{drill.id}/figures", since="0001-01-01T00:00:00+20:00")[0] == 422


def test_a_bulletin_is_proposed_published_and_frozen(at, drill, running):
    found, _ = running
    manager, commander = at("round_manager"), at("commander")
    status, issue = manager.post(f"operations/{drill.id}/bulletins", {"round": found.pk, "comment": "第一期"})
    assert (status, issue["state"]) == (201, "proposed"), issue
    assert issue["text_zh"] != issue["text_en"]
    assert manager.post(f"bulletins/{issue['id']}/publish")[0] == 403
    assert commander.post(f"bulletins/{issue['id']}/publish", {})[1]["state"] == "published"
    status, again = commander.post(f"bulletins/{issue['id']}/publish")
    assert (status, again["code"]) == (422, "figures.not_proposed")
    status, none = manager.post(f"bulletins/{issue['id']}/correct", {"comment": "第一期"})
    assert (status, none["code"]) == (422, "figures.nothing_changed")
    assert len(commander.get(f"operations/{drill.id}/bulletins")[1]["bulletins"]) == 1
    assert commander.get("bulletins/999999")[0] == 404


def case(drill, n, **more):
    values = {
        "district": drill.district, "operation": drill.id, "code": "tube.overfull", "subject": f"T{n:05}",
        "facts": [str(uuid.uuid4())], "area": drill.communities[0], "happened_at": drill.operation.started_at,
    }  # fmt: skip
    return Attention(**(values | more))


def kept(drill, **more):
    values = {
        "district": drill.district, "id": uuid.uuid4(), "operation": drill.id, "kind": "testing.sample_taken",
        "code": "journal.out_of_scope", "area": drill.communities[0], "key": 1, "body_enc": b"x",
        "received_at": drill.operation.started_at,
    }  # fmt: skip
    return Kept(**(values | more))


def test_the_inbox_goes_page_by_page_through_cases_and_refused_facts(at, drill, django_assert_max_num_queries):
    Attention.objects.bulk_create(case(drill, n) for n in range(1_050))
    Attention.objects.bulk_create([case(drill, 2_000, area="370105001001")])
    Kept.objects.bulk_create(kept(drill) for _ in range(30))
    manager, after, cases, refused = at("round_manager"), "", [], []
    while after is not None:
        with django_assert_max_num_queries(8):
            status, page = manager.get(f"operations/{drill.id}/inbox", after=after, limit=350)
        assert status == 200
        cases += [one["subject"] for one in page["cases"]]
        refused += [one["id"] for one in page["kept"]]
        after = page["next"]
    assert cases == [f"T{n:05}" for n in range(1_050)]
    assert len(set(refused)) == len(refused) == 30
    assert manager.get(f"operations/{drill.id}/inbox", after="kept|x")[0] == 422
    assert at("courier").get(f"operations/{drill.id}/inbox")[0] == 403


def test_a_refused_fact_is_closed_with_a_reason(at, drill):
    row = kept(drill)
    row.save(force_insert=True)
    manager = at("round_manager")
    url = f"operations/{drill.id}/kept/{row.id}"
    assert manager.post(url, {"state": "dismissed", "reason": ""})[1]["code"] == "access.reason_missing"
    assert manager.post(url, {"state": "dismissed", "reason": "重复上报"}) == (
        200,
        {"id": str(row.id), "state": "dismissed"},
    )
    assert manager.post(f"operations/{drill.id}/kept/{uuid.uuid4()}", {"state": "attached", "reason": "x"})[0] == 404
    assert at("commander").post(url, {"state": "attached", "reason": "x"})[0] == 403


@pytest.mark.django_db(transaction=True)
def test_decisions_are_facts_with_their_own_receipts(at, drill, running):
    found, people = running
    facts = [
        {"kind": "testing.excused", "body": {"round": found.pk, "person": str(people[0]), "reason": "已外出"}},
        {"kind": "testing.excused", "body": {"round": found.pk, "person": "nobody", "reason": ""}},
        {"kind": "testing.nothing", "body": {}},
    ]
    status, body = at("round_manager").post(f"operations/{drill.id}/facts", {"facts": facts})
    assert status == 200, body
    verdicts = [(one["verdict"], one.get("code")) for one in body["receipts"]]
    assert verdicts == [("accepted", None), ("refused", "journal.body_invalid"), ("refused", "journal.kind_unknown")]
    status, body = at("packer").post(f"operations/{drill.id}/facts", {"facts": facts[:1]})
    assert (status, body["receipts"][0]["code"]) == (200, "journal.role_missing")
    assert at("auditor").post(f"operations/{drill.id}/facts", {"facts": []})[0] == 403


@pytest.mark.parametrize("facts", [None, {}, [1], [{}], [{"kind": "X"}], [{"kind": "a.b", "body": 1}], [{}] * 501])
def test_facts_that_are_none_are_a_clients_error(at, drill, facts):
    assert at("round_manager").post(f"operations/{drill.id}/facts", {"facts": facts})[0] == 422
