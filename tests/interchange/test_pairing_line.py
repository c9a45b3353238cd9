# SPDX-License-Identifier: Apache-2.0
"""The pairing line as people copy it, and the six words that they compare."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from interchange.errors import InputError
from interchange.fingerprint import WORD_LIST, fingerprint
from interchange.pairing import CODE_ALPHABET, CODE_LENGTH, PairingOffer, parse_pairing_line

KEYS = st.binary(min_size=32, max_size=32).map(lambda key: z85.encode(key).decode())
CODES = st.text(CODE_ALPHABET, min_size=CODE_LENGTH, max_size=CODE_LENGTH)
HOSTS = st.sampled_from(["box", "192.168.1.20", "gpu-2.studio.example", "[::1]", "[fe80::1:2]"])
OFFERS = st.builds(PairingOffer, HOSTS, st.integers(1, 65535), KEYS, CODES)
LINE = PairingOffer("box", 7713, "a" * 40, "b" * CODE_LENGTH).line


@given(OFFERS)
def test_a_line_says_what_it_was_made_of(offer: PairingOffer) -> None:
    assert parse_pairing_line(offer.line) == offer
    assert offer.endpoint == f"tcp://{offer.host}:{offer.port}" and offer.code not in repr(offer)


@given(OFFERS, st.data())
def test_breaks_and_blanks_do_not_matter(offer: PairingOffer, data: st.DataObject) -> None:
    line = offer.line
    for _ in range(3):
        at = data.draw(st.integers(0, len(line)))
        line = line[:at] + data.draw(st.sampled_from(["\n", "\r\n   ", " ", "\t", "\u200b", "\u00a0"])) + line[at:]
    assert parse_pairing_line(line) == parse_pairing_line(f"\u201c{line.upper()}\u201d\n") == offer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "There is no pairing line."),
        (" \n", "There is no pairing line."),
        ("hello", "does not begin with dd://"),
        ("https://box:7713/", "does not begin with dd://"),
        (LINE[:-1], "incomplete or damaged"),
        (LINE + "x", "incomplete or damaged"),
        (LINE + LINE, "incomplete or damaged"),
        (LINE.replace("7713", "0"), "incomplete or damaged"),
        (LINE.replace("7713", "65536"), "incomplete or damaged"),
        (LINE.replace("box", "box/../x"), "incomplete or damaged"),
        (LINE.replace("box", "*"), "incomplete or damaged"),
        (LINE.replace("box", ""), "incomplete or damaged"),
        (LINE.replace("#", "?"), "incomplete or damaged"),
        (LINE.replace("b" * CODE_LENGTH, "1" * CODE_LENGTH), "incomplete or damaged"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        parse_pairing_line(text)
    assert caught.value.code == "INPUT_PAIRING" and "digidouble pair" in caught.value.hint


@given(st.text())
def test_no_text_does_anything_worse(text: str) -> None:
    for line in (text, "dd://" + text, LINE[:60] + text):
        try:
            assert parse_pairing_line(line).line
        except InputError as error:
            assert error.code == "INPUT_PAIRING"


def test_words_can_be_told_apart() -> None:
    assert len(WORD_LIST) == len({word[:4] for word in WORD_LIST}) == 256
    assert all(4 <= len(word) <= 8 and word.isalpha() and word.islower() for word in WORD_LIST)
    assert not [pair for pair in itertools.combinations(WORD_LIST, 2) if _one_letter_apart(*pair)]


def _one_letter_apart(a: str, b: str) -> bool:
    shorter, longer = sorted((a, b), key=len)
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) == 1
    return any(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))


@given(KEYS, KEYS, KEYS)
def test_words_are_those_of_both_keys(server: str, device: str, other: str) -> None:
    words = fingerprint(server, device)
    assert len(words.split()) == 6 and set(words.split()) <= set(WORD_LIST)
    assert (fingerprint(server, other) == words) == (device == other)
    assert (fingerprint(other, device) == words) == (server == other)


def test_words_stay_what_they_are() -> None:
    assert fingerprint("a" * 40, "b" * 40) == FIXED


FIXED = "kitchen orchid torch clay cabin planet"  # changing it would show old pairings other words
