"""Hashes of passwords that were made elsewhere: which of them can be verified, and in reasonable time."""

from __future__ import annotations

import re
from typing import Final

# bcrypt's alphabet; the last characters of salt and digest hold two and four bits, and are refused with more by some.
BCRYPT: Final = re.compile(r"\$2[aby]\$(?P<cost>\d{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")
COSTS: Final = range(4, 17)  # each doubles the time: devise's 12 takes 0.2 s, 16 some 4 s
ARGON2ID: Final = re.compile(
    r"\$argon2id\$(?:v=(?:16|19)\$)?m=(?P<memory>[1-9]\d{0,7}),t=(?P<time>[1-9]\d?),p=(?P<lanes>[1-9]\d?)"
    r"\$(?P<salt>[+/A-Za-z0-9]+)\$(?P<digest>[+/A-Za-z0-9]+)"
)
MOST_MEMORY, MOST_TIME, MOST_LANES = 1024 * 1024, 20, 16  # KiB, rounds, lanes
LEAST_PER_LANE: Final = 8  # KiB
SALTS, DIGESTS = range(8, 65), range(16, 129)  # bytes


def believable(hashed: str) -> bool:
    """Whether it is a whole hash by Argon2id or bcrypt, of a cost that a request can bear."""
    if found := BCRYPT.fullmatch(hashed):
        return int(found["cost"]) in COSTS
    found = ARGON2ID.fullmatch(hashed)
    if found is None or _length(found["salt"]) not in SALTS or _length(found["digest"]) not in DIGESTS:
        return False
    memory, time, lanes = (int(found[name]) for name in ("memory", "time", "lanes"))
    return LEAST_PER_LANE * lanes <= memory <= MOST_MEMORY and time <= MOST_TIME and lanes <= MOST_LANES


def is_bcrypt(hashed: str) -> bool:
    """Whether bcrypt made it, which reads 72 bytes of a password."""
    return hashed.startswith("$2")


def _length(encoded: str) -> int:
    """How many bytes a text in base64 without padding holds; -1 if it is none."""
    unused = {0: 0, 2: 4, 3: 2}.get(len(encoded) % 4)  # bits of the last character, which have to be zero
    if unused is None or BASE64.index(encoded[-1]) % (1 << unused):
        return -1
    return len(encoded) * 6 // 8


BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
