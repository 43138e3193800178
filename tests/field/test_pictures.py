"""Pictures of the field app for the documents: `make pictures` writes them, a person looks at them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.field.phone import Phone
from tests.field.test_shift import pack
from tests.field.words import like, t

FOLDER = os.environ.get("DABAI_PICTURES", "")
HAND = {"width": 390, "height": 780}

pytestmark = pytest.mark.skipif(not FOLDER, reason="make pictures")


def dress(phone: Phone, **settings: Any) -> None:
    phone.page.evaluate("text => localStorage.setItem('dabai.field.settings', text)", json.dumps(settings))
    phone.page.reload()


def picture(phone: Phone, name: str) -> None:
    """At twice the resolution, when nothing moves any more."""
    phone.page.wait_for_timeout(700)
    phone.page.screenshot(path=Path(FOLDER) / f"field-{name}.png", animations="disabled")


def test_the_app_by_day_by_night_and_in_the_sun(server, phone) -> None:
    shift = server.shift(240)
    pin = shift["workers"]["sampler"]["pin"]
    nurse: Phone = phone(viewport=HAND, device_scale_factor=2)
    nurse.go(f"/pair?code={shift['codes']['spare']}")
    expect(nurse.button("pair.go")).to_be_visible()
    picture(nurse, "pair")
    nurse.pair(shift["codes"]["spare"])
    nurse.sign_on(shift["workers"]["sampler"], station=1)
    nurse.ready()
    expect(nurse.page.get_by_text(like("home.phone", n=240)).first).to_be_visible()
    picture(nurse, "home")
    people = shift["people"]
    nurse.go("/sample")
    nurse.swab(shift["tubes"][0], [one["code"] for one in people[:7]])
    for mode in ("day", "night", "sunlight"):
        dress(nurse, mode=mode)
        nurse.unlock(pin)
        nurse.counts(7)
        picture(nurse, f"sample-{mode}")
    dress(nurse, mode="day")
    nurse.unlock(pin)
    nurse.counts(7)
    nurse.button("sample.find").click()
    nurse.page.get_by_role("dialog").get_by_role("textbox").fill(people[30]["number"][-4:-1])
    picture(nurse, "search")
    nurse.page.keyboard.press("Escape")
    nurse.scan(people[2]["code"])
    picture(nurse, "warning")
    for number, person in enumerate(people[7:10], start=8):
        nurse.scan(person["code"])
        nurse.counts(number)
    picture(nurse, "full")
    nurse.seal()
    nurse.offline()
    nurse.swab(shift["tubes"][1], [one["code"] for one in people[10:14]])
    nurse.seal("seal.reason.end")
    nurse.go("/tubes")
    picture(nurse, "tubes")
    nurse.go("/outbox")
    picture(nurse, "outbox")
    nurse.go("/settings")
    picture(nurse, "settings")


def test_boxes_and_doors(server, phone, tmp_path: Path) -> None:
    shift = server.shift(240)
    packer: Phone = phone(viewport=HAND, device_scale_factor=2).at_work(shift, "packer")
    pack(packer, shift)
    picture(packer, "ticket")
    code = packer.shown_code(tmp_path)
    lab: Phone = phone(viewport=HAND, device_scale_factor=2).at_work(shift, "lab")
    lab.go("/receive")
    expect(lab.page.get_by_role("button", name=t("receive.scan"), exact=True)).to_be_visible()
    lab.scan(code)
    lab.count_by_hand(2)
    picture(lab, "receive")
    door: Phone = phone(viewport=HAND, device_scale_factor=2).at_work(shift, "door", place=shift["site"]["name"])
    door.go("/door")
    expect(door.page.get_by_text(like("home.door")).first).to_be_visible()
    picture(door, "door")
