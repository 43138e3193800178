"""One battery over every registered kind of fact: a new kind joins it by giving an example of its body."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dabai.access.rules import Role, roles_that_report
from dabai.journal.models import Entry, EntryFlag, Kept
from dabai.kernel import clock
from dabai.kernel.codes import make_codes, make_tube_codes
from dabai.kernel.words import catalogue
from dabai.registry import derive_once, kinds
from dabai.testing.models import Round
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import AnyPhone, deliver, desk, fact
from dabai.testkit.story import open_round

pytestmark = pytest.mark.django_db
TUBES = make_tube_codes("DJ", "0K1", 1, 40)
BAGS = make_codes("bag", "DJ", "0K1", 1, 40)
BOXES = make_codes("box", "DJ", "0K1", 1, 40)


class Examples:
    """A right body for each kind; ``number`` makes two of them different."""

    def __init__(self, drill: PreparedOperation, running: Round) -> None:
        self.drill = drill
        self.at = {"round": running.pk, "site": drill.points[0].pk}
        self.lab = {"lab": drill.laboratory.pk}
        self.who = {"round": running.pk, "person": str(uuid4())}

    def body(self, kind: str, number: int = 0) -> dict[str, Any]:
        """The body of the kind."""
        at, lab, who, why, tube = self.at, self.lab, self.who, {"reason": "核对"}, {"tube": TUBES[number]}
        place = {**at, "station": 1}
        site, some = {"site": at["site"]}, str(uuid4())
        signed = {"tubes": 1, "given_by": "packer", "taken_by": "courier"}
        claim = {"round": at["round"], "site": at["site"], "station": 1, "becomes": TUBES[number]}
        return {
            "journal.fact_withdrawn": {"target": some, **why},
            "journal.attention_settled": {"code": "tube.contested", "subject": TUBES[number], "facts": [some], **why},
            "people.person_registered": {
                **site,
                "name": "测试甲",
                "document": {"kind": "03", "number": f"E{10**7 + number}"},
            },
            "people.corrected": {"person": some, "name": "测试乙", **why},
            "people.merged": {"one": some, "other": str(uuid4()), **why},
            "people.unmerged": {"merge": some, **why},
            "testing.station_opened": place,
            "testing.station_closed": place,
            "testing.queue_counted": {**at, "people": number},
            "testing.sample_taken": {**place, **tube, "person": some},
            "testing.late_entry": {**place, **tube, "person": some, **why, "second": "nurse2"},
            "testing.tube_sealed": {**place, **tube, "people": 10},
            "testing.tube_voided": {**at, **tube, **why},
            "testing.sample_moved": {**at, "sample": some, "to_tube": TUBES[number], **why},
            "testing.not_sampled": {**at, **who, "outcome": "absent", **why},
            "testing.tubes_bagged": {**site, "bag": BAGS[number], "tubes": [TUBES[number]], "rack": 1},
            "testing.box_packed": {**site, "box": BOXES[number], "bags": [BAGS[number]]},
            "testing.box_sealed": {**site, "box": BOXES[number], "seal": "S1", "tubes": 1},
            "testing.box_handed_over": {**site, "box": BOXES[number], **signed},
            "testing.box_received": {**lab, "box": BOXES[number], **signed},
            "testing.tube_rejected": {**lab, **tube, "reason": "leak"},
            "testing.run_started": {**lab, "run": "R1", "tubes": [TUBES[number]]},
            "testing.result_read": {**lab, **tube, "outcome": "negative", "ct": {"N": 31.5, "ORF1ab": None}},
            "testing.result_reviewed": {**lab, "results": [some], "verdict": "approved"},
            "testing.result_released": {**lab, "results": [some]},
            "testing.result_corrected": {**lab, "result": some, "outcome": "suspect", **why},
            "testing.excused": {**who, **why},
            "testing.roster_added": {**who, "area": self.drill.grids[0], **why},
            "testing.roster_removed": {**who, **why},
            "testing.claim_settled": {**tube, "claims": [claim], **why},
        }[kind]


@pytest.fixture
def examples(drill: PreparedOperation) -> Examples:
    return Examples(drill, open_round(drill, 3)[0])


def reporter(drill: PreparedOperation, kind: str) -> Any:
    """A phone, or for a desk's kind somebody whose role may report it."""
    if kinds()[kind].desk:
        return desk(drill.district, drill.id, 7, Role(sorted(roles_that_report(kind))[0]))
    return AnyPhone(drill.district, drill.id)


every_kind = pytest.mark.parametrize("kind", sorted(kinds()))


@every_kind
def test_resent_it_gets_the_same_receipt_and_no_second_row(
    drill: PreparedOperation, examples: Examples, kind: str
) -> None:
    one, who = fact(kind, examples.body(kind)), reporter(drill, kind)
    first = deliver(who, [one, one])
    again = deliver(who, [one])
    assert {receipt.verdict for receipt in [*first, *again]} == {"accepted"}
    assert Entry.objects.count() == 1


@every_kind
def test_a_bad_neighbour_does_not_matter(drill: PreparedOperation, examples: Examples, kind: str) -> None:
    good = [fact(kind, examples.body(kind, number)) for number in range(2)]
    bad = fact(kind, {**examples.body(kind), "unheard_of": 1})
    receipts = deliver(reporter(drill, kind), [good[0], bad, good[1]])
    assert [receipt.verdict for receipt in receipts] == ["accepted", "refused", "accepted"]
    assert (receipts[1].code, receipts[1].field) == ("journal.body_invalid", "body.unheard_of")
    assert Kept.objects.get().code == "journal.body_invalid"


@every_kind
def test_the_number_of_statements_does_not_grow_with_the_batch(
    drill: PreparedOperation, examples: Examples, kind: str
) -> None:
    def statements(numbers: range) -> int:
        batch = [fact(kind, examples.body(kind, number)) for number in numbers]
        with CaptureQueriesContext(connection) as captured:
            assert {receipt.verdict for receipt in deliver(reporter(drill, kind), batch)} == {"accepted"}
        return len(captured)

    statements(range(1))
    assert statements(range(1, 3)) == statements(range(3, 40))


@every_kind
def test_an_absurd_clock_is_flagged_and_never_refused(drill: PreparedOperation, examples: Examples, kind: str) -> None:
    for moment in (clock.now() + timedelta(days=900), clock.now() - timedelta(days=9000)):
        receipt = deliver(reporter(drill, kind), [fact(kind, examples.body(kind), at=moment)])[0]
        assert receipt.verdict == "accepted"
    assert {row.flags & EntryFlag.IMPLAUSIBLE_CLOCK for row in Entry.objects.all()} == {EntryFlag.IMPLAUSIBLE_CLOCK}


@every_kind
def test_a_newer_level_is_kept_for_the_desk(drill: PreparedOperation, examples: Examples, kind: str) -> None:
    newer = fact(kind, examples.body(kind), level=kinds()[kind].level + 1)
    receipt = deliver(reporter(drill, kind), [newer])[0]
    assert (receipt.verdict, receipt.code) == ("refused", "journal.level_unknown")
    assert deliver(reporter(drill, kind), [newer])[0] == receipt
    assert Kept.objects.count() == 1


@every_kind
def test_out_of_scope_it_is_refused_and_kept(drill: PreparedOperation, examples: Examples, kind: str) -> None:
    if kinds()[kind].desk:
        stranger: Any = desk(370105, drill.id, 7, Role(sorted(roles_that_report(kind))[0]))
        stranger.district = drill.district
    else:
        stranger = AnyPhone(drill.district, drill.id, areas=("370105",))
    receipt = deliver(stranger, [fact(kind, examples.body(kind))])[0]
    if kind == "journal.fact_withdrawn":  # names another fact and no place; see the ADR on withdrawals
        assert receipt.verdict == "accepted"
        return
    assert (receipt.verdict, receipt.code) == ("refused", "journal.out_of_scope")
    assert Kept.objects.count() == 1


@every_kind
def test_the_worker_takes_it_in_whatever_is_missing(drill: PreparedOperation, examples: Examples, kind: str) -> None:
    deliver(reporter(drill, kind), [fact(kind, examples.body(kind))])
    assert derive_once() > 0


def test_every_refusal_of_the_door_has_words_in_both_languages() -> None:
    codes = ("envelope_invalid", "body_invalid", "kind_unknown", "level_unknown", "id_reused", "out_of_scope",
             "round_unknown", "site_unknown", "role_missing", "too_many_facts")  # fmt: skip
    for language in ("zh", "en"):
        assert [code for code in codes if f"journal.refusal.{code}" not in catalogue(language)] == []
