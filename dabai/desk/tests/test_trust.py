"""The page by which phones learn to trust the local authority."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.test import RequestFactory

from dabai.commands._authority import Authority, fingerprint
from dabai.desk.trust import certificate, page
from dabai.kernel import trust
from dabai.kernel.words import LANGUAGES


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setenv("DABAI_DATA", str(tmp_path))
    monkeypatch.setenv("DABAI_BASE_URL", "https://dabai.duji.example:8000")
    (tmp_path / "tls").mkdir()
    found = Authority(tmp_path / "tls")
    found.create("Duji local authority", ["dabai.duji.example"])
    return found


def ask(path: str, method: str = "GET", **more: str) -> tuple[str, dict[str, str], bytes]:
    """Call the plain port's application as a server would."""
    answer: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        answer.extend([status, dict(headers)])

    body: Iterable[bytes] = trust.application({"PATH_INFO": path, "REQUEST_METHOD": method, **more}, start)
    return answer[0], answer[1], b"".join(body)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_says_everything_a_phone_needs(authority: Authority, lang: str) -> None:
    text = trust.trust_page(lang)
    assert fingerprint(authority.ca) in text
    assert "https://dabai.duji.example:8000" in text
    assert "/trust/ca.crt" in text
    assert text.count("<ol>") == len(trust.SYSTEMS)
    assert "ops.trust" not in text
    assert "<script" not in text


def test_the_certificate_is_the_authoritys(authority: Authority) -> None:
    status, headers, body = ask("/trust/ca.crt")
    assert status.startswith("200")
    assert headers["Content-Type"] == "application/x-x509-ca-cert"
    assert x509.load_der_x509_certificate(body) == x509.load_pem_x509_certificate(authority.ca.read_bytes())
    assert certificate(RequestFactory().get("/trust/ca.crt")).content == body


def test_nothing_else_is_served(authority: Authority) -> None:
    for path in ("/login/", "/trust/../tls/ca.key", "/trust/ca.key", "/api/v1/health", "/trust"):
        assert ask(path)[0].startswith("404")
    assert ask("/trust/", "POST")[0].startswith("405")
    assert ask("/")[1]["Location"] == "/trust/"


def test_the_language_follows_the_choice_then_the_browser(authority: Authority) -> None:
    assert "让这部手机" in ask("/trust/")[2].decode()
    assert "Let this phone" in ask("/trust/", HTTP_ACCEPT_LANGUAGE="en-GB,zh")[2].decode()
    assert "让这部手机" in ask("/trust/", HTTP_ACCEPT_LANGUAGE="en", QUERY_STRING="lang=zh")[2].decode()
    assert "Let this phone" in page(RequestFactory().get("/trust/?lang=en")).content.decode()


def test_without_a_local_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DABAI_DATA", str(tmp_path))
    assert ask("/trust/ca.crt")[0].startswith("404")
    assert ask("/trust/")[0].startswith("200")
