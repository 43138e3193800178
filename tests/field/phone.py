"""A phone with the app, as whoever holds it uses it."""

from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

NARROW = {"width": 360, "height": 740}


class Phone:
    """One browser context: its own storage, service worker and network switch."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.errors: list[str] = []
        self.page: Page = self.watched(context.new_page())

    @classmethod
    def new(cls, browser: Browser, url: str, **options: Any) -> "Phone":
        settings = {"locale": "zh-CN", "viewport": NARROW, "has_touch": True, "base_url": url, **options}
        return cls(browser.new_context(**settings), url)

    def watched(self, page: Page) -> Page:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page
