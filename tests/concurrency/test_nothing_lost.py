"""Nothing acknowledged is lost and nothing counts twice, whoever is killed in the middle of intake."""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg

from dabai.commands._folder import embedded_url
from dabai.commands.tests.test_serve import Served, environment, new_folder, serving, until
from dabai.kernel import clock
from dabai.kernel.codes import make_tube_codes
from dabai.kernel.ids import uuid7

KILLS = 9
PHONES = 4


class Phone(threading.Thread):
    """Posts one tube after another and sends each again until it has a receipt for every fact, as the field app
    does.
    """

    def __init__(self, served: Served, ready: dict[str, Any], number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.served, self.ready, self.stop = served, ready, stop
        self.headers = {"Authorization": f"Device {ready['tokens'][number]}", "Content-Type": "application/json"}
        self.tubes = iter(make_tube_codes("DJ", f"0{number}N", 1, 5_000))
        self.acknowledged: list[str] = []
        self.retries = 0

    def run(self) -> None:
        while not self.stop.is_set():
            facts = self.tube(next(self.tubes))
            body = json.dumps({"facts": facts})
            while True:
                receipts = self.post(body)
                if receipts is not None:
                    assert [one["verdict"] for one in receipts] == ["accepted"] * len(facts), receipts
                    self.acknowledged += [one["id"] for one in receipts]
                    break
                self.retries += 1
                time.sleep(0.05)

    def tube(self, code: str) -> list[dict[str, Any]]:
        place = {"round": self.ready["round"], "site": self.ready["sites"][0], "station": 1, "tube": code}
        happened_at = clock.now().isoformat()
        return [
            {
                "id": str(uuid7()),
                "kind": "testing.sample_taken",
                "happened_at": happened_at,
                "body": {**place, "person": str(uuid4())},
            }
            for _ in range(10)
        ]

    def post(self, body: str) -> list[dict[str, Any]] | None:
        """The receipts, or None when nothing came back or the server said to try again."""
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=10)
        try:
            connection.request("POST", "/api/v1/facts", body, self.headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 200:
                return list(json.loads(text)["receipts"])
            assert answer.status == 503, (answer.status, text)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        return None


def postmaster(served: Served) -> int:
    return int((served.folder / "postgres" / "postmaster.pid").read_text().split()[0])


def kill_somebody(served: Served, turn: int) -> None:
    """A web process, PostgreSQL, or the worker, in turn."""
    family = served.family()
    if turn % 3 == 0:
        victims = [pid for pid in family if "granian" in name_of(pid) or " web" in name_of(pid)] or [served.pid("web")]
        os.kill(random.choice(victims), signal.SIGKILL)
    elif turn % 3 == 1:
        os.kill(postmaster(served), signal.SIGKILL)
    else:
        os.kill(served.pid("worker"), signal.SIGKILL)


def name_of(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
        return file.read().replace("\0", " ")
    return ""


def test_every_acknowledged_fact_is_there_exactly_once_after_many_kills() -> None:
    with new_folder() as folder, serving(folder) as served:
        url = embedded_url(folder)
        assert url is not None
        env = environment(folder, DATABASE_URL=url, DJANGO_SETTINGS_MODULE="dabai.settings")
        seed = [sys.executable, "-m", "dabai.testkit.seed", str(PHONES)]
        ready = json.loads(subprocess.run(seed, env=env, check=True, capture_output=True, text=True).stdout)
        stop = threading.Event()
        phones = [Phone(served, ready, number, stop) for number in range(PHONES)]
        for phone in phones:
            phone.start()
        for turn in range(KILLS):
            time.sleep(random.uniform(0.5, 1.5))
            kill_somebody(served, turn)
            until(served.answers, 60, about="it did not come back")
        stop.set()
        for phone in phones:
            phone.join(60)
            assert not phone.is_alive()
        check(url, [one for phone in phones for one in phone.acknowledged])
        assert sum(phone.retries for phone in phones) > 0


def check(url: str, acknowledged: list[str]) -> None:
    """Each acknowledged fact once in the journal and once in its typed row, and once in what is derived."""
    assert len(acknowledged) == len(set(acknowledged)) > 100
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id::text FROM journal_entry WHERE verdict = 1").fetchall()
        samples = connection.execute("SELECT id::text FROM testing_sample").fetchall()
        assert sorted(row[0] for row in rows) == sorted(acknowledged)
        assert sorted(row[0] for row in samples) == sorted(acknowledged)

        def derived() -> bool:
            marks = connection.execute("SELECT count(*) FROM journal_mark").fetchone()
            connection.rollback()
            return marks == (0,)

        until(derived, 60, about="the worker did not finish")
        counted = connection.execute("SELECT sum(samples) FROM testing_tube").fetchone()
        assert counted == (len(acknowledged),)
