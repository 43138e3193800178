"""The province's file: only news, corrections marked, no pooled positive, nothing in clear but in the file."""

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from tempfile import SpooledTemporaryFile
from typing import Any
from uuid import UUID

import pytest
from openpyxl import load_workbook

from dabai.access.models import AuditEntry
from dabai.journal import reference
from dabai.kernel import clock
from dabai.kernel.ids import natural_id
from dabai.kernel.refusal import Refusal
from dabai.registry import settle_down
from dabai.testing import province
from dabai.testing.models import ProvinceExport, ProvinceRow, Round, RoundState
from dabai.testing.province import Exported
from dabai.testkit.cast import Cast, make_cast
from dabai.testkit.district import PreparedOperation
from dabai.testkit.field import START, deliver
from dabai.testkit.story import TUBES, Story

SITE_FACT = "people.person_registered"


def refused(code: str) -> Any:
    return pytest.raises(Refusal, match=f"^{re.escape(code)}$")


class Telling:
    """A round that is told bit by bit: each ``now`` delivers what was added and brings derived rows up to date."""

    def __init__(self, drill: PreparedOperation) -> None:
        reference.forget()
        row = {"district": drill.district, "operation": drill.id, "number": 1, "name": "第1轮"}
        row |= {"profile": drill.operation.profile_id, "state": RoundState.RUNNING}
        running = Round.objects.create(**row, starts_at=START, approved_at=START)
        self.story, self.sent = Story(drill, running), 0

    def resident(self, number: int, name: str, minute: int = 0) -> UUID:
        site = self.story.drill.points[0].pk
        document = {"kind": "01", "number": f"34060219000101{number:03}"}
        document["number"] += check(document["number"])
        return self.story.tell(SITE_FACT, {"site": site, "name": name, "document": document}, minute)

    def now(self) -> None:
        for reporter, fact in self.story.told[self.sent :]:
            (receipt,) = deliver(reporter, [fact])
            assert receipt.verdict == "accepted"
        self.sent = len(self.story.told)
        settle_down()


def check(first: str) -> str:
    from dabai.people.rules import check_digit

    return check_digit(first)


@pytest.fixture
def telling(drill: PreparedOperation) -> Telling:
    return Telling(drill)


@pytest.fixture(autouse=True)
def _files_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Any] = []

    def spooled(size: int) -> Any:
        made.append(SpooledTemporaryFile(size))  # noqa: SIM115 - closed below
        return made[-1]

    monkeypatch.setattr(province, "SpooledTemporaryFile", spooled)
    yield
    for file in made:
        file.close()


@pytest.fixture
def cast(drill: PreparedOperation) -> Cast:
    return make_cast(drill.id, str(drill.district), since=START - timedelta(days=1))


def export(telling: Telling, cast: Cast, **more: Any) -> Exported:
    given = {"by": cast.commander.user, "operation": telling.story.drill.id, "reason": "日报", "watermark": False}
    return province.export(**given | more)


def table(exported: Exported) -> list[dict[str, str]]:
    text = exported.file.read().decode("utf-8-sig")
    exported.file.seek(0)
    return list(csv.DictReader(io.StringIO(text)))


def told(exported: Exported) -> set[tuple[str, str, str]]:
    return {(row["姓名"], row["上报类型"], row["检测结果"]) for row in table(exported)}


@pytest.fixture
def three(telling: Telling) -> list[UUID]:
    people = [telling.resident(number, f"演{letter}") for number, letter in enumerate("甲乙丙")]
    telling.story.swab(people[0], TUBES[0], 1)
    telling.story.swab(people[1], TUBES[0], 2)
    telling.story.swab(people[2], TUBES[1], 3)
    telling.story.result(TUBES[0], "negative", 100)
    telling.now()
    return people


def test_each_result_goes_out_once(telling, cast, three):
    first = export(telling, cast)
    assert told(first) == {("演甲", "新增", "阴性"), ("演乙", "新增", "阴性")}
    row = table(first)[0]
    assert row["证件类型"] == "居民身份证"
    assert re.fullmatch(r"34060219000101\d{3}[0-9X]", row["证件号码"])
    assert (row["采样方式"], row["试管编号"], row["检测机构"]) == (
        "混采",
        TUBES[0],
        telling.story.drill.laboratory.name,
    )
    assert row["采样时间"] == "2022-03-13 08:01:00"
    assert row["序号"] == "1"
    with refused("testing.nothing_new"):
        export(telling, cast)
    telling.story.result(TUBES[1], "negative", 110)
    telling.now()
    second = export(telling, cast)
    assert told(second) == {("演丙", "新增", "阴性")}
    assert [(one.number, one.rows) for one in province.exports_of(telling.story.drill.id)] == [(2, 1), (1, 2)]


def test_a_corrected_result_goes_out_as_a_correction(telling, cast, three):
    export(telling, cast)
    result = next(fact["id"] for _, fact in telling.story.told if fact["kind"] == "testing.result_read")
    body = {"lab": telling.story.drill.laboratory.pk, "result": result, "outcome": "positive", "reason": "复核"}
    telling.story.tell("testing.result_corrected", body, 200, telling.story.lab(102))
    telling.now()
    again = export(telling, cast)
    assert told(again) == {("演甲", "更正", "待复核"), ("演乙", "更正", "待复核")}
    assert {row["原上报结果"] for row in table(again)} == {"阴性"}


def test_a_pool_makes_nobody_positive_and_a_single_tube_does(telling, cast, three):
    telling.story.result(TUBES[1], "positive", 110)
    telling.now()
    assert ("演丙", "新增", "待复核") in told(export(telling, cast))
    assert set(ProvinceRow.objects.values_list("outcome", flat=True)) == {"negative", "pending"}
    telling.story.swab(three[2], TUBES[2], 150, single=True)
    telling.story.result(TUBES[2], "positive", 300)
    telling.now()
    (row,) = table(export(telling, cast))
    assert (row["上报类型"], row["检测结果"], row["采样方式"], row["试管编号"]) == ("更正", "阳性", "单采", TUBES[2])


def test_a_result_that_was_taken_back_is_withdrawn_and_may_come_again(telling, cast, three):
    export(telling, cast)
    other_team = telling.story.swab(telling.resident(9, "演丁"), TUBES[0], 4, point=1)
    telling.now()
    assert told(export(telling, cast)) == {("演甲", "更正", "撤销"), ("演乙", "更正", "撤销")}
    with refused("testing.nothing_new"):
        export(telling, cast)
    telling.story.withdraw(other_team, 5)
    telling.now()
    back = export(telling, cast)
    assert told(back) == {("演甲", "更正", "阴性"), ("演乙", "更正", "阴性")}
    assert {row["原上报结果"] for row in table(back)} == {"撤销"}


def test_a_corrected_name_goes_out_again(telling, cast, three):
    export(telling, cast)
    body = {"person": str(three[0]), "name": "演甲甲", "reason": "写错"}
    telling.story.tell("people.corrected", body, 60, telling.story.manager())
    telling.now()
    assert told(export(telling, cast)) == {("演甲甲", "更正", "阴性")}


@pytest.mark.parametrize("shift", [0, 1, 15], ids=["numbered", "numberless", "sent"])
def test_somebody_registered_twice_is_reported_once(telling, cast, three, shift):
    """Whichever id speaks for them afterwards, the number stays and nothing is taken back. ``shift`` chooses ids."""
    for minute in range(shift):
        place = {"round": telling.story.round.pk, "site": telling.story.drill.points[0].pk}
        telling.story.tell("testing.queue_counted", {**place, "people": 3}, minute)
    telling.story.result(TUBES[1], "negative", 110)
    telling.now()
    export(telling, cast)
    doubles = [telling.story.tell(SITE_FACT, {"site": telling.story.drill.points[0].pk, "name": "演丙"}, 61)]
    doubles.append(telling.resident(2, "演丙", 62))
    body = {"one": str(doubles[0]), "other": str(three[2]), "reason": "同一人"}
    telling.story.tell("people.merged", body, 70, telling.story.manager())
    telling.now()
    if min(*doubles, three[2]) == three[2]:
        with refused("testing.nothing_new"):
            export(telling, cast)
        return
    (row,) = table(export(telling, cast))
    assert (row["姓名"], row["上报类型"], row["检测结果"]) == ("演丙", "新增", "阴性")
    assert row["证件号码"] == "34060219000101002" + check("34060219000101002")


def test_who_is_not_known_yet_waits(telling, cast, three):
    telling.story.swab(natural_id("unknown"), TUBES[3], 5)
    telling.story.result(TUBES[3], "negative", 100)
    telling.now()
    assert len(table(export(telling, cast))) == 2


def test_one_round_alone(telling, cast, three):
    assert export(telling, cast, round_id=telling.story.round.pk).rows == 2
    with refused("testing.nothing_new"):
        export(telling, cast, round_id=telling.story.round.pk + 1)


# --- the file


def test_the_file_is_kept_by_its_digest_and_logged_with_its_reason(telling, cast, three):
    exported = export(telling, cast)
    content = exported.file.read()
    kept = ProvinceExport.objects.get()
    assert bytes(kept.digest) == hashlib.sha256(content).digest()
    assert (kept.rows, kept.by, kept.reason, kept.upto_seq > 0) == (2, cast.commander.user.pk, "日报", True)
    entry = AuditEntry.objects.get(action="testing.province_exported")
    assert (entry.reason, entry.actor_id) == ("日报", cast.commander.user.pk)
    assert entry.detail["digest"] == bytes(kept.digest).hex()
    assert "演" not in str(entry.detail)
    assert exported.name == f"演练-检测结果上报-340602-001-{clock.business_day(kept.made_at):%Y%m%d}.csv"


def test_a_workbook_with_a_watermark(telling, cast, three):
    exported = export(telling, cast, form="xlsx", watermark=True)
    rows = list(load_workbook(exported.file, read_only=True).active.iter_rows(values_only=True))
    assert "第 1 号上报文件，2 行" in rows[0][0]
    assert cast.commander.user.display_name in rows[0][0]
    assert rows[1][:4] == ("序号", "上报类型", "轮次", "姓名")
    assert len(rows) == 4


def test_a_lost_file_is_made_once_more(telling, cast, three):
    first = export(telling, cast)
    given = {"by": cast.commander.user, "operation": telling.story.drill.id, "number": 1, "reason": "下载中断"}
    repeat = province.again(**given)
    lines = repeat.file.read().decode("utf-8-sig").splitlines()
    assert len(lines) == 2 + len(table(first))
    assert lines[2].split(",")[1] == "重发"
    assert ProvinceExport.objects.count() == 1
    assert AuditEntry.objects.filter(action="testing.province_exported_again").count() == 1
    with refused("testing.export_unknown"):
        province.again(**given | {"number": 9})


def test_who_may_export_and_how(telling, cast, three):
    for member in (cast.lab_reviewer, cast.auditor, cast.administrator, cast.outsider, cast.grid_worker):
        with refused("access.not_allowed"):
            export(telling, cast, by=member.user)
    with refused("testing.reason_missing"):
        export(telling, cast, reason="  ")
    with refused("testing.form_unknown"):
        export(telling, cast, form="pdf")
    for layout in ("nowhere", "../layouts/province-cn"):
        with refused("testing.layout_unknown"):
            export(telling, cast, layout=layout)
    assert not ProvinceExport.objects.exists()


def test_a_layout_says_what_is_wrong_with_it(tmp_path, monkeypatch):
    monkeypatch.setattr(province, "LAYOUTS", tmp_path)
    (tmp_path / "bad.toml").write_text('name = "x"\n[words]\n[[columns]]\nheader = "a"\nvalue = "shoe_size"\n', "utf-8")
    with pytest.raises(Refusal) as caught:
        province.layout_of.__wrapped__("bad")
    assert (caught.value.code, caught.value.params) == ("testing.layout_invalid", {"said": "columns.0.value"})
    (tmp_path / "worse.toml").write_text("name = [", "utf-8")
    with refused("testing.layout_invalid"):
        province.layout_of.__wrapped__("worse")


def test_the_layouts_that_we_ship():
    assert province.layouts() == {"province-cn": "检测结果上报"}
    assert set(province.layout_of("province-cn").reported) == {"negative", "positive", "pending"}
