"""Keeps a few processes running until it is told to stop, and stops them in the opposite order.

One thread, one loop: it sleeps until a signal comes or a child is due, so that nothing happens between "this child
ended" and "start it again" that a second thread could see. A child that crashes comes back at once, one that keeps
crashing ever more slowly.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dabai.commands import tell
from dabai.commands._process import Account, spawn

STOP = {signal.SIGTERM, signal.SIGINT}
HEARD = STOP | {signal.SIGCHLD, signal.SIGHUP}
DELAYS = (0.1, 0.5, 1, 2, 5, 10, 30)
STEADY_SECONDS = 60
LONGEST_SLEEP = 0.5


class Stopped(Exception):
    """Somebody asked us to stop while we were waiting for something else."""


@dataclass
class Child:
    """A process to keep running. ``before`` runs ahead of each start (clear what a crash left)."""

    name: str
    argv: list[str]
    env: Mapping[str, str] | None = None
    account: Account | None = None
    output: Callable[[], BinaryIO] | None = None
    before: Callable[[], None] | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 20
    death_signal: int = signal.SIGKILL
    reload_signal: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    failures: int = field(default=0, init=False)
    started: float = field(default=0, init=False)
    due: float = field(default=0, init=False)

    def start(self) -> None:
        if self.before:
            self.before()
        output = self.output() if self.output else None
        self.process = spawn(
            self.argv,
            account=self.account,
            env=self.env,
            output=output,
            death_signal=self.death_signal,
            cwd=Path("/") if self.account else None,
        )
        if output:
            output.close()
        self.started = time.monotonic()

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def plan_restart(self) -> float:
        """Note that it crashed; the delay until it is started again, in seconds."""
        now = time.monotonic()
        if now - self.started > STEADY_SECONDS:
            self.failures = 0
        delay = DELAYS[min(self.failures, len(DELAYS) - 1)]
        self.failures, self.process, self.due = self.failures + 1, None, now + delay
        return delay

    def stop(self) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def announce(key: str, **params: object) -> None:
    """One line on the terminal (or in the journal) that says what the service does now."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} dabai: {tell(key, **params)}", flush=True)


@dataclass
class Supervisor:
    """The children in the order of their start."""

    children: list[Child] = field(default_factory=list)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Take our signals by waiting for them; leaving this block stops every child, last one first."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            yield
        except Stopped:
            announce("serve.stopping")
        finally:
            self.stop()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def add(self, child: Child) -> None:
        """Start a child and keep it running from now on."""
        self.children.append(child)
        self._start(child)

    def wait_for(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Whether ``condition`` came true within ``seconds``, the children being tended meanwhile."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self._turn(0.02)
        return True

    def run_once(self, child: Child) -> int:
        """Run a child that is meant to end (migrations); its exit code."""
        child.start()
        self.children.append(child)
        try:
            while not child.has_ended():
                self._hear(LONGEST_SLEEP)
            return child.process.returncode if child.process else 1
        finally:
            child.stop()
            self.children.remove(child)

    def run(self, each_turn: Callable[[], None]) -> None:
        """Keep the children running until somebody asks us to stop."""
        while True:
            self._turn(LONGEST_SLEEP)
            each_turn()

    def stop(self) -> None:
        for child in reversed(self.children):
            if child.process is not None:
                child.stop()
                announce("serve.stopped", name=child.name)

    def _turn(self, longest: float) -> None:
        waits = [child.due - time.monotonic() for child in self.children if child.process is None]
        self._hear(max(0.0, min([longest, *waits])))
        for child in self.children:
            if child.has_ended():
                code = child.process.returncode if child.process else None
                announce("serve.crashed", name=child.name, code=code, seconds=child.plan_restart())
            if child.process is None and child.due <= time.monotonic():
                self._start(child)

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:
            announce("serve.not_started", name=child.name, reason=error.strerror, seconds=child.plan_restart())
            return
        announce("serve.started", name=child.name, pid=child.process.pid if child.process else None)

    def _hear(self, seconds: float) -> None:
        heard = signal.sigtimedwait(HEARD, seconds)
        if heard is None:
            return
        if heard.si_signo in STOP:
            raise Stopped
        if heard.si_signo == signal.SIGHUP:
            self._reload()

    def _reload(self) -> None:
        for child in self.children:
            if child.reload_signal and child.process and child.process.poll() is None:
                child.process.send_signal(child.reload_signal)
                announce("serve.reloaded", name=child.name)
