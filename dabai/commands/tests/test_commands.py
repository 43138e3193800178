"""The command line itself, and the texts of its operation."""

import re
from pathlib import Path
from string import Formatter

import pytest

from dabai import commands
from dabai.commands import Trouble, language, main, names, parser_for
from dabai.kernel.words import catalogue

PACKAGE = Path(commands.__file__).parent


def keys_used() -> set[str]:
    """Keys of ``ops`` that the code names in full. (The replay's ``tell`` has texts of its own.)"""
    found: set[str] = set()
    for path in PACKAGE.glob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r'\b(?:Trouble|announce)\(\s*"([a-z_.]+)"', text))
        if re.search(r"^from dabai\.commands import .*\btell\b", text, re.MULTILINE):
            found |= set(re.findall(r'\btell\(\s*"([a-z_.]+)"', text))
    return found


def findings_used() -> set[tuple[str, str, str]]:
    """(check, verdict, code) of every finding that `dabai doctor` can make, as its code spells them."""
    text = (PACKAGE / "doctor.py").read_text()
    return set(re.findall(r'Finding\(\s*"(\w+)", (OK|WARN|WRONG), "(\w+)"', text))


def test_every_command_says_what_it_is_for() -> None:
    help_text = parser_for([]).format_help()
    assert {"serve", "doctor", "tls", "postgres", "migrate"} <= set(names())
    for name in names():
        assert name.replace("_", "-") in help_text


def test_only_the_named_command_is_imported() -> None:
    assert "doctor" not in parser_for(["tls"]).format_help()


def test_trouble_is_one_line_and_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(_: object) -> int:
        raise Trouble("port", bind="127.0.0.1", port=8000, reason="in use")

    monkeypatch.setattr("dabai.commands.doctor.run", run)
    monkeypatch.setenv("DABAI_LANG", "zh")
    assert main(["doctor"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("dabai: 无法监听 127.0.0.1 的 8000 端口")
    assert said.err.count("\n") == 1


def test_an_interruption_is_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("dabai.commands.doctor.run", run)
    assert main(["doctor"]) == 130


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["no-such-command"])
    assert end.value.code == 2
    assert "serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN", "DABAI_LANG": "en"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_of_the_terminal(env: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DABAI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_text_exists(lang: str) -> None:
    texts = catalogue(lang)
    assert len(keys_used()) > 20
    assert {key for key in keys_used() if f"ops.{key}" not in texts} == set()
    assert len(findings_used()) > 20
    for check, verdict, code in findings_used():
        wanted = {f"ops.doctor.{check}.name", f"ops.doctor.{check}.{code}"}
        wanted |= set() if verdict == "OK" else {f"ops.doctor.{check}.{code}_do"}
        assert wanted <= texts.keys()


def test_both_languages_take_the_same_values() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    zh, en = catalogue("zh"), catalogue("en")
    ours = [key for key in zh if key.startswith("ops.")]
    assert {key for key in ours if places(zh[key]) != places(en.get(key, ""))} == set()
