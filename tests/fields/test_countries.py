"""A time zone tells its country, or none where several share it."""

import zoneinfo

import pytest

from rayces_core.fields.countries import country_of, is_country, name_of


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("America/Argentina/Buenos_Aires", "AR"),
        ("America/Buenos_Aires", "AR"),
        ("America/Montevideo", "UY"),
        ("America/Mexico_City", "MX"),
        ("Mexico/General", "MX"),
        ("America/Chicago", "US"),
        ("US/Central", "US"),
        ("America/Sao_Paulo", "BR"),
        ("Europe/Madrid", "ES"),
        ("Asia/Muscat", "OM"),  # points to Dubai, which is another country
        ("Iceland", "IS"),  # points to Abidjan
    ],
)
def test_a_zone_lies_in_its_country(zone, country):
    assert country_of(zone) == country


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+3", "EST", "CST6CDT", "CET", "Africa/Asmera", "Factory", "nowhere"])
def test_a_zone_that_is_no_place_or_several_tells_no_country(zone):
    assert country_of(zone) is None


def test_every_country_of_a_zone_is_one():
    found = {country_of(zone) for zone in zoneinfo.available_timezones()} - {None}

    assert len(found) > 200
    assert all(is_country(country) for country in found)


def test_countries_have_names():
    assert name_of("AR") == "Argentina"
    assert not is_country("ar")
    assert not is_country("XX")
    assert name_of("XX") == "XX"
