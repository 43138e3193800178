"""The outbox: days without a network drained in seconds, nothing lost or doubled whatever is killed."""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Error, Playwright, expect

from dabai.kernel.codes import make_tube_codes
from tests.field.conftest import CHROMIUM, SWITCHES
from tests.field.flood import fill
from tests.field.phone import SETTINGS, Phone

DAYS_OFFLINE = 5_000
# The promise is 10 s on a machine of two cores that does nothing else; tests share theirs.
DRAINED_SECONDS = 30


def tubes_of_ten(shift: dict[str, Any], facts: int) -> list[tuple[str, dict[str, Any]]]:
    """So many facts of tubes with ten people each, sealed."""
    place = {"round": shift["round"], "site": shift["site"]["id"], "station": 1}
    told: list[tuple[str, dict[str, Any]]] = []
    for tube in make_tube_codes("DJ", "9FD", 1, facts // 11 + 1):
        told += [("testing.sample_taken", {**place, "tube": tube, "person": str(uuid4())}) for _ in range(10)]
        told.append(("testing.tube_sealed", {**place, "tube": tube, "people": 10}))
    return told[:facts]


def test_five_thousand_facts_are_drained_in_seconds(server, phone, shift: dict[str, Any], capsys) -> None:
    nurse = phone().at_work(shift, "sampler", "spare", station=1)
    nurse.offline()
    ids = fill(nurse.page, tubes_of_ten(shift, DAYS_OFFLINE), shift["workers"]["sampler"]["login"])
    nurse.page.reload()
    nurse.unlock(shift["workers"]["sampler"]["pin"])
    expect(nurse.outbox()).to_contain_text("5000")
    started = time.monotonic()
    nurse.offline(False)
    nurse.all_sent(timeout=120_000)
    seconds = time.monotonic() - started
    with capsys.disabled():
        sys.stdout.write(f"\n{DAYS_OFFLINE:,} facts drained in {seconds:.1f} s\n")
    found = server.ask("SELECT id::text, verdict FROM journal_entry WHERE operation = %s", shift["operation"])
    assert {row[0] for row in found if row[1] == 1} == set(ids)
    assert seconds < DRAINED_SECONDS


# ---- killed in the middle


KILLS = 12
SLOW = {"offline": False, "latency": 120, "downloadThroughput": 200_000, "uploadThroughput": 60_000}


class Kept:
    """A browser with a profile on the disk, as a phone has: it can be killed, and started again."""

    def __init__(self, driver: Playwright, folder: Path, url: str) -> None:
        self.driver, self.folder, self.url = driver, folder, url
        self.start()

    def start(self) -> None:
        self.context = self.driver.chromium.launch_persistent_context(
            self.folder, executable_path=CHROMIUM, args=SWITCHES, base_url=self.url, **SETTINGS
        )
        self.phone = Phone(self.context, self.url)
        self.slow()

    def slow(self) -> None:
        """A network that leaves time to be killed in."""
        session = self.context.new_cdp_session(self.phone.page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW)

    def new_tab(self) -> None:
        self.phone.page = self.phone.watched(self.context.new_page())
        self.slow()
        self.phone.go()

    def close_tab(self) -> None:
        old = self.phone.page
        self.new_tab()
        old.close()

    def crash_tab(self) -> None:
        old = self.phone.page
        with suppress(Error):
            old.goto("chrome://crash", timeout=3_000)
        self.new_tab()
        old.close()

    def kill_browser(self) -> None:
        """As when the battery is taken out."""
        os.kill(self.pid(), signal.SIGKILL)
        with suppress(Error):
            self.context.close()
        self.start()
        self.phone.go()

    def pid(self) -> int:
        mark = f"--user-data-dir={self.folder}".encode()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if mark in words and not any(word.startswith(b"--type=") for word in words):
                    return int(entry.name)
        raise AssertionError("the browser is not running")


def test_nothing_is_lost_or_doubled_whatever_is_killed(server, driver, tmp_path: Path) -> None:
    shift = server.shift(40)
    kept = Kept(driver, tmp_path / "profile", server.url)
    chance = random.Random(7)
    worker = shift["workers"]["sampler"]
    try:
        kept.phone.at_work(shift, "sampler", "spare", station=1)
        told = tubes_of_ten(shift, KILLS * 44)
        ids: list[str] = []
        for turn in range(KILLS):
            ids += fill(kept.phone.page, told[turn * 44 : turn * 44 + 44], worker["login"])
            kept.phone.page.reload()
            time.sleep(chance.uniform(0.05, 1.2))
            (kept.close_tab, kept.crash_tab, kept.kill_browser)[turn % 3]()
        kept.phone.unlock(worker["pin"])
        kept.phone.all_sent(timeout=90_000)
    finally:
        kept.context.close()
    found = server.ask("SELECT id::text, verdict FROM journal_entry WHERE operation = %s", shift["operation"])
    assert sorted(row[0] for row in found) == sorted(ids)
    assert {row[1] for row in found} == {1}
    samples = server.ask("SELECT id::text FROM testing_sample WHERE operation = %s", shift["operation"])
    wanted = [one for one, (kind, _) in zip(ids, told, strict=True) if kind == "testing.sample_taken"]
    assert sorted(row[0] for row in samples) == sorted(wanted)


def test_a_tube_in_the_hand_survives_the_tab(server, driver, tmp_path: Path) -> None:
    shift = server.shift(40)
    kept = Kept(driver, tmp_path / "profile", server.url)
    people, tube = shift["people"], shift["tubes"][0]
    try:
        nurse = kept.phone.at_work(shift, "sampler", "spare", station=1)
        nurse.go("/sample")
        nurse.swab(tube, [one["code"] for one in people[:2]])
        for turn, person in enumerate(people[2:5], start=3):
            (kept.close_tab, kept.kill_browser, kept.crash_tab)[turn % 3]()
            nurse = kept.phone
            nurse.unlock(shift["workers"]["sampler"]["pin"])
            nurse.go("/sample")
            nurse.counts(turn - 1)
            nurse.scan(person["code"])
            nurse.counts(turn)
        nurse.seal("seal.reason.end")
        nurse.all_sent()
    finally:
        kept.context.close()
    taken = server.ask("SELECT person::text FROM testing_sample WHERE operation = %s", shift["operation"])
    assert sorted(row[0] for row in taken) == sorted(one["id"] for one in people[:5])
