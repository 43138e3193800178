"""A day's results: from the laboratory's file to the last person whom they concern."""

import csv
import io
import time

from dabai.testkit.replay.desk import Desk
from dabai.testkit.replay.wire import File
from tests.load.board import desk_of, wait_for_worker
from tests.load.figure import Figure, at_most
from tests.load.rounds import Planned, past_round
from tests.load.stage import Stage

IN_A_FACT = 500
IN_A_REQUEST = 100
PATIENCE = 300.0


def results(stage: Stage) -> list[Figure]:
    """A file of every tube of a round: uploaded, reviewed, released, and seen for everybody on the board."""
    planned = past_round(stage.place, stage.world, days_ago=1, resulted=False)
    content = result_file(planned)
    stage.place.checkpoint()
    with stage.place.web() as port, stage.place.worker():
        technician, reviewer, commander = (
            desk_of(port, one) for one in ("lab_technician", "lab_reviewer", "commander")
        )
        wait_for_worker(port)
        steps, started = {}, time.monotonic()
        for name, step in (
            ("upload", lambda: upload(stage, technician, content)),
            (
                "review",
                lambda: decide(stage, reviewer, "to_review", "testing.result_reviewed", {"verdict": "approved"}),
            ),
            ("release", lambda: decide(stage, reviewer, "to_release", "testing.result_released", {})),
            ("seen", lambda: wait_until_seen(stage, commander, planned.row.pk)),
        ):
            before = time.monotonic()
            step()
            steps[name] = round(time.monotonic() - before, 2)
        seconds = time.monotonic() - started
    about = {"steps": steps, "tubes": len(planned.tubes), "people": stage.people, "samples": stage.world.samples}
    return [at_most("results_100k", seconds, 30.0, **about)]


def result_file(planned: Planned) -> bytes:
    """What an instrument's computer writes."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["管码", "结果", "检测时间", "ORF1ab", "N"])
    read_at = planned.start.strftime("%Y-%m-%d 23:%M:%S")
    writer.writerows([tube, "阴性", read_at, "", ""] for tube in planned.tubes)
    return text.getvalue().encode()


def upload(stage: Stage, desk: Desk, content: bytes) -> None:
    """The file through the desk's door."""
    laboratory = str(stage.world.laboratory.pk)
    file = File("results.csv", content)
    answer = desk.upload(f"operations/{stage.world.operation}/result-files", {"lab": laboratory}, file=file)
    if answer["accepted"] != answer["rows"]:
        raise SystemExit(
            f"only {answer['accepted']} of {answer['rows']} results were accepted: {answer['refused'][:3]}"
        )


def decide(stage: Stage, desk: Desk, state: str, kind: str, more: dict[str, str]) -> None:
    """Everything on a worklist, 500 results a fact, as a reviewer does who marks all."""
    operation, laboratory = stage.world.operation, stage.world.laboratory.pk
    ids = [one["id"] for one in desk.pages(f"operations/{operation}/results", "results", state=state, lab=laboratory)]
    facts = [
        {"kind": kind, "body": {"lab": laboratory, "results": ids[n : n + IN_A_FACT], **more}}
        for n in range(0, len(ids), IN_A_FACT)
    ]
    for n in range(0, len(facts), IN_A_REQUEST):
        desk.decide(operation, facts[n : n + IN_A_REQUEST])


def wait_until_seen(stage: Stage, desk: Desk, round_id: int) -> None:
    """Until the board shows a result for everybody."""
    end = time.monotonic() + PATIENCE
    while desk.get(f"rounds/{round_id}/coverage")["area"]["resulted"] < stage.people:
        if time.monotonic() > end:
            raise SystemExit("the results did not reach everybody")
        time.sleep(0.2)
