"""The supervisor with real processes: what crashes comes back, what is stopped stops in order, nothing outlives it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dabai.commands._supervisor import DELAYS, Child, Stopped, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
]


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_child_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor()
    with supervisor.hearing():
        child = Child("web", SLEEPER)
        supervisor.add(child)
        assert child.process
        first = child.process.pid
        os.kill(first, signal.SIGKILL)
        assert supervisor.wait_for(lambda: child.process is not None and child.process.pid != first, seconds=5)
    assert [one.process for one in supervisor.children] == [None]
    assert "-9" in capsys.readouterr().out


def test_what_keeps_crashing_comes_back_ever_more_slowly() -> None:
    child = Child("worker", [sys.executable, "-c", "raise SystemExit(3)"])
    delays = []
    for _ in range(len(DELAYS) + 2):
        child.start()
        assert child.process
        child.process.wait()
        delays.append(child.plan_restart())
    assert delays == [*DELAYS, DELAYS[-1], DELAYS[-1]]


def test_a_child_that_ran_long_starts_afresh() -> None:
    child = Child("worker", SLEEPER)
    child.failures, child.started = 5, time.monotonic() - 3600
    assert child.plan_restart() == DELAYS[0]


def test_a_program_that_does_not_exist_is_told_and_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor()
    with supervisor.hearing():
        child = Child("web", ["/nonexistent/program"])
        supervisor.add(child)
        assert not supervisor.wait_for(lambda: child.process is not None, seconds=0.3)
        assert child.failures >= 1
    assert "web" in capsys.readouterr().out


def test_children_stop_last_first_and_a_stubborn_one_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor()
    read, write = os.pipe()
    with supervisor.hearing(), os.fdopen(read) as said:
        supervisor.add(Child("postgres", SLEEPER))
        supervisor.add(Child("worker", SLEEPER))
        stubborn = Child("web", STUBBORN, stop_seconds=0.3, output=lambda: os.fdopen(os.dup(write), "wb"))
        supervisor.add(stubborn)
        assert said.readline() == "1\n"
        os.close(write)
    stopped = [line.split()[-2] for line in capsys.readouterr().out.splitlines() if "stopped" in line]
    assert stopped == ["web", "worker", "postgres"]


def test_a_stop_is_heard_while_something_else_is_awaited() -> None:
    supervisor = Supervisor()
    once = Child("migrations", SLEEPER)
    with supervisor.hearing():
        supervisor.add(Child("postgres", SLEEPER))
        # To this thread alone: pytest's own workers have another one, in which nothing is blocked.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        with pytest.raises(Stopped):
            supervisor.run_once(once)
        assert once.process is None
        assert [child.name for child in supervisor.children] == ["postgres"]


def test_the_exit_code_of_what_is_meant_to_end() -> None:
    supervisor = Supervisor()
    with supervisor.hearing():
        assert supervisor.run_once(Child("migrations", [sys.executable, "-c", "raise SystemExit(4)"])) == 4
        assert supervisor.run_once(Child("migrations", [sys.executable, "-c", ""])) == 0


def test_a_crash_before_it_starts_again_is_cleared_first() -> None:
    cleared: list[float] = []
    supervisor = Supervisor()
    with supervisor.hearing():
        child = Child("postgres", SLEEPER, before=lambda: cleared.append(time.monotonic()))
        supervisor.add(child)
        assert child.process
        child.process.kill()
        assert supervisor.wait_for(lambda: len(cleared) == 2, seconds=5)


SCRIPT = """
    import sys
    from dabai.commands._supervisor import Child, Supervisor
    supervisor = Supervisor()
    with supervisor.hearing():
        for name in ("one", "two"):
            child = Child(name, [sys.executable, "-c", "import time; time.sleep(60)"])
            supervisor.add(child)
            print("pid", child.process.pid, flush=True)
        supervisor.run(lambda: None)
    print("clean", flush=True)
"""


def start_supervisor() -> tuple[subprocess.Popen[str], list[int]]:
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert started.stdout
    pids: list[int] = []
    while len(pids) < 2:
        line = started.stdout.readline()
        if line.startswith("pid"):
            pids.append(int(line.split()[1]))
    return started, pids


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_when_asked(signum: int) -> None:
    supervisor, pids = start_supervisor()
    supervisor.send_signal(signum)
    out, _ = supervisor.communicate(timeout=10)
    assert supervisor.returncode == 0
    assert out.rstrip().endswith("clean")
    assert not any(alive(pid) for pid in pids)


def test_nothing_outlives_its_kill() -> None:
    supervisor, pids = start_supervisor()
    assert all(alive(pid) for pid in pids)
    supervisor.kill()
    supervisor.communicate(timeout=10)
    until(lambda: not any(alive(pid) for pid in pids))
