"""Starting processes that never outlive the one that started them, and finding those that some crash left behind."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """A user of the machine under which a process runs."""

    name: str
    uid: int
    gid: int


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """Ask the kernel to send ``signum`` to this process when the thread that started it ends.

    The kernel forgets this when a process changes its user, so it is called after that; a parent that is already gone
    is found by its number.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _first_steps(parent: int, signum: int) -> Callable[[], None]:
    def steps() -> None:
        # The supervisor waits for signals with these blocked; a child inherits that and would never hear them.
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.umask(0o077)
        die_with_parent(parent, signum)

    return steps


def spawn(
    argv: Sequence[str | Path],
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    output: int | IO[bytes] | None = None,
    stdin: int = subprocess.DEVNULL,
    death_signal: int = signal.SIGKILL,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (Ctrl-C reaches the supervisor only) that dies when we die.

    Call it from the main thread: the kernel watches the thread that called, not the process.
    """
    return subprocess.Popen(
        [str(part) for part in argv],
        env=dict(env) if env is not None else None,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        cwd=cwd,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=_first_steps(os.getpid(), death_signal),
    )


def processes_in(folder: Path, program: str) -> list[int]:
    """Processes of ``program`` whose working directory is ``folder``: a postmaster and its backends stand in theirs."""
    return [pid for pid in _all_processes() if _stands_in(pid, folder, program)]


def _all_processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _stands_in(pid: int, folder: Path, program: str) -> bool:
    try:
        where = os.readlink(f"/proc/{pid}/cwd")
        what = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return False
    return where == str(folder) and what == program


def wait_until_gone(folder: Path, program: str, *, seconds: float) -> bool:
    """Whether every process of ``program`` in ``folder`` has ended before ``seconds`` have passed."""
    end = time.monotonic() + seconds
    while processes_in(folder, program):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
