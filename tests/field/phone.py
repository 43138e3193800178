"""A phone with the app, as whoever holds it uses it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.field.pictures import read_code
from tests.field.words import like, t

# A machine that runs other tests beside this one.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)
NARROW = {"width": 360, "height": 740}
SETTINGS = {"locale": "zh-CN", "viewport": NARROW, "has_touch": True}
# What a hand scanner does: keys in quick succession, then Enter.
SCAN = """text => {
  // Stamped at once, like those of a real reader: a busy machine must not look like a slow finger.
  const keys = [...text, 'Enter'].map(
    key => new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, composed: true }))
  for (const event of keys) (document.activeElement ?? document.body).dispatchEvent(event)
}"""


class Phone:
    """One browser context: its own storage, service worker and network switch."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.errors: list[str] = []
        self.page: Page = self.watched(context.pages[0] if context.pages else context.new_page())

    @classmethod
    def new(cls, browser: Browser, url: str, **options: Any) -> "Phone":
        """A phone fresh out of its box."""
        return cls(browser.new_context(**{**SETTINGS, "base_url": url, **options}), url)

    def watched(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    # ---- coming to work

    def at_work(self, shift: Mapping[str, Any], who: str, code: str = "", **place: Any) -> "Phone":
        """Paired, signed on, and able to work without a network."""
        self.pair(shift["codes"][code or who])
        self.sign_on(shift["workers"][who], **place)
        self.ready()
        return self

    def go(self, path: str = "/") -> None:
        """Open a screen of the app by its address."""
        self.page.goto(f"/field/#{path}")

    def ready(self) -> None:
        """Wait until the app could start without a network."""
        self.page.wait_for_function(
            "() => navigator.serviceWorker.ready.then(one => one.active?.state === 'activated')"
        )

    def pair(self, code: str) -> None:
        """Open the address of the slip's QR code, and say yes."""
        self.go(f"/pair?code={code}")
        self.button("pair.go").click()
        expect(self.page.get_by_text(t("pair.done"), exact=True)).to_be_visible()

    def sign_on(self, worker: Mapping[str, str], *, place: str | None = None, station: int | None = None) -> None:
        """Log-in name and PIN; then the place, if there is a choice."""
        self.go("/sign-on")
        field = self.page.get_by_label(t("sign.login"))
        expect(field.or_(self.pin_pad()).first).to_be_visible()
        if field.is_visible():
            field.fill(worker["login"])
            field.press("Enter")
        self.type_pin(worker["pin"])
        self.choose(place, station)

    def pin_pad(self) -> Locator:
        return self.page.get_by_role("group", name=t("sign.pin"))

    def type_pin(self, pin: str) -> None:
        """On the pad."""
        expect(self.pin_pad()).to_be_visible()
        for digit in pin:
            self.pin_pad().get_by_role("button", name=digit, exact=True).click()

    def choose(self, place: str | None = None, station: int | None = None) -> None:
        """Where to work, as far as the phone asks."""
        go = self.page.get_by_role("button", name=t("sign.start"))
        home = self.page.locator(".next")
        expect(go.or_(home).first).to_be_visible()
        if not go.is_visible():
            return
        if place:
            self.page.locator("label").filter(has_text=place).click()
        if station is not None:
            self.page.locator("label").filter(has_text=t("sample.station", n=station)).click()
        go.click()
        expect(home).to_be_visible()

    def unlock(self, pin: str) -> None:
        """The known worker comes back, to where they were."""
        self.type_pin(pin)
        expect(self.pin_pad()).to_be_hidden()

    # ---- hands and eyes

    def button(self, key: str, **values: object) -> Locator:
        """A button by what stands on it."""
        return self.page.get_by_role("button", name=like(key, **values))

    def text(self, key: str, **values: object) -> Locator:
        return self.page.get_by_text(like(key, **values))

    def scan(self, code: str) -> None:
        """The hand scanner reads a code."""
        self.page.evaluate(SCAN, code)

    def offline(self, off: bool = True) -> None:
        """Take the network away, or give it back."""
        self.context.set_offline(off)

    def outbox(self) -> Locator:
        """What is not sent yet, always in sight."""
        return self.page.locator("a.badge").first

    def all_sent(self, timeout: float = 30_000) -> None:
        """Wait until the phone says that the server has everything."""
        expect(self.outbox()).to_have_accessible_name(like("common.all_sent"), timeout=timeout)

    # ---- sampling

    def counts(self, people: int) -> None:
        """Wait until the tube in the hand shows so many."""
        expect(self.page.get_by_role("status").filter(has_text=like("sample.count_label", n=people))).to_be_attached()

    def swab(self, tube: str, people: Sequence[str]) -> None:
        """Open a tube and scan these people's codes or numbers, one after the other."""
        expect(self.page.locator(".acts")).to_be_visible()
        self.scan(tube)
        expect(self.page.locator(".label .code")).to_have_text(tube)
        for count, person in enumerate(people, start=1):
            self.scan(person)
            self.counts(count)

    def seal(self, reason: str = "") -> None:
        """Seal the tube; one that is not full asks why."""
        self.button("sample.seal_now").or_(self.page.get_by_role("button", name=t("sample.seal"), exact=True)).click()
        sheet = self.page.get_by_role("dialog")
        if reason:
            sheet.get_by_text(t(reason), exact=True).click()
        sheet.get_by_role("button", name=t("seal.confirm"), exact=True).click()
        expect(self.page.get_by_text(t("sample.last_sealed"))).to_be_visible()

    # ---- boxes

    def count_by_hand(self, number: int) -> None:
        """Type a number into the sheet that asks for one."""
        sheet = self.page.get_by_role("dialog")
        for digit in str(number):
            sheet.get_by_role("button", name=digit, exact=True).click()
        sheet.locator("button.done").click()
        expect(sheet).to_be_hidden()

    def shown_code(self, folder: Path) -> str:
        """What another phone reads off this one's screen."""
        picture = folder / "ticket.png"
        self.page.locator(".qr").screenshot(path=picture)
        return read_code(picture)
