"""Two thousand people from one spreadsheet, and their slips."""

import time
from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from uuid import uuid4

import pytest

from dabai.access import actions, codes, queries
from dabai.access.models import Assignment, AuditEntry, Device, OneTimeLink, PairingCode, User
from dabai.access.rules import Permission, Role
from dabai.access.sheets import SheetResult, import_sheet
from dabai.access.slips import Slip, address, page
from dabai.exchange.writing import write_csv, write_xlsx
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import make_cast

pytestmark = pytest.mark.django_db
HEADER = ["用户名", "姓名", "单位", "角色", "区域代码", "开始时间", "结束时间", "设备名称", "设备类型", "点位代码"]
STREET = "340602001"


def sheet(*rows: list[str], header: list[str] = HEADER) -> BytesIO:
    file = BytesIO()
    write_csv(file, header, rows)
    file.seek(0)
    return file


def row(
    username: str = "", name: str = "", role: str = "", area: str = "", device: str = "", site: str = ""
) -> list[str]:
    return [username, name, "市一院", role, area, "", "", device, "", site]


def load(drill, *rows: list[str], by: User | None = None) -> SheetResult:
    return import_sheet(source=sheet(*rows), operation=drill.id, by=by)


def reasons(result: SheetResult) -> list[tuple[int, str, str | None]]:
    return [(r.number, r.reason.code, r.reason.field) for r in result.rows if r.reason]


def test_a_row_makes_account_role_device_and_slips(drill):
    result = load(drill, row("Zhou", "周护士", "采样登记员", STREET, "手机01", "P1"))
    assert [r.outcome for r in result.rows] == ["created"]
    user = User.objects.get(username="zhou")
    assert (user.display_name, user.organisation, user.has_usable_password()) == ("周护士", "市一院", False)
    assert queries.roles_of(user, drill.id) == {Role.REGISTRAR}
    pair, welcome = result.slips
    device, _ = actions.pair_device(code=pair.secret, name="", app="")
    assert (device.name, device.holder) == ("手机01", user)
    assert pair.place == drill.points[0].name
    assert actions.use_link(token=welcome.secret.split("/")[2], password="forty-two-swabs") == user


def test_the_same_sheet_again_makes_nothing(drill):
    rows = [row("zhou", "周护士", "registrar", STREET, "手机01", "P1"), row(device="手机02", area=STREET)]
    first, second = load(drill, *rows), load(drill, *rows)
    assert (first.count("created"), second.count("same"), second.slips) == (2, 2, [])
    counts = [model.objects.count() for model in (User, Assignment, PairingCode, OneTimeLink)]
    actions.pair_device(code=first.slips[0].secret, name="", app="")
    assert load(drill, *rows).count("same") == 2
    assert [model.objects.count() for model in (User, Assignment, PairingCode, OneTimeLink)] == counts
    assert Device.objects.count() == 1


def test_two_roles_of_one_person_are_two_rows(drill):
    result = load(
        drill, row("gao", "高", "packer", STREET), row("gao", "", "转运员", STREET), row("gao", "", "packer", STREET)
    )
    assert [r.outcome for r in result.rows] == ["created", "created", "same"]
    assert queries.roles_of(User.objects.get(username="gao"), drill.id) == {Role.PACKER, Role.COURIER}
    assert [slip.purpose for slip in result.slips] == ["welcome"]


def test_a_slip_that_ran_out_is_made_again(drill):
    rows = [row("zhou", "周护士", device="手机01", site="P1")]
    load(drill, *rows)
    past = clock.now() - timedelta(hours=1)
    PairingCode.objects.update(expires_at=past)
    OneTimeLink.objects.update(expires_at=past)
    assert [slip.purpose for slip in load(drill, *rows).slips] == ["pair", "welcome"]


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        (row(), "access.sheet_empty", "username"),
        (row("z z", "周"), "access.username_form", "username"),
        (row("zhou"), "access.name_missing", "display_name"),
        (row("zhou", "周", "院长", STREET), "access.role_unknown", "role"),
        (row("zhou", "周", "packer"), "access.area_code", "area"),
        (row("zhou", "周", "packer", "34060"), "access.area_code", "area"),
        (row(device="手机"), "access.scope_missing", "site"),
        (row(device="手机", site="P9"), "access.site_unknown", "site"),
        (row("", "", "packer", STREET, "手机"), "access.username_form", "username"),
        (row("auditor", "", "packer", STREET), "access.roles_conflict", "role"),
        (["zhou", "周", "", "packer", STREET, "明天", "", "", "", ""], "access.date_form", "valid_from"),
        (["zhou", "周", "", "packer", STREET, "", "2001-01-01", "", "", ""], "access.period_order", "valid_to"),
        (["", "", "", "", STREET, "", "", "手机", "toaster", ""], "access.device_kind", "kind"),
    ],
)
def test_a_bad_row_is_explained_and_takes_no_neighbour_with_it(drill, cells, code, field):
    make_cast(drill.id, STREET)
    result = load(drill, row("good", "好", "packer", STREET), cells, row(device="手机07", area=STREET))
    assert [r.outcome for r in result.rows if r.number != 3] == ["created", "created"]
    expected = [] if not any(cells[n] for n in (0, 1, 3, 4, 7, 9)) else [(3, code, field)]
    assert reasons(result) == (expected or [(3, code, field)] if len(result.rows) == 3 else [])
    assert not User.objects.filter(username="zhou").exists()


def test_a_device_is_not_moved_by_a_sheet(drill):
    load(drill, row(device="手机01", site="P1"))
    assert reasons(load(drill, row(device="手机01", site="P2"))) == [(2, "access.device_name_taken", "device")]


def test_the_end_of_a_day_is_meant_and_times_are_of_the_business_zone(drill):
    cells = ["zhou", "周", "", "packer", STREET, "2022/03/13", "2099-03-28", "", "", ""]
    load(drill, cells)
    made = Assignment.objects.get(user__username="zhou")
    zone = clock.zone()
    assert made.valid_from == datetime(2022, 3, 13, tzinfo=zone)
    assert made.valid_to == datetime(2099, 3, 29, tzinfo=zone)


def test_who_loads_a_sheet_gives_no_more_than_they_may(drill):
    cast = make_cast(drill.id, STREET)
    rows = [
        row("one", "一", "packer", STREET + "004"),
        row("two", "二", "packer", "340602002"),
        row(device="手机01", site="P1"),
        row(device="手机02", site="P2"),
        row("administrator", "", "packer", STREET),
    ]
    result = load(drill, *rows, by=cast.administrator.user)
    assert [r.outcome for r in result.rows] == ["created", "refused", "created", "refused", "refused"]
    assert load(drill, row("three", "三"), by=cast.commander.user).count("refused") == 1


def test_headers_may_be_english_and_the_file_a_workbook(drill):
    file = BytesIO()
    write_xlsx(file, ["Log-in name", "Name", "Role", "Area code"], [["gao", "高", "Packer", STREET]])
    file.seek(0)
    assert import_sheet(source=file, operation=drill.id, by=None).count("created") == 1


def test_a_sheet_without_the_columns_is_refused_as_a_whole(drill):
    with pytest.raises(Refusal, match="sheet_columns"):
        import_sheet(source=sheet(["x", "y"], header=["甲", "乙"]), operation=drill.id, by=None)


def test_an_operation_that_is_over_takes_no_more(drill):
    drill.operation.ended_at = clock.now()
    drill.operation.save(update_fields=["ended_at"])
    with pytest.raises(Refusal, match="operation_over"):
        load(drill, row("gao", "高"))


# ---- PINs


def welcomed(result: SheetResult) -> dict[str, str]:
    """Log-in name to the PIN on the slip."""
    return {slip.holder: slip.place for slip in result.slips if slip.purpose == "welcome"}


def pin_of(username: str) -> str:
    return User.objects.get(username=username).pin_hash


def test_who_works_with_a_phone_is_given_a_pin_once(drill):
    roles = {"zhou": "registrar", "gao": "packer", "duan": "courier", "shi": "lab_technician", "kong": "lab_reviewer"}
    roles |= {"sun": "grid_worker", "ren": "round_manager", "bai": "auditor", "zong": "commander"}
    rows = [row(name, name, role, STREET) for name, role in roles.items()]
    told = welcomed(load(drill, *rows))
    assert {name for name, pin in told.items() if not pin} == {"ren", "bai", "zong"}
    for name in set(told) - {"ren", "bai", "zong"}:
        assert codes.is_pin(told[name], pin_of(name))
    assert len(set(told.values())) == 7
    before = pin_of("zhou")
    OneTimeLink.objects.update(expires_at=clock.now())
    assert set(welcomed(load(drill, *rows)).values()) == {""}
    assert pin_of("zhou") == before


def test_a_sheet_may_bring_pins_and_changes_none(drill):
    header = [*HEADER, "签到口令"]
    rows = [[*row("zhou", "周护士", "registrar", STREET), "270384"], [*row("ren", "小任"), "270385"]]
    result = import_sheet(source=sheet(*rows, header=header), operation=drill.id, by=None)
    assert welcomed(result) == {"zhou": "270384", "ren": "270385"}
    assert codes.is_pin("270384", pin_of("zhou"))
    OneTimeLink.objects.update(expires_at=clock.now())
    again = [[*row("zhou", "周护士", "registrar", STREET), "270386"]]
    assert welcomed(import_sheet(source=sheet(*again, header=header), operation=drill.id, by=None)) == {"zhou": ""}
    assert codes.is_pin("270384", pin_of("zhou"))


@pytest.mark.parametrize(("pin", "code"), [("12345", "access.pin_form"), ("123456", "access.pin_simple")])
def test_a_bad_pin_refuses_its_row(drill, pin, code):
    rows = [[*row("zhou", "周护士", "registrar", STREET), pin], [*row("gao", "高", "packer", STREET), ""]]
    result = import_sheet(source=sheet(*rows, header=[*HEADER, "PIN"]), operation=drill.id, by=None)
    assert reasons(result) == [(2, code, "pin")]
    assert list(welcomed(result)) == ["gao"]


def test_an_account_that_is_there_is_given_a_pin_with_its_slip_and_never_with_a_password(drill):
    actions.create_user(username="zhou", display_name="周护士", by=None)
    used = actions.create_user(username="gao", display_name="高", by=None)
    used.set_password("forty-two-swabs")
    used.save(update_fields=["password"])
    told = welcomed(load(drill, row("zhou", "", "registrar", STREET), row("gao", "", "packer", STREET)))
    assert list(told) == ["zhou"]
    assert codes.is_pin(told["zhou"], pin_of("zhou"))
    assert pin_of("gao") == ""
    assert AuditEntry.objects.filter(action="account.pin_set").count() == 1


def test_nothing_but_the_slip_tells_a_pin(drill):
    (pin,) = welcomed(load(drill, row("zhou", "周护士", "registrar", STREET))).values()
    assert pin not in pin_of("zhou")
    assert AuditEntry.objects.get(action="account.created").detail == {"pin": True}
    assert not AuditEntry.objects.filter(detail__icontains=pin).exists()


def test_two_thousand_people_in_a_minute(drill, django_assert_max_num_queries):
    rows = [row(f"nurse{n:04}", f"护士{n}", "registrar", STREET, f"手机{n:04}", "P1") for n in range(2000)]
    began = time.monotonic()
    with django_assert_max_num_queries(80):
        result = load(drill, *rows)
    html = "".join(page(result.slips, "https://dabai.example"))
    seconds = time.monotonic() - began
    assert (result.count("created"), len(result.slips)) == (2000, 4000)
    assert html.count("<article>") == 4000
    assert AuditEntry.objects.count() == 6001
    assert User.objects.exclude(pin_hash="").count() == 2000
    assert queries.may(User.objects.get(username="nurse1999"), Permission.ENTER_FACTS, STREET, drill.id)
    assert seconds < 60


# ---- slips


def test_a_slip_shows_its_code_and_leads_to_it():
    slip = Slip("pair", name="手机<01>", secret="K7M2QX94T", expires_at=clock.now(), place="一号点", holder="周护士")
    html = "".join(page([slip], "https://dabai.example/"))
    assert "K7M-2QX-94T" in html
    assert "手机&lt;01&gt;" in html
    assert "一号点" in html
    assert html.count("<svg") == 1
    assert address(slip, "https://dabai.example") == "https://dabai.example/field/#/pair?code=K7M2QX94T"


def test_a_welcome_slip_names_the_account_and_shows_no_token_in_words():
    token = str(uuid4())
    slip = Slip("welcome", name="周护士", secret=f"/welcome/{token}/", expires_at=clock.now(), holder="zhou")
    html = "".join(page([slip], "https://dabai.example", "en"))
    assert "Log-in name: zhou" in html
    assert token not in html


def test_a_welcome_slip_shows_the_pin_that_goes_with_it():
    slip = Slip("welcome", name="周护士", secret="/welcome/x/", expires_at=clock.now(), holder="zhou", place="270384")
    html = "".join(page([slip], "https://dabai.example", "en"))
    assert "270 384" in html
    assert "PIN" in html
    assert "PIN" not in "".join(page([replace(slip, place="")], "https://dabai.example", "en"))
