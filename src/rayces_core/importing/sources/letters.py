"""Tells in which of several encodings a text has words that somebody may have written.

Rule: the evidence is words, not letters. A word that is known (accented.txt) or cannot be one (a sign in the middle of
it, a capital after a small letter) decides; letters that are merely likelier do not. Where nothing decides, the
reader is asked.
"""
# ruff: noqa: RUF001 - it is about letters that look alike

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

MAX_WORDS: Final = 5_000
MANY: Final = 0.2  # of the words: so many that cannot be any, and it is no encoding of this text
KNOWN, FINE, ODD, BAD = "known", "fine", "odd", "bad"
_WORD: Final = re.compile(rb"[0-9A-Za-z]*[\x80-\xff][0-9A-Za-z\x80-\xff]*")
_LETTERS: Final = frozenset("áéíóúüñçãõâêôàÁÉÍÓÚÜÑÇÃÕÂÊÔÀ")  # of Spanish and Portuguese
_OPENING: Final = "“«‘"
_CLOSING: Final = "”»’"
_STANDING_ALONE: Final = frozenset("–—•“”‘’«»€´`")
_ORDINAL: Final = re.compile(r"(?:[0-9]+|[Nn](?:ro)?)[ºª°][0-9A-Za-z]{0,4}|[0-9]+€|€[0-9]+")
_ELIDED: Final = re.compile(r"[DdLlOoNnMm][’´][^\W\d_]{2,}")
# Where letters cannot stand in any of the languages that have them.
_MISPLACED: Final = re.compile(r"õ(?!e)|ã(?![oes]|$)|ç(?![aouáãóõâôúà]|$)|ß(?![elt]|$)|^ß|[þðƒµ]")


@dataclass
class Reading:
    """What the words of a text are in one encoding."""

    encoding: str
    words: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many of the words are of a kind."""
        return self.kinds.count(kind)

    @property
    def cost(self) -> int:
        """How unlikely it is; for the order alone."""
        return 4 * self.count(BAD) + self.count(ODD) - 3 * self.count(KNOWN)

    @property
    def is_possible(self) -> bool:
        """Whether nearly all words are such as people write."""
        return self.count(BAD) <= MANY * len(self.words)

    def examples(self, count: int = 3) -> list[str]:
        """The first words, known ones before others."""
        ordered = sorted(zip(self.kinds, self.words, strict=True), key=lambda pair: pair[0] != KNOWN)
        return [word for _, word in ordered[:count]]


@dataclass(frozen=True)
class Found:
    """The most likely reading of a text; `doubted` is another that is not ruled out, with a word that tells them apart.

    `mixed` is a word that only another encoding makes a word of, where the file was joined of two.
    """

    best: Reading
    doubted: Reading | None = None
    words: tuple[str, str] = ("", "")
    mixed: tuple[str, str, str] | None = None


def compared(sample: bytes, encodings: tuple[str, ...]) -> Found:
    """Read the words of a text that are not ASCII in each encoding; of equals the first goes before."""
    found = list(dict.fromkeys(_WORD.findall(sample)))[:MAX_WORDS]
    readings = [_read(found, encoding) for encoding in encodings]
    best = min(readings, key=lambda reading: reading.cost)
    for rival in readings:
        if rival is not best and not _is_beaten(rival, best) and (words := _apart(best, rival)):
            return Found(best, rival, words)
    return Found(best, mixed=_mixed(best, readings))


def _read(words: list[bytes], encoding: str) -> Reading:
    decoded = [word.decode(encoding, "replace") for word in words]
    return Reading(encoding, decoded, [judged(word) for word in decoded])


def _is_beaten(rival: Reading, best: Reading) -> bool:
    worse = rival.count(BAD) - best.count(BAD)
    return worse > 0.1 * len(best.words) or (best.count(KNOWN) > rival.count(KNOWN) and worse >= 0)


def _apart(best: Reading, rival: Reading) -> tuple[str, str] | None:
    """The first words, signs and single letters left out, that differ and may be names in both."""
    pairs = zip(best.words, rival.words, rival.kinds, strict=True)
    return next(((one, other) for one, other, kind in pairs if len(one) > 1 and one != other and kind != BAD), None)


def _mixed(best: Reading, readings: list[Reading]) -> tuple[str, str, str] | None:
    for rival in readings:
        for word, kind, other, of_other in zip(best.words, best.kinds, rival.words, rival.kinds, strict=True):
            if kind == BAD and of_other == KNOWN:
                return word, other, rival.encoding
    return None


def judged(word: str) -> str:
    """Say whether a word is known, may be one, is an odd one, or cannot be any."""
    kinds = [_judged(part) for part in word.split()] or [FINE]
    return next((kind for kind in (BAD, KNOWN, ODD) if kind in kinds), FINE)


def _judged(word: str) -> str:
    if _ORDINAL.fullmatch(word) or _ELIDED.fullmatch(word) or word.casefold() in known_words():
        return KNOWN
    core = word.strip(_OPENING + _CLOSING)
    if not core or all(character in _STANDING_ALONE for character in core):
        return FINE
    if len(core) < len(word):
        return FINE if word[0] in _OPENING and judged(core) in (FINE, KNOWN) else ODD
    if len(core) == 1:
        return FINE if core in _LETTERS else ODD
    if core[0] in "¡¿" or core[-1] in "…®™":
        return ODD
    return _judged_letters(core)


def _judged_letters(word: str) -> str:
    foreign = [letter for letter in word if not letter.isascii()]
    if not all(letter.isupper() or letter.islower() for letter in word) or "ª" in word or "º" in word:
        return BAD
    if _MISPLACED.search(word.lower()):
        return BAD
    rest = "".join(letter for letter in word if letter.isascii())
    if rest.isupper() and all(letter.islower() for letter in foreign):
        return ODD if all(letter in _LETTERS for letter in foreign) else BAD
    if any(one.islower() and other.isupper() for one, other in pairwise(word)):
        return BAD
    return FINE if all(letter in _LETTERS for letter in foreign) else ODD


def twice_encoded(text: str) -> tuple[str, str] | None:
    """Find a word of a text in UTF-8 whose bytes were taken for another encoding and encoded again: "JosÃ©", "José"."""
    for word in list(dict.fromkeys(re.findall(r"\S*[^\x00-\x7f]\S*", text)))[:MAX_WORDS]:
        for encoding in ("cp1252", "latin-1", "cp850", "mac_roman"):
            try:
                meant = word.encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if meant != word:
                return word, meant
    return None


@cache
def known_words() -> frozenset[str]:
    """Words with accents that are frequent where this library is at home: names, surnames, places, headers."""
    return frozenset(Path(__file__).with_name("accented.txt").read_text(encoding="utf-8").split())
