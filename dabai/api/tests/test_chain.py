"""Phones go through a shorter chain of middleware, and meet the same doors."""

import io
from typing import Any

import pytest
from django.conf import settings
from django.urls import resolve

from dabai.wsgi import DEVICE_PATHS, application, devices, everybody

pytestmark = pytest.mark.django_db


def ask(method: str, path: str, host: str = "127.0.0.1", app: Any = application) -> tuple[int, dict[str, str]]:
    """Status and headers of a request without a token."""
    said: list[Any] = []
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": host, "SERVER_PORT": "8000", "HTTP_HOST": host,
        "wsgi.input": io.BytesIO(b""), "wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": "0",
    }  # fmt: skip
    b"".join(app(environ, lambda status, headers, error=None: said.extend((status, headers))))
    return int(said[0].split()[0]), dict(said[1])


@pytest.mark.parametrize("path", DEVICE_PATHS)
def test_a_path_of_phones_exists_and_turns_strangers_away_in_both_chains(path: str) -> None:
    assert resolve(path)
    for method in ("GET", "POST"):
        short, whole = ask(method, path), ask(method, path, app=everybody)
        assert short[0] == whole[0]
        assert short[0] >= 400
        assert short[1]["X-Content-Type-Options"] == "nosniff"


def test_a_foreign_host_is_turned_away() -> None:
    assert ask("POST", "/api/v1/facts", host="evil.example")[0] == 400


def test_the_whole_chain_stays_whole() -> None:
    assert len(settings.MIDDLEWARE) > len(settings.DEVICE_MIDDLEWARE)
    assert set(settings.DEVICE_MIDDLEWARE) < set(settings.MIDDLEWARE)
    assert devices is not everybody
    assert ask("GET", "/login/")[1].get("X-Frame-Options") == "DENY"
