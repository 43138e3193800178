"""The load generator: a process of its own that sends requests made beforehand over connections kept open.

``closed``: each connection sends its next request when the last was answered (how fast can it go). ``paced``: requests
leave at a rate, whatever the answers do (how does it hold up). Costs some 40 microseconds a request.
"""

import multiprocessing
import resource
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

FORK = multiprocessing.get_context("fork")
ACCEPTED = b'"accepted"'


@dataclass(slots=True)
class Sent:
    """What came of it. ``answered`` has seconds from the start to each answer, ``took`` how long each took."""

    requests: int
    seconds: float
    accepted: int
    failed: int
    processor_seconds: float
    took: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Seconds that this share of the requests took at most."""
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * share))]


@dataclass(slots=True)
class Line:
    """One connection. ``since`` is None while it is idle; ``used`` counts its requests."""

    socket: socket.socket
    since: float | None = None
    received: bytearray = field(default_factory=bytearray)
    wanted: int = -1
    used: int = 0

    def take(self, data: bytes) -> bool:
        """Take what arrived; whether the answer is whole."""
        self.received += data
        if self.wanted < 0:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return False
            head = bytes(self.received[:end]).lower()
            at = head.index(b"content-length:") + 15
            self.wanted = end + 4 + int(head[at:].split(b"\r\n", 1)[0])
        return len(self.received) >= self.wanted


@dataclass(frozen=True, slots=True)
class How:
    """``rate``: requests a second, None for as fast as they are answered. ``each``: after so many requests a connection
    is closed and the next opened from another address of this machine, counted from ``first_address``; 0: never."""

    connections: int
    rate: float | None = None
    each: int = 0
    first_address: int = 0


class Sender:
    """Sends requests and reads answers, all connections in one thread."""

    def __init__(self, port: int, requests: Sequence[bytes], how: How) -> None:
        self.port, self.waiting, self.rate, self.how = port, deque(requests), how.rate, how
        self.addresses = count(how.first_address)
        self.chosen = selectors.DefaultSelector()
        self.lines = [self.open() for _ in range(how.connections)]
        self.idle = deque(self.lines)
        self.sent = Sent(0, 0.0, 0, 0, 0.0)
        self.started = self.next_at = 0.0

    def open(self) -> Line:
        """A new connection."""
        source = (address(next(self.addresses)), 0) if self.how.each else None
        made = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=source)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(made)
        self.chosen.register(made, selectors.EVENT_READ, line)
        return line

    def run(self) -> Sent:
        """Send everything and wait for every answer."""
        used = processor()
        self.started = self.next_at = time.perf_counter()
        while self.waiting or len(self.idle) < len(self.lines):
            self.send_due()
            for key, _ in self.chosen.select(self.pause()):
                self.read(key.data)
        self.sent.seconds = time.perf_counter() - self.started
        self.sent.processor_seconds = processor() - used
        return self.sent

    def pause(self) -> float:
        """How long to wait for answers before the next request is due."""
        if self.rate is None or not self.waiting or not self.idle:
            return 5.0
        return max(0.0, self.next_at - time.perf_counter())

    def send_due(self) -> None:
        """Send what is due on idle connections. A paced request counts from when it was due."""
        now = time.perf_counter()
        while self.idle and self.waiting and (self.rate is None or self.next_at <= now):
            line = self.idle.popleft()
            line.since = now if self.rate is None else self.next_at
            self.next_at += 0 if self.rate is None else 1 / self.rate
            line.socket.sendall(self.waiting.popleft())

    def read(self, line: Line) -> None:
        """Read what has come on a connection."""
        data = line.socket.recv(262_144)
        if not data:
            raise ConnectionError("the server hung up")
        if line.take(data):
            self.finish(line)

    def finish(self, line: Line) -> None:
        """Count an answer and free its connection."""
        now, answer = time.perf_counter(), bytes(line.received)
        assert line.since is not None
        self.sent.requests += 1
        self.sent.failed += not answer.startswith(b"HTTP/1.1 200")
        self.sent.accepted += answer.count(ACCEPTED)
        self.sent.took.append(now - line.since)
        self.sent.answered.append(now - self.started)
        line.since, line.wanted = None, -1
        line.received.clear()
        line.used += 1
        self.idle.append(self.renew(line) if self.how.each and line.used >= self.how.each else line)

    def renew(self, line: Line) -> Line:
        """Another connection instead of this one, from another address."""
        self.chosen.unregister(line.socket)
        line.socket.close()
        fresh = self.open()
        self.lines[self.lines.index(line)] = fresh
        return fresh


def address(number: int) -> str:
    """One of this machine's sixteen million own addresses."""
    return f"127.{number // 62_500 % 100 + 1}.{number // 250 % 250}.{number % 250 + 1}"


def processor() -> float:
    """Seconds of processor time that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def send(port: int, requests: Sequence[bytes], **how: Any) -> Sent:
    """Send requests from a process of its own, and wait for it. ``how`` are the fields of ``How``."""
    with sending(port, requests, **how) as answer:
        return answer.recv()


class sending:
    """The same, going on meanwhile: ``with sending(…) as answer: …; answer.recv()``."""

    def __init__(self, port: int, requests: Sequence[bytes], **how: Any) -> None:
        self.here, there = FORK.Pipe(duplex=False)
        self.process = FORK.Process(target=self.work, args=(there, port, requests, How(**how)))

    @staticmethod
    def work(there: Any, port: int, requests: Sequence[bytes], how: How) -> None:
        """In the new process."""
        there.send(Sender(port, requests, how).run())

    def __enter__(self) -> Any:
        self.process.start()
        return self.here

    def __exit__(self, *error: object) -> None:
        self.process.join(120)
        if self.process.is_alive():
            self.process.kill()


def in_parts(items: Sequence[Any], parts: int) -> Iterator[list[Any]]:
    """Items dealt out in turn."""
    return (list(items[number::parts]) for number in range(parts))
