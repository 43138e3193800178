"""A replay from the empty installation to the verdict."""

import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from dabai.testkit.replay import reports
from dabai.testkit.replay.day import EVENING_BEFORE, Appointment, Day, make_day, publish, waiting_people
from dabai.testkit.replay.field import World
from dabai.testkit.replay.people import Person, roster
from dabai.testkit.replay.phones import wrong_clocks
from dabai.testkit.replay.scenario import Scenario, ScenarioError
from dabai.testkit.replay.senders import Receipts, Sabotage, Senders
from dabai.testkit.replay.setting_up import Offices, Progress, set_up
from dabai.testkit.replay.verdict import Verdict, judge
from dabai.testkit.replay.wire import Clock, Wire

CATCH_UP_SECONDS = 300
SABOTAGES = ("drop", "rebind", "double", "wrong-result")


class Server(Protocol):
    """Where the replay takes place: a server of its own, or one that somebody else runs on a drill clock."""

    @property
    def url(self) -> str:
        """Where it answers."""

    def start(self, scenario: Scenario) -> str:
        """Make it ready for the evening before the scenario starts; the first administrator's token."""

    def morning(self, scenario: Scenario) -> None:
        """Let its clock run from the scenario's start, at the scenario's rate."""


@dataclass
class Replay:
    """One replay. ``seconds``: how long each part took in real time."""

    scenario: Scenario
    server: Server
    progress: Progress
    sabotage: Sabotage
    seconds: dict[str, float] = field(default_factory=dict)
    days: list[Day] = field(default_factory=list)
    first_seq: dict[str, int] = field(default_factory=dict)
    offices: Offices | None = None

    def run(self) -> Verdict:
        """Set up, replay, compare."""
        people = self._timed("roster", lambda: roster(self.scenario))
        token = self._timed("server", lambda: self.server.start(self.scenario))
        self.wire = Wire(self.server.url)
        try:
            return self._through(people, token)
        finally:
            self.wire.close()

    def _through(self, people: list[Person], token: str) -> Verdict:
        self.offices = self._timed("set_up", lambda: set_up(self.wire, self.scenario, people, token, self.progress))
        self._timed("approval", lambda: self._make_days(World(self.scenario, people)))
        self._timed("server", lambda: self.server.morning(self.scenario))
        to_date = self._timed("replay", self._live)
        verdict: Verdict = self._timed("comparison", lambda: self._judge(to_date))
        return verdict

    def _timed(self, what: str, do: Callable[[], Any]) -> Any:
        start = time.monotonic()
        try:
            return do()
        finally:
            self.seconds[what] = round(self.seconds.get(what, 0) + time.monotonic() - start, 1)

    def _make_days(self, world: World) -> None:
        """Decide the truth of all rounds, and approve the first."""
        assert self.offices is not None
        self.clock = Clock(self.wire)
        self.receipts = Receipts()
        self.senders = Senders(self.wire, self.clock, self.receipts, self.sabotage)
        phones = [reports.phone_of(site, n) for site in self.scenario.points for n in range(1, site.stations + 1)]
        skew = wrong_clocks(random.Random(f"{self.scenario.seed}/clocks"), phones)
        for plan in self.scenario.rounds:
            day = make_day(self.offices, self.senders, world, plan, skew=skew, caught_up=self._caught_up)
            self.days.append(day)
        self.days[0].approve(self.first_seq)

    def _live(self) -> dict[str, Any]:
        """Keep every appointment in its time, while the phones send. The bulletin of the operation comes last."""
        assert self.offices is not None
        self.clock.set_anew()
        if self.clock.now() > self.days[0].plan.sessions[0].start:
            raise ScenarioError(f"the server's clock is past the first session: {self.clock.now():%Y-%m-%d %H:%M}")
        self.senders.start(self.offices.tokens, self.days[0].skew)
        agenda = self.days[0].agenda()
        for day in self.days[1:]:
            agenda.append(Appointment(day.plan.starts_at - EVENING_BEFORE, "approve", self._approval(day, agenda)))
        heapq.heapify(agenda)
        try:
            while agenda:
                appointment = heapq.heappop(agenda)
                self._wait_until(appointment.at)
                appointment.do()
            self.senders.settle(self.clock.now())
            self._caught_up()
            self._tell(self.scenario.end)
            return publish(self.offices, None)
        finally:
            self.senders.stop()

    def _approval(self, day: Day, agenda: list[Appointment]) -> Callable[[], None]:
        def approve() -> None:
            day.approve(self.first_seq)
            for appointment in day.agenda():
                heapq.heappush(agenda, appointment)

        return approve

    def _wait_until(self, moment: datetime) -> None:
        """Wait on the drill clock, telling how far the story has come: no further than what has been done of it."""
        while True:
            now = self.clock.now()
            self._tell(min(now, moment, self.senders.next_at(now)))
            if now >= moment:
                return
            time.sleep(min(0.25, max(0.001, self.clock.seconds_until(moment))))

    def _tell(self, moment: datetime) -> None:
        whole, done = (int((at - self.scenario.start).total_seconds()) for at in (self.scenario.end, moment))
        self.progress("replay", max(0, min(whole, done)), whole)

    def _caught_up(self) -> None:
        """Wait until the worker has derived everything from what has come in."""
        end = time.monotonic() + CATCH_UP_SECONDS
        while self.clock.ask()["waiting"]:
            if time.monotonic() > end:
                raise ScenarioError("the worker did not catch up")
            time.sleep(0.1)

    def _judge(self, to_date: dict[str, Any]) -> Verdict:
        assert self.offices is not None
        findings = [finding for day in self.days for finding in day.findings]
        problems = self.receipts.problems[:20] + findings[:20]
        if len(self.receipts.problems) > 20:
            problems.append(f"{len(self.receipts.problems)} problems with receipts in all")
        verdict = judge(self.offices, self.days, to_date, problems)
        verdict.sabotage = {kind: bool(people & verdict.wrong) for kind, people in self.sabotage.people.items()}
        verdict.counts = {
            "facts": self.receipts.facts,
            "requests": self.receipts.requests,
            "still_waiting": waiting_people(self.days),
            "rate": self.clock.rate,
            "seconds": self.seconds,
        }
        return verdict


def evening(scenario: Scenario) -> datetime:
    """When the set-up takes place: the day before."""
    return scenario.start - timedelta(hours=12)
