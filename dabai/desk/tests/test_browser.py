"""Journeys in a real browser: keys, lists that grow, an import that is watched, a narrow screen, no script errors."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dabai.people import background
from dabai.testkit.cast import PASSWORD
from dabai.testkit.residents import HEADER, resident_rows

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)"),
]
# The browser is driven from this thread's event loop, in which Django would refuse its ORM.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def at(chromium, live_server, scene) -> Iterator:
    """``at("round_manager")`` is their page, logged in; every script error fails the test."""
    wrong: list[str] = []
    contexts = []

    def sit(who: str, **options) -> Page:
        context = chromium.new_context(locale="zh-CN", base_url=live_server.url, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.goto("/login/")
        page.get_by_label("用户名").fill(getattr(scene.cast, who).user.username)
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_role("button", name="登录").click()
        page.wait_for_url(lambda url: "/login/" not in url, wait_until="load")
        return page

    yield sit
    for context in contexts:
        context.close()
    assert wrong == []


def test_from_the_district_down_to_somebody_outstanding(at, scene):
    page = at("round_manager")
    expect(page.get_by_role("heading", name="杜集区")).to_be_visible()
    expect(page.get_by_text("本页全部数据为演练数据")).to_be_visible()
    page.get_by_role("link", name=re.compile("未检")).first.click()
    expect(page.get_by_role("heading", name="未检名单")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="时间线")).to_be_visible()
    page.get_by_text("查看完整信息", exact=True).click()
    page.locator("details[open]").get_by_label("原因").fill("电话核实")
    page.locator("details[open]").get_by_role("button", name="查看").click()
    expect(page.get_by_text("这次查看已记录")).to_be_visible()


def test_keys_reach_the_search_and_every_place(at, scene):
    page = at("round_manager")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type(scene.used[0])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=scene.used[0])).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.get_by_role("heading", name="待办", exact=True)).to_be_visible()


def test_a_list_grows_without_jumping(at, scene):
    page = at("round_manager")
    page.goto("/coverage/340602/outstanding/")
    before = page.locator("tbody tr[data-row]").count()
    more = page.get_by_role("link", name="继续加载")
    if more.count():
        more.click()
        expect(page.locator("tbody tr[data-row]")).not_to_have_count(before)


def test_an_import_is_watched_reviewed_and_committed(at, scene, tmp_path, monkeypatch):
    rows = [HEADER, *resident_rows(20, scene.drill.communities[6:7], seed=4)]
    file = tmp_path / "名单.csv"
    file.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    started: list[tuple[int, str]] = []
    monkeypatch.setattr(background, "start", lambda import_id, state: started.append((import_id, state)))
    page = at("round_manager")
    page.goto("/imports/")
    page.get_by_text("上传名单", exact=True).click()
    page.get_by_label("名单名称").fill("补充名单")
    page.get_by_label("文件").set_input_files(file)
    page.get_by_role("button", name="上传").click()
    expect(page.locator("progress")).to_be_visible()
    background.WORK[started[0][1]](started[0][0])
    page.get_by_role("button", name="写入").click()
    expect(page.locator("progress")).to_be_visible()
    background.WORK["committing"](started[0][0])
    expect(page.get_by_text("已写入").first).to_be_visible()


def test_results_are_picked_and_approved(at, scene):
    page = at("lab_reviewer")
    page.goto("/results/review/")
    page.get_by_label("全选").check()
    expect(page.get_by_text("1 条已选")).to_be_visible()
    page.get_by_role("button", name="通过").click()
    expect(page.get_by_text("已通过 1 条。")).to_be_visible()


def test_the_whole_desk_fits_a_narrow_screen_and_the_dark(at, scene):
    page = at("round_manager", viewport=NARROW, color_scheme="dark")
    tube, person = scene.used[0], scene.residents[0]
    paths = [
        f"/coverage/{scene.drill.district}/",
        f"/coverage/{scene.drill.district}/outstanding/",
        "/inbox/",
        f"/inbox/tube.contested/{scene.contested}/",
        "/rounds/",
        f"/rounds/{scene.round.pk}/",
        "/rounds/new/",
        f"/people/{person}/",
        "/tubes/",
        f"/tubes/{tube}/",
        "/imports/",
        "/bulletins/",
        "/exports/",
        "/places/",
        "/devices/",
    ]
    for path in paths:
        page.goto(path)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, (path, over)
    page.get_by_role("button", name="菜单").click()
    page.get_by_role("link", name="采样管").click()
    expect(page.get_by_role("heading", name="采样管")).to_be_visible()


def test_the_switch_turns_every_word_into_english(at, scene):
    page = at("commander")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("link", name="Coverage")).to_be_visible()
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("link", name="覆盖进度")).to_be_visible()


def test_it_works_without_scripts(chromium, live_server, scene):
    context = chromium.new_context(java_script_enabled=False, base_url=live_server.url)
    page = context.new_page()
    client = Client()
    client.force_login(scene.cast.round_manager.user)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page.goto("/tubes/")
    page.get_by_role("link", name=scene.used[0]).click()
    expect(page.get_by_role("heading", name=scene.used[0])).to_be_visible()
    context.close()
