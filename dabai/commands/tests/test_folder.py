"""Where an installation keeps its data, and who may get there."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dabai.commands import Trouble, _folder
from dabai.commands._folder import (
    SOCKET_NAME,
    SYSTEM_FOLDER,
    can_reach,
    data_folder,
    is_served,
    make_folders,
    only_one,
    private_folder,
    secret_file,
    socket_folder,
)
from dabai.commands._process import Account

STRANGER = Account("stranger", 54321, 54321)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that everybody can reach, below a folder that may be closed."""
    for folder in (tmp_path, *tmp_path.parents):
        if not mode(folder) & 0o001:
            folder.chmod(mode(folder) | 0o001)  # pytest's own folders, made for this run
    monkeypatch.delenv("DABAI_DATA", raising=False)
    place = tmp_path / "above" / "checkout"
    place.mkdir(parents=True)
    (place / "pyproject.toml").touch()
    for folder in (place.parent, place):
        folder.chmod(0o755)
    monkeypatch.setattr(_folder, "CHECKOUT", place)
    monkeypatch.setattr(_folder, "unprivileged", lambda: STRANGER)
    return place


def test_data_lies_in_the_checkout_when_the_account_can_get_there(checkout: Path) -> None:
    assert data_folder() == checkout / ".data"


def test_data_lies_in_the_system_when_a_folder_above_is_closed(checkout: Path) -> None:
    checkout.parent.chmod(0o700)
    assert data_folder() == SYSTEM_FOLDER


def test_data_lies_in_the_system_when_there_is_no_checkout(checkout: Path) -> None:
    (checkout / "pyproject.toml").unlink()
    assert data_folder() == SYSTEM_FOLDER


def test_the_given_folder_is_taken(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DABAI_DATA", str(tmp_path / "x" / ".." / "mine"))
    assert data_folder() == tmp_path / "mine"


def test_an_unreachable_given_folder_is_refused_before_anything_is_made(checkout: Path) -> None:
    checkout.chmod(0o700)
    with pytest.raises(Trouble) as trouble:
        make_folders(checkout / "data", STRANGER)
    assert trouble.value.key == "folder_unreachable"
    assert not can_reach(STRANGER, checkout)
    assert mode(checkout) == 0o700


def test_folders_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_folders(folder, None)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == dict.fromkeys(("keys", "tls", "log"), 0o700)


def test_a_link_laid_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Trouble) as trouble:
        private_folder(tmp_path / "run", None)
    assert trouble.value.key == "folder_foreign"


def test_the_socket_path_always_fits(tmp_path: Path) -> None:
    near = Path("/var/lib/dabai")
    assert socket_folder(near, None) == near / "run"
    far = tmp_path / ("很长的目录名" * 10)
    short = socket_folder(far, None)
    assert len(os.fsencode(short / SOCKET_NAME)) <= 107
    assert short == socket_folder(far, None)
    assert short != socket_folder(far / "other", None)


def test_a_secret_is_made_once_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "django.key"
    assert secret_file(path) == secret_file(path)
    assert len(secret_file(path)) >= 40
    assert mode(path) == 0o600


def test_one_server_a_folder_and_a_kill_frees_it(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from dabai.commands._folder import only_one
with only_one(Path({str(tmp_path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin
    assert other.stdout
    assert other.stdout.readline() == b"held\n"
    assert is_served(tmp_path)
    with pytest.raises(Trouble) as trouble, only_one(tmp_path):
        pass
    assert trouble.value.params["pid"] == str(other.pid)
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert not is_served(tmp_path)
    with only_one(tmp_path):
        assert is_served(tmp_path)
