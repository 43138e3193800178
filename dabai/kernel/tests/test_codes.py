"""Codes of tubes, bags and boxes: made, checked, mistyped, foreign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabai.kernel.codes import (
    DEFAULT_PATTERN,
    LETTERS,
    Code,
    Kind,
    can_check_code,
    check_character,
    check_code,
    check_pattern,
    make_codes,
    make_tube_codes,
    own_kind,
)
from dabai.kernel.refusal import Refusal

KINDS = st.sampled_from(sorted(LETTERS))
PARTS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
codes = st.builds(
    lambda kind, prefix, batch, serial: make_codes(kind, prefix, batch, serial, 1)[0],
    KINDS,
    st.text(PARTS, min_size=2, max_size=2),
    st.text(PARTS, min_size=3, max_size=3),
    st.integers(0, 99_999),
)


def refused(kind: Kind, text: str, pattern: str | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        check_code(kind, text, pattern)
    assert caught.value.field == kind
    return caught.value.code


def test_the_example_of_the_standard() -> None:
    """ISO 7064 MOD 37,36 as GRid and ISAN use it: A1-2425G-ABC1234002-M and 0000-0000-D07A-0090-Q-0000-0000-X."""
    assert check_character("A12425GABC1234002") == "M"
    assert check_character("00000000D07A0090") == "Q"
    assert check_character("00000000D07A009000000000") == "X"


def test_a_strip_of_tubes() -> None:
    strip = make_tube_codes("DJ", "03A", 417, 10)
    assert [len(code) for code in strip] == [12] * 10
    assert strip[0][:11] == "TDJ03A00417"
    assert len(set(strip)) == 10
    assert check_code("tube", strip[0]) == Code("tube", strip[0], own=True)


@given(codes)
def test_our_codes_belong_to_exactly_one_kind(code: str) -> None:
    own = own_kind(code)
    assert own is not None
    for kind in LETTERS:
        assert can_check_code(kind, code, DEFAULT_PATTERN) == (kind == own)
    assert {refused(kind, code, DEFAULT_PATTERN) for kind in LETTERS if kind != own} == {"codes.wrong_kind"}


@given(codes, st.integers(0, 11), st.sampled_from(PARTS))
def test_any_one_wrong_character_is_noticed(code: str, place: int, character: str) -> None:
    wrong = code[:place] + character + code[place + 1 :]
    if wrong != code:
        assert own_kind(wrong) is None
        assert not can_check_code("tube", wrong)


@given(st.text(max_size=60), KINDS, st.sampled_from([None, DEFAULT_PATTERN, "[0-9]{8,20}"]))
def test_no_text_breaks_it(text: str, kind: Kind, pattern: str | None) -> None:
    assert can_check_code(kind, text, pattern) in {True, False}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "codes.empty"),
        ("TDJ03A00417\r", "codes.control_character"),
        ("\x1d01069012345678", "codes.control_character"),
        ("tdj03a00417x", "codes.lower_case"),
        ("管0001", "codes.characters"),
        ("TDJ 03A 00417", "codes.characters"),
        ("１２３４５６７８９０１２", "codes.characters"),
        ("-12345678901", "codes.characters"),
        ("1.23457E+11", "codes.scientific"),
        ("A" * 41, "codes.length"),
        ("12345678901", "codes.pattern"),
    ],
)
def test_what_no_label_carries(text: str, code: str) -> None:
    assert refused("tube", text, DEFAULT_PATTERN) == code


def test_a_foreign_barcode_needs_a_pattern() -> None:
    assert refused("tube", "690123456789") == "codes.not_ours"
    assert check_code("tube", "690123456789", DEFAULT_PATTERN) == Code("tube", "690123456789", own=False)
    assert refused("tube", "690123456789", "[0-9]{10}") == "codes.pattern"


def test_our_shape_with_a_wrong_check_is_suspect() -> None:
    good = make_tube_codes("DJ", "03A", 1, 1)[0]
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert refused("tube", wrong) == "codes.check_character"
    assert check_code("tube", wrong, DEFAULT_PATTERN).suspect
    assert not check_code("box", wrong, DEFAULT_PATTERN).suspect


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("D", "03A", 0, 1), "codes.prefix"),
        (("DI", "03A", 0, 1), "codes.prefix"),
        (("DJ", "3a", 0, 1), "codes.batch"),
        (("DJ", "03A", 99_999, 2), "codes.serial"),
        (("DJ", "03A", -1, 1), "codes.serial"),
    ],
)
def test_batches_that_cannot_be_printed(arguments: tuple[str, str, int, int], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        make_tube_codes(*arguments)
    assert caught.value.code == code


def test_the_last_serial_of_a_batch_can_be_printed() -> None:
    assert make_tube_codes("DJ", "03A", 99_999, 1)[0][6:11] == "99999"


@pytest.mark.parametrize("pattern", ["[0-9A-Z]{12}", "(?:LAB|QC)[0-9]{8,10}", r"6901\d{8}", "[0-9A-Z+*]{10}", "A?B"])
def test_patterns_that_labels_need(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "code"),
    [("(A+)+$", "codes.pattern_repeats"), ("[0-9]*", "codes.pattern_repeats"), ("(AB){2}", "codes.pattern_repeats"),
     ("[0-9", "codes.pattern_wrong"), ("A" * 81, "codes.pattern_long")],
)  # fmt: skip
def test_patterns_that_could_run_for_ever(pattern: str, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_pattern(pattern)
    assert caught.value.code == code
