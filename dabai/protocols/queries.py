"""Readers of protocol profiles and operations."""

from typing import Any


def tube_pattern(body: dict[str, Any]) -> str | None:
    """The regular expression for barcodes of tubes that a profile accepts beside our own; None: only our own."""
    return body.get("codes", {}).get("tube_pattern") or None
