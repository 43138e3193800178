"""Bulletins: what they say and in which order, that published ones never change, and corrections."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from dabai.access.models import Assignment, AuditEntry, User
from dabai.access.rules import Role
from dabai.figures import actions, bulletin, content
from dabai.figures.models import Bulletin, BulletinState
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.kernel.words import say
from dabai.testing.models import Round, RoundEstimate, RoundSite, RoundState
from dabai.testkit.district import PreparedOperation, make_operation
from dabai.testkit.rows import STARTS, Rows, moment

A, C = "34060200100501", "34060210220201"


@pytest.fixture
def rows(drill: PreparedOperation) -> Rows:
    """A drill's round: twelve people due, ten of them swabbed, one pool suspect, one person positive when alone."""
    return told(Rows(drill))


def told(rows: Rows) -> Rows:
    for number in range(12):
        rows.due(number, A if number < 8 else C)
    for number in range(10):
        outcome = "suspect" if number == 9 else "negative"
        code = rows.tube(f"T{number}", samples=100, outcome=outcome, released=300, received_at=moment(100))
        rows.covered(number, A if number < 8 else C, code)
    rows.tube("S", at=400, single=True, outcome="positive", released=500)
    rows.covered(8, C, "T8", "S")
    RoundSite.objects.create(round=rows.round, site=rows.drill.points[0].pk, stations=3)
    rows.rebuild()
    return rows


def close(rows: Rows) -> None:
    Round.objects.filter(pk=rows.round.pk).update(state=RoundState.CLOSED, closed_at=clock.now() - timedelta(hours=1))


def propose(rows: Rows, **more: Any) -> Bulletin:
    return actions.propose(by=None, operation=rows.drill.id, round_id=rows.round.pk, **more)


def publish(found: Bulletin, **more: Any) -> Bulletin:
    return actions.publish(by=None, bulletin_id=found.pk, **more)


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


def late_fact(rows: Rows) -> None:
    """Somebody was swabbed whose phone came back too late."""
    rows.tube("LATE", samples=1, outcome="negative", released=900)
    rows.covered(11, C, "LATE")
    rows.rebuild()


# --- what it says -------------------------------------------------------------------------------------------------

NUMBERS = (
    (
        "zh",
        [
            "应检 12 人",
            "已采样 10 人，采样率 83.33%（10/12）",
            "已出结果 10 人，回报率 100.00%（10/10）；阴性 8 人",
            "单管阳性 1 人；待复核 1 人",
        ],
    ),
    (
        "en",
        [
            "Due: 12 people",
            "sampling rate 83.33% (10 of 12)",
            "return rate 100.00% (10 of 10); negative: 8 people",
            "Positive by a single tube: 1 person. Pending a single re-test: 1 person",
        ],
    ),
)


@pytest.mark.parametrize(("lang", "sentences"), NUMBERS)
def test_numbers_in_the_order_of_the_press(rows: Rows, lang: str, sentences: list[str]) -> None:
    text = getattr(propose(rows), f"text_{lang}")
    places = [text.find(sentence) for sentence in sentences]
    assert -1 not in places, text
    assert places == sorted(places)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_everything_that_a_bulletin_must_state(rows: Rows, lang: str) -> None:
    found = propose(rows)
    text = getattr(found, f"text_{lang}")
    assert say("figures.bulletin.drill", lang) in text
    assert say("figures.bulletin.cut_off", lang, at=bulletin.moment(found.cut_off.isoformat())) in text
    for row in content.areas_of(rows.round.pk, None):
        assert row["name"] in text
    assert f"{1001:,}" in text  # person-times
    assert "{" not in text


def test_separators_stand_in_long_numbers(rows: Rows) -> None:
    RoundEstimate.objects.create(round=rows.round, area="340602103201", people=1_234_567)
    found = propose(rows)
    assert "应检 1,234,579 人（估计）" in found.text_zh
    assert "Due: 1,234,579 people (estimate)" in found.text_en
    assert "按估计人数计" in found.text_zh
    assert content.numbers(found.figures)["due"] == 1_234_579


def test_what_is_not_known_says_why(rows: Rows) -> None:
    found = propose(rows)
    assert "工作人员 不详（没有登记人员）" in found.text_zh
    assert "staff not known (nobody is registered)" in found.text_en


def test_a_pool_that_is_not_negative_is_never_told_as_positive(rows: Rows) -> None:
    rows.tube("S", at=400, single=True)
    rows.tube("T9", samples=100, outcome="positive", released=300)
    rows.rebuild()
    found = propose(rows)
    assert content.numbers(found.figures)["positive_people"] == 0
    assert "单管阳性 0 人；待复核 1 人" in found.text_zh


def test_a_response_is_no_drill(db: None) -> None:
    rows = told(Rows(make_operation("response")))
    assert say("figures.bulletin.drill", "zh") not in propose(rows).text_zh


def test_html_is_escaped_and_holds_the_same_numbers(rows: Rows) -> None:
    found = propose(rows, comment="<script>alert(1)</script> & 其他")
    assert "<script>" not in found.html_zh + found.html_en
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 其他" in found.html_zh
    assert '<article class="bulletin" lang="zh-CN">' in found.html_zh
    words = re.sub(r"<[^>]+>", " ", found.html_zh)
    for number in re.findall(r"\d[\d,.]*%?", found.text_zh):
        assert number in words


def test_an_issue_to_date(rows: Rows) -> None:
    second = Rows(rows.drill, number=2)
    second.tube("Z", samples=50, at=60, outcome="negative", released=200)
    second.covered(1, A, "Z", rostered=False)
    second.rebuild()
    found = actions.propose(by=None, operation=rows.drill.id)
    numbers = content.numbers(found.figures)
    assert (numbers["rounds"], numbers["person_times"], numbers["people_tested"]) == (2, 1051, 10)
    assert "累计采样 1,051 人次（10 人，每人只计一次）" in found.text_zh
    assert "1,051 person-times of 10 people (each once)" in found.text_en
    assert "第 2 轮（第2轮）：50 人次，1 管，1 人。" in found.text_zh
    assert "应检" not in found.text_zh


def test_an_operation_without_rounds_has_nothing_to_tell_yet(drill: PreparedOperation) -> None:
    found = actions.propose(by=None, operation=drill.id)
    assert content.numbers(found.figures)["person_times"] == 0
    assert content.numbers(found.figures)["mean_pool"] is None
    assert "{" not in found.text_zh + found.text_en


def test_the_next_round_is_announced(rows: Rows) -> None:
    following = Rows(rows.drill, number=2).round
    assert say("figures.bulletin.round_named", "zh", number=2, name=following.name) in propose(rows).text_zh


# --- cut-off ------------------------------------------------------------------------------------------------------


def test_a_cut_off_leaves_out_who_was_swabbed_later(rows: Rows) -> None:
    rows.tube("N", at=130, samples=1)
    rows.covered(10, C, "N", at=130)
    rows.rebuild()
    found = propose(rows, cut_off=moment(120))
    assert content.numbers(found.figures)["people_sampled"] == 10
    assert "2022-03-13 10:00" in found.text_zh
    assert content.numbers(propose(rows).figures)["people_sampled"] == 11


@pytest.mark.parametrize(
    ("cut_off", "code"),
    [(STARTS + timedelta(minutes=1), "figures.cut_off_hour"), (STARTS.replace(year=2999), "figures.cut_off_future")],
)
def test_impossible_cut_offs(rows: Rows, cut_off: Any, code: str) -> None:
    with refused(code):
        propose(rows, cut_off=cut_off)


# --- proposed, published, frozen ------------------------------------------------------------------------------------


def test_proposing_again_makes_the_same_issue_anew(rows: Rows) -> None:
    first = propose(rows)
    late_fact(rows)
    again = propose(rows)
    assert (again.pk, again.issue) == (first.pk, 1)
    assert content.numbers(again.figures)["people_sampled"] == 11


def test_issues_are_numbered(rows: Rows) -> None:
    assert [publish(propose(rows)).issue for _ in range(3)] == [1, 2, 3]
    assert actions.propose(by=None, operation=rows.drill.id).issue == 1


def test_a_published_issue_stays_as_it_was(rows: Rows) -> None:
    published = publish(propose(rows), comment="秩序良好。")
    before = Bulletin.objects.values().get(pk=published.pk)
    assert "情况说明：秩序良好。" in published.text_zh
    assert "Comment: 秩序良好。" in published.text_en
    late_fact(rows)
    propose(rows)
    assert Bulletin.objects.values().get(pk=published.pk) == before


@pytest.mark.parametrize("how", ["update", "delete"])
def test_the_database_refuses_to_change_it(rows: Rows, how: str) -> None:
    found = Bulletin.objects.filter(pk=publish(propose(rows)).pk)
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        found.update(comment="…") if how == "update" else found.delete()
    assert found.exists()


def test_only_a_proposed_issue_can_be_published_or_discarded(rows: Rows) -> None:
    published = publish(propose(rows))
    with refused("figures.not_proposed"):
        publish(published)
    with refused("figures.not_proposed"):
        actions.discard(by=None, bulletin_id=published.pk)
    with refused("figures.bulletin_unknown"):
        actions.discard(by=None, bulletin_id=0)
    actions.discard(by=None, bulletin_id=propose(rows).pk)
    assert Bulletin.objects.count() == 1


def test_a_draft_or_another_operations_round_has_no_bulletin(rows: Rows) -> None:
    other = make_operation()
    with refused("figures.round_unknown"):
        actions.propose(by=None, operation=other.id, round_id=rows.round.pk)
    Round.objects.update(state=RoundState.DRAFT)
    with refused("figures.round_unknown"):
        propose(rows)


def test_a_comment_has_a_limit(rows: Rows) -> None:
    with refused("figures.comment_long"):
        propose(rows, comment="长" * (actions.COMMENT_LIMIT + 1))


# --- who may --------------------------------------------------------------------------------------------------------


def somebody(rows: Rows, role: Role, area: str = "") -> User:
    user = User.objects.create(username=str(role), display_name=str(role))
    Assignment.objects.create(user=user, role=role, area=area or str(rows.drill.district), valid_from=STARTS)
    return user


def test_a_round_manager_prepares_and_a_commander_publishes(rows: Rows) -> None:
    manager, commander = somebody(rows, Role.ROUND_MANAGER), somebody(rows, Role.COMMANDER)
    found = actions.propose(by=manager, operation=rows.drill.id, round_id=rows.round.pk)
    with refused("access.not_allowed"):
        actions.publish(by=manager, bulletin_id=found.pk)
    published = actions.publish(by=commander, bulletin_id=found.pk)
    assert (published.state, published.published_by) == (BulletinState.PUBLISHED, commander.pk)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor")) == [
        ("figures.bulletin_proposed", manager.pk),
        ("figures.bulletin_published", commander.pk),
    ]


def test_nobody_speaks_for_the_district_from_one_of_its_streets(rows: Rows) -> None:
    with refused("access.not_allowed"):
        actions.propose(by=somebody(rows, Role.COMMANDER, A[:9]), operation=rows.drill.id, round_id=rows.round.pk)


# --- corrections ----------------------------------------------------------------------------------------------------


def test_a_late_fact_proposes_a_correction_that_says_what_changed(rows: Rows) -> None:
    close(rows)
    first = publish(propose(rows))
    assert actions.propose_corrections(rows.round.pk) is None
    late_fact(rows)
    found = actions.propose_corrections(rows.round.pk)
    assert found is not None
    assert (found.issue, found.corrects, found.state) == (2, first.pk, BulletinState.PROPOSED)
    changed = {(one["figure"], one["area"]) for one in found.changes}
    assert ("people_sampled", "") in changed
    assert ("outstanding", "340602102") in changed
    assert ("due", "") not in changed
    assert "本期更正第 1 期。" in found.text_zh
    assert "已采样人数：10 人 → 11 人" in found.text_zh
    assert "sampled: 10 people → 11 people" in found.text_en
    assert re.search(r"未检人数：2 → 1", found.text_zh)


def test_proposing_after_the_last_word_corrects_only_what_differs(rows: Rows) -> None:
    close(rows)
    published = publish(propose(rows))
    assert propose(rows).corrects is None
    late_fact(rows)
    assert propose(rows).corrects == published.pk


def test_the_correction_is_refreshed_and_withdrawn_when_nothing_differs_any_more(rows: Rows) -> None:
    close(rows)
    publish(propose(rows))
    late_fact(rows)
    found = actions.propose_corrections(rows.round.pk)
    assert found is not None
    assert actions.propose_corrections(rows.round.pk).pk == found.pk  # type: ignore[union-attr]
    rows.covered(11, C)
    rows.tube("LATE", samples=0)
    rows.rebuild()
    assert actions.propose_corrections(rows.round.pk) is None
    assert Bulletin.objects.filter(state=BulletinState.PROPOSED).count() == 0


def test_an_issue_of_a_running_round_is_not_corrected_but_followed(rows: Rows) -> None:
    publish(propose(rows))
    late_fact(rows)
    assert actions.propose_corrections(rows.round.pk) is None
    following = propose(rows)
    assert (following.corrects, following.changes) == (None, [])


def test_an_issue_cut_off_before_the_end_was_not_the_last_word(rows: Rows) -> None:
    publish(propose(rows, cut_off=moment(120)))
    close(rows)
    late_fact(rows)
    assert actions.propose_corrections(rows.round.pk) is None


def test_a_correction_can_be_asked_for(rows: Rows) -> None:
    published = publish(propose(rows))
    with refused("figures.nothing_changed"):
        actions.correct(by=None, bulletin_id=published.pk)
    assert actions.correct(by=None, bulletin_id=published.pk, comment="补充说明").corrects == published.pk
    late_fact(rows)
    assert actions.correct(by=None, bulletin_id=published.pk).changes
    with refused("figures.not_published"):
        actions.correct(by=None, bulletin_id=Bulletin.objects.get(state=BulletinState.PROPOSED).pk)


def test_the_published_correction_is_what_the_next_one_corrects(rows: Rows) -> None:
    close(rows)
    publish(propose(rows))
    late_fact(rows)
    second = actions.propose_corrections(rows.round.pk)
    assert second is not None
    publish(second)
    assert actions.propose_corrections(rows.round.pk) is None
    rows.tube("LATE", samples=1, outcome="suspect", released=900)
    rows.rebuild()
    third = actions.propose_corrections(rows.round.pk)
    assert third is not None
    assert (third.issue, third.corrects) == (3, second.pk)


def test_staff_registered_later_corrects_nothing(rows: Rows) -> None:
    close(rows)
    publish(propose(rows))
    somebody(rows, Role.PACKER)
    assert actions.propose_corrections(rows.round.pk) is None
