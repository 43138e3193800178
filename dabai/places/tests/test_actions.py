"""Areas, outlines and sites come from files as often as one likes; a bad row is refused alone."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from dabai.access.models import AuditEntry
from dabai.kernel.refusal import Refusal
from dabai.places import actions, queries
from dabai.places.actions import SitePlan
from dabai.places.models import Area, Boundary, Site, Station
from dabai.testkit.cast import make_cast
from dabai.testkit.district import PreparedOperation

AREAS = Path(__file__).resolve().parents[3] / "scenarios" / "areas"


def file(rows: Sequence[Sequence[str]], header: Sequence[str] = ("code", "name", "level", "parent")) -> io.BytesIO:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return io.BytesIO(text.getvalue().encode())


def told(report: actions.FileReport) -> list[tuple[int, str]]:
    return [(row, refusal.code) for row, refusal in report.refused]


def plan(drill: PreparedOperation, **other: Any) -> SitePlan:
    usual = {"code": "S1", "kind": "sampling_point", "name": "高铁北站", "area": drill.communities[0], "stations": 2}
    return SitePlan(**(usual | other))


# --- areas ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_districts_areas_come_as_published_and_again() -> None:
    content = (AREAS / "340602.csv").read_bytes()
    first = actions.import_areas(by=None, source=io.BytesIO(content))
    assert (first.added, first.changed, first.same, first.refused) == (63, 0, 0, [])
    assert Area.objects.get(code="340602001007").level == "community"
    again = actions.import_areas(by=None, source=io.BytesIO(content))
    assert (again.added, again.changed, again.same) == (0, 0, 63)
    assert AuditEntry.objects.filter(action="places.areas_imported").count() == 2


@pytest.mark.django_db
def test_a_new_name_replaces_the_old_one_and_nothing_is_deleted() -> None:
    actions.import_areas(by=None, source=file([["340602", "杜集", "", ""], ["340602001", "高岳", "", ""]]))
    report = actions.import_areas(by=None, source=file([["340602", "杜集区", "district", "3406"]]))
    assert (report.added, report.changed) == (0, 1)
    assert queries.names(["340602", "340602001"]) == {"340602": "杜集区", "340602001": "高岳"}


@pytest.mark.django_db
def test_a_bad_area_is_refused_alone() -> None:
    rows = [
        ["340602", "杜集区", "区县", "3406"],
        ["3406", "淮北市", "", ""],
        ["340602", "又一次", "", ""],
        ["340602001", "高岳街道", "village", ""],
        ["340602002", "矿山集街道", "", "340603"],
        ["340602101002", "无上级", "", ""],
        ["340602100", " ", "", ""],
        ["340602102", "段" * 81, "", ""],
        ["340602400", "开发区", "street", "340602"],
        ["340602400498", "虚拟社区", "村", "340602400"],
    ]
    report = actions.import_areas(by=None, source=file(rows))
    assert report.added == 3
    assert told(report) == [
        (3, "places.area_code"),
        (4, "places.area_twice"),
        (5, "places.level_wrong"),
        (6, "places.parent_wrong"),
        (8, "places.name_empty"),
        (9, "places.name_long"),
        (7, "places.parent_unknown"),
    ]


@pytest.mark.django_db
def test_a_file_without_the_columns_is_refused_as_a_whole() -> None:
    with pytest.raises(Refusal) as refused:
        actions.import_areas(by=None, source=file([["340602", "杜集区"]], ["谁", "名称"]))
    assert (refused.value.code, refused.value.field) == ("places.columns_missing", "code")


def test_a_community_is_divided_into_grids(drill: PreparedOperation) -> None:
    community = drill.communities[0]
    codes = actions.add_grids(by=None, community=community, count=3, names=["东片"])
    assert codes == [f"{community}{number:02}" for number in (1, 2, 3)]
    assert queries.names(codes)[f"{community}03"] == "第3网格"
    for wrong, code in ((("340602", 3), "places.area_unknown"), ((community, 100), "places.grids")):
        with pytest.raises(Refusal) as refused:
            actions.add_grids(by=None, community=wrong[0], count=wrong[1])
        assert refused.value.code == code


# --- outlines -------------------------------------------------------------------------------------------------


def test_an_outline_gives_its_area_a_middle(drill: PreparedOperation) -> None:
    content = (AREAS / "340602.geojson").read_bytes()
    report = actions.import_boundaries(by=None, source=io.BytesIO(content))
    assert (report.added, report.refused) == (1, [])
    area = queries.area("340602")
    assert area is not None
    assert 116.8 < (area.longitude or 0) < 117.1
    assert 33.9 < (area.latitude or 0) < 34.2
    assert actions.import_boundaries(by=None, source=io.BytesIO(content)).same == 1
    [feature] = queries.outlines(["340602"])["features"]
    assert feature["properties"] == {"code": "340602", "name": "杜集区"}


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b'{"features": 3}', b"[" * 100_000])
def test_what_is_no_map_is_refused(drill: PreparedOperation, content: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        actions.import_boundaries(by=None, source=io.BytesIO(content))
    assert refused.value.code == "places.geojson_form"


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [[[500, 2], [3, 4], [5, 6], [500, 2]]]},
        {"type": "Polygon", "coordinates": [[["a", 2]]]},
        {"type": "MultiPolygon", "coordinates": []},
    ],
)
def test_a_bad_outline_is_refused_alone(drill: PreparedOperation, geometry: Any) -> None:
    square = {"type": "Polygon", "coordinates": [[[1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]]}
    features = [
        {"properties": {"code": "340602001"}, "geometry": geometry},
        {"properties": {"code": "999999"}, "geometry": square},
        "nothing",
        {"properties": {"adcode": 340602002}, "geometry": square},
    ]
    report = actions.import_boundaries(by=None, source=io.BytesIO(json.dumps({"features": features}).encode()))
    assert told(report) == [(1, "places.geometry_form"), (2, "places.area_unknown"), (3, "places.area_unknown")]
    assert Boundary.objects.count() == 1
    area = queries.area("340602002")
    assert area is not None
    assert (area.longitude, area.latitude) == (2, 2)


# --- sites ----------------------------------------------------------------------------------------------------


def test_a_site_has_its_stations(drill: PreparedOperation) -> None:
    site = actions.add_site(by=None, operation=drill.id, plan=plan(drill, longitude=116.9, latitude=34.0))
    [found] = [one for one in queries.sites(drill.id) if one.code == "S1"]
    assert (found.longitude, [station.number for station in found.stations]) == (116.9, [1, 2])
    actions.change_site(by=None, site=site.pk, plan=plan(drill, name="高铁北站广场", stations=1))
    found = queries.site(site.pk)
    assert found is not None
    assert [(station.number, station.active) for station in found.stations] == [(1, True), (2, False)]
    actions.change_station(by=None, site=site.pk, number=2, name="二号台", active=True)
    actions.open_site(by=None, site=site.pk, active=False, reason="雨")
    assert "S1" not in {one.code for one in queries.sites(drill.id)}
    assert "S1" in {one.code for one in queries.sites(drill.id, closed=True)}
    assert Station.objects.filter(site=site, active=True).count() == 2


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"code": "S 1"}, "places.site_code"),
        ({"kind": "castle"}, "places.kind_unknown"),
        ({"name": " "}, "places.name_empty"),
        ({"address": "长" * 161}, "places.text_long"),
        ({"stations": 201}, "places.stations"),
        ({"longitude": 116.9}, "places.coordinate"),
        ({"longitude": 200.0, "latitude": 1.0}, "places.coordinate"),
        ({"area": "370105"}, "places.area_unknown"),
        ({"code": "P1"}, "places.site_code_taken"),
    ],
)
def test_sites_that_cannot_be(drill: PreparedOperation, wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        actions.add_site(by=None, operation=drill.id, plan=plan(drill, **wrong))
    assert refused.value.code == code


def test_sites_come_from_a_sheet(drill: PreparedOperation) -> None:
    header = ["点位编号", "类型", "名称", "区划代码", "采样台数", "经度", "纬度"]
    rows = [
        ["S1", "采样点", "高铁北站", drill.communities[0], "2", "116.9", "34.0"],
        ["S2", "checkpoint", "纵楼卡点", drill.communities[1], "", "", ""],
        ["S3", "城堡", "不知", drill.communities[1], "", "", ""],
        ["S4", "采样点", "不知", drill.communities[1], "many", "", ""],
    ]
    report = actions.import_sites(by=None, operation=drill.id, source=file(rows, header))
    assert (report.added, told(report)) == (2, [(4, "places.kind_unknown"), (5, "places.stations")])
    rows[0][2] = "高铁北站广场"
    report = actions.import_sites(by=None, operation=drill.id, source=file(rows[:2], header))
    assert (report.added, report.changed, report.same) == (0, 1, 1)
    assert Site.objects.get(operation=drill.id, code="S1").name == "高铁北站广场"


# --- readers --------------------------------------------------------------------------------------------------


def test_areas_below_go_as_deep_as_asked(drill: PreparedOperation) -> None:
    streets = queries.areas_below("340602")
    assert [row.level for row in streets] == ["street"] * 6
    assert {row.level for row in queries.areas_below("340602", 2)} == {"street", "community"}
    assert len(queries.areas_below("340602", 3)) == len(drill.areas) - 1
    assert [row.code for row in queries.areas_below("")] == ["340602"]
    assert queries.areas_below(drill.grids[0]) == []


def test_the_path_to_a_grid_starts_with_the_district(drill: PreparedOperation) -> None:
    grid = drill.grids[0]
    assert [row.code for row in queries.path_to(grid)] == [grid[:6], grid[:9], grid[:12], grid]


def test_no_prefix_means_nowhere(drill: PreparedOperation) -> None:
    assert queries.sites(drill.id, []) == []
    assert queries.areas_in([]) == []
    assert {row.level for row in queries.areas_in(["340602001"], ("street", "community"))} == {"street", "community"}


def test_sites_take_two_statements(drill: PreparedOperation, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        assert len(queries.sites(drill.id, ["340602"])) == 5
    with django_assert_num_queries(2):
        assert [one.kind for one in queries.sites(drill.id, ["340602"], ["laboratory"])] == ["laboratory"]


# --- who may ---------------------------------------------------------------------------------------------------


def test_places_are_managed_where_one_has_that_right(drill: PreparedOperation) -> None:
    cast = make_cast(drill.id, "340602001")
    manager, outsider = cast.round_manager.user, cast.outsider.user
    elsewhere = next(code for code in drill.communities if code.startswith("340602100"))
    site = actions.add_site(by=manager, operation=drill.id, plan=plan(drill))
    actions.add_grids(by=manager, community=drill.communities[0], count=1)
    for attempt in (
        lambda: actions.add_site(by=manager, operation=drill.id, plan=plan(drill, code="S2", area=elsewhere)),
        lambda: actions.change_site(by=manager, site=site.pk, plan=plan(drill, area=elsewhere)),
        lambda: actions.add_site(by=outsider, operation=drill.id, plan=plan(drill, code="S2")),
        lambda: actions.change_site(by=outsider, site=site.pk, plan=plan(drill)),
        lambda: actions.open_site(by=cast.auditor.user, site=site.pk, active=False),
        lambda: actions.change_station(by=outsider, site=site.pk, number=1, name="x", active=True),
        lambda: actions.add_grids(by=outsider, community=drill.communities[0], count=1),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.code == "access.not_allowed"
    rows = [["S3", "采样点", "南站", drill.communities[0]], ["S4", "采样点", "北站", elsewhere]]
    report = actions.import_sites(
        by=manager, operation=drill.id, source=file(rows, ["编号", "类型", "名称", "区划代码"])
    )
    assert (report.added, told(report)) == (1, [(3, "access.not_allowed")])


def test_what_is_not_there_cannot_be_changed(drill: PreparedOperation) -> None:
    site = actions.add_site(by=None, operation=drill.id, plan=plan(drill))
    for attempt, code in (
        (lambda: actions.open_site(by=None, site=2**30, active=False), "places.site_unknown"),
        (lambda: actions.change_site(by=None, site=site.pk, plan=plan(drill, code="S9")), "places.site_code"),
        (
            lambda: actions.change_station(by=None, site=site.pk, number=9, name="x", active=True),
            "places.station_unknown",
        ),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.code == code
