"""Every screen: nothing that a screen reader or a gloved thumb can't use, at 360 pixels, by night and in the sun."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dabai.commands._folder import CHECKOUT
from tests.field.phone import Phone
from tests.field.words import t

AXE = CHECKOUT / "field" / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = [
    "/",
    "/sample",
    "/register",
    "/late-entry",
    "/tubes",
    "/pack",
    "/carry",
    "/receive",
    "/door",
    "/form",
    "/outbox",
]
SCREENS += ["/settings", "/sign-on"]
GLOVE = 56
RUN = """async rules => {
  const found = await axe.run(document, { resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {}) })
  return found.violations.filter(one => rules || ['serious', 'critical'].includes(one.impact))
    .flatMap(one => one.nodes.map(node => [one.id, node.target.join(' '), (node.any[0] ?? {}).message ?? '']))
}"""
# What a thumb is meant to hit, where it is smaller than a glove; what only a screen reader sees is left out.
TARGETS = "button, a[href], input, select, textarea, [role=button], label:has(input)"
SMALL = """([targets, least]) => [...document.querySelectorAll(targets)]
  .filter(one => one.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && !one.closest('.unseen'))
  .filter(one => !(one.matches('input') && one.closest('label')) && !one.matches('.unseen, .code-boxes input'))
  .map(one => [one, one.getBoundingClientRect()])
  .map(([one, box]) => [one, Math.round(box.width), Math.round(box.height)])
  .filter(([, width, height]) => width > 1 && (width < least || height < least))
  .map(([one, ...size]) => [one.className || one.tagName, (one.ariaLabel ?? one.innerText).slice(0, 20), ...size])
"""


@pytest.fixture(scope="module")
def nurse(server, chromium, shift: dict[str, Any]) -> Iterator[Phone]:
    """Somebody in the middle of a tube."""
    made = Phone.new(chromium, server.url).at_work(shift, "sampler", "spare", station=1)
    made.go("/sample")
    made.swab(shift["tubes"][9], [one["code"] for one in shift["people"][20:24]])
    yield made
    assert made.errors == []
    made.context.close()


def dress(phone: Phone, **settings: Any) -> None:
    """Choose how the app looks, as its settings do."""
    phone.page.evaluate("text => localStorage.setItem('dabai.field.settings', text)", json.dumps(settings))
    phone.page.reload()


def open_screen(phone: Phone, path: str) -> Page:
    phone.go(path)
    expect(phone.page.locator("main, .page").first).to_be_visible()
    phone.page.wait_for_timeout(400)
    return phone.page


def judge(page: Page, rules: list[str] | None = None) -> list[Any]:
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[Any] = page.evaluate(RUN, rules)
    return found


def too_wide(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


def test_no_screen_has_a_serious_fault_or_small_targets_or_scrolls_sideways(nurse: Phone, shift) -> None:
    dress(nurse, gloves=True, mode="day")
    nurse.unlock(shift["workers"]["sampler"]["pin"])
    wrong: dict[str, Any] = {}
    for path in SCREENS:
        page = open_screen(nurse, path)
        wrong[path] = (
            judge(page) + page.evaluate(SMALL, [TARGETS, GLOVE]) + ([too_wide(page)] if too_wide(page) > 0 else [])
        )
    assert {path: found for path, found in wrong.items() if found} == {}


@pytest.mark.parametrize("mode", ["sunlight", "night"])
def test_contrast_is_seven_to_one(nurse: Phone, shift, mode: str) -> None:
    dress(nurse, mode=mode)
    nurse.unlock(shift["workers"]["sampler"]["pin"])
    wrong: dict[str, Any] = {}
    for path in SCREENS:
        wrong[path] = judge(open_screen(nurse, path), ["color-contrast-enhanced"])
    assert {path: found for path, found in wrong.items() if found} == {}


def test_before_anybody_signs_on(phone, shift) -> None:
    fresh: Phone = phone()
    page = open_screen(fresh, "/pair")
    assert judge(page) + page.evaluate(SMALL, [TARGETS, GLOVE]) == []
    fresh.pair(shift["codes"]["door"])
    page = open_screen(fresh, "/sign-on")
    expect(page.get_by_label(t("sign.login"))).to_be_visible()
    assert judge(page) + page.evaluate(SMALL, [TARGETS, GLOVE]) == []
    page.get_by_label(t("sign.login")).fill("nobody")
    page.get_by_label(t("sign.login")).press("Enter")
    expect(fresh.pin_pad()).to_be_visible()
    assert judge(page) + page.evaluate(SMALL, [TARGETS, GLOVE]) == []


def test_english_is_a_switch_away(nurse: Phone, shift) -> None:
    dress(nurse, language="en")
    expect(nurse.page.get_by_role("group", name=t("sign.pin", "en"))).to_be_visible()
    assert nurse.page.locator("html").get_attribute("lang") == "en"
    dress(nurse, language="zh")
