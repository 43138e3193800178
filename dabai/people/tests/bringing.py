"""Brings small lists in, as a desk would, within the test's own transaction."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from dabai.people import imports
from dabai.people.actions import accept_import, upload_list
from dabai.people.models import Import, Person, StagedRow
from dabai.people.rules import check_digit
from dabai.testkit.district import PreparedOperation

HEADER = ["姓名", "证件号码", "手机号码", "社区", "网格", "小区", "楼栋", "单元", "房号", "人员类别"]


def number(order: int, born: str = "19000101") -> str:
    """A citizen number of somebody born in 1900."""
    first = f"340602{born}{order:03}"
    return first + check_digit(first)


def line(name: str = "样本甲", document: str = "", **cells: str) -> list[str]:
    """One row under ``HEADER``, in 高岳 community unless said otherwise."""
    usual = {
        "phone": "",
        "community": "高岳社区",
        "grid": "",
        "estate": "",
        "building": "",
        "unit": "",
        "room": "",
        "group": "",
    }
    known = usual | cells
    return [name, document, *(known[key] for key in usual)]


def as_csv(rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> bytes:
    """The rows as a file."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode("utf-8-sig")


def upload(drill: PreparedOperation, content: bytes, **wanted: Any) -> Import:
    """An uploaded list, not yet staged."""
    usual = {"by": None, "operation": drill.id, "district": drill.district, "purpose": "residents", "label": "名单"}
    usual |= {"area": "340602", "file_name": "list.csv", "pieces": [content], "size": len(content)}
    return upload_list(**(usual | wanted))


def bring(drill: PreparedOperation, rows: Sequence[Sequence[str]] | bytes, **wanted: Any) -> Import:
    """A staged list."""
    content = rows if isinstance(rows, bytes) else as_csv(rows)
    found = upload(drill, content, **wanted)
    imports.stage(found.pk, workers=0)
    found.refresh_from_db()
    return found


def take(found: Import) -> None:
    """Accept and commit a staged list."""
    accept_import(by=None, import_id=found.pk)
    imports.commit(found.pk)
    found.refresh_from_db()


def outcomes(found: Import) -> list[tuple[int, str, list[str]]]:
    """(row number, outcome, codes of the reasons) of each staged row."""
    rows = StagedRow.objects.filter(batch=found.pk).order_by("number")
    return [(row.number, row.outcome, [one["code"] for one in row.reason or []]) for row in rows]


def only_person() -> Person:
    """The one person there is."""
    return Person.objects.get()
