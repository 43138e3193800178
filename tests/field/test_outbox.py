"""The outbox: days without a network drained in seconds, nothing lost or doubled whatever is killed."""

import sys
import time
from typing import Any
from uuid import uuid4

from playwright.sync_api import expect

from dabai.kernel.codes import make_tube_codes
from tests.field.flood import fill

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
    nurse = phone()
    nurse.pair(shift["codes"]["spare"])
    nurse.sign_on(shift["workers"]["sampler"], station=1)
    nurse.ready()
    nurse.offline()
    ids = fill(nurse.page, tubes_of_ten(shift, DAYS_OFFLINE), shift["workers"]["sampler"]["login"])
    nurse.page.reload()
    expect(nurse.page.get_by_role("group", name="PIN").or_(nurse.pin_pad()).first).to_be_visible()
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
