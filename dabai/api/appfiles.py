"""The field app's files at ``/field/``: what `make setup` has built into ``field/dist``, read once by each process.

Phones load the app a single time and keep it; afterwards its service worker asks only whether there is a newer one.
Names under ``assets/`` carry a digest of their content and never change. Beside a file there may be the same packed,
``.br`` and ``.gz``, for clients that take it. A name is looked up among those read, so that no path leads out of the
folder.
"""

import hashlib
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from dabai.access.guard import public
from dabai.kernel.words import language_of, say

INDEX = "index.html"
PACKED = {"br": ".br", "gzip": ".gz"}
TYPES = {
    ".webmanifest": "application/manifest+json",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
}
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
# The app runs its own scripts and its own barcode reader (WebAssembly) and talks to this server; nothing else.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PERMISSIONS = "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()"


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent: by encoding ("" for plain) its bytes."""

    type: str
    cache: str
    etag: str
    bodies: dict[str, bytes]

    def body(self, accepted: str) -> tuple[str, bytes]:
        """The smallest form that the client takes, and the form's name."""
        taken = {part.partition(";")[0].strip() for part in accepted.lower().split(",")}
        return min(((name, body) for name, body in self.bodies.items() if not name or name in taken), key=_size)


def _size(form: tuple[str, bytes]) -> int:
    return len(form[1])


@cache
def files(folder: Path) -> dict[str, File]:
    """Every file of the built app by its name; empty while there is none."""
    return dict(_read(folder)) if (folder / INDEX).is_file() else {}


def _read(folder: Path) -> Iterator[tuple[str, File]]:
    for found in sorted(folder.rglob("*")):
        name = found.relative_to(folder).as_posix()
        if not found.is_file() or found.is_symlink() or found.suffix in PACKED.values():
            continue
        bodies = {"": found.read_bytes()}
        for encoding, suffix in PACKED.items():
            packed = found.with_name(found.name + suffix)
            if packed.is_file():
                bodies[encoding] = packed.read_bytes()
        type_ = TYPES.get(found.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        etag = f'"{hashlib.sha256(bodies[""]).hexdigest()[:32]}"'
        yield name, File(type_, FOR_EVER if name.startswith("assets/") else ASK_AGAIN, etag, bodies)


@public
@require_safe
def file(request: HttpRequest, name: str = INDEX) -> HttpResponse:
    """One file of the app; 503 with a sentence while it has not been built."""
    there = files(settings.FIELD_APP)
    if not there:
        return secured(HttpResponse(not_built(language_of(request)), status=503))
    found = there.get(name)
    if found is None:
        return secured(HttpResponse(status=404, content_type="text/plain"))
    encoding, body = found.body(request.headers.get("Accept-Encoding", ""))
    if found.etag in request.headers.get("If-None-Match", ""):
        response = HttpResponse(status=304)
    else:
        response = HttpResponse(body, content_type=found.type)
        if encoding:
            response["Content-Encoding"] = encoding
    response["ETag"], response["Cache-Control"] = found.etag, found.cache
    if len(found.bodies) > 1:
        patch_vary_headers(response, ["Accept-Encoding"])
    return secured(response)


def secured(response: HttpResponse) -> HttpResponse:
    """With what a page of the app may do."""
    response["Content-Security-Policy"] = POLICY
    response["Permissions-Policy"] = PERMISSIONS
    response["X-Frame-Options"] = "DENY"
    return response


def not_built(lang: str) -> str:
    """A page that says what is missing, and what to do."""
    title, text = say("ops.field.not_built", lang), say("ops.field.build_it", lang)
    return (
        f'<!doctype html><html lang="{lang}"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><h1>{title}</h1><p>{text}</p></html>'
    )


urlpatterns = [path("field/", file, name="field"), path("field/<path:name>", file, name="field-file")]
