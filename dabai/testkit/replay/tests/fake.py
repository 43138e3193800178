"""A small server in memory that keeps the contract as the driver understands it, for tests of the driver alone.

It derives everything anew from the set of facts whenever it is asked. The replay against the real server
(``tests/e2e/test_replay.py``) is what proves this one honest.
"""

import csv
import gzip
import io
import itertools
import json
import re
import threading
import time
import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dabai.testkit.replay.drive import evening
from dabai.testkit.replay.scenario import Scenario

OUTCOMES = {"阴性": "negative", "可疑": "suspect", "阳性": "positive"}

# Real seconds before the clock strikes the start: a busy machine must not miss the first session.
HEAD_START = 1.0


class FakeServer:
    """Start it, use ``url``, stop it. Its clock obeys ``start`` and ``morning`` as a server on a drill clock does."""

    def __init__(self) -> None:
        self.state = State()
        handler = type("Handler", (_Handler,), {"state": self.state})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def start(self, scenario: Scenario) -> str:
        self.state.set_clock(evening(scenario), 1.0)
        return "first"

    def morning(self, scenario: Scenario) -> None:
        self.state.set_clock(scenario.start - timedelta(seconds=HEAD_START * scenario.rate), scenario.rate)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


class State:
    """Everything the fake knows."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)
        self.sites: dict[int, dict[str, Any]] = {}
        self.slips: dict[str, str] = {}
        self.devices: dict[str, str] = {}
        self.import_rows: list[dict[str, Any]] = []
        self.people: dict[str, dict[str, str]] = {}
        self.rounds: dict[int, dict[str, Any]] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.receipts: dict[str, dict[str, Any]] = {}
        self.bulletins: dict[int, dict[str, Any]] = {}
        self.kept: dict[str, dict[str, str]] = {}
        self.settled: set[tuple[str, str, tuple[str, ...]]] = set()

    def set_clock(self, start: datetime, rate: float) -> None:
        self.started, self.rate, self.real = start, rate, time.monotonic()

    def now(self) -> datetime:
        return self.started + timedelta(seconds=(time.monotonic() - self.real) * self.rate)

    # ---- facts

    def take(self, facts: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
        with self.lock:
            return [
                self._take_one({"id": str(uuid.uuid4()), "by": by, "at": self.now().isoformat(), **f}) for f in facts
            ]

    def _take_one(self, fact: dict[str, Any]) -> dict[str, Any]:
        if fact["id"] in self.receipts:
            return self.receipts[fact["id"]]
        if fact["body"].get("tube", "T").startswith("X"):
            receipt = {"id": fact["id"], "verdict": "refused", "code": "codes.wrong_kind", "field": "body.tube"}
            self.kept[fact["id"]] = {"id": fact["id"], "kind": fact["kind"], "code": "codes.wrong_kind"}
        else:
            receipt = {"id": fact["id"], "verdict": "accepted", "code": None, "field": None}
            self.facts[fact["id"]] = fact
        self.receipts[fact["id"]] = receipt
        return receipt

    def of(self, kind: str) -> list[dict[str, Any]]:
        gone = {f["body"]["target"] for f in self.facts.values() if f["kind"] == "journal.fact_withdrawn"}
        return [f for f in self.facts.values() if f["kind"] == kind and f["id"] not in gone]

    # ---- derived

    def canonical(self) -> dict[str, str]:
        groups: dict[str, str] = {}

        def find(one: str) -> str:
            while groups.get(one, one) != one:
                one = groups[one]
            return one

        numbers = {f"{p['kind']}{p['number']}": key for key, p in self.people.items() if p["number"]}
        for fact in self.of("people.person_registered"):
            if (document := fact["body"]["document"]) and document["number"]:
                key = numbers.setdefault(f"{document['kind']}{document['number']}", fact["id"])
                groups[find(fact["id"])] = find(key)
        for fact in self.of("people.merged"):
            groups[find(fact["body"]["one"])] = find(fact["body"]["other"])
        return {one: find(one) for one in groups}

    def claims(self) -> dict[tuple[int, int, str], str]:
        return {
            (claim["site"], claim["station"], f["body"]["tube"]): claim["becomes"]
            for f in self.of("testing.claim_settled")
            for claim in f["body"]["claims"]
        }

    def samples(self, number: int) -> list[tuple[str, str, dict[str, Any]]]:
        """(tube, person, body) of every sample in force in a round."""
        claims, canonical = self.claims(), self.canonical()
        moved = {f["body"]["sample"]: f["body"]["to_tube"] for f in self.of("testing.sample_moved")}
        found = []
        for fact in self.of("testing.sample_taken") + self.of("testing.late_entry"):
            body = fact["body"]
            if body["round"] == number:
                tube = moved.get(fact["id"]) or claims.get((body["site"], body["station"], body["tube"]), body["tube"])
                found.append((tube, canonical.get(body["person"], body["person"]), body))
        return found

    def contested(self) -> dict[str, list[str]]:
        claims, seen = self.claims(), defaultdict(lambda: defaultdict(list))
        for fact in self.of("testing.tube_sealed"):
            body = fact["body"]
            seen[body["tube"]][body["site"], body["station"]].append(fact["id"])
        return {
            tube: [i for ids in places.values() for i in ids]
            for tube, places in seen.items()
            if len(places) > 1 and not all((*place, tube) in claims for place in places)
        }

    def fates(self) -> dict[str, str]:
        fates = {f["body"]["tube"]: "voided" for f in self.of("testing.tube_voided")}
        return fates | {f["body"]["tube"]: "rejected" for f in self.of("testing.tube_rejected")}

    def results(self) -> dict[str, dict[str, Any]]:
        reviewed = {r for f in self.of("testing.result_reviewed") for r in f["body"]["results"]}
        released = {r for f in self.of("testing.result_released") for r in f["body"]["results"]}
        return {
            f["id"]: {**f["body"], "id": f["id"], "reviewed": f["id"] in reviewed, "released": f["id"] in released}
            for f in self.of("testing.result_read")
        }

    def released(self) -> dict[str, str]:
        return {r["tube"]: r["outcome"] for r in self.results().values() if r["reviewed"] and r["released"]}

    def round_people(self, number: int) -> list[dict[str, Any]]:
        plan = self.rounds[number]
        out, fates, contested = self.released(), self.fates(), self.contested()
        excused = {f["body"]["person"] for f in self.of("testing.excused") if f["body"]["round"] == number}
        mine: dict[str, list[tuple[str, bool]]] = {person: [] for person in plan["roster"]}
        for tube, person, body in self.samples(number):
            mine.setdefault(person, [])
            if tube not in fates:
                mine[person].append((tube, body["single"]))
        return [
            {
                "person": person,
                "rostered": person in plan["roster"],
                "samples": len(tubes),
                "tubes": sorted({tube for tube, _ in tubes}),
                "outcome": outcome(tubes, out, contested, person in excused),
            }
            for person, tubes in sorted(mine.items())
        ]

    def round_tubes(self, number: int) -> list[dict[str, Any]]:
        out, fates = self.released(), self.fates()
        people: dict[str, set[str]] = defaultdict(set)
        for tube, person, _ in self.samples(number):
            people[tube].add(person)
        return [
            {"tube": t, "state": fates.get(t, ""), "people": len(p), "outcome": out.get(t), "released": t in out}
            for t, p in sorted(people.items())
        ]

    def figures(self, numbers: list[int], site: int | None = None) -> dict[str, Any]:
        fates = self.fates()
        valid = [s for n in numbers for s in self.samples(n) if s[0] not in fates and site in (None, s[2]["site"])]
        rows = [row for n in numbers for row in self.round_people(n)]
        opened = [f["body"] for f in self.of("testing.station_opened") if f["body"]["round"] in numbers]
        return {
            "person_times": len(valid),
            "due": sum(row["rostered"] for row in rows),
            "people_sampled": sum(row["rostered"] and row["samples"] > 0 for row in rows),
            "negative_people": sum(row["outcome"] == "negative" for row in rows),
            "points": len({s[2]["site"] for s in valid}),
            "stations": len({(b["site"], b["station"]) for b in opened}),
            "areas": len({self.sites[s[2]["site"]]["area"][:9] for s in valid}),
        }


def outcome(tubes: list[tuple[str, bool]], out: dict[str, str], contested: Any, excused: bool) -> str:
    if not tubes:
        return "excused" if excused else "outstanding"
    if any(tube in contested for tube, _ in tubes):
        return "withheld"
    told = [(out[tube], single) for tube, single in tubes if tube in out]
    if not told:
        return "awaiting"
    if ("positive", True) in told:
        return "positive"
    cleared = ("negative", True) in told
    return "negative" if cleared or all(o == "negative" for o, _ in told) else "pending"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a small answer waits 40 ms for the client's acknowledgement
    state: State

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, data: bytes) -> None:
        path, _, query = self.path.partition("?")
        self.query = dict(pair.split("=", 1) for pair in query.split("&") if pair)
        path = path.removeprefix("/api/v1/").removeprefix("desk/")
        for pattern, method in ROUTES.items():
            if (found := re.fullmatch(pattern, path)) is not None:
                with self.state.lock:
                    self._reply(200, getattr(self, method)(*found.groups(), data))
                return
        self._reply(404, {"code": "not_found", "field": path})

    def _reply(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, data: bytes) -> Any:
        return json.loads(gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data)

    def _form(self, data: bytes) -> dict[str, bytes]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = message_from_bytes(head + data).get_payload()
        return {part.get_param("name", header="Content-Disposition"): part.get_payload(decode=True) for part in parts}

    def _rows(self, data: bytes) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self._form(data)["file"].decode("utf-8-sig"))))

    # ---- endpoints

    def health(self, _: bytes) -> Any:
        return {"ok": True, "now": self.state.now().isoformat(), "rate": self.state.rate, "waiting": 0}

    def first_admin(self, _: bytes) -> Any:
        return {"username": "guanli"}

    def log_in(self, data: bytes) -> Any:
        return {"token": self._json(data)["username"]}

    def welcome(self, _: bytes) -> Any:
        return {"username": ""}

    def accounts(self, data: bytes) -> Any:
        names = sorted({row["username"] for row in self._rows(data)})
        return {"refused": [], "slips": [{"username": name, "token": name} for name in names]}

    def operations(self, _: bytes) -> Any:
        return {"id": 1}

    def areas(self, _: bytes) -> Any:
        return {"refused": []}

    def import_sites(self, data: bytes) -> Any:
        for row in self._rows(data):
            number = next(self.state.numbers)
            self.state.sites[number] = {**row, "id": number}
        return {"refused": []}

    def sites(self, _: bytes) -> Any:
        return {"sites": list(self.state.sites.values())}

    def import_devices(self, data: bytes) -> Any:
        names = [row["device"] for row in self._rows(data)]
        return {"refused": [], "slips": [{"name": name, "code": f"code-{name}"} for name in names]}

    def pair(self, data: bytes) -> Any:
        name = self._json(data)["name"]
        self.state.devices[f"token-{name}"] = name
        return {"token": f"token-{name}"}

    def start_import(self, data: bytes) -> Any:
        for n, row in enumerate(self._rows(data)):
            person = str(uuid.uuid4())
            self.state.people[person] = {"kind": row["证件类型"], "number": row["证件号码"], "grid": row["网格"]}
            self.state.import_rows.append({"row": n + 2, "outcome": "added", "person": person})
        return {"id": 1, "state": "staged"}

    def import_state(self, _: bytes) -> Any:
        state = "committed" if getattr(self.state, "committed", False) else "staged"
        return {"id": 1, "state": state, "counts": {"added": len(self.state.import_rows)}}

    def commit(self, _: bytes) -> Any:
        self.state.committed = True
        return {}

    def import_pages(self, _: bytes) -> Any:
        return self._page("rows", self.state.import_rows, "row")

    def _page(self, name: str, rows: list[dict[str, Any]], key: str) -> Any:
        """A keyset page; keys are compared as what they are."""
        after = self.query.get("after")
        left = [row for row in rows if after is None or row[key] > type(row[key])(after)]
        limit = int(self.query.get("limit", 500))
        return {name: left[:limit], "next": left[limit - 1][key] if len(left) > limit else None}

    def new_round(self, data: bytes) -> Any:
        body, number = self._json(data), next(self.state.numbers)
        roster = {k for k, p in self.state.people.items() if p["grid"].startswith(tuple(body["areas"]))}
        self.state.rounds[number] = {"roster": roster, "state": "draft"}
        return {"id": number}

    def step(self, number: str, data: bytes) -> Any:
        found = self.state.rounds[int(number)]
        found["state"] = self._json(data)["to"]
        return {"id": int(number), "state": found["state"], "roster_size": len(found["roster"])}

    def gaps(self, _number: str, _: bytes) -> Any:
        return {"devices": []}

    def facts(self, data: bytes) -> Any:
        device = self.state.devices[self.headers["Authorization"].removeprefix("Device ")]
        body = self._json(data)
        assert len(body["facts"]) <= 500
        return {"receipts": self.state.take(body["facts"], device)}

    def desk_facts(self, data: bytes) -> Any:
        facts = self._json(data)["facts"]
        for fact in facts:
            if fact["kind"] == "journal.attention_settled":
                body = fact["body"]
                self.state.settled.add((body["code"], body["subject"], tuple(body["facts"])))
        return {"receipts": self.state.take(facts, self.headers["Authorization"])}

    def result_file(self, data: bytes) -> Any:
        rows = self._rows(data)
        for row in rows:
            natural = str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(row.values())))
            body = {"tube": row["管码"], "outcome": OUTCOMES[row["结果"]]}
            self.state.take([{"id": natural, "kind": "testing.result_read", "body": body}], "lab")
        return {"rows": len(rows), "refused": []}

    def results(self, _: bytes) -> Any:
        to_review = self.query["state"] == "to_review"
        rows = [r for r in self.state.results().values() if not r["released"] and (not r["reviewed"]) == to_review]
        return self._page("results", sorted(rows, key=lambda r: r["id"]), "id")

    def coverage(self, number: str, _: bytes) -> Any:
        rows = self.state.round_people(int(number))
        return {"area": {"pending": sum(r["outcome"] == "pending" and r["rostered"] for r in rows)}}

    def people(self, number: str, _: bytes) -> Any:
        return self._page("people", self.state.round_people(int(number)), "person")

    def tubes(self, number: str, _: bytes) -> Any:
        return self._page("tubes", self.state.round_tubes(int(number)), "tube")

    def round_figures(self, number: str, _: bytes) -> Any:
        return {"figures": self.state.figures([int(number)])}

    def operation_figures(self, _: bytes) -> Any:
        site = self.query.get("site")
        return {"figures": self.state.figures(list(self.state.rounds), int(site) if site else None)}

    def inbox(self, _: bytes) -> Any:
        cases = [{"code": "tube_contested", "subject": t, "facts": f} for t, f in self.state.contested().items()]
        return {"cases": cases, "kept": list(self.state.kept.values()), "next": None}

    def settle_kept(self, refused: str, _: bytes) -> Any:
        return self.state.kept.pop(refused)

    def new_bulletin(self, data: bytes) -> Any:
        number, id_ = self._json(data)["round"], next(self.state.numbers)
        figures = self.state.figures([number] if number else list(self.state.rounds))
        text = "; ".join(f"{key} {value:,}" for key, value in figures.items())
        self.state.bulletins[id_] = {"id": id_, "figures": figures, "text_zh": text, "text_en": text}
        return self.state.bulletins[id_]

    def publish(self, number: str, _: bytes) -> Any:
        return self.state.bulletins[int(number)]


ROUTES = {
    "health": "health",
    "first-admin": "first_admin",
    "log-in": "log_in",
    "welcome": "welcome",
    "accounts/import": "accounts",
    "operations": "operations",
    "areas/import": "areas",
    "operations/1/sites/import": "import_sites",
    "operations/1/sites": "sites",
    "operations/1/devices/import": "import_devices",
    "devices/pair": "pair",
    "operations/1/imports": "start_import",
    "imports/1": "import_state",
    "imports/1/commit": "commit",
    "imports/1/rows": "import_pages",
    "operations/1/rounds": "new_round",
    r"rounds/(\d+)/step": "step",
    r"rounds/(\d+)/gaps": "gaps",
    "facts": "facts",
    "operations/1/facts": "desk_facts",
    "operations/1/result-files": "result_file",
    "operations/1/results": "results",
    r"rounds/(\d+)/coverage": "coverage",
    r"rounds/(\d+)/people": "people",
    r"rounds/(\d+)/tubes": "tubes",
    r"rounds/(\d+)/figures": "round_figures",
    "operations/1/figures": "operation_figures",
    "operations/1/inbox": "inbox",
    r"operations/1/kept/(.+)": "settle_kept",
    "operations/1/bulletins": "new_bulletin",
    r"bulletins/(\d+)/publish": "publish",
}
