"""The Duji drill in small against a real server, as a newcomer, CI and a district run it.

Each run has a server, a database and a data folder of its own, and a clock that lets the day pass in seconds. The demo
must agree, stay up and let its log-ins in; a replay in which four things are spoiled on their way must find each. That
each is found alone is tested with a server in memory (``dabai/testkit/replay/tests/test_driver.py``).
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from dabai.commands._folder import temporary_folder, unprivileged
from dabai.commands._replay import free_port
from dabai.testkit.replay.drive import SABOTAGES
from tests.field.conftest import BUILT, CHROMIUM, SWITCHES
from tests.field.phone import Phone

IN_SMALL = ("--scale", "0.03", "--rate", "4000")
SECONDS = 300
LOG_IN = re.compile(r"^  (\S+) +(drill-\S+) ", re.MULTILINE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that the database's account can reach."""
    made = temporary_folder(unprivileged())
    yield made
    shutil.rmtree(made, ignore_errors=True)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dabai.commands", *words]


def environment(**more: str) -> dict[str, str]:
    strangers = ("DABAI_DATA", "DATABASE_URL")
    return {key: value for key, value in os.environ.items() if key not in strangers} | {"DABAI_LANG": "en"} | more


@contextmanager
def demo(folder: Path, port: int) -> Iterator[str]:
    """What the demo printed by the time at which it invites to look; it is ended as Ctrl-C would."""
    words = command("demo", "--port", str(port), *IN_SMALL)
    errors = folder / "errors.txt"
    with open(errors, "wb") as file:
        process = subprocess.Popen(words, env=environment(DABAI_DATA=str(folder)), stdout=subprocess.PIPE, stderr=file)
    assert process.stdout is not None
    try:
        said = ""
        while "until Ctrl-C" not in said and (line := process.stdout.readline()):
            said += line.decode()
        assert "until Ctrl-C" in said, said + errors.read_text()[-2000:]
        yield said
    finally:
        process.send_signal(signal.SIGINT)
        status = process.wait(SECONDS)
        process.stdout.close()
    assert status == 0


def post(port: int, path: str, body: dict[str, str], **headers: str) -> dict[str, Any]:
    """What the interface answers."""
    url, headers = f"http://127.0.0.1:{port}/api/v1/{path}", {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
        return said


def log_in(port: int, username: str, password: str) -> str:
    """The token that the desk's interface gives for a log-in."""
    return str(post(port, "desk/log-in", {"username": username, "password": password})["token"])


def sign_on(port: int, said: str) -> dict[str, Any]:
    """Pair and sign on with what the demo printed for the field app."""
    code, pin = re.search(r"\?code=(\w+)", said), re.search(r"Sign on as (\S+), PIN (\d+)", said)
    assert code, said
    assert pin, said
    token = post(port, "devices/pair", {"code": code[1]})["token"]
    return post(port, "devices/sign-on", {"login": pin[1], "pin": pin[2]}, Authorization=f"Device {token}")


def take_ten_samples(port: int, said: str) -> None:
    """What the demo invites to, in a browser: pair, sign on, type a tube, find ten people, seal. A person has two
    minutes for it."""
    code, signs_on = re.search(r"\?code=(\w+)", said), re.search(r"Sign on as (\S+), PIN (\d+)", said)
    tube, numbers = re.search(r"type or scan a tube +(\S+)", said), re.findall(r"^     ([0-9]{17}[0-9X])  ", said, re.M)
    assert code, said
    assert signs_on, said
    assert tube, said
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        phone = Phone.new(browser, f"http://127.0.0.1:{port}")
        phone.pair(code[1])
        phone.sign_on({"login": signs_on[1], "pin": signs_on[2]}, station=1)
        phone.go("/sample")
        phone.button("sample.type_tube").click()
        phone.page.get_by_role("dialog").get_by_role("textbox").fill(tube[1])
        phone.page.keyboard.press("Enter")
        phone.counts(0)
        for count, number in enumerate(numbers[:10], start=1):
            phone.scan(number)
            phone.counts(count)
        phone.seal()
        phone.all_sent()
        assert phone.errors == []
        browser.close()


def test_the_demo_adds_up_and_lets_its_log_ins_in(folder: Path) -> None:
    (folder / "demo").mkdir()  # what an earlier demo left is replaced
    (folder / "demo" / "left").touch()
    port = free_port()
    with demo(folder, port) as said:
        assert "A5.person_times: published 369, found 369: agrees" in said
        assert "Everything agrees." in said
        assert "369 人次" in said
        accounts = dict(LOG_IN.findall(said))
        assert {"guanli", "zhihui", "lunci"} <= set(accounts)
        assert log_in(port, "lunci", accounts["lunci"])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as page:
            assert page.status == 200
        if CHROMIUM is None or not BUILT.is_file():
            assert sign_on(port, said)["roles"] == ["registrar"]
        else:
            take_ten_samples(port, said)
        assert len(re.findall(r"^     [0-9]{17}[0-9X]  \S+$", said, re.MULTILINE)) >= 10
        assert "TDJ2RY000010" in (folder / "demo" / "labels.html").read_text()
    assert not (folder / "demo" / "left").exists()


def test_a_port_in_use_is_a_plain_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        words = command("demo", "--port", port)
        env = environment(DABAI_DATA=str(folder))
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_every_sabotage_is_found() -> None:
    spoil = [word for kind in SABOTAGES for word in ("--sabotage", kind)]
    words = command("replay", "duji-drill", "--json", *IN_SMALL, *spoil)
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert not said["ok"]
    assert said["sabotage"] == dict.fromkeys(SABOTAGES, True)
    assert said["problems"] == []
    assert said["people"]["compared"] == 369
    places = {name: said["figures"][name]["actual"] for name in ("A2.areas", "A2.points", "A2.stations")}
    assert places == {"A2.areas": 6, "A2.points": 12, "A2.stations": 18}


def test_an_unknown_scenario_is_a_plain_sentence() -> None:
    words = command("replay", "nowhere")
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "duji-drill" in done.stderr
    assert "Traceback" not in done.stderr
