"""Result files as a laboratory's software writes them."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from dabai.testkit.replay.custody import Batch
from dabai.testkit.replay.wire import File

HEADINGS = ("管码", "板号", "检测时间", "ORF1ab", "N", "结果")
WORDS = {"negative": "阴性", "suspect": "可疑", "positive": "阳性"}


def result_file(batch: Batch, *, flip: str | None = None) -> File:
    """The file of one batch. ``flip``: the label of a tube whose line is spoiled on the way (sabotage)."""
    rows = [
        _row(run, tube.label, "positive" if tube.label == flip else tube.outcome, batch.read_at)
        for run, tubes in batch.runs
        for tube in tubes
    ]
    return File(f"{batch.laboratory.code}-{batch.started_at:%m%d-%H%M}.csv", as_csv(rows))


def _row(run: str, label: str, outcome: str, read_at: datetime) -> tuple[str, ...]:
    ct = {"negative": ("", ""), "suspect": ("38.6", ""), "positive": ("28.1", "29.4")}[outcome]
    return label, run, f"{read_at:%Y-%m-%d %H:%M:%S}", *ct, WORDS[outcome]


def as_csv(rows: Iterable[tuple[str, ...]]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(HEADINGS)
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + buffer.getvalue().encode()
