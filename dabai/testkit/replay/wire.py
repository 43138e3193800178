"""HTTP with the standard library: connections kept open, JSON, files, and tries again while the server is away."""

import gzip
import http.client
import json
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

TRIES = 40
TIMEOUT = 120
GZIP_FROM = 2048
ASK_AT_FIRST = 5


class Refused(Exception):
    """The server said no. ``code`` and ``field`` are its own words."""

    def __init__(self, status: int, code: str, field: str | None, request: str) -> None:
        super().__init__(f"{request}: {status} {code}{f' ({field})' if field else ''}")
        self.status, self.code, self.field = status, code, field


class Unreachable(Exception):
    """The server did not answer, however often it was asked."""


@dataclass(frozen=True)
class File:
    """A file to upload."""

    name: str
    content: bytes


class Wire:
    """Requests to one server. Each thread has a connection of its own, kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.secure = parts.netloc, parts.scheme == "https"
        self.local = threading.local()
        self.opened: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Hang up everywhere. Only when no thread asks any more."""
        while self.opened:
            self.opened.pop().close()

    def get(self, path: str, headers: Mapping[str, str], **query: object) -> Any:
        """The JSON answer to a GET; queries of None are left out."""
        wanted = urlencode({key: value for key, value in query.items() if value is not None})
        return self.ask("GET", f"{path}?{wanted}" if wanted else path, None, dict(headers))

    def post(self, path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST of JSON, packed where that pays."""
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        sent = {**headers, "Content-Type": "application/json"}
        if len(data) > GZIP_FROM:
            data = gzip.compress(data, compresslevel=1, mtime=0)
            sent["Content-Encoding"] = "gzip"
        return self.ask("POST", path, data, sent)

    def upload(self, path: str, headers: Mapping[str, str], fields: Mapping[str, str], **files: File) -> Any:
        """The JSON answer to a form with files."""
        boundary = secrets.token_hex(16)
        data = b"".join(_form(boundary, fields, files))
        return self.ask("POST", path, data, {**headers, "Content-Type": f"multipart/form-data; boundary={boundary}"})

    def ask(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> Any:
        """One request, tried again while the server is away or too busy. Facts and imports may safely come twice."""
        for attempt in range(TRIES):
            try:
                status, answer = self._once(method, path, data, headers)
            except (OSError, http.client.HTTPException):
                self._hang_up()
                time.sleep(min(2.0, 0.05 * 2**attempt))
                continue
            if status in (429, 503):
                time.sleep(min(2.0, 0.05 * 2**attempt))
                continue
            if status >= 400:
                raise _refused(status, answer, f"{method} {path.partition('?')[0]}")
            return json.loads(answer) if answer else {}
        raise Unreachable(f"{method} {path.partition('?')[0]}")

    def _once(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = self._connection()
        connection.request(method, path, body=data, headers={**headers, "Accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()

    def _connection(self) -> http.client.HTTPConnection:
        if getattr(self.local, "connection", None) is None:
            kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
            self.local.connection = kind(self.host, timeout=TIMEOUT)
            self.opened.append(self.local.connection)
        connection: http.client.HTTPConnection = self.local.connection
        return connection

    def _hang_up(self) -> None:
        """Close this thread's connection; the next request opens it again."""
        if getattr(self.local, "connection", None) is not None:
            self.local.connection.close()


def _form(boundary: str, fields: Mapping[str, str], files: Mapping[str, File]) -> Iterable[bytes]:
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, file in files.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n'.encode()
        yield b"Content-Type: application/octet-stream\r\n\r\n" + file.content + b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _refused(status: int, answer: bytes, request: str) -> Refused:
    try:
        said = json.loads(answer)
        return Refused(status, str(said.get("code", "")), said.get("field"), request)
    except (ValueError, AttributeError):
        return Refused(status, "", None, request)


class Clock:
    """The server's time as the driver knows it: asked now and then, reckoned in between.

    It is never ahead of the server's, or we should report what has not happened yet: an answer is taken to have been
    written when it arrived, and of all answers the one that was on its way for the shortest time counts.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.set_anew()

    def set_anew(self) -> None:
        """Forget what was known: the server has been started on another clock."""
        self.server: datetime | None = None
        for _ in range(ASK_AT_FIRST):
            self.ask()

    def ask(self) -> dict[str, Any]:
        """Ask for the time (the answer is ``GET /api/v1/health``), and set the clock on by it if it is behind."""
        health: dict[str, Any] = self.wire.get("/api/v1/health", {})
        arrived, said = time.monotonic(), datetime.fromisoformat(health["now"])
        self.rate = float(health.get("rate", 1.0))
        if self.server is None:
            self.real, self.server = arrived, said
        elif (behind := (said - self._at(arrived)).total_seconds()) > 0:
            self.server += timedelta(seconds=behind)
        return health

    def _at(self, real: float) -> datetime:
        assert self.server is not None
        return self.server + timedelta(seconds=(real - self.real) * self.rate)

    def now(self) -> datetime:
        return self._at(time.monotonic())

    def seconds_until(self, moment: datetime) -> float:
        """Real seconds until the server's clock shows ``moment``; negative when it is past."""
        return (moment - self.now()).total_seconds() / self.rate

    def wait_until(self, moment: datetime) -> None:
        while (left := self.seconds_until(moment)) > 0:
            time.sleep(min(left, 0.5))
