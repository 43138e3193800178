"""How fast people can look up their own results, against an endpoint that does nothing."""

from collections.abc import Callable

import orjson

from tests.load.figure import Figure, paired
from tests.load.sender import Sent, send
from tests.load.stage import Stage

APPLICATION = "tests.load.empty:application"
CONNECTIONS = 32
ASKED = 8_000
FROM_ONE_ADDRESS = 80


def lookup(stage: Stage) -> list[Figure]:
    """Median of five pairs: the look-up, and a POST that answers {} through the same layers, in turn."""
    count = stage.scaled(ASKED)
    with stage.place.web(APPLICATION) as port:
        ask = asker(stage, port)
        ask("lookup", count // 4)
        ask("empty", count // 4)
        ours, bare = [], []
        for _ in range(stage.pairs):
            ours.append(ask("lookup", count))
            bare.append(ask("empty", count))
    about = {"connections": CONNECTIONS, "people": stage.people, "samples": stage.world.samples}
    return [paired("result_lookup", ours, bare, unit="requests/s", target=3_000, **about)]


def asker(stage: Stage, port: int) -> Callable[[str, int], float]:
    """A function that asks so many questions at a path and answers how many a second were answered.

    Every connection comes from another address of this machine, or the limit by address would be what is measured.
    """
    world = stage.world
    asked = addresses = 0

    def ask(path: str, count: int) -> float:
        nonlocal asked, addresses
        people = [world.findable[(asked + number) % len(world.findable)] for number in range(count)]
        requests = [request(port, path, *one) for one in people]
        sent = send(port, requests, connections=CONNECTIONS, first_address=addresses, each=FROM_ONE_ADDRESS)
        asked += count if path == "lookup" else 0
        addresses += count // FROM_ONE_ADDRESS + CONNECTIONS
        check(sent)
        return sent.requests / sent.seconds

    return ask


def check(sent: Sent) -> None:
    """Every question must have been answered."""
    if sent.failed:
        raise SystemExit(f"{sent.failed} of {sent.requests} questions were refused")


def request(port: int, path: str, number: str, name: str) -> bytes:
    """The question as bytes on the wire."""
    body = orjson.dumps({"number": number, "name": name})
    head = f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
