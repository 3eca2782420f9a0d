"""A phone number is one that its country has, and nothing of what was written is left out."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from rayces_core.importing import Reading
from rayces_core.importing.columns import SheetNumber
from rayces_core.importing.values import phone

ARGENTINA = Reading(ZoneInfo("America/Argentina/Buenos_Aires"))


def of(zone: str) -> Reading:
    return Reading(ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "written", "stored"),
    [
        ("America/Mexico_City", "5551234567", "+525551234567"),
        ("America/Chicago", "(312) 555-0134", "+13125550134"),
        ("America/Sao_Paulo", "(62) 99870-9200", "+5562998709200"),
        ("America/Montevideo", "099 123 456", "+59899123456"),
        ("America/Montevideo", "2410 0000", "+59824100000"),
        ("Europe/Madrid", "612 34 56 78", "+34612345678"),
        ("Europe/Berlin", "030/123456", "+4930123456"),
        ("Europe/Madrid", "+54 11 4321-5678", "+541143215678"),
        ("UTC", "+54 11 4321-5678", "+541143215678"),
    ],
)
def test_the_country_of_the_time_zone_decides(zone, written, stored):
    assert phone(written, of(zone)) == stored


@pytest.mark.parametrize(
    ("zone", "written", "stored"),
    [
        ("America/Mexico_City", "044 55 1234 5678", "+525512345678"),
        ("America/Mexico_City", "01 (33) 1234-5678", "+523312345678"),
        ("America/Mexico_City", 5215512345678.0, "+525512345678"),
        ("America/Argentina/Buenos_Aires", "+52 1 55 1234 5678", "+525512345678"),
        ("America/Santiago", "09 8765 4321", "+56987654321"),
        ("America/Santiago", "02 2345 6789", "+56223456789"),
    ],
)
def test_a_prefix_that_was_dialled_formerly_comes_off_a_whole_number(zone, written, stored):
    assert phone(written, of(zone)) == stored


@pytest.mark.parametrize("written", ["1 55 1234 5678", "044 1234 5678", "044 55 1234 5678 9", "+52 1 55 1234"])
def test_a_prefix_does_not_make_a_number_of_what_is_none(written):
    with pytest.raises(ValueError, match=r"digits|number"):
        phone(written, of("America/Mexico_City"))


def test_a_region_goes_before_the_country_of_the_time_zone():
    assert phone("2410 0000", Reading(ARGENTINA.zone, region="UY")) == "+59824100000"


@pytest.mark.parametrize(
    "written",
    [
        "1143215678.0",
        "1143215678,00",
        "1.143215678E+09",
        "1,143215678E+09",
        "541143215678.0",
        SheetNumber(1143215678),
        1143215678.0,
        541143215678,
        Decimal("1143215678.00"),
        "Tel.: 11 4321-5678",
        "https://wa.me/541143215678",
        "tel:+54-11-4321-5678",
        "011 4321 5678",
        "\uff11\uff11\uff14\uff13\uff12\uff11\uff15\uff16\uff17\uff18",
    ],
)
def test_a_number_that_went_through_a_program_is_restored(written):
    assert phone(written, ARGENTINA) == "+541143215678"


@pytest.mark.parametrize("written", ["1.14E+09", "1,14E+09", "1E+09", SheetNumber(1.14e9), SheetNumber(5.4e11)])
def test_a_number_whose_digits_are_lost_is_refused(written):
    with pytest.raises(ValueError, match="lost its last digits; format the column as text"):
        phone(written, ARGENTINA)


@pytest.mark.parametrize(
    ("zone", "written", "says"),
    [
        ("America/Argentina/Buenos_Aires", "4321-5678", r"no area code; write it as \+54 11 4321-5678"),
        ("America/Argentina/Buenos_Aires", "00000000", "no area code"),
        ("America/Argentina/Buenos_Aires", "15 5123-4567", "no number of Argentina"),
        ("America/Argentina/Buenos_Aires", "5551234567", "no number of Argentina"),
        ("America/Argentina/Buenos_Aires", "13125550134", "another country's number with"),
        ("America/Chicago", "555-0134", r"no area code; write it as \+1 "),
        ("America/Sao_Paulo", "99870-9200", "no number of Brazil"),
        ("America/Montevideo", "9123456", "no number of Uruguay"),
        ("Europe/Madrid", "12", r"no number of Spain|digits"),
        ("UTC", "11 4321-5678", r"no country is known here; .*--country"),
        ("UTC", "n/a", "no phone number"),
    ],
)
def test_a_number_that_its_country_has_not_is_refused_in_its_own_terms(zone, written, says):
    with pytest.raises(ValueError, match=says):
        phone(written, of(zone))


@pytest.mark.parametrize(
    "written",
    [
        "1143215678;1143215679",
        "1143215678, 1143215679",
        "11 4321-5678 / 4321-5679",
        "11 4321-5678 x302/x303",
        "no llamar 11 4321-5678",
        "mamá - casa 11 4321-5678",
        "(mamá) 11 4321-5678",
        "11 4321-5678 mamá",
        "1143215678.5",
    ],
)
def test_nothing_that_stands_beside_the_number_is_dropped(written):
    with pytest.raises(ValueError):
        phone(written, ARGENTINA)
