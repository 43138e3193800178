"""The app's files as the server hands them out."""

import gzip
from io import BytesIO
from pathlib import Path

import pytest
from django.test import Client

from dabai.api import appfiles


@pytest.fixture
def app(tmp_path: Path, settings) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>app</title>")
    (folder / "assets" / "index-a1b2.js").write_text("start()" * 100)
    (folder / "assets" / "index-a1b2.js.gz").write_bytes(gzip.compress(b"start()" * 100))
    (folder / "assets" / "reader-c3d4.wasm").write_bytes(b"\0asm")
    (folder / "manifest.webmanifest").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    settings.FIELD_APP = folder
    settings.MIDDLEWARE = settings.DEVICE_MIDDLEWARE
    return folder


def get(path: str, **headers: str):
    return Client(raise_request_exception=False).get(path, headers=headers)


def test_the_page_may_run_its_own_scripts_and_use_the_camera_and_nothing_else(app):
    page = get("/field/")
    assert (page.status_code, page["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page["Cache-Control"] == "no-cache"
    assert "'unsafe-eval'" not in page["Content-Security-Policy"].replace("'wasm-unsafe-eval'", "")
    assert "default-src 'none'" in page["Content-Security-Policy"]
    assert page["Permissions-Policy"].startswith("camera=(self)")
    assert page["X-Content-Type-Options"] == "nosniff"
    assert not page.cookies


def test_files_have_their_types_and_named_by_content_they_never_change(app):
    for name, type_ in (("index-a1b2.js", "text/javascript; charset=utf-8"), ("reader-c3d4.wasm", "application/wasm")):
        answer = get(f"/field/assets/{name}")
        assert answer["Content-Type"] == type_
        assert "immutable" in answer["Cache-Control"]
    assert get("/field/manifest.webmanifest")["Content-Type"] == "application/manifest+json"


def test_what_is_packed_goes_packed_to_those_who_take_it(app):
    path = "/field/assets/index-a1b2.js"
    packed = get(path, **{"Accept-Encoding": "gzip, br"})
    assert (packed["Content-Encoding"], packed["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed.content) == get(path).content == b"start()" * 100


def test_an_unchanged_file_is_not_sent_again(app):
    etag = get("/field/")["ETag"]
    again = get("/field/", **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    ["../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "assets/../../secret.txt", "link.txt", "/etc/passwd"],
)
def test_no_path_leads_out_of_the_folder(app, path):
    answer = get(f"/field/{path}")
    assert answer.status_code in (404, 301)
    assert b"secret" not in answer.content


def test_nothing_is_written_here(app):
    assert Client().post("/field/", {}).status_code == 405


def test_before_it_is_built_a_sentence_says_what_to_do(tmp_path, settings):
    settings.FIELD_APP = tmp_path
    answer = get("/field/", **{"Accept-Language": "en"})
    assert answer.status_code == 503
    assert "make setup" in answer.content.decode()
    assert appfiles.files(tmp_path) == {}


@pytest.mark.django_db
def test_phones_reach_it_without_the_pages_middleware(app):
    from dabai import wsgi

    said = {}
    environ = {"PATH_INFO": "/field/", "REQUEST_METHOD": "GET", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80"}
    environ |= {"wsgi.input": BytesIO(), "wsgi.url_scheme": "http"}
    wsgi.application(environ, lambda status, headers: said.update(dict(headers), status=status))
    assert said["status"] == "200 OK"
    assert "Set-Cookie" not in said
