"""SQL written in every way that PostgreSQL reads alike: case, quotes, escapes, comments between any two tokens."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

GAPS = [
    " ", "\n", "\t", "\r", "\f", " \r\n ", "/**/", "/* ; ' \" $$ */", "/* /* */ ' */", "/*/* ; commit */*/",
    "-- '\n", "-- ' ; \"\r", "--\n", "/***/", "/*/ */", "/* -- */", "-- /*\n",
]  # fmt: skip
QUIET = [
    "'set_config (x)'", "'; commit; '", "E'\\'; rollback; --'", "$$ ; set role x; $$", "$a$ $$ ; commit $a$", "'it''s'",
    "U&'\\0027; commit'", "B'01'", "N'; reset role'", "'a'\n'; commit'", "'pg_advisory_lock(1)'", "1.5e3", "$1", "a$b$",
    '"; commit"', '"set_config (""x"")"', '"lock table"', "'into temp'", "'update pg_settings'", "'pg_temp.t'",
    "E'a' -- ' \n '\\'; abort'", "x.\"commit\"", "'create temp view'", "X'1F'", "'%'", "'100%'", "e'\\\\'",
]  # fmt: skip


def written(pattern: str) -> st.SearchStrategy[str]:
    """`pattern` with its words in any case, `<names>` spelled in any way and each space filled with any gap.

    `?` stands for a quiet expression: a literal, a name or a parameter that says something alarming.
    """
    return st.integers(0, 2**32 - 1).map(lambda seed: _written(Random(seed), pattern))


def _written(random: Random, pattern: str) -> str:
    first, *rest = (_part(random, part) for part in pattern.split(" "))
    return first + "".join(random.choice(GAPS) + part for part in rest)


def _part(random: Random, part: str) -> str:
    if part.startswith("<"):
        return _name(random, part[1:-1])
    if part == "?":
        return random.choice(QUIET)
    return _in_any_case(random, part) if part.isalpha() else part


def _in_any_case(random: Random, text: str) -> str:
    return "".join(random.choice([character.upper(), character]) for character in text)


def _name(random: Random, name: str) -> str:
    """An identifier that means `name`."""
    way = random.choice(["bare", "quoted", "unicode", "uescape"])
    if way == "bare":
        return _in_any_case(random, name)
    if way == "quoted":
        return f'"{name}"'
    mark = "\\" if way == "unicode" else random.choice("!%?~")
    spelled = "".join(random.choice([c, f"{mark}{ord(c):04x}", f"{mark}+{ord(c):06X}"]) for c in name)
    quoted = random.choice(["U&", "u&"]) + f'"{spelled}"'
    if way == "unicode":
        return quoted
    return quoted + random.choice(GAPS) + _in_any_case(random, "uescape") + random.choice([" ", "/**/"]) + f"'{mark}'"
