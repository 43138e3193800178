"""Examples that server and phone share (``contract/vectors``): rules live on one side only, examples on both."""

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dabai.access.keys import derive
from dabai.kernel.codes import (
    HandOver,
    check_code,
    hand_over_code,
    make_codes,
    read_hand_over_code,
    read_resident_code,
    resident_code,
)
from dabai.kernel.refusal import Refusal
from dabai.people.masks import mask_name, mask_number, mask_phone
from dabai.people.rules import (
    clean_number,
    guess_kind,
    normalise_document,
    normalise_name,
    normalise_phone,
)
from dabai.people.slice import Paper, sealed_block, token, tokens
from dabai.protocols.pooling import Member, check_pool
from dabai.protocols.schema import Pooling, shipped_profiles

FOLDER = Path(__file__).resolve().parents[2] / "contract" / "vectors"
FILES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
POOLING = Pooling.model_validate(FILES["pools"]["pooling"])


def id_number(given: dict[str, Any]) -> dict[str, Any]:
    try:
        found = normalise_document(given["kind"], given["raw"], today=date.fromisoformat(given["today"]))
    except Refusal as no:
        return {"verdict": "refused", "reason": no.code}
    born = found.birth_date
    said = {"kind": found.kind, "number": found.number, "birth": born and born.isoformat(), "sex": found.sex}
    return {"verdict": "unsure", "reason": found.doubt, **said} if found.doubt else {"verdict": "valid", **said}


def or_refused(answer: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """An answer, or the code of the refusal."""

    def answered(given: dict[str, Any]) -> Any:
        try:
            return answer(given)
        except Refusal as no:
            return {"refused": no.code}

    return answered


def document(given: dict[str, Any]) -> dict[str, str]:
    found = normalise_document(given["kind"], given["raw"], today=date.fromisoformat(given["today"]))
    return {"kind": found.kind, "number": found.number}


def code(given: dict[str, Any]) -> dict[str, bool]:
    found = check_code(given["kind"], given["text"], given["pattern"])
    return {"own": found.own, "suspect": found.suspect}


def resident(given: dict[str, Any]) -> dict[str, str]:
    if "person" in given:
        return {"code": resident_code(UUID(given["person"]))}
    return {"person": str(read_resident_code(given["code"]))}


def hand_over(given: dict[str, Any]) -> dict[str, Any]:
    if "code" not in given:
        return {
            "code": hand_over_code(HandOver(UUID(given["fact"]), **{k: v for k, v in given.items() if k != "fact"}))
        }
    return {**read_hand_over_code(given["code"])._asdict(), "fact": str(read_hand_over_code(given["code"]).fact)}


def of_slice(given: dict[str, Any]) -> dict[str, Any]:
    secret = b64decode(given["secret"])
    lookup, today = derive(secret, "dabai/lookup"), date.fromisoformat(given.get("today", "2022-03-13"))
    if given["what"] == "token":
        return {"token": token(lookup, typed(given["typed"], today))}
    if given["what"] == "tokens":
        return {"tokens": tokens(lookup, [Paper(given["kind"], given["number"])], today)}
    data, bound = b64decode(given["data"]), f"slice|{given['version']}|{given['n']}"
    try:
        text = AESGCM(derive(secret, "dabai/slice")).decrypt(data[:12], data[12:], bound.encode())
    except InvalidTag:
        return {"refused": "unreadable"}
    assert sealed_block(derive(secret, "dabai/slice"), given["version"], given["n"], text, data[:12]) == data
    return {"rows": json.loads(text)}


def typed(raw: str, today: date) -> str:
    try:
        return normalise_document("", raw, today=today).number
    except Refusal:
        return clean_number(raw)


def pool(given: dict[str, Any]) -> list[str]:
    people = [Member(**member) for member in given["people"]]
    options = {name: given[name] for name in ("size", "minutes_open", "confirmed")}
    return [finding.code for finding in check_pool(POOLING, people, **options)]


ANSWERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "id_numbers": id_number,
    "documents": or_refused(document),
    "document_kinds": lambda given: guess_kind(given["raw"]),
    "names": or_refused(lambda given: {"name": normalise_name(given["raw"])}),
    "phones": or_refused(lambda given: {"phone": normalise_phone(given["raw"])}),
    "masks": lambda given: {"name": mask_name, "number": mask_number, "phone": mask_phone}[given["what"]](
        given["text"]
    ),
    "codes": or_refused(code),
    "code_batches": lambda given: make_codes(
        given["kind"], given["prefix"], given["batch"], given["start"], given["n"]
    ),
    "resident_codes": or_refused(resident),
    "handover_codes": or_refused(hand_over),
    "pools": pool,
    "slice": of_slice,
}
CASES = [(name, place) for name, file in FILES.items() if name in ANSWERS for place in range(len(file["cases"]))]


@pytest.mark.parametrize(("name", "place"), CASES)
def test_every_example(name: str, place: int) -> None:
    case = FILES[name]["cases"][place]
    assert ANSWERS[name](case["input"]) == case["expected"]


def test_every_file_of_these_rules_is_there() -> None:
    assert set(ANSWERS) <= set(FILES)
    assert all(file["about"] and file["cases"] for file in FILES.values())


def test_the_pool_rules_shown_to_phones_are_those_we_ship() -> None:
    assert shipped_profiles()["covid19-cn-9"].pooling == POOLING
