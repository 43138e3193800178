"""What offices do all day, through the pages: reveal, excuse, settle, review, release, import, publish, close."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from dabai.access import login
from dabai.access.actions import first_admin_link, issue_pairing_code, pair_device
from dabai.access.codes import is_pin
from dabai.access.models import AuditEntry, Device, User
from dabai.figures.models import Bulletin
from dabai.journal.models import Attention, Entry, EntryFlag, Kept
from dabai.people import background
from dabai.people.models import Import
from dabai.registry import settle_down
from dabai.testing.models import Result, Round, Tube
from dabai.testing.worklists import waiting_counts
from dabai.testkit.cast import PASSWORD
from dabai.testkit.field import deliver, fact
from dabai.testkit.residents import HEADER, resident_rows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    login.forget_failures()
    monkeypatch.setattr(background, "start", lambda import_id, state: background.WORK[state](import_id))


def said(answer) -> str:
    return answer.content.decode()


def test_logging_in_goes_where_one_wanted_and_a_wrong_password_says_so(scene):
    browser, name = Client(), scene.cast.round_manager.user.username
    wrong = browser.post("/login/", {"username": name, "password": "x"})
    assert (wrong.status_code, "access.login_wrong" in said(wrong) or "不正确" in said(wrong)) == (422, True)
    right = browser.post("/login/?next=/rounds/", {"username": name, "password": PASSWORD, "next": "/rounds/"})
    assert (right.status_code, right["Location"]) == (302, "/rounds/")
    assert (
        browser.post("/login/", {"username": name, "password": PASSWORD, "next": "https://elsewhere/"})["Location"]
        == "/"
    )
    assert browser.post("/logout/")["Location"] == "/login/"
    assert browser.get("/rounds/").status_code == 302


def test_the_first_administrator_is_welcomed_once(db):
    User.objects.all().update(is_active=False)
    browser, link = Client(), first_admin_link()
    assert link is not None
    assert browser.get(link).status_code == 200
    body = {"username": "guanli", "display_name": "管理员", "password": "mi-ma-hen-chang", "repeated": "mi-ma-hen-duan"}
    assert browser.post(link, body).status_code == 422
    assert browser.post(link, body | {"repeated": "mi-ma-hen-chang"}).status_code == 302
    assert browser.get("/accounts/").status_code == 200
    assert Client().get(link).status_code == 404


def test_the_language_is_a_choice_of_the_reader(as_):
    browser = as_("commander")
    assert "覆盖进度" in said(browser.get("/bulletins/"))
    browser.post("/language/", {"lang": "en", "next": "/bulletins/"})
    assert "Coverage" in said(browser.get("/bulletins/"))


def test_a_reveal_takes_a_reason_and_is_logged(as_, scene):
    person, manager = scene.residents[0], as_("round_manager")
    page = said(manager.get(f"/people/{person}/"))
    url = f"/people/{person}/do/reveal/"
    assert not re.search(r"340602\d{11}[\dX]", page)
    refused = manager.post(url, {"what": ["number"], "reason": ""})
    assert not AuditEntry.objects.filter(action="people.revealed").exists()
    assert not re.search(r"340602\d{11}[\dX]", said(refused))
    shown = manager.post(url, {"what": ["number", "name"], "reason": "电话核实"})
    assert re.search(r"340602\d{11}[\dX]", said(shown))
    entry = AuditEntry.objects.get(action="people.revealed")
    assert (entry.subject, entry.reason) == (f"person/{person}", "电话核实")
    assert as_("lab_reviewer").post(url, {"what": ["number"], "reason": "x"}).status_code == 403
    assert "电话核实" in said(as_("auditor").get("/audit/"))


def test_people_are_found_by_whole_numbers_and_never_in_an_address(as_, scene):
    manager = as_("round_manager")
    shown = manager.post(f"/people/{scene.residents[0]}/do/reveal/", {"what": ["number"], "reason": "x"})
    number = re.search(r"340602\d{11}[\dX]", said(shown))[0]
    found = manager.post("/search/", {"q": number})
    assert (found.status_code, str(scene.residents[0]) in said(found)) == (200, True)
    assert manager.post("/search/", {"q": scene.used[0]})["Location"] == f"/tubes/{scene.used[0]}/"
    assert manager.post("/search/", {"q": "查无此人"}).status_code == 200
    assert manager.get("/search/").status_code == 200


def test_an_excuse_is_a_fact_that_coverage_follows(as_, scene):
    person, manager = scene.residents[-1], as_("round_manager")
    before = Entry.objects.count()
    body = {"round": scene.round.pk, "reason": "住院"}
    assert manager.post(f"/people/{person}/do/excuse/", body).status_code == 302
    assert Entry.objects.count() == before + 1
    settle_down()
    assert str(person) in said(manager.get(f"/coverage/{scene.drill.district}/excused/"))
    wrong = manager.post(f"/people/{person}/do/excuse/", {"round": scene.round.pk, "reason": ""})
    assert "请填写这一项" in said(wrong)


def test_two_people_are_merged_and_parted_again(as_, scene):
    one, other, manager = scene.residents[-1], scene.residents[-2], as_("round_manager")
    done = manager.post(f"/people/{one}/do/merge/", {"other": f"http://x/people/{other}/", "reason": "同一人"})
    assert done.status_code == 302
    settle_down()
    page = said(manager.get(f"/people/{one}/"))
    assert str(other) in page
    link = re.search(r'href="(/people/[^"]+/unmerge/[^"]+)"', page)[1]
    assert manager.post(link, {"reason": "弄错"}).status_code == 302
    settle_down()
    assert f"/people/{other}/" not in said(manager.get(f"/people/{one}/")).partition("<h2>时间线")[0]
    assert "没有这个人" in said(manager.post(f"/people/{one}/do/merge/", {"other": "x", "reason": "y"}))


def test_a_contested_tube_is_settled_by_naming_what_each_station_holds(as_, scene):
    manager, url = as_("round_manager"), f"/inbox/tube.contested/{scene.contested}/"
    page = manager.get(url)
    assert said(page).count('name="claim') == 2
    both = {"claim0": "keep", "claim1": "keep", "reason": "核对实物"}
    assert "仍有两个采样台" in said(manager.post(url, both))
    missing = {"claim0": "keep", "claim1": "other", "reason": "核对实物"}
    assert "请填写实物上的管码" in said(manager.post(url, missing))
    assert manager.post(url, missing | {"claim1": "void"}).status_code == 302
    settle_down()
    assert not Tube.objects.get(operation=scene.drill.id, tube=scene.contested).contested
    assert as_("commander").post(url, both).status_code in (200, 422)


def test_a_case_is_settled_with_a_reason(as_, scene):
    manager = as_("round_manager")
    case = Attention.objects.filter(operation=scene.drill.id, code="box.count_differs").first()
    url = f"/inbox/{case.code}/{case.subject}/"
    assert manager.post(url, {"reason": ""}).status_code == 422
    assert manager.post(url, {"reason": "已找到，装错箱"}).status_code == 302
    settle_down()
    assert Attention.objects.get(operation=scene.drill.id, code=case.code, subject=case.subject).state == "settled"


def test_a_refused_record_is_looked_at_and_closed(as_, scene):
    manager, kept = as_("round_manager"), Kept.objects.get(operation=scene.drill.id)
    url = f"/inbox/kept/{kept.id}/"
    assert "999999" not in said(manager.get(url))
    assert "999999" in said(manager.post(url, {"do": "open", "reason": "核对"}))
    assert AuditEntry.objects.filter(action="kept.opened").exists()
    assert manager.post(url, {"do": "close", "state": "dismissed", "reason": "测试误报"}).status_code == 302
    kept.refresh_from_db()
    assert kept.state == "dismissed"


def test_results_pass_four_eyes_to_the_people(as_, scene):
    counts = {"district": scene.drill.district, "operation": scene.drill.id}
    assert waiting_counts(**counts) == {"to_review": 1, "to_release": 1}
    reviewer = as_("lab_reviewer")
    picked = re.findall(r'name="pick" value="([^"]+)"', said(reviewer.get("/results/review/")))
    assert len(picked) == 1
    assert "还没有选择" in said(reviewer.post("/results/review/", {}))
    assert "请填写原因" in said(reviewer.post("/results/review/", {"pick": picked, "second": "yes"}))
    assert reviewer.post("/results/review/", {"pick": picked}).status_code == 302
    waiting = re.findall(r'name="pick" value="([^"]+)"', said(reviewer.get("/results/release/")))
    assert len(waiting) == 2
    assert reviewer.post("/results/release/", {"pick": waiting}).status_code == 302
    assert waiting_counts(**counts) == {"to_review": 0, "to_release": 0}
    assert as_("lab_technician").post("/results/release/", {"pick": waiting}).status_code == 403


def test_a_result_file_is_read_and_its_wrong_rows_are_explained(as_, scene):
    text = f"管码,结果,检测时间\n{scene.used[-2]},阴性,{scene.at(200):%Y-%m-%d %H:%M}\n???,阴性,x\n"
    file = SimpleUploadedFile("结果.csv", text.encode())
    technician = as_("lab_technician")
    answer = technician.post("/results/", {"lab": scene.drill.laboratory.pk, "file": file}, follow=True)
    assert answer.status_code == 200
    assert "codes." in said(answer)
    assert Result.objects.filter(operation=scene.drill.id, tube=scene.used[-2]).exists()
    empty = SimpleUploadedFile("空.csv", b"")
    assert "tables.empty" in said(technician.post("/results/", {"lab": scene.drill.laboratory.pk, "file": empty}))


def test_a_list_is_uploaded_reviewed_and_committed(as_, scene):
    rows = [HEADER, *resident_rows(12, scene.drill.communities[5:6], seed=9)]
    rows[1][2] = "340602190001010003"
    file = SimpleUploadedFile("新名单.csv", "\n".join(",".join(row) for row in rows).encode())
    manager = as_("round_manager")
    answer = manager.post(
        "/imports/", {"purpose": "residents", "label": "补充名单", "area": str(scene.drill.district), "file": file}
    )
    assert answer.status_code == 302, said(answer)
    found = Import.objects.order_by("-pk").first()
    page = said(manager.get(f"/imports/{found.pk}/"))
    assert "写入" in page
    assert "不能采用" in page
    assert manager.post(f"/imports/{found.pk}/commit/").status_code == 302
    found.refresh_from_db()
    assert found.state == "committed"
    again = manager.post(f"/imports/{found.pk}/discard/", {"reason": "x"})
    assert again.status_code == 422
    assert "没有保存任何改动" in said(again)


def test_a_round_is_drafted_revised_and_closed_with_reasons(as_, scene):
    manager, commander = as_("round_manager"), as_("commander")
    body = {
        "name": "第2轮",
        "areas": "340602001",
        "starts_at": "2026-03-15T08:00",
        "pool_size": "10",
        "sites": [str(scene.drill.points[0].pk)],
        "estimates": f"{scene.drill.communities[0]} 40",
    }
    assert "第 1 行应为" in said(manager.post("/rounds/new/", body | {"estimates": "x"}))
    made = manager.post("/rounds/new/", body)
    assert made.status_code == 302, said(made)
    draft = Round.objects.get(operation=scene.drill.id, number=2)
    assert manager.post(f"/rounds/{draft.pk}/plan/", body | {"name": "第二轮"}).status_code == 302
    assert manager.post(f"/rounds/{draft.pk}/approve/").status_code == 422
    assert commander.post(f"/rounds/{draft.pk}/approve/").status_code == 302
    for step in ("start", "begin_make_up", "begin_closing"):
        assert manager.post(f"/rounds/{draft.pk}/{step}/", {"reason": "按计划"}).status_code == 302
    device = Device.objects.create(
        id=scene.residents[0],
        district=scene.drill.district,
        operation=scene.drill.id,
        name="三号手机",
        token_hash=b"1",
        paired_at=scene.first_at,
        highest_seq=9,
    )
    refused = manager.post(f"/rounds/{draft.pk}/close/")
    assert (refused.status_code, "三号手机" in said(refused)) == (422, True)
    assert manager.post(f"/rounds/{draft.pk}/close/", {f"silent-{device.pk}": "手机损坏"}).status_code == 302
    assert "手机损坏" in said(manager.get(f"/rounds/{draft.pk}/"))


def test_a_bulletin_is_published_and_corrected_by_a_new_issue(as_, scene):
    commander, manager = as_("commander"), as_("round_manager")
    found = Bulletin.objects.get(operation=scene.drill.id)
    assert manager.post(f"/bulletins/{found.pk}/publish/").status_code == 422
    assert commander.post(f"/bulletins/{found.pk}/publish/", {"comment": "全区平稳。"}).status_code == 302
    assert "全区平稳" in said(commander.get(f"/bulletins/{found.pk}/"))
    assert "没有" in said(manager.post(f"/bulletins/{found.pk}/correct/", {"comment": "全区平稳。"}))
    assert manager.post(f"/bulletins/{found.pk}/correct/", {"comment": "补充说明"}).status_code == 302
    assert Bulletin.objects.filter(corrects=found.pk).exists()
    assert commander.get(f"/bulletins/{found.pk}/file/bulletin.json").json()["issue"] == found.issue
    assert "核酸检测" in said(commander.get(f"/bulletins/{found.pk}/file/bulletin.zh.txt"))
    assert manager.post("/bulletins/", {"round": "", "cut_off": "", "comment": ""}).status_code == 302


def test_a_file_for_the_province_goes_out_with_a_reason(as_, scene):
    manager = as_("round_manager")
    refused = manager.post("/exports/", {"layout": "province-cn", "form": "csv", "reason": ""})
    assert refused.status_code == 200
    answer = manager.post("/exports/", {"layout": "province-cn", "form": "csv", "round": "", "reason": "日报"})
    assert (answer.status_code, "attachment" in answer["Content-Disposition"]) == (200, True)
    assert b"".join(answer.streaming_content)
    assert "日报" in said(manager.get("/exports/"))
    again = manager.post("/exports/", {"layout": "province-cn", "form": "csv", "round": "", "reason": "日报"})
    assert "没有新的" in said(again)


def test_accounts_and_devices_come_from_a_sheet_with_slips_to_print(as_, scene):
    administrator = as_("administrator")
    text = "username,display_name,role,area\nnew.two,又一位,emperor,1\n"
    text += f"new.one,新同事,registrar,{scene.drill.streets[0]}\n"
    answer = administrator.post("/accounts/", {"file": SimpleUploadedFile("a.csv", text.encode())})
    assert ("/welcome/" in said(answer), "access." in said(answer)) == (True, True)
    page = re.search(r'name="page" value="([^"]+)"', said(answer))[1]
    printed = administrator.post("/slips/", {"page": page})
    assert (printed.status_code, "<svg" in said(printed)) == (200, True)
    assert administrator.post("/slips/", {"page": page + "x"}).status_code == 404
    devices = f"device,site\n九号手机,{scene.drill.points[0].code}\n"
    answer = administrator.post("/devices/", {"file": SimpleUploadedFile("d.csv", devices.encode())})
    assert "九号手机" in said(answer)
    courier = scene.cast.courier.user
    pin = administrator.post(f"/accounts/{courier.pk}/", {"do": "pin"})
    shown = re.search(r'<p class="code">([0-9]{6})</p>', said(pin))[1]
    courier.refresh_from_db()
    assert is_pin(shown, courier.pin_hash)
    link = administrator.post(f"/accounts/{courier.pk}/", {"do": "link", "purpose": "password"})
    assert "/welcome/" in said(link)
    assert administrator.post(f"/accounts/{courier.pk}/", {"do": "switch", "reason": "离岗"}).status_code == 302
    courier.refresh_from_db()
    assert not courier.is_active


def test_a_device_is_moved_and_reported_lost(as_, scene):
    administrator, drill = as_("administrator"), scene.drill
    code = issue_pairing_code(operation=drill.id, name="十号手机", by=None, site=drill.points[0].pk)
    device, _ = pair_device(code=code, name="", app="")
    page = f"/devices/{device.pk}/"
    assert drill.points[1].name in said(administrator.get(page))
    assert administrator.post(page, {"do": "move", "site": drill.points[1].pk}).status_code == 302
    assert [(one.site, one.area) for one in device.scopes.filter(valid_to=None)] == [(drill.points[1].pk, "")]
    assert administrator.post(page, {"do": "move", "area": drill.streets[0]}).status_code == 302
    assert [(one.site, one.area) for one in device.scopes.filter(valid_to=None)] == [(None, drill.streets[0])]
    assert "请填写点位或区域" in said(administrator.post(page, {"do": "move"}))
    assert "请填写这一项" in said(administrator.post(page, {"do": "revoke", "state": "lost", "reason": ""}))
    assert administrator.post(page, {"do": "revoke", "state": "lost", "reason": "遗失"}).status_code == 302
    device.refresh_from_db()
    assert device.lost_at is not None


def test_sites_come_from_a_file_and_an_operation_from_a_form(as_, scene):
    text = f"code,kind,name,area,stations\nN7,sampling_point,新采样点,{scene.drill.communities[3]},2\nN8,moon,x,1,1\n"
    answer = as_("round_manager").post("/places/", {"sites": SimpleUploadedFile("s.csv", text.encode())})
    assert ("新采样点" in said(answer), "没有这种点位类型" in said(answer)) == (True, True)
    body = {"name": "四月演练", "kind": "drill", "district": "340602", "profile": "covid19-cn-9"}
    assert as_("commander").post("/operations/", body).status_code in (200, 302)


def test_a_record_that_was_not_so_is_withdrawn_and_stays_on_the_line(as_, scene):
    manager, tube = as_("round_manager"), scene.used[-2]
    before = Tube.objects.get(operation=scene.drill.id, tube=tube).samples
    link = re.findall(r'href="(/facts/[^"]+/withdraw/)"', said(manager.get(f"/tubes/{tube}/")))[-1]
    assert "请填写这一项" in said(manager.post(link, {"reason": ""}))
    assert manager.post(link, {"reason": "扫错管"}).status_code == 302
    settle_down()
    assert Tube.objects.get(operation=scene.drill.id, tube=tube).samples == before - 1
    assert "已撤回" in said(manager.get(f"/tubes/{tube}/"))
    assert as_("commander").post(link, {"reason": "x"}).status_code == 403


def test_what_was_odd_about_a_record_stands_on_its_line(as_, scene):
    manager, tube = as_("round_manager"), scene.used[0]
    assert "设备已停用" not in said(manager.get(f"/tubes/{tube}/"))
    phone = scene.phone(7)
    phone.flags = EntryFlag.REVOKED_DEVICE | EntryFlag.ACTOR_UNKNOWN
    body = {"round": scene.round.pk, "site": scene.drill.points[0].pk, "tube": tube, "reason": "破损"}
    told = fact("testing.tube_voided", body, at=scene.at(1))
    phone.areas = (str(scene.drill.district),)
    assert [one.verdict for one in deliver(phone, [told])] == ["accepted"]
    page = said(manager.get(f"/tubes/{tube}/"))
    assert ("设备已停用" in page, "不认识登录的人" in page) == (True, True)


def test_a_released_result_is_corrected_by_somebody_else(as_, scene):
    reviewer = as_("lab_reviewer")
    tube = Tube.objects.filter(operation=scene.drill.id, outcome=1).first().tube
    link = re.search(r'href="(/results/correct/[^"]+)"', said(reviewer.get(f"/tubes/{tube}/")))[1]
    assert reviewer.post(link, {"outcome": "invalid", "reason": "复核仪器读数"}).status_code == 302
    settle_down()
    assert Tube.objects.get(operation=scene.drill.id, tube=tube).outcome == 4
    assert "复核仪器读数" in said(reviewer.get(f"/tubes/{tube}/"))


def test_a_hotels_list_shows_who_is_on_no_roster(as_, scene):
    rows = [HEADER, *resident_rows(3, scene.drill.communities[8:9], seed=77)]
    rows[1][2] = "34060219000101007X"
    file = SimpleUploadedFile("宾馆.csv", "\n".join(",".join(row) for row in rows).encode())
    manager = as_("round_manager")
    body = {"purpose": "cross_list", "label": "宾馆住客", "area": str(scene.drill.district), "file": file}
    assert manager.post("/imports/", body).status_code == 302
    found = Import.objects.order_by("-pk").first()
    manager.post(f"/imports/{found.pk}/commit/")
    page = said(manager.get(f"/imports/{found.pk}/strangers/"))
    assert page.count("data-row") == 1
    assert manager.get(f"/imports/{found.pk - 1}/strangers/").status_code == 404


def test_a_doubled_row_can_be_kept_as_a_person_of_their_own(as_, scene):
    rows = [HEADER, *resident_rows(2, scene.drill.communities[5:6], seed=9)]
    rows[1][2] = rows[2][2] = "34060219000101007X"
    file = SimpleUploadedFile("双.csv", "\n".join(",".join(row) for row in rows).encode())
    manager = as_("round_manager")
    manager.post("/imports/", {"purpose": "residents", "label": "x", "area": str(scene.drill.district), "file": file})
    found = Import.objects.order_by("-pk").first()
    page = said(manager.get(f"/imports/{found.pk}/?outcome=doubled"))
    picked = re.findall(r'name="pick" value="([^"]+)"', page)
    assert manager.post(f"/imports/{found.pk}/keep/", {"pick": picked}).status_code == 302
    found.refresh_from_db()
    assert (found.counts["added"], found.counts["doubled"]) == (2, 0)
