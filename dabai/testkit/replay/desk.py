"""The offices' side of the public interface (``/api/v1/desk``): one log-in, one method a request."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dabai.testkit.replay.wire import File, Refused, Wire

BASE = "/api/v1/desk"
PAGE = 5000
FACTS_AT_ONCE = 500


@dataclass
class Account:
    """A log-in of a drill. The password exists nowhere but here and in the drill's database."""

    username: str
    password: str
    token: str = ""


@dataclass
class Desk:
    """Somebody at a desk."""

    wire: Wire
    account: Account
    receipts: list[Mapping[str, Any]] = field(default_factory=list)

    def log_in(self) -> None:
        who = {"username": self.account.username, "password": self.account.password}
        self.account.token = self.wire.post(f"{BASE}/log-in", {}, who)["token"]

    def get(self, path: str, **query: object) -> Any:
        return self._again_when_logged_out(lambda: self.wire.get(f"{BASE}/{path}", self._headers, **query))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._again_when_logged_out(lambda: self.wire.post(f"{BASE}/{path}", self._headers, body))

    def upload(self, path: str, fields: Mapping[str, str], **files: File) -> Any:
        return self._again_when_logged_out(lambda: self.wire.upload(f"{BASE}/{path}", self._headers, fields, **files))

    def pages(self, path: str, key: str, **query: object) -> Iterator[Any]:
        """Every item of a list that comes in pages."""
        after: object = None
        while True:
            answer = self.get(path, after=after, limit=PAGE, **query)
            yield from answer[key]
            after = answer["next"]
            if after is None:
                return

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.account.token}"}

    def _again_when_logged_out(self, ask: Any) -> Any:
        """A log-in ends after some hours, and a drill's hours are short."""
        try:
            return ask()
        except Refused as refused:
            if refused.status != 401:
                raise
            self.log_in()
            return ask()

    # ---- decisions are facts

    def decide(self, operation: int, facts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Report decisions; their receipts. A refused one is a fault of the replay or of the server."""
        receipts: list[Mapping[str, Any]] = []
        for n in range(0, len(facts), FACTS_AT_ONCE):
            chunk = list(facts[n : n + FACTS_AT_ONCE])
            answer = self.post(f"operations/{operation}/facts", {"facts": chunk})
            receipts += answer["receipts"]
        for fact, receipt in zip(facts, receipts, strict=True):
            if receipt["verdict"] != "accepted":
                raise Refused(200, str(receipt.get("code")), receipt.get("field"), str(fact["kind"]))
        return receipts

    # ---- imports take a while

    def wait_for_import(self, number: int, wanted: str, *, on_progress: Any = None) -> dict[str, Any]:
        """Wait until an import is ``staged`` or ``committed``."""
        while True:
            state: dict[str, Any] = self.get(f"imports/{number}")
            if on_progress:
                on_progress(state.get("rows_done") or 0, state.get("rows_total") or 0)
            if state["state"] == wanted:
                return state
            if state["state"] in ("failed", "discarded"):
                raise Refused(200, "import_failed", str(state.get("error")), f"import {number}")
            time.sleep(0.2)


def first_administrator(wire: Wire, token: str, account: Account) -> None:
    """Use the one-time link of a new installation."""
    who = {"token": token, "username": account.username, "display_name": "系统管理员", "password": account.password}
    wire.post(f"{BASE}/first-admin", {}, who)


def welcome(wire: Wire, token: str, account: Account) -> None:
    """Use the one-time link on somebody's slip."""
    wire.post(f"{BASE}/welcome", {}, {"token": token, "password": account.password})
