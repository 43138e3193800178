"""Uploaded files: how large they may be, and how errors of their rows are told."""

from collections.abc import Iterable
from typing import Any

from ninja.files import UploadedFile

from dabai.kernel.refusal import Refusal

MOST_ERRORS = 200
LARGEST = 256 * 2**20


def checked(file: UploadedFile, largest: int = LARGEST) -> UploadedFile:
    """The file, if it is not too large. Refusal ``api.file_too_large`` (413)."""
    if file.size is not None and file.size > largest:
        raise Refusal("api.file_too_large", "file", limit_mb=largest // 2**20)
    return file


def row_error(row: int, refusal: Refusal) -> dict[str, Any]:
    """Why a row was not taken."""
    return {"row": row, "code": refusal.code, "field": refusal.field}


def first_errors(errors: Iterable[tuple[int, Refusal]]) -> list[dict[str, Any]]:
    """At most 200 of them; the count says how many there are."""
    return [row_error(row, refusal) for (row, refusal), _ in zip(errors, range(MOST_ERRORS), strict=False)]
