"""The camera: Chromium's own fake device films real bar codes, and the app's reader reads them."""

from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.field.conftest import CHROMIUM, SWITCHES
from tests.field.phone import Phone
from tests.field.pictures import bars, film, nothing, square

CAMERA = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]


def test_a_tube_and_two_people_are_read_by_the_camera(server, driver, shift: dict[str, Any], tmp_path: Path) -> None:
    people = shift["people"][:2]
    scenes = [(bars(shift["tubes"][5]), 2.0), (nothing(), 0.5)]
    for one in people:
        scenes += [(square(one["code"]), 2.0), (nothing(), 0.5)]
    video = film(tmp_path / "table.y4m", scenes)
    switches = [*SWITCHES, *CAMERA, f"--use-file-for-fake-video-capture={video}"]
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=switches)
    try:
        nurse = Phone.new(browser, server.url, permissions=["camera"])
        nurse.at_work(shift, "sampler", "spare", station=1)
        nurse.go("/sample")
        nurse.page.locator(".acts .main").click()
        expect(nurse.page.locator(".label .code")).to_have_text(shift["tubes"][5])
        nurse.counts(len(people))
        assert nurse.errors == []
        nurse.context.close()
    finally:
        browser.close()
    nobody = server.ask("SELECT count(*) FROM journal_entry WHERE operation = %s AND verdict <> 1", shift["operation"])
    assert nobody == [(0,)]
