"""A real server with a real database for the app's journeys, and phones: real Chromium, one browser context each."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from dabai.commands._folder import CHECKOUT, embedded_url
from dabai.commands.tests.test_serve import Served, environment, new_folder, serving, until
from tests.field.phone import Phone

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BUILT = CHECKOUT / "field" / "dist" / "index.html"
SWITCHES = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What asks for a phone is a journey in a browser, and skipped where there is none."""
    for item in items:
        if "server" not in getattr(item, "fixturenames", ()):
            continue
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no chromium on this machine (apt-get install chromium)"))
        elif not BUILT.is_file():
            item.add_marker(pytest.mark.skip(reason="the field app has not been built (make setup)"))


@dataclass
class Server:
    """A running `dabai serve`, and its database."""

    served: Served

    @property
    def url(self) -> str:
        """Where phones reach it: a name that browsers hold for safe."""
        return f"http://localhost:{self.served.port}"

    @property
    def database(self) -> str:
        url = embedded_url(self.served.folder)
        assert url
        return url

    def shift(self, people: int) -> dict[str, Any]:
        """A new drill with so many residents: see ``dabai.testkit.shift``."""
        return self.run("dabai.testkit.shift", "new", str(people))

    def run(self, module: str, *words: str) -> Any:
        env = environment(self.served.folder, DATABASE_URL=self.database, DJANGO_SETTINGS_MODULE="dabai.settings")
        done = subprocess.run([sys.executable, "-m", module, *words], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def settled(self) -> None:
        """Wait until the worker has derived what follows from what it has."""
        until(lambda: self.ask("SELECT count(*) FROM journal_mark") == [(0,)], 60, about="the worker did not finish")

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all journeys of this process; each module has an operation of its own."""
    with new_folder() as folder, serving(folder, "--web-processes", "1") as served:
        yield Server(served)


@pytest.fixture(scope="module")
def shift(server: Server) -> dict[str, Any]:
    """A drill with 240 residents, a running round, and codes for the phones of a shift."""
    return server.shift(240)


@pytest.fixture(scope="session")
def driver() -> Iterator[Playwright]:
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="session")
def chromium(driver: Playwright) -> Iterator[Browser]:
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
    yield browser
    browser.close()


@pytest.fixture
def phone(server: Server, chromium: Browser) -> Iterator[Callable[..., Phone]]:
    """``phone()`` is one with an empty memory; whatever its console reports as an error fails the test."""
    phones: list[Phone] = []

    def take(**options: Any) -> Phone:
        made = Phone.new(chromium, server.url, **options)
        phones.append(made)
        return made

    yield take
    wrong = [text for one in phones for text in one.errors]
    for one in phones:
        one.context.close()
    assert wrong == []
