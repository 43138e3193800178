"""One round as the offices live it: an agenda of appointments on the district's clock.

The desk approves the round, opens it, works its inbox, uploads result files, reviews and releases them by two people,
opens the make-up session, excuses, closes, and publishes the bulletin. What must be decided is read from the inbox;
what is right is known from the truth, as staff on the telephone would find out.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dabai.testkit.replay import mishaps
from dabai.testkit.replay.custody import Batch, pack, runs
from dabai.testkit.replay.desk import Desk
from dabai.testkit.replay.field import RoundTruth, Tube, World, play_round
from dabai.testkit.replay.laboratory import result_file
from dabai.testkit.replay.ledger import expected_people
from dabai.testkit.replay.phones import parcels
from dabai.testkit.replay.reports import Reports, report
from dabai.testkit.replay.scenario import RoundPlan
from dabai.testkit.replay.senders import Senders
from dabai.testkit.replay.setting_up import Offices
from dabai.testkit.replay.wire import Refused

EVENING_BEFORE = timedelta(hours=6)
INBOX_EVERY = timedelta(hours=2)
CLOSING_BEFORE = timedelta(minutes=40)
RESULTS_PAGE = 500
CLOSING_TRIES = 5


@dataclass(order=True)
class Appointment:
    """Something that a desk does at a time."""

    at: datetime
    what: str = field(compare=False)
    do: Callable[[], None] = field(compare=False)


@dataclass
class Day:
    """A round: its truth, its reports, and what the desk still has to do."""

    offices: Offices
    senders: Senders
    plan: RoundPlan
    skew: dict[str, timedelta]
    truth: RoundTruth
    caught_up: Callable[[], None]
    reports: Reports | None = None
    batches: list[Batch] = field(default_factory=list)
    joined: set[str] = field(default_factory=set)
    findings: list[str] = field(default_factory=list)
    bulletin: dict[str, Any] = field(default_factory=dict)

    # ---- before

    def approve(self, first_seq: dict[str, int]) -> None:
        """Draft and approve the round, and put the phones' parcels in the post."""
        known = self.offices.known
        sites = {site.code: site.stations for site in self._sites()}
        body = {
            "number": self.plan.number,
            "name": self.plan.name,
            "pool_size": self.plan.pool_size,
            "areas": list(self.plan.communities),
            "groups": [],
            "starts_at": self.plan.starts_at.isoformat(),
            "ends_at": self.plan.ends_at.isoformat(),
            "sites": [{"site": known.sites[code], "stations": stations} for code, stations in sites.items()],
        }
        made = self.offices.manager.post(f"operations/{self.offices.operation}/rounds", body)
        known.rounds[self.plan.number] = made["id"]
        approved = self._step("approved", desk=self.offices.commander)
        if approved["roster_size"] != len(self.truth.due):
            self.findings.append(f"round {self.plan.number}: roster of {approved['roster_size']} at approval")
        self._write_reports(first_seq)

    def _sites(self) -> Iterator[Any]:
        number = self.plan.number
        yield from self.offices.scenario.sites_of(number, "sampling_point")
        yield from self.offices.scenario.sites_of(number, "checkpoint")

    def _write_reports(self, first_seq: dict[str, int]) -> None:
        boxes = pack(self.offices.scenario, self.truth)
        self.batches = runs(self.truth, boxes)
        self.reports = report(self.truth, boxes, self.batches, self.offices.known, self.skew)
        self.senders.receipts.expected_refusals |= self.reports.expected_refusals
        refused = self.reports.expected_refusals
        facts = [fact for own in self.reports.by_device.values() for fact in own if fact.id not in refused]
        odd = {tube.scanned for tube in self.truth.tubes if tube.mishap or tube.fate}
        self.senders.sabotage.aim(facts, odd, {person: key for key, person in self.offices.known.people.items()})
        self.senders.post(parcels(self.reports, self.offices.scenario.seed, self.batches), dict(first_seq))
        for device, own in self.reports.by_device.items():
            first_seq[device] = first_seq.get(device, 0) + len(own)

    # ---- the agenda

    def agenda(self) -> list[Appointment]:
        """The round from opening to bulletin."""
        plan = self.plan
        appointments = [
            Appointment(plan.sessions[0].start - timedelta(minutes=30), "open", lambda: self._to("running")),
            Appointment(plan.make_up.start - timedelta(minutes=5), "make_up", self._make_up),
            Appointment(plan.make_up.end, "excuse", self._excuse),
            Appointment(plan.closed_at - CLOSING_BEFORE, "closing", lambda: self._to("closing")),
            Appointment(plan.closed_at, "close", self._close),
        ]
        for batch in self.batches:
            appointments += self._laboratory(batch)
        moment = plan.sessions[0].start + timedelta(hours=3)
        while moment < plan.closed_at - CLOSING_BEFORE:
            appointments.append(Appointment(moment, "inbox", self._inbox))
            moment += INBOX_EVERY
        return sorted(appointments)

    def _laboratory(self, batch: Batch) -> list[Appointment]:
        minutes = [batch.read_at + timedelta(minutes=n) for n in (10, 25, 40)]
        return [
            Appointment(minutes[0], "upload", lambda: self._upload(batch)),
            Appointment(minutes[1], "review", self._review),
            Appointment(minutes[2], "release", self._release),
        ]

    def _step(self, to: str, *, desk: Desk | None = None, **more: Any) -> dict[str, Any]:
        number = self.offices.known.rounds[self.plan.number]
        body = {"to": to, "reason": "演练", **more}
        answer: dict[str, Any] = (desk or self.offices.manager).post(f"rounds/{number}/step", body)
        return answer

    def _to(self, state: str) -> None:
        self._step(state)

    # ---- laboratory

    def _upload(self, batch: Batch) -> None:
        """The technician uploads the file; a second time by mistake, which must not matter."""
        flipped = next((tube.label for tube in batch.tubes if self.senders.sabotage.take(tube)), None)
        file = result_file(batch, flip=flipped)
        fields = {"lab": str(self.offices.known.sites[batch.laboratory.code])}
        desk, path = self.offices.technician(batch.laboratory), f"operations/{self.offices.operation}/result-files"
        answers = [desk.upload(path, fields, file=file) for _ in range(2 if batch is self.batches[0] else 1)]
        for answer in answers:
            if answer["refused"]:
                self.findings.append(f"result file {file.name}: {answer['refused'][:3]}")
        if answers[0]["rows"] != len(batch.tubes):
            self.findings.append(f"result file {file.name}: {answers[0]['rows']} of {len(batch.tubes)} rows")

    def _review(self) -> None:
        self._decide("shenhe", "to_review", "testing.result_reviewed", {"verdict": "approved"}, spared=set())

    def _release(self) -> None:
        held = {tube.label for tube in self.truth.tubes if not tube.released}
        self._decide("qianfa", "to_release", "testing.result_released", {}, spared=held)

    def _decide(self, who: str, state: str, kind: str, more: dict[str, Any], spared: set[str]) -> None:
        """Review or release everything that lies there, laboratory by laboratory."""
        desk, path = self.offices.desks[who], f"operations/{self.offices.operation}/results"
        for laboratory in self.offices.scenario.laboratories:
            lab = self.offices.known.sites[laboratory.code]
            rows = list(desk.pages(path, "results", state=state, lab=lab))
            ids = [row["id"] for row in rows if row["tube"] not in spared]
            facts = [
                {"kind": kind, "body": {"lab": lab, "results": ids[n : n + RESULTS_PAGE], **more}}
                for n in range(0, len(ids), RESULTS_PAGE)
            ]
            desk.decide(self.offices.operation, facts)

    # ---- round manager

    def _make_up(self) -> None:
        """Open the make-up session; by now the people of a suspect pool must wait for their single swab."""
        self._to("make_up")
        suspects = [tube for tube in self.truth.tubes if tube.outcome == "suspect"]
        if not suspects:
            return
        number = self.offices.known.rounds[self.plan.number]
        with self._quiet():
            pending = self.offices.manager.get(f"rounds/{number}/coverage")["area"]["pending"]
        due = {person.key for person in self.truth.due}
        wanted = sum(swab.person.key in due for tube in suspects for swab in tube.swabs)
        if pending != wanted:
            self.findings.append(f"round {self.plan.number}: {pending} people pending a re-test, not {wanted}")

    def _excuse(self) -> None:
        known = self.offices.known
        facts = [
            {
                "kind": "testing.excused",
                "body": {
                    "round": known.rounds[self.plan.number],
                    "person": known.people[person.key],
                    "reason": "48小时内接种疫苗",
                },
            }
            for person in self.truth.excused
        ]
        self.offices.manager.decide(self.offices.operation, facts)

    def _inbox(self) -> None:
        """Settle what the telephone could clear up so far."""
        self._join()
        self._file_away()
        for case in self._open("cases"):
            if pair := self._pair(case):
                self._settle_claim(case, *pair)

    def _open(self, what: str) -> list[dict[str, Any]]:
        """The ``cases`` of the inbox that are open, or the refused facts that are ``kept`` there."""
        return list(self.offices.manager.pages(f"operations/{self.offices.operation}/inbox", what, state="open"))

    def _pair(self, case: dict[str, Any]) -> tuple[Tube, Tube] | None:
        """The two tubes that came with the barcode that this case is about."""
        for tube in self.truth.tubes:
            if tube.mishap in ("contested", "overtaken") and tube.scanned == case["subject"] and tube.partner:
                return tube, tube.partner
        return None

    def _settle_claim(self, case: dict[str, Any], *tubes: Tube) -> None:
        known = self.offices.known
        claims = [
            {
                "round": known.rounds[self.plan.number],
                "site": known.sites[tube.site.code],
                "station": tube.station,
                "becomes": tube.label,
            }
            for tube in tubes
        ]
        body = {"tube": case["subject"], "claims": claims, "facts": case["facts"], "reason": "两队同码，后者重新贴码"}
        self.offices.manager.decide(self.offices.operation, [{"kind": "testing.claim_settled", "body": body}])

    def _join(self) -> None:
        """Join records that the telephone showed to be one person, once the server has both."""
        assert self.reports is not None
        known = set(self.offices.known.people.values())
        for one, other in self.reports.joins:
            reported = self.senders.receipts.verdicts
            if one in self.joined or one not in reported or (other not in reported and other not in known):
                continue
            self.joined.add(one)
            body = {"one": one, "other": other, "reason": "电话核实为同一人"}
            self.offices.manager.decide(self.offices.operation, [{"kind": "people.merged", "body": body}])

    def _file_away(self) -> None:
        """Put away refused facts that were reported again rightly."""
        for kept in self._open("kept"):
            if kept["id"] in self.senders.receipts.expected_refusals:
                path = f"operations/{self.offices.operation}/kept/{kept['id']}"
                self.offices.manager.post(path, {"state": "attached", "reason": "已重新登记"})

    # ---- the end

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """While everything that has left has arrived and been worked off, and no phone sends more."""
        self.senders.settle(self.senders.clock.now())
        with self.senders.held():
            self.caught_up()
            yield

    def _close(self) -> None:
        """Everything that is on its way arrives; the rest is released, decided, explained, closed and published."""
        with self._quiet():
            self._inbox()
            self._review()
            self._release()
            self.caught_up()
            self._settle_rest()
        self.findings += [f"{kept['kind']} still lies in the inbox: {kept['code']}" for kept in self._open("kept")]
        self._close_with_reasons()
        self.bulletin = publish(self.offices, self.offices.known.rounds[self.plan.number])

    def _close_with_reasons(self) -> None:
        """Close with a reason for each phone that is listed; one more may fall silent while the reasons are typed."""
        number = self.offices.known.rounds[self.plan.number]
        for left in reversed(range(CLOSING_TRIES)):
            listed = self.offices.manager.get(f"rounds/{number}/gaps")["devices"]
            try:
                self._step("closed", silent={row["device"]: "电话确认已传完" for row in listed})
                return
            except Refused as refused:
                if refused.code != "testing.device_unexplained" or not left:
                    raise

    def _settle_rest(self) -> None:
        """Every case that is left was looked at."""
        facts = [
            {
                "kind": "journal.attention_settled",
                "body": {key: case[key] for key in ("code", "subject", "facts")} | {"reason": "已核实"},
            }
            for case in self._open("cases")
            if not self._pair(case)
        ]
        self.offices.manager.decide(self.offices.operation, facts)


def publish(offices: Offices, number: int | None) -> dict[str, Any]:
    """Draft and publish a bulletin of a round, or of the operation to date."""
    body = {"round": number, "cut_off": None, "comment": ""}
    draft = offices.commander.post(f"operations/{offices.operation}/bulletins", body)
    published: dict[str, Any] = offices.commander.post(f"bulletins/{draft['id']}/publish", {})
    return published


def make_day(
    offices: Offices,
    senders: Senders,
    world: World,
    plan: RoundPlan,
    *,
    skew: dict[str, timedelta],
    caught_up: Callable[[], None],
) -> Day:
    """Decide the truth of a round. Rounds must be made in their order: posts remember who has passed."""
    truth = play_round(world, plan)
    mishaps.go_wrong(truth, world.scenario.seed)
    if plan.number == world.scenario.field.get("held_back_in"):
        mishaps.held_back(truth, world.scenario.field["held_back"])
    return Day(offices, senders, plan, skew, truth, caught_up)


def waiting_people(days: list[Day]) -> int:
    """How many people still wait for a result when the story ends."""
    return sum(e.outcome == "awaiting" for day in days for e in expected_people(day.truth).values())
