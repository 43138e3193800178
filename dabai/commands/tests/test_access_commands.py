"""``dabai link``, ``accounts``, ``keys`` and ``sunset`` as an operator types them."""

import json
import stat
from datetime import timedelta

import pytest

from dabai.access import actions, keys
from dabai.access.models import DataKey, User
from dabai.commands import main
from dabai.kernel import clock
from dabai.kernel.refusal import Refusal
from dabai.testkit.cast import make_cast

pytestmark = pytest.mark.django_db
SHEET = "用户名,姓名,角色,区域代码,设备名称,点位代码\nzhou,周护士,采样登记员,340602001,手机01,P1\n,,,,手机02,P9\n"


@pytest.fixture(autouse=True)
def _a_terminal(monkeypatch, tmp_path):
    monkeypatch.setenv("DABAI_LANG", "en")
    monkeypatch.setenv("DABAI_DATA", str(tmp_path))
    monkeypatch.delenv("DABAI_EMBEDDED", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_first_administrator_gets_a_link_and_nobody_a_second_one(drill, capsys):
    assert main(["link", "--base-url", "https://dabai.example/"]) == 0
    assert "https://dabai.example/welcome/" in capsys.readouterr().out
    make_cast(drill.id, "340602")
    assert main(["link"]) == 1
    assert "dabai link NAME" in capsys.readouterr().err


def test_a_forgotten_password_is_set_by_a_link(drill, capsys):
    make_cast(drill.id, "340602")
    assert main(["link", "Packer"]) == 0
    token = capsys.readouterr().out.split("/welcome/")[1].split("/")[0]
    assert actions.use_link(token=token, password="forty-two-swabs").username == "packer"
    assert main(["link", "nobody"]) == 1


def test_a_sheet_becomes_accounts_and_slips_for_its_owners_eyes(drill, capsys, tmp_path):
    (tmp_path / "people.csv").write_text(SHEET, encoding="utf-8")
    assert main(["accounts", "people.csv", "--operation", str(drill.id), "--base-url", "https://dabai.example"]) == 1
    told = capsys.readouterr()
    assert "2 rows: 1 new, 0 there already, 1 refused" in told.out
    assert "row 3, site: This operation has no such site." in told.err
    slips = tmp_path / "slips.html"
    assert stat.S_IMODE(slips.stat().st_mode) == 0o600
    assert slips.read_text(encoding="utf-8").count("<article>") == 2
    assert User.objects.filter(username="zhou").exists()


def test_a_refusal_ends_the_command_with_a_sentence(capsys, tmp_path):
    (tmp_path / "people.csv").write_text(SHEET, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["accounts", "people.csv", "--operation", "987654"])
    assert ended.value.code == 1
    assert "There is no such operation" in capsys.readouterr().err


def test_keys_are_rotated_rested_and_destroyed(drill, capsys):
    assert main(["keys", "rotate", str(drill.id)]) == 0
    assert "the new key has number 2" in (said := capsys.readouterr().out)
    assert "old keys 1 can be destroyed in 60 minutes" in said
    DataKey.objects.filter(number=1).update(retired_at=clock.now() - timedelta(hours=2))
    assert main(["keys", "reseal", str(drill.id)]) == 0
    assert "old keys destroyed: 1" in capsys.readouterr().out
    assert main(["keys", "rotate"]) == 2


def test_a_master_key_of_the_environment_is_the_operators_to_change(drill, capsys):
    assert main(["keys", "master"]) == 1
    assert "DABAI_MASTER_KEY_OLD" in capsys.readouterr().out


def test_a_sunset_asks_for_the_name_and_writes_a_certificate(drill, capsys, monkeypatch, tmp_path):
    make_cast(drill.id, "340602")
    drill.operation.ended_at = clock.now()
    drill.operation.save(update_fields=["ended_at"])
    command = ["sunset", str(drill.id), "--by", "administrator", "--witness", "auditor", "--reason", "演练结束"]
    monkeypatch.setattr("builtins.input", lambda _: "another drill")
    assert main(command) == 1
    assert keys.ring(drill.id).current == 1
    monkeypatch.setattr("builtins.input", lambda _: drill.operation.name)
    assert main(command) == 0
    told = json.loads((tmp_path / "sunset.json").read_text(encoding="utf-8"))
    assert (told["operation"], told["witness"], len(told["digest"])) == (drill.id, "auditor", 64)
    assert "change DABAI_MASTER_KEY now" in capsys.readouterr().out
    with pytest.raises(Refusal, match="key_destroyed"):
        keys.ring(drill.id)


def test_a_sunset_by_nobody_is_none(drill, capsys):
    with pytest.raises(SystemExit):
        main(["sunset", str(drill.id), "--by", "ghost", "--witness", "auditor", "--reason", "x", "--yes"])
    assert keys.ring(drill.id).current == 1
