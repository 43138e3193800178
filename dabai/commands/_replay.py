"""What `dabai replay` and `dabai demo` share: a drill server of their own, a progress bar, and the answer in words."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dabai.commands import Trouble, language
from dabai.commands._folder import CHECKOUT, embedded_url, make_folders, unprivileged
from dabai.commands._process import spawn
from dabai.kernel.words import say
from dabai.testkit.replay.drive import evening
from dabai.testkit.replay.scenario import Scenario
from dabai.testkit.replay.verdict import Verdict

SCENARIOS = CHECKOUT / "scenarios"
READY_SECONDS = 180
STOP_SECONDS = 90
MORNINGS = 3
LATE_SECONDS = 1
QUIET_BOOT_SECONDS = 8
SLOWEST = 4
LINK = re.compile(r"/welcome/([^/\s]+)/")
BAR = 30


class ReplayTrouble(Trouble):
    """Something that the person at the terminal can put right; its text is ``replay.<key>`` of the words catalogue."""

    def __str__(self) -> str:
        return tell(self.key, **self.params)


def tell(key: str, **params: Any) -> str:
    """The text ``replay.<key>`` in the language of the terminal."""
    return say(f"replay.{key}", language(), **params)


def scenario_folder(name: str) -> Path:
    """The folder of a scenario that we ship, or one given as a path."""
    for folder in (SCENARIOS / name, Path(name)):
        if (folder / "scenario.toml").is_file():
            return folder.resolve()
    known = sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.toml"))
    raise ReplayTrouble("no_scenario", name=name, known=", ".join(known))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def bearable(rate: float, boot_seconds: float) -> float:
    """The rate of a drill clock on this machine: slower where starting the server took longer than on a quiet one of
    two cores, so that the story does not run ahead of those who act in it."""
    return max(rate / SLOWEST, min(rate, rate * QUIET_BOOT_SECONDS / boot_seconds))


@dataclass
class OwnServer:
    """A `dabai serve` in a folder of its own, on the embedded PostgreSQL and a drill clock. The first administrator's
    link is read from what it prints, as a person would read it. ``steady``: the clock keeps the scenario's rate even on
    a slow machine."""

    folder: Path
    port: int
    steady: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    boot_seconds: float = field(default=0.0, init=False)
    clock: str = field(default="", init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "log" / "serve.log"

    def start(self, scenario: Scenario) -> str:
        """Start on the evening before; the token of the first administrator's link."""
        make_folders(self.folder, unprivileged())
        self._serve(f"{evening(scenario).isoformat()}x1")
        found = LINK.search(self.log.read_text(encoding="utf-8", errors="replace"))
        if found is None:
            raise ReplayTrouble("no_link", log=self.log)
        return found[1]

    def morning(self, scenario: Scenario) -> None:
        """Start again on the scenario's own clock, which strikes the start when the server is up: so long as the first
        start took, and when that was too short, once more with as much time again."""
        rate = scenario.rate if self.steady else bearable(scenario.rate, self.boot_seconds)
        allowed = self.boot_seconds
        for _ in range(MORNINGS):
            self.stop()
            starts_at = time.time() + allowed
            self._serve(f"{scenario.start.isoformat()}x{rate:g}@{starts_at}")
            if time.time() <= starts_at + LATE_SECONDS:
                return
            allowed = 2 * max(allowed, self.boot_seconds)
        raise ReplayTrouble("too_slow", log=self.log)

    def calm(self, now: datetime) -> None:
        """Start again on a clock that goes on from ``now`` as fast as any other: people will look at the desk."""
        self.stop()
        self._serve(f"{now.isoformat()}x1@{time.time()}")

    def run(self, module: str, *words: str) -> Any:
        """What a module of ours prints (JSON) when it is run beside the server, on its database and its clock."""
        url = embedded_url(self.folder)
        assert url is not None
        env = self._environment() | {"DATABASE_URL": url, "DABAI_EMBEDDED": "1", "DABAI_DRILL_CLOCK": self.clock}
        env["DJANGO_SETTINGS_MODULE"] = "dabai.settings"
        words = (sys.executable, "-m", module, *words)
        with open(self.log, "ab") as log:
            done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=log, check=False)
        if done.returncode != 0:
            raise ReplayTrouble("module_failed", module=module, log=self.log)
        return json.loads(done.stdout)

    def _serve(self, clock: str) -> None:
        self.clock = clock
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        words = [sys.executable, "-m", "dabai.commands", "serve", "--port", str(self.port), "--no-tls"]
        words += ["--drill-clock", clock, "--ready-file", str(ready)]
        with open(self.log, "ab") as log:
            self.process = spawn(words, env=self._environment(), output=log.fileno(), death_signal=signal.SIGTERM)
        started = time.monotonic()
        end = started + READY_SECONDS
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise ReplayTrouble("serve_failed", log=self.log)
            time.sleep(0.05)
        self.boot_seconds = time.monotonic() - started

    def _environment(self) -> dict[str, str]:
        """Ours, without the district's own database and without its clock."""
        strangers = {"DATABASE_URL", "DABAI_EMBEDDED", "DABAI_DRILL_CLOCK", "DABAI_SECRET_KEY"}
        strangers |= {"DABAI_HOSTS", "DABAI_MASTER_KEY", "DJANGO_SETTINGS_MODULE"}
        return {key: value for key, value in os.environ.items() if key not in strangers} | {
            "DABAI_DATA": str(self.folder),
            "PYTHONUNBUFFERED": "1",
        }

    def stop(self) -> None:
        """Stop it as Ctrl-C would; kill it only when it does not listen."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True)
class GivenServer:
    """A server that somebody else runs on a drill clock, nobody in it yet. ``token``: of the first administrator."""

    url: str
    token: str

    def start(self, scenario: Scenario) -> str:  # noqa: ARG002  (it runs already)
        return self.token

    def morning(self, scenario: Scenario) -> None:
        """Its clock runs by itself."""


@contextmanager
def own_server(folder: Path, port: int, *, keep: bool, steady: bool = False) -> Iterator[OwnServer]:
    """A server of our own that is stopped at the end; its folder is removed unless it shall be kept."""
    server = OwnServer(folder, port, steady)
    try:
        yield server
    finally:
        server.stop()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


class Bar:
    """Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self.tty = sys.stderr.isatty()
        self.told = 0.0
        self.stage = ""
        self.full = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        first, last = stage != self.stage, done >= total
        if not first and (self.full or (not last and now - self.told < (0.1 if self.tty else 10))):
            return
        if first and self.stage and self.tty:
            print(file=sys.stderr)
        self.stage, self.told, self.full = stage, now, last
        self._write(stage, done, total)

    def _write(self, stage: str, done: int, total: int) -> None:
        part = min(1.0, done / total) if total else 0.0
        what = tell(f"stage.{stage}")
        if self.tty:
            full = int(part * BAR)
            print(f"\r{what} [{'#' * full}{'.' * (BAR - full)}] {part:4.0%}", end="", file=sys.stderr, flush=True)
        else:
            print(f"{what} {part:.0%}", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.tty and self.stage:
            print(file=sys.stderr)
        self.stage = ""


def show(verdict: Verdict) -> None:
    """The verdict for people: a line a figure, then what differs."""
    for name, figure in verdict.figures.items():
        mark = tell("agrees" if figure["ok"] else "differs")
        print(tell("figure", id=name, expected=figure["expected"], actual=figure["actual"], mark=mark))
    for what, part in (("people", verdict.people), ("tubes", verdict.tubes)):
        print(tell(what, compared=part["compared"], different=part["different"]))
        for example in part["examples"]:
            print("  " + json.dumps(example, ensure_ascii=False))
    for problem in verdict.problems:
        print(tell("problem", text=problem))
    seconds = verdict.counts["seconds"]
    print(tell("seconds", text=", ".join(f"{tell(f'part.{name}')} {value:g} s" for name, value in seconds.items())))
    print(tell("ok" if verdict.ok else "not_ok"))
