"""What really happens at the points: who comes, when, to which station, and into which tube.

This is the truth of the replay. What phones report about it (``reports``) may be wrong, late or missing at first; the
ledger is written from here. Everything is drawn from the scenario's seed, so a replay can be repeated.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from dabai.testkit.replay.labels import Labels
from dabai.testkit.replay.names import TRAVELLER_AREAS, Numbers
from dabai.testkit.replay.people import RESIDENT_ID, Person, travellers
from dabai.testkit.replay.scenario import RoundPlan, Scenario, SitePlan, Span, share

POST_HOURS = (time(6, 30), time(18, 30))
DEFERRED = 0.03
NEVER_CAME = {"excused": 30, "refused": 15, "absent": 20, "silent": 35}


@dataclass(slots=True)
class Swab:
    """One person swabbed once. ``way``: how the phone knows them (see ``reports``)."""

    person: Person
    at: datetime
    way: str = "listed"


@dataclass(slots=True, eq=False)
class Tube:
    """A tube as it stands in the rack. ``label`` is what the laboratory reads in the end, ``scanned`` what the phone
    read first: two tubes may have come with the same barcode. ``fate``: empty, ``voided`` or ``rejected``."""

    label: str
    scanned: str
    site: SitePlan
    station: int
    swabs: list[Swab]
    single: bool
    sealed_at: datetime
    make_up: bool = False
    fate: str = ""
    mishap: str = ""
    partner: "Tube | None" = None
    outcome: str = "negative"
    released: bool = True

    @property
    def valid(self) -> bool:
        return not self.fate


@dataclass
class RoundTruth:
    """One round as it really goes."""

    plan: RoundPlan
    due: list[Person]
    labels: Labels
    tubes: list[Tube] = field(default_factory=list)
    excused: list[Person] = field(default_factory=list)
    attempts: list[tuple[Person, str, SitePlan, datetime]] = field(default_factory=list)

    @property
    def person_times(self) -> int:
        return sum(len(tube.swabs) for tube in self.tubes if tube.valid)


@dataclass
class World:
    """The scenario with its people, and who has passed the posts so far."""

    scenario: Scenario
    roster: list[Person]
    passed: dict[str, list[Person]] = field(default_factory=dict)
    strangers: int = 0
    numbers: list[Numbers] = field(default_factory=lambda: [Numbers(area) for area in TRAVELLER_AREAS])

    def new_people(self, what: str, count: int) -> list[Person]:
        """People on no roster, with keys after those of the roster."""
        first = len(self.roster) + self.strangers
        self.strangers += count
        return travellers(self.scenario, what, count, first, self.numbers)

    def due(self, plan: RoundPlan) -> list[Person]:
        wanted = set(plan.communities)
        return [person for person in self.roster if person.grid[:12] in wanted]


Queue = list[Person]
Station = tuple[SitePlan, int]


def play_round(world: World, plan: RoundPlan) -> RoundTruth:
    """The truth of one round, before anything goes wrong."""
    rng = random.Random(f"{world.scenario.seed}/round/{plan.number}")
    truth = RoundTruth(plan, world.due(plan), Labels(batch=plan.number))
    comers, visitors = _who_comes(world, plan, truth.due)
    queues = _queues(world.scenario, plan, comers)
    _mix_in(rng, queues, visitors)
    retested = _make_room_for_retests(world.scenario, plan, queues)
    late = _deferred(rng, truth, queues, keep=retested)
    for (site, station), queue in queues.items():
        truth.tubes += _station_day(world.scenario, truth, site, station, queue)
    for site, people in late.items():
        truth.tubes += make_up_tubes(truth, site, people)
    _mark_retests(truth, retested)
    _never_came(rng, truth, queues, late)
    truth.tubes += _posts(world, truth)
    _spot(rng, world.scenario, truth)
    return truth


def _who_comes(world: World, plan: RoundPlan, due: list[Person]) -> tuple[list[Person], list[Person]]:
    """(people of the roster, visitors) who make the round's person-times together."""
    if plan.everybody:
        return due, []
    rng = random.Random(f"{world.scenario.seed}/comers/{plan.number}")
    visitors = max(int(plan.person_times * world.scenario.field["visitors"]), plan.person_times - len(due))
    chosen = sorted(rng.sample(range(len(due)), plan.person_times - visitors))
    return [due[n] for n in chosen], world.new_people(f"visitors/{plan.number}", visitors)


def _queues(scenario: Scenario, plan: RoundPlan, comers: Sequence[Person]) -> dict[Station, Queue]:
    """People go to the points of their community, neighbours together; every station has somebody where that can be."""
    by_community: dict[str, list[Person]] = defaultdict(list)
    for person in comers:
        by_community[person.grid[:12]].append(person)
    queues: dict[Station, Queue] = {}
    for community in plan.communities:
        sites = [s for s in scenario.sites_of(plan.number, "sampling_point") if s.area.startswith(community)]
        stations = [(site, number) for site in sites for number in range(1, site.stations + 1)]
        people = by_community[community]
        # Points first, so that none stays empty in a small replay.
        sizes = dict(zip(_points_first(stations), share(len(people), [1] * len(stations)), strict=True))
        start = 0
        for station in stations:
            queues[station] = people[start : start + sizes[station]]
            start += sizes[station]
    return queues


def _points_first(stations: list[Station]) -> list[Station]:
    return sorted(stations, key=lambda station: station[1])


def _mix_in(rng: random.Random, queues: dict[Station, Queue], visitors: list[Person]) -> None:
    stations = list(queues)
    for person in visitors:
        queue = queues[rng.choice(stations)]
        queue.insert(rng.randrange(len(queue) + 1), person)


def _make_room_for_retests(scenario: Scenario, plan: RoundPlan, queues: dict[Station, Queue]) -> Queue:
    """People whose pool will be read as suspect: the first tube of the fullest station. Their second swabs count too,
    so as many others stay away."""
    if plan.everybody or not scenario.field["retests"]:
        return []
    fullest = max(queues, key=lambda station: _length(queues, station))
    retested = [person for person in queues[fullest] if not person.group][: plan.pool_size]
    chosen = {person.key for person in retested}
    queues[fullest] = retested + [person for person in queues[fullest] if person.key not in chosen]
    for _ in retested:
        queues[max((s for s in queues if s != fullest), key=lambda station: _length(queues, station))].pop()
    return retested


def _length(queues: dict[Station, Queue], station: Station) -> tuple[int, str, int]:
    return len(queues[station]), station[0].code, station[1]


def _deferred(
    rng: random.Random, truth: RoundTruth, queues: dict[Station, Queue], keep: Queue
) -> dict[SitePlan, list[Person]]:
    """Some of the roster are away or refuse at first, and come to the make-up session after all."""
    kept = {person.key for person in keep}
    late: dict[SitePlan, list[Person]] = defaultdict(list)
    for (site, _), queue in queues.items():
        count = sum(rng.random() < DEFERRED for _ in queue)
        for person in [p for p in queue if p.grid and p.key not in kept][1 : 1 + count]:
            queue.remove(person)
            late[site].append(person)
            outcome = "refused" if rng.random() < 0.3 else "absent"
            truth.attempts.append((person, outcome, site, _within(rng, truth.plan.sessions[-1])))
    return late


def _within(rng: random.Random, span: Span) -> datetime:
    return span.start + timedelta(seconds=int(rng.random() * span.seconds))


def _station_day(scenario: Scenario, truth: RoundTruth, site: SitePlan, station: int, queue: Queue) -> Iterator[Tube]:
    """The tubes of a station, spread over the round's sessions."""
    pools = list(_pools(queue, truth.plan.pool_size))
    sessions = truth.plan.sessions
    step = sum(span.seconds for span in sessions) / max(1, len(pools))
    pace = min(scenario.field["seconds_per_swab"], step / (truth.plan.pool_size + 1))
    for n, pool in enumerate(pools):
        start = _moment(sessions, n * step, room=pace * (len(pool) + 1))
        yield _tube(truth, site, station, pool, start, pace)


def _pools(queue: Queue, size: int) -> Iterator[Queue]:
    """Tubes in the order in which people stand: single for key groups, pooled for the others."""
    pool: Queue = []
    for person in queue:
        if person.group:
            yield [person]
            continue
        pool.append(person)
        if len(pool) == size:
            yield pool
            pool = []
    if pool:
        yield pool


def _moment(sessions: Sequence[Span], seconds: float, room: float) -> datetime:
    """The moment that many seconds into the sessions laid end to end, early enough to leave ``room`` before the end."""
    for span in sessions[:-1]:
        if seconds < span.seconds:
            return span.start + timedelta(seconds=round(min(seconds, max(0, span.seconds - room)), 3))
        seconds -= span.seconds
    last = sessions[-1]
    return last.start + timedelta(seconds=round(min(seconds, max(0, last.seconds - room)), 3))


def _tube(truth: RoundTruth, site: SitePlan, station: int, pool: Queue, start: datetime, pace: float) -> Tube:
    swabs = [Swab(person, start + timedelta(seconds=round(pace * n, 3))) for n, person in enumerate(pool)]
    text = truth.labels.next("T")
    sealed = start + timedelta(seconds=round(pace * len(pool), 3))
    return Tube(text, text, site, station, swabs, single=bool(pool[0].group), sealed_at=sealed)


def make_up_tubes(truth: RoundTruth, site: SitePlan, people: Queue, *, single: bool = False) -> list[Tube]:
    """Tubes of the make-up session at station 1 of a site; each call stands behind the earlier ones in the queue."""
    before = sum(len(tube.swabs) + 1 for tube in truth.tubes if tube.make_up and tube.site == site)
    pools = [[person] for person in people] if single else list(_pools(people, truth.plan.pool_size))
    tubes = []
    for pool in pools:
        start = truth.plan.make_up.start + timedelta(seconds=30 * before)
        tube = _tube(truth, site, 1, pool, start, pace=30)
        tube.make_up, tube.single = True, tube.single or single
        before += len(pool) + 1
        tubes.append(tube)
    return tubes


def _mark_retests(truth: RoundTruth, retested: Queue) -> None:
    """The pool that is read as suspect, and the single swabs that clear its people."""
    if not retested:
        return
    first = retested[0].key
    pool = next(tube for tube in truth.tubes if tube.swabs[0].person.key == first and not tube.make_up)
    pool.outcome, pool.mishap = "suspect", "suspect"
    people = [swab.person for swab in pool.swabs]
    truth.tubes += make_up_tubes(truth, pool.site, people, single=True)


def _never_came(
    rng: random.Random, truth: RoundTruth, queues: dict[Station, Queue], late: dict[SitePlan, list[Person]]
) -> None:
    """What is known of those due who did not come: excused by the desk, noted as refused or absent, or nothing."""
    came = {person.key for queue in queues.values() for person in queue}
    came |= {person.key for people in late.values() for person in people}
    sites = list({site: None for site, _ in queues})
    for person in truth.due:
        if person.key in came:
            continue
        what = rng.choices(list(NEVER_CAME), list(NEVER_CAME.values()))[0]
        if what == "excused":
            truth.excused.append(person)
        elif what != "silent":
            near = [site for site in sites if site.area.startswith(person.grid[:12])]
            truth.attempts.append((person, what, near[0], _within(rng, truth.plan.make_up)))


def _posts(world: World, truth: RoundTruth) -> Iterator[Tube]:
    """The travellers swabbed at the two posts on the days of this round."""
    days = [day for plan in world.scenario.rounds for day in plan.posts]
    for site in world.scenario.sites_of(truth.plan.number, "checkpoint"):
        counts = dict(zip(days, share(world.scenario.posts[site.code], [1] * len(days)), strict=True))
        for day in truth.plan.posts:
            yield from _post_day(world, truth, site, day, counts[day])


def _post_day(world: World, truth: RoundTruth, site: SitePlan, day: date, count: int) -> Iterator[Tube]:
    """One day at a post: some have passed before, one in twenty lives in the district outside the round's scope."""
    rng = random.Random(f"{world.scenario.seed}/{site.code}/{day}")
    known = world.passed.setdefault(site.code, [])
    again = rng.sample(known, min(len(known), int(count * 0.3)))
    residents = _residents_elsewhere(rng, world, truth, int(count * 0.05))
    new = world.new_people(f"{site.code}/{day}", count - len(again) - len(residents))
    known += new
    people = [*again, *residents, *new]
    rng.shuffle(people)
    zone = truth.plan.starts_at.tzinfo
    span = Span(*(datetime.combine(day, hour, zone) for hour in POST_HOURS))
    for station in range(1, site.stations + 1):
        queue = [_without_group(person) for person in people[station - 1 :: site.stations]]
        pools = list(_pools(queue, truth.plan.pool_size))
        step = span.seconds / max(1, len(pools))
        for n, pool in enumerate(pools):
            yield _tube(truth, site, station, pool, _moment([span], n * step, 600), pace=min(50.0, step / 11))


def _without_group(person: Person) -> Person:
    """A post knows nothing of key groups: everybody is pooled."""
    return person._replace(group="")


def _residents_elsewhere(rng: random.Random, world: World, truth: RoundTruth, count: int) -> list[Person]:
    people: list[Person] = []
    while len(people) < count:
        person = rng.choice(world.roster)
        if person.grid[:12] not in truth.plan.communities and person.kind == RESIDENT_ID and person not in people:
            people.append(person)
    return people


def _spot(rng: random.Random, scenario: Scenario, truth: RoundTruth) -> None:
    """How the phone knows each person: from its list, or by registering them on the spot with their document."""
    on_list = {person.key for person in truth.due}
    for tube in truth.tubes:
        for swab in tube.swabs:
            stranger = swab.person.key not in on_list
            if stranger or (swab.person.kind == RESIDENT_ID and rng.random() < scenario.field["spot"]):
                swab.way = "spot"
