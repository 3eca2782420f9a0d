"""Countries: which there are, and which one a time zone lies in, from the tables of the IANA database.

Rule: a zone that several countries share tells none, so nobody's phones are read by a neighbour's habits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Final

# Names of fixed offsets and of half continents, though the database has them point to a city.
_NO_PLACES: Final = frozenset(
    ("CET", "CST6CDT", "EET", "EST", "EST5EDT", "HST", "MET", "MST", "MST7MDT", "PST8PDT", "WET")
)
# Old names say their country, where the zone that they point to is shared.
_OLD_NAMES: Final = {
    "Eire": "IE",
    "GB": "GB",
    "GB-Eire": "GB",
    "Iceland": "IS",
    "Japan": "JP",
    "NZ": "NZ",
    "Singapore": "SG",
}
_OLD_FOLDERS: Final = {"Brazil": "BR", "Canada": "CA", "Chile": "CL", "Mexico": "MX", "US": "US"}
# By the short dates of CLDR in a country's main languages.
_MONTH_FIRST: Final = frozenset(("AS", "FM", "GU", "MH", "MP", "PH", "PW", "UM", "US", "VI"))
# Year first, so that what comes next in a date that ends with it is anybody's guess; or one order in one language and
# another in the next.
_UNSETTLED: Final = frozenset(
    ("AF", "BT", "CA", "CN", "HU", "IR", "JP", "KP", "KR", "LT", "MN", "NP", "PA", "PR", "SE", "TW", "ZA")
)


def country_of(zone: str) -> str | None:
    """Give the country of a time zone such as "America/Montevideo", by its two letters; None where it tells none."""
    name = _OLD_NAMES.get(zone) or _OLD_FOLDERS.get(zone.partition("/")[0])
    return name or _by_zone().get(zone)


def name_of(country: str) -> str:
    """Give a country's English name, of its two letters; the letters where there is no such country."""
    return _names().get(country, country)


def is_country(code: str) -> bool:
    """Whether two capital letters are a country of ISO 3166, such as "AR"."""
    return code in _names()


def is_day_first(country: str | None) -> bool | None:
    """Whether people there write 3 April 2026 as 03/04/2026; None where they write it in both ways, or in neither."""
    if country is None or country in _UNSETTLED:
        return None
    return country not in _MONTH_FIRST


@lru_cache(maxsize=1)
def _by_zone() -> dict[str, str]:
    """Zone → its one country; other names of a zone have the zone's, unless it is shared."""
    alone = {zone: codes for codes, _, zone, *_ in _rows("zone1970.tab") if "," not in codes}
    linked = {name: alone[zone] for kind, zone, name in _links() if kind == "L" and zone in alone}
    named = {zone: code for code, _, zone, *_ in _rows("zone.tab")}
    return {name: code for name, code in {**linked, **named}.items() if name not in _NO_PLACES}


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    return {code: name for code, name, *_ in _rows("iso3166.tab")}


def _rows(table: str) -> Iterator[list[str]]:
    for line in _lines(table):
        if line and not line.startswith("#"):
            yield line.split("\t")


def _links() -> Iterator[list[str]]:
    for line in _lines("tzdata.zi"):
        if line.startswith("L "):
            yield line.split()


def _lines(name: str) -> list[str]:
    return files("tzdata").joinpath("zoneinfo", name).read_text(encoding="utf-8").splitlines()
