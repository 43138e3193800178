"""Every page: who sees it, in both languages, with a constant number of statements, and never an error of ours."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from dabai.desk.tests.scene import BOXES
from dabai.desk.urls import urlpatterns
from dabai.journal.models import Attention, Kept
from dabai.testing.models import ResultFile, Tube

pytestmark = pytest.mark.django_db

SEEN_BY = {
    "coverage": {"commander", "round_manager", "volunteer", "swab_nurse", "grid_worker", "investigator", "auditor"},
    "inbox": {"commander", "round_manager"},
    "tubes": {"commander", "round_manager", "packer", "courier", "lab_technician", "lab_reviewer", "investigator"},
    "rounds": {
        "commander",
        "round_manager",
        "volunteer",
        "swab_nurse",
        "grid_worker",
        "investigator",
        "auditor",
        "packer",
        "courier",
        "lab_technician",
        "lab_reviewer",
    },
    "new_round": {"round_manager"},
    "imports": {"round_manager"},
    "doubles": {"round_manager"},
    "results": {"lab_technician", "lab_reviewer"},
    "review": {"lab_reviewer"},
    "release": {"lab_reviewer"},
    "bulletins": {"commander", "round_manager", "volunteer", "swab_nurse", "grid_worker", "investigator", "auditor"},
    "exports": {"commander", "round_manager"},
    "operations": {"commander"},
    "places": {"round_manager"},
    "accounts": {"administrator"},
    "devices": {"commander", "round_manager", "auditor", "administrator"},
    "audit": {"auditor"},
}
EVERYBODY = {
    "volunteer",
    "swab_nurse",
    "packer",
    "courier",
    "lab_technician",
    "lab_reviewer",
    "grid_worker",
    "investigator",
    "commander",
    "auditor",
    "administrator",
    "round_manager",
}


def follow(client: Client, url: str):
    return client.get(url, follow=True)


def test_a_page_is_for_those_whose_work_it_is(as_):
    for name, seen_by in SEEN_BY.items():
        for who in sorted(EVERYBODY):
            status = follow(as_(who), reverse(f"desk:{name}")).status_code
            assert status == (200 if who in seen_by else 403), (name, who)
        answer = as_("").get(reverse(f"desk:{name}"))
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/login/")


def pages_of(scene) -> dict[str, tuple[str, str]]:
    """Every page with something on it: (who, address)."""
    tube = Tube.objects.filter(operation=scene.drill.id, outcome=2).first().tube
    case = Attention.objects.filter(operation=scene.drill.id, code="tube.contested").first()
    kept = Kept.objects.filter(operation=scene.drill.id).first()
    file = ResultFile.objects.create(
        operation=scene.drill.id,
        lab=scene.drill.laboratory.pk,
        file_name="a.csv",
        file_digest=b"",
        rows=1,
        errors=[{"row": 2, "field": "tube", "code": "codes.empty", "params": {}}],
        mapping={"columns": {"tube": "管码"}},
        created_at=scene.first_at,
    )
    person, district = scene.residents[0], scene.drill.district
    manager = {
        "district": f"/coverage/{district}/",
        "street": f"/coverage/{scene.drill.streets[0]}/",
        "grid": f"/coverage/{scene.drill.grids[0]}/",
        "outstanding": f"/coverage/{district}/outstanding/",
        "retests": f"/coverage/{district}/retests/",
        "unlisted": f"/coverage/{district}/unlisted/",
        "excused": f"/coverage/{district}/excused/",
        "person": f"/people/{person}/",
        "search": "/people/",
        "tube": f"/tubes/{tube}/",
        "box": f"/boxes/{BOXES[0]}/",
        "inbox": "/inbox/",
        "case": f"/inbox/{case.code}/{case.subject}/",
        "kept list": "/inbox/?view=kept",
        "kept": f"/inbox/kept/{kept.id}/",
        "import": "/imports/",
        "round": f"/rounds/{scene.round.pk}/",
        "bulletins": "/bulletins/",
    }
    pages = {name: ("round_manager", url) for name, url in manager.items()}
    return pages | {
        "lab tube": ("lab_reviewer", f"/tubes/{tube}/"),
        "review": ("lab_reviewer", "/results/review/"),
        "release": ("lab_reviewer", "/results/release/"),
        "result file": ("lab_technician", f"/results/files/{file.pk}/"),
        "account": ("administrator", f"/accounts/{scene.cast.courier.user.pk}/"),
        "audit": ("auditor", "/audit/"),
    }


def test_every_page_speaks_both_languages_and_shows_no_bare_key(as_, scene):
    for name, (who, url) in pages_of(scene).items():
        client = as_(who)
        for lang in ("zh", "en"):
            client.cookies["lang"] = lang
            answer = client.get(url)
            assert answer.status_code == 200, (name, answer.status_code)
            text = answer.content.decode()
            bare = re.findall(
                r">\s*((?:desk|testing|people|figures|access|places|journal)\.[a-z_]+\.[a-z_.]+)\s*<", text
            )
            assert not bare, (name, lang, bare)
            assert f'lang="{"zh-CN" if lang == "zh" else "en"}"' in text
            assert "unsafe" not in answer["Content-Security-Policy"]
            assert not re.search(r"<(script|style)>|\son[a-z]+=|\sstyle=", text), name


def test_no_page_shows_a_whole_number_or_phone(as_, scene):
    for name, (who, url) in pages_of(scene).items():
        text = as_(who).get(url).content.decode()
        assert not re.search(r"340602(19|20)\d{9}[\dX]|(?<!\d)1[3-9]\d{9}(?!\d)", text), name


def test_a_drill_says_so_on_every_page(as_, scene):
    for name, (who, url) in pages_of(scene).items():
        assert 'class="drill"' in as_(who).get(url).content.decode(), name


def test_the_outsider_finds_nothing(as_, scene):
    for name, (_, url) in pages_of(scene).items():
        answer = as_("outsider").get(url)
        assert answer.status_code in (200, 302, 403, 404), (name, answer.status_code)
        assert "TDJ07B" not in answer.content.decode().replace(url, ""), name
    assert as_("outsider").get(f"/people/{scene.residents[0]}/").status_code != 200


STRANGE = (
    "/tubes/?after=%00",
    "/inbox/?after=%00|x&view=nothing",
    "/coverage/340602/outstanding/?after=x|y",
    "/coverage/1/",
    "/coverage/370105/",
    "/coverage/340602/nothing/",
    "/rounds/999999999999999/",
    "/people/x/",
    "/tubes/%00/",
    "/imports/999999/",
    "/bulletins/999999/",
    "/coverage/340602/?round=x",
    "/coverage/340602/?round=99999999999",
    "/boxes/nothing/",
    "/inbox/a/b/",
    "/codes/nothing/",
    "/imports/doubles/?area=x",
    "/tubes/?state=x&after=zzz",
)


def test_a_strange_address_is_never_an_error_of_ours(as_):
    for path in STRANGE:
        assert as_("round_manager").get(path).status_code in (200, 302, 404), path


def test_every_address_that_changes_something_survives_nonsense(as_, scene):
    """Posts of nothing and of rubbish, to every address, by those who may most."""
    known = {
        "round_id": scene.round.pk,
        "bulletin_id": 1,
        "import_id": 1,
        "user_id": scene.cast.courier.user.pk,
        "person": scene.residents[0],
        "area": str(scene.drill.district),
        "tube": scene.used[0],
        "box": BOXES[0],
        "code": "tube.contested",
        "subject": scene.contested,
        "assignment_id": 999_999,
        "file_id": 1,
        "device_id": scene.residents[0],
        "household": scene.residents[0],
        "merge": scene.residents[0],
        "result": scene.residents[0],
        "fact": scene.residents[0],
        "token": "x",
        "name": "x",
        "what": "merge",
    }
    rubbish = {
        "reason": "\0" * 3,
        "what": "nothing",
        "other": "x",
        "round": "x",
        "pick": "x",
        "areas": "x",
        "name": "x" * 5000,
        "starts_at": "x",
        "username": "\0",
        "password": "x",
        "repeated": "y",
        "state": "x",
        "do": "close",
        "lab": "x",
    }
    for pattern in urlpatterns:
        names = {name: known[name] for name in pattern.pattern.converters}
        url = reverse(f"desk:{pattern.name}", kwargs=names)
        for who in ("round_manager", "lab_reviewer", "administrator", "commander"):
            for body in ({}, rubbish):
                assert as_(who).post(url, body).status_code < 500, (url, who)


def test_lists_cost_the_same_for_a_thousand_rows(as_, scene, django_assert_max_num_queries):
    site = scene.drill.points[0]
    Tube.objects.bulk_create(
        Tube(
            district=scene.drill.district,
            operation=scene.drill.id,
            tube=f"Z{n:06}",
            round=scene.round.pk,
            site=site.pk,
            area=site.area,
            state=2,
            people=10,
            samples=10,
            box="X1",
        )
        for n in range(1_200)
    )
    Attention.objects.bulk_create(
        Attention(
            district=scene.drill.district,
            operation=scene.drill.id,
            code="tube.overfull",
            subject=f"Z{n:06}",
            facts=[],
            area=site.area,
            happened_at=scene.first_at,
        )
        for n in range(1_200)
    )
    district = scene.drill.district
    for url in (
        "/tubes/",
        "/inbox/",
        "/inbox/?view=kept",
        f"/coverage/{district}/",
        f"/coverage/{district}/outstanding/",
    ):
        client = as_("round_manager")
        client.get(url)
        with django_assert_max_num_queries(34):
            assert client.get(url).status_code == 200, url
