"""Files: areas, sites, accounts, devices, residents and results, with the rows that can't be used."""

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from dabai.people import background, imports
from dabai.people.models import Import
from dabai.places.models import Area, Site
from dabai.testkit.residents import HEADER, resident_rows

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Background work happens when a test says so."""
    monkeypatch.setattr(background, "start", lambda import_id, state: background.WORK[state](import_id))


def table(*rows, name="table.csv"):
    text = "\n".join(",".join(str(cell) for cell in row) for row in rows)
    return SimpleUploadedFile(name, text.encode(), "text/csv")


def test_operations_begin_and_are_listed_for_those_they_reach(at, people):
    wide = at("commander")
    assert wide.get("operations")[1]["operations"]
    assert at("outsider").get("operations")[1]["operations"] == []
    status, body = at("packer").post("operations", {"district": 340602, "name": "演练", "kind": "drill"})
    assert (status, body["code"]) == (403, "access.not_allowed")


def test_areas_and_sites_come_from_files_row_by_row(at, drill):
    manager = at("round_manager")
    areas = table(("code", "name", "level", "parent"), ("34060200100403", "第三网格", "", ""), ("12", "坏", "", ""))
    status, body = manager.upload("areas/import", file=areas)
    assert status == 200, body
    assert (body["added"], body["refused_count"]) == (1, 1)
    assert body["refused"][0] | {"field": None} == {"row": 3, "code": "places.area_code", "field": None}
    assert Area.objects.filter(code="34060200100403").exists()
    header = ("code", "kind", "name", "area", "address", "longitude", "latitude", "stations")
    sites = table(
        header, ("N1", "sampling_point", "新点", drill.communities[0], "", "", "", 3), ("N2", "moon", "x", "1")
    )
    status, body = manager.upload(f"operations/{drill.id}/sites/import", file=sites)
    assert (status, body["added"], body["refused_count"]) == (200, 1, 1)
    listed = {one["code"]: one for one in manager.get(f"operations/{drill.id}/sites")[1]["sites"]}
    assert listed["N1"]["stations"] == 3
    assert Site.objects.filter(code="N1").exists()


def test_accounts_and_devices_give_slips(at, drill):
    administrator = at("administrator")
    sheet = table(
        ("username", "display_name", "role", "area"),
        ("new.one", "新同事", "registrar", drill.streets[0]),
        ("new.two", "又一位", "emperor", drill.streets[0]),
    )
    status, body = administrator.upload(f"operations/{drill.id}/accounts/import", file=sheet)
    assert status == 200, body
    assert (body["added"], body["refused"][0]["code"]) == (1, "access.role_unknown")
    token = body["slips"][0]["token"]
    assert at("").post("welcome", {"token": token, "password": "yi-ge-hao-mi-ma"}) == (200, {"username": "new.one"})
    devices = table(("device", "kind", "site", "username"), ("手机1", "phone", drill.points[0].code, "new.one"))
    status, body = administrator.upload(f"operations/{drill.id}/devices/import", file=devices)
    assert (status, [one["name"] for one in body["slips"]]) == (200, ["手机1"])
    assert at("round_manager").upload("accounts/import", file=table(("username",), ("x",)))[0] == 403


def upload_residents(desk, drill, rows, **more):
    file = table(HEADER, *rows, name="residents.csv")
    fields = {"purpose": "residents", "label": "第一批", "area": str(drill.district), "file": file}
    return desk.upload(f"operations/{drill.id}/imports", **(fields | more))


def test_a_list_is_staged_looked_at_and_committed(at, drill, django_capture_on_commit_callbacks):
    manager = at("round_manager")
    rows = list(resident_rows(30, drill.communities[:2]))
    rows.append(["", "居民身份证", "1", "男", "", drill.communities[0], "1", "", "", "", "", ""])
    with django_capture_on_commit_callbacks(execute=True):
        status, body = upload_residents(manager, drill, rows)
    assert status == 202, body
    status, body = manager.get(f"imports/{body['id']}")
    assert (body["state"], body["counts"]["added"], body["counts"]["refused"]) == ("staged", 30, 1), body
    status, listed = manager.get(f"imports/{body['id']}/rows", limit=20)
    assert (len(listed["rows"]), listed["next"]) == (20, 21)
    refused = manager.get(f"imports/{body['id']}/rows", outcome="refused")[1]["rows"]
    assert refused[0]["person"] is None
    assert refused[0]["reason"]["code"]
    with django_capture_on_commit_callbacks(execute=True):
        status, body = manager.post(f"imports/{body['id']}/commit")
    assert status == 202
    assert manager.get(f"imports/{body['id']}")[1]["state"] == "committed"
    status, again = manager.post(f"imports/{body['id']}/commit")
    assert (status, again["code"]) == (409, "people.import_state")


def test_a_list_can_be_thrown_away(at, drill):
    manager = at("round_manager")
    body = upload_residents(manager, drill, resident_rows(3, drill.communities[:1]))[1]
    imports.stage(body["id"])
    status, body = manager.post(f"imports/{body['id']}/discard", {"reason": "弄错了"})
    assert (status, body["state"]) == (202, "discarded")
    assert at("commander").get(f"imports/{body['id']}")[0] == 403
    assert at("outsider").get(f"imports/{body['id']}")[0] == 404


def test_only_the_area_of_a_list_counts(at, drill):
    found = Import.objects.create(
        operation=drill.id, district=drill.district, purpose="residents", label="x", file_name="x", file_digest=b"",
        area="370105", state="staged", created_at=drill.operation.started_at,
    )  # fmt: skip
    assert at("round_manager").get(f"imports/{found.pk}")[0] == 404


@pytest.mark.parametrize(
    "more",
    [
        {"area": "12"},
        {"label": ""},
        {"purpose": "other"},
        {"mapping": "{"},
        {"mapping": "[1]"},
        {"mapping": '{"nothing": "x"}'},
        {"file": ""},
        {"area": "370105"},
    ],
    ids=str,
)
def test_a_bad_upload_is_a_clients_error(at, drill, more):
    status, body = upload_residents(at("round_manager"), drill, resident_rows(1, drill.communities[:1]), **more)
    assert status in (403, 422), body
    assert body["message"]


def test_a_result_file_says_what_is_wrong_row_by_row(at, drill):
    file = table(("管码", "结果", "检测时间"), ("???", "阴性", "2022-03-13 12:00"))
    status, body = at("lab_technician").upload(
        f"operations/{drill.id}/result-files", lab=drill.laboratory.pk, file=file
    )
    assert (status, body["rows"], body["accepted"], body["refused_count"]) == (200, 1, 0, 1), body
    assert body["refused"][0]["field"] == "tube"
    assert at("lab_technician").get(f"operations/{drill.id}/results", state="to_review")[0] == 403
    assert at("lab_reviewer").get(f"operations/{drill.id}/results", state="to_review") == (
        200,
        {"results": [], "next": None},
    )
    assert at("lab_reviewer").get(f"operations/{drill.id}/results", state="x")[0] == 422


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"PK\x03\x04garbage", b"<html>", b"%PDF-1.4"])
@pytest.mark.parametrize("path", ["areas/import", "operations/{op}/sites/import", "operations/{op}/accounts/import"])
def test_a_file_that_is_no_table_is_told_so(at, drill, path, content):
    who = "administrator" if "accounts" in path else "round_manager"
    file = io.BytesIO(content)
    file.name = "x.csv"
    status, body = at(who).upload(path.format(op=drill.id), file=file)
    assert status in (413, 422), body
    assert body["message"]
