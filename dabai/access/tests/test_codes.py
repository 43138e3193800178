"""Pairing codes that survive being typed, and limits that survive being flooded."""

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from dabai.access import codes
from dabai.access.limits import Failures, address_of
from dabai.kernel.refusal import Refusal


def test_a_code_reads_back_however_it_is_typed():
    code = codes.new_code()
    assert len(code) == 9
    assert set(code) <= set(codes.ALPHABET)
    for typed in (code, codes.shown(code), codes.shown(code).lower(), f" {code[:4]} {code[4:]} "):
        assert codes.read_code(typed) == code


@given(st.integers(0, 8), st.sampled_from(codes.ALPHABET))
def test_one_wrong_character_is_noticed(place, other):
    code = codes.new_code()
    wrong = code[:place] + other + code[place + 1 :]
    if wrong != code:
        with pytest.raises(Refusal, match="code_mistyped"):
            codes.read_code(wrong)


@pytest.mark.parametrize("typed", ["", "ABC", "K7M-2QX-94", "0OI-LU1-000", "密码密码密码密码密"])
def test_what_is_no_code_is_refused(typed):
    with pytest.raises(Refusal, match="code_mistyped"):
        codes.read_code(typed)


def test_digests_of_codes_are_keyed_and_those_of_tokens_are_not(settings):
    code, token = codes.new_code(), codes.new_token()
    before = codes.code_digest(code), codes.token_digest(token)
    settings.SECRET_KEY = "another installation's"
    assert codes.code_digest(code) != before[0]
    assert codes.token_digest(token) == before[1]


def test_a_key_is_shut_after_its_failures_and_opens_with_time():
    failures = Failures(limit=3, seconds=60)
    for second in (0, 10, 20):
        assert failures.wait("a", now=second) == 0
        failures.add("a", now=second)
    assert failures.wait("a", now=20) == 40
    assert failures.wait("b", now=20) == 0
    assert failures.wait("a", now=61) == 0
    failures.add("a", now=61)
    assert failures.wait("a", now=62) == 0


def test_success_forgives_and_memory_is_bounded():
    failures = Failures(limit=1, seconds=60, size=3)
    failures.add("a", now=0)
    failures.clear("a")
    assert failures.wait("a", now=1) == 0
    for key in "bcdef":
        failures.add(key, now=1)
    assert [failures.wait(key, now=2) > 0 for key in "bcdef"] == [False, False, True, True, True]
    failures.forget()
    assert failures.wait("f", now=2) == 0


@pytest.mark.parametrize(
    ("remote", "address"), [("10.1.2.3", "10.1.2.3"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2"), ("", "")]
)
def test_an_address_is_the_servers_word_not_the_clients(remote, address):
    request = RequestFactory().get("/", REMOTE_ADDR=remote, HTTP_X_FORWARDED_FOR="6.6.6.6")
    assert address_of(request) == address
