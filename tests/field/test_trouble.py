"""What goes wrong with phones: one is lost, a PIN is forgotten, a new version comes. No fact is lost with them."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from dabai.commands._folder import CHECKOUT
from dabai.commands.tests.test_serve import new_folder, serving, until
from tests.field.conftest import Server
from tests.field.flood import fill
from tests.field.phone import Phone
from tests.field.test_outbox import tubes_of_ten
from tests.field.words import like, t

# Everything that lies in the app's storage, as text.
STORED = """async () => {
  const ask = request => new Promise((done, fail) => {
    request.onsuccess = () => done(request.result); request.onerror = () => fail(request.error)
  })
  const db = await ask(indexedDB.open('dabai-field'))
  const found = {}
  for (const name of db.objectStoreNames) found[name] = await ask(db.transaction(name).objectStore(name).count())
  db.close()
  return found
}"""


def ids_of(server: Server, shift: dict[str, Any]) -> set[str]:
    found = server.ask("SELECT id::text FROM journal_entry WHERE operation = %s AND verdict = 1", shift["operation"])
    return {row[0] for row in found}


def test_a_lost_phone_hands_in_what_it_has_and_forgets_the_rest(server, phone) -> None:
    shift = server.shift(60)
    nurse: Phone = phone().at_work(shift, "sampler", "spare", station=1)
    assert nurse.page.evaluate(STORED)["slice"] > 0
    nurse.offline()
    ids = fill(nurse.page, tubes_of_ten(shift, 33), shift["workers"]["sampler"]["login"])
    server.run("dabai.testkit.shift", "lose", str(shift["operation"]))
    nurse.offline(False)
    nurse.page.reload()
    until(lambda: ids_of(server, shift) == set(ids), 60, about="the lost phone did not send what it had")
    nurse.page.wait_for_function("() => location.hash.startsWith('#/pair') || document.body.innerText.length > 0")
    until(lambda: not any(nurse.page.evaluate(STORED).values()), 60, about="the lost phone still holds something")


def test_a_forgotten_pin_loses_no_fact(server, phone) -> None:
    shift = server.shift(60)
    worker = shift["workers"]["sampler"]
    nurse: Phone = phone().at_work(shift, "sampler", "spare", station=1)
    nurse.offline()
    nurse.go("/sample")
    nurse.swab(shift["tubes"][0], [one["code"] for one in shift["people"][:3]])
    nurse.page.reload()
    fresh = server.run("dabai.testkit.shift", "forget", worker["login"])
    nurse.offline(False)
    nurse.type_pin(fresh["pin"])
    expect(nurse.page.get_by_role("alert")).to_contain_text(t("sign.left", n=9))
    nurse.button("sign.other").click()
    nurse.page.get_by_label(t("sign.login")).fill(worker["login"])
    nurse.page.get_by_label(t("sign.login")).press("Enter")
    nurse.type_pin(fresh["pin"])
    expect(nurse.pin_pad()).to_be_hidden()
    nurse.go("/sample")
    nurse.counts(3)
    until(lambda: len(ids_of(server, shift)) == 3, 60, about="the facts did not come")


def test_unsent_facts_survive_a_new_version(driver, chromium, tmp_path: Path) -> None:
    app = tmp_path / "dist"
    shutil.copytree(os.environ.get("DABAI_FIELD_APP", CHECKOUT / "field" / "dist"), app)
    with new_folder() as folder, serving(folder, "--web-processes", "1", DABAI_FIELD_APP=str(app)) as served:
        server = Server(served)
        shift = server.shift(60)
        nurse = Phone.new(chromium, server.url)
        nurse.at_work(shift, "sampler", "spare", station=1)
        nurse.page.route("**/api/v1/facts", lambda route: route.abort())
        ids = fill(nurse.page, tubes_of_ten(shift, 22), shift["workers"]["sampler"]["login"])
        new_version(app)
        old = served.pid("web")
        os.kill(old, signal.SIGKILL)
        until(lambda: served.pid("web") != old and served.answers(), 60, about="the web did not come back")
        nurse.page.evaluate("() => navigator.serviceWorker.ready.then(one => one.update())")
        nurse.go("/")
        nurse.page.get_by_role("button", name=like("settings.update_now")).first.click()
        expect(nurse.page.locator("html")).to_have_attribute("data-version", "next")
        nurse.unlock(shift["workers"]["sampler"]["pin"])
        expect(nurse.outbox()).to_contain_text(str(len(ids)))
        nurse.page.unroute("**/api/v1/facts")
        nurse.page.reload()
        nurse.unlock(shift["workers"]["sampler"]["pin"])
        nurse.all_sent()
        assert ids_of(server, shift) == set(ids)
        nurse.context.close()


def new_version(app: Path) -> None:
    """The same app with another first page: enough to be a new version to the browser."""
    page, worker = app / "index.html", app / "worker.js"
    page.write_text(page.read_text().replace("<html ", '<html data-version="next" ', 1))
    text = worker.read_text()
    at = text.index('"index.html"') if '"index.html"' in text else text.index("index.html")
    start = text.index("revision:", at - 120)
    quote = text.index('"', start)
    worker.write_text(text[: quote + 1] + "next" + text[quote + 1 :])
    for path in (page, worker):
        for suffix in (".br", ".gz"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
