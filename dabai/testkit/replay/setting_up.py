"""What stands before the first swab: log-ins, areas, points, phones, the roster, all through the desk's doors."""

import csv
import io
import json
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

from dabai.testkit.replay import reports
from dabai.testkit.replay.desk import Account, Desk, first_administrator, welcome
from dabai.testkit.replay.people import Person, as_csv
from dabai.testkit.replay.reports import Known
from dabai.testkit.replay.scenario import Scenario, ScenarioError, SitePlan
from dabai.testkit.replay.wire import File, Wire

Progress = Callable[[str, int, int], None]
ADMINISTRATOR = "guanli"
# Who sits at the desks of a drill: name, what they are called, where they belong, role.
DESKS = (
    ("zhihui", "指挥部值班", "区疫情防控指挥部", "commander"),
    ("lunci", "轮次管理", "区卫生健康委", "round_manager"),
    ("shenhe", "结果审核", "区疾控中心", "lab_reviewer"),
    ("qianfa", "结果签发", "区疾控中心", "lab_reviewer"),
    ("wangge", "网格员", "村居", "grid_worker"),
    ("shenji", "审计", "区审计局", "auditor"),
)
APP = "replay/1"
PAIRING_THREADS = 4
# Places and areas come to the points in files of this form.
SITE_COLUMNS = ("code", "kind", "name", "area", "address", "longitude", "latitude", "stations")
ACCOUNT_COLUMNS = ("username", "display_name", "organisation", "role", "area", "valid_from")
DEVICE_COLUMNS = ("device", "kind", "site", "area", "username")


@dataclass
class Offices:
    """The desks, the paired devices and what the server has told us."""

    wire: Wire
    scenario: Scenario
    known: Known = field(default_factory=Known)
    operation: int = 0
    desks: dict[str, Desk] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def commander(self) -> Desk:
        return self.desks["zhihui"]

    @property
    def manager(self) -> Desk:
        return self.desks["lunci"]

    @property
    def log_ins(self) -> list[Account]:
        return [desk.account for desk in self.desks.values()]

    def technician(self, laboratory: SitePlan) -> Desk:
        return self.desks[reports.technician(laboratory)]


def new_password() -> str:
    """For one drill; it is printed and kept nowhere."""
    return f"drill-{secrets.token_hex(4)}-{secrets.token_hex(2)}"


def set_up(wire: Wire, scenario: Scenario, roster: list[Person], first_admin: str, progress: Progress) -> Offices:
    """Prepare an empty installation for the scenario, as its administrator, commander and round manager would."""
    offices = Offices(wire, scenario)
    offices.desks[ADMINISTRATOR] = desk = Desk(wire, Account(ADMINISTRATOR, new_password()))
    first_administrator(wire, first_admin, desk.account)
    desk.log_in()
    _accounts(offices, progress)
    _operation_and_places(offices)
    _devices(offices, progress)
    _roster(offices, roster, progress)
    return offices


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _all_taken(answer: dict[str, object], what: str) -> None:
    if answer.get("refused"):
        raise ScenarioError(f"{what}: {json.dumps(answer['refused'], ensure_ascii=False)[:500]}")


def _accounts(offices: Offices, progress: Progress) -> None:
    """Everybody's account from one spreadsheet; those who sit at a desk set a password from their slip."""
    scenario = offices.scenario
    since = (scenario.start - timedelta(days=1)).isoformat()
    district = str(scenario.operation["district"])
    rows = [(name, shown, place, role, district, since) for name, shown, place, role in DESKS]
    rows += [(name, name, "采样队", role, area, since) for name, role, area in staff(scenario)]
    answer = offices.desks[ADMINISTRATOR].upload(
        "accounts/import", {}, file=File("accounts.csv", table(ACCOUNT_COLUMNS, rows))
    )
    _all_taken(answer, "accounts")
    slips = {slip["username"]: slip["token"] for slip in answer["slips"]}
    at_desks = [name for name, *_ in DESKS] + [reports.technician(lab) for lab in scenario.laboratories]
    for n, name in enumerate(at_desks, start=1):
        account = Account(name, new_password())
        welcome(offices.wire, slips[name], account)
        offices.desks[name] = Desk(offices.wire, account)
        offices.desks[name].log_in()
        progress("accounts", n, len(at_desks))


def staff(scenario: Scenario) -> list[tuple[str, str, str]]:
    """(username, role, area) of those who work with phones."""
    district = str(scenario.operation["district"])
    people = [
        (reports.sampler(site, station), "registrar", site.area)
        for site in scenario.points
        for station in range(1, site.stations + 1)
    ]
    people += [(reports.packer(site), "packer", site.area) for site in scenario.points]
    people += [(reports.courier(n), "courier", district) for n in range(scenario.field["couriers"])]
    return people + [(reports.technician(lab), "lab_technician", district) for lab in scenario.laboratories]


def _operation_and_places(offices: Offices) -> None:
    scenario = offices.scenario
    wanted = {key: scenario.operation[key] for key in ("district", "name", "kind", "profile")}
    offices.operation = offices.commander.post("operations", wanted)["id"]
    for n, path in enumerate(scenario.area_files):
        files = {"file": File(path.name, path.read_bytes())}
        if n == 0:
            files["boundaries"] = File(scenario.boundary.name, scenario.boundary.read_bytes())
        _all_taken(offices.manager.upload("areas/import", {}, **files), path.name)
    rows = [(s.code, s.kind, s.name, s.area, "", "", "", s.stations) for s in _all_sites(scenario)]
    place = f"operations/{offices.operation}/sites"
    answer = offices.manager.upload(f"{place}/import", {}, file=File("sites.csv", table(SITE_COLUMNS, rows)))
    _all_taken(answer, "sites")
    offices.known.sites = {site["code"]: site["id"] for site in offices.manager.get(place)["sites"]}


def _all_sites(scenario: Scenario) -> list[SitePlan]:
    return scenario.points + scenario.laboratories


def devices(scenario: Scenario) -> list[tuple[str, str, str, str, str]]:
    """(name, kind, site, area, holder) of every phone and of the laboratories' readers."""
    rows = [
        (reports.phone_of(site, station), "phone", site.code, "", reports.sampler(site, station))
        for site in scenario.points
        for station in range(1, site.stations + 1)
    ]
    rows += [(reports.packer_of(site), "phone", site.code, "", reports.packer(site)) for site in scenario.points]
    district = str(scenario.operation["district"])
    rows += [
        (reports.courier_phone(n), "phone", "", district, reports.courier(n)) for n in range(scenario.field["couriers"])
    ]
    return rows + [
        (reports.reader_of(lab), "lab", lab.code, "", reports.technician(lab)) for lab in scenario.laboratories
    ]


def _devices(offices: Offices, progress: Progress) -> None:
    """One spreadsheet, one slip a device, and each device pairs itself with its code."""
    rows = devices(offices.scenario)
    answer = offices.desks[ADMINISTRATOR].upload(
        f"operations/{offices.operation}/devices/import",
        {},
        file=File("devices.csv", table(DEVICE_COLUMNS, rows)),
    )
    _all_taken(answer, "devices")
    with ThreadPoolExecutor(PAIRING_THREADS) as pool:
        pairs = pool.map(lambda slip: _pair(offices.wire, slip["name"], slip["code"]), answer["slips"])
        for n, (name, token) in enumerate(pairs, start=1):
            offices.tokens[name] = token
            progress("devices", n, len(rows))


def _pair(wire: Wire, name: str, code: str) -> tuple[str, str]:
    answer = wire.post("/api/v1/devices/pair", {}, {"code": code, "name": name, "app": APP})
    return name, answer["token"]


def _roster(offices: Offices, roster: list[Person], progress: Progress) -> None:
    """Upload the list, wait until it is staged, see that nothing was refused, learn who is who, commit."""
    scenario, manager = offices.scenario, offices.manager
    fields = {"purpose": "residents", "label": scenario.name, "area": str(scenario.operation["district"])}
    file = File(f"{scenario.name}.csv", b"".join(as_csv(roster)))
    staged = manager.upload(f"operations/{offices.operation}/imports", fields, file=file)
    number = staged["id"]
    counts = manager.wait_for_import(number, "staged", on_progress=lambda n, of: progress("staging", n, of))["counts"]
    if counts.get("added") != len(roster):
        raise ScenarioError(f"roster: {counts} of {len(roster)} rows")
    rows = list(manager.pages(f"imports/{number}/rows", "rows"))  # the review; after the commit they are gone
    manager.post(f"imports/{number}/commit", {})
    manager.wait_for_import(number, "committed", on_progress=lambda n, of: progress("committing", n, of))
    offices.known.people = {row["row"] - 2: row["person"] for row in rows}
    if len(offices.known.people) != len(roster):
        raise ScenarioError("roster: not every row became a person")
