"""Where an installation keeps what it must not lose, and the account its database runs under.

::

    DABAI_DATA/          0700; as root 0711, so that the database's account can pass through and see nothing
      postgres/  run/    0700, of the database's account: tables and socket
      keys/ tls/ log/    0700, ours; every key 0600
      serve.lock         held by the one `dabai serve` of this folder

PostgreSQL refuses to run as root. There it runs under an account that exists already; no mode outside this folder is
changed.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dabai.commands import Trouble
from dabai.commands._process import Account

CHECKOUT = Path(__file__).resolve().parents[2]
SYSTEM_FOLDER = Path("/var/lib/dabai")
ACCOUNTS = ("dabai", "postgres", "nobody")
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_BYTES = 107


def account_named(name: str) -> Account | None:
    """The account of this name, if the machine has it."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def unprivileged() -> Account | None:
    """The account for the database: ours when we are not root (None), else the first of ``ACCOUNTS`` that exists."""
    if os.geteuid() != 0:
        return None
    for name in ACCOUNTS:
        if account := account_named(name):
            return account
    raise Trouble("no_account", names=", ".join(ACCOUNTS))


def account_of(data: Path) -> Account | None:
    """The account that owns an existing cluster, so that a new account on the machine does not lock us out of it."""
    if os.geteuid() != 0 or not data.exists():
        return unprivileged()
    entry = pwd.getpwuid(data.stat().st_uid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def can_reach(account: Account | None, path: Path) -> bool:
    """Whether ``account`` may pass through every existing folder down to ``path`` (always, when it is us)."""
    if account is None:
        return True
    here = path.resolve()
    folders = [folder for folder in (here, *here.parents) if folder.is_dir()]
    return all(_may_pass(account, folder.stat()) for folder in folders)


def _may_pass(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == account.gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def data_folder() -> Path:
    """``DABAI_DATA``; else ``.data`` in the checkout; else, where the database's account can't go, a system folder."""
    if given := os.environ.get("DABAI_DATA"):
        return Path(given).resolve()
    in_checkout = (CHECKOUT / "pyproject.toml").is_file() and can_reach(unprivileged(), CHECKOUT)
    return CHECKOUT / ".data" if in_checkout else SYSTEM_FOLDER


def make_folders(folder: Path, account: Account | None) -> None:
    """Make the data folder and what is ours in it, with the modes that the module docstring shows."""
    folder.mkdir(parents=True, exist_ok=True)
    if not can_reach(account, folder.parent):
        raise Trouble("folder_unreachable", folder=folder, account=account.name if account else "")
    folder.chmod(0o711 if account else 0o700)
    for name in ("keys", "tls", "log"):
        private_folder(folder / name, None)


def private_folder(path: Path, account: Account | None) -> None:
    """Make ``path`` a folder that ``account`` alone can read. One that somebody else laid there first is refused."""
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid not in (uid, os.geteuid()):
        raise Trouble("folder_foreign", folder=path)
    if status.st_uid != uid:
        os.chown(path, uid, gid)
    path.chmod(0o700)


def socket_folder(folder: Path, account: Account | None) -> Path:
    """Where the socket lies: ``run/``, or a short private folder where that path is too long for a socket."""
    here = folder / "run"
    if len(os.fsencode(here / SOCKET_NAME)) <= SOCKET_BYTES:
        return here
    mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    base = Path("/run") if os.access("/run", os.W_OK) else Path("/tmp")  # noqa: S108  (private_folder checks its owner)
    owner = account.uid if account else os.geteuid()
    return base / f"dabai-{owner}-{mark}"


def temporary_folder(account: Account | None) -> Path:
    """A new empty folder that ``account`` can reach."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/run"):  # noqa: S108  (mkdtemp makes it private)
        if can_reach(account, Path(base)):
            return Path(tempfile.mkdtemp(prefix="dabai-", dir=base)).resolve()
    raise Trouble("folder_unreachable", folder=tempfile.gettempdir(), account=account.name if account else "")


def secret_file(path: Path) -> str:
    """The secret kept in ``path``, made at random (256 bits, mode 0600) when there is none yet."""
    if not path.exists():
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path.read_text().strip()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; refuse when another `dabai serve` has it. The kernel frees it however we end."""
    with open(folder / "serve.lock", "a+") as file:
        if not _lock_within(file, seconds=1):
            file.seek(0)
            raise Trouble("already_running", folder=folder, pid=file.read().strip() or "?")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock_within(file: IO[str], *, seconds: float) -> bool:
    """Try for a moment: somebody who only looked (``is_served``) lets go at once."""
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)


def is_served(folder: Path) -> bool:
    """Whether a `dabai serve` holds this folder now."""
    try:
        with open(folder / "serve.lock") as file:
            return not _lock_within(file, seconds=0)
    except FileNotFoundError:
        return False


def state_file(folder: Path) -> Path:
    """What the running `dabai serve` listens on, as JSON: pid, url, bind, port, tls."""
    return folder / "serve.json"


def heartbeat_file(folder: Path) -> Path:
    """Touched by the worker on every turn of its loop; its age is how long the worker has been silent."""
    return folder / "worker.heartbeat"


def embedded_url(folder: Path, name: str = "dabai") -> str | None:
    """The address of the embedded database, or None while there is none."""
    password = folder / "keys" / "postgres.password"
    if not os.access(password, os.R_OK) or not (folder / "postgres").exists():
        return None
    sockets = socket_folder(folder, account_of(folder / "postgres"))
    return f"postgresql://dabai:{password.read_text().strip()}@/{name}?host={sockets}"


def given_url() -> str | None:
    """The PostgreSQL server that the district named with ``DATABASE_URL``; None when ours is used."""
    return None if os.environ.get("DABAI_EMBEDDED") == "1" else os.environ.get("DATABASE_URL")


def prepare_environment() -> None:
    """Point Django at this installation, so that every command finds the database that `dabai serve` runs."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")
    folder = data_folder()
    os.environ["DABAI_DATA"] = str(folder)
    if given_url() is None and (url := embedded_url(folder)):
        os.environ.update(DATABASE_URL=url, DABAI_EMBEDDED="1")
