"""Phones are read by the organization's country, which its setting, its time zone or an option tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayces_core import ConfigurationError, Database, InvalidDataError, Organization, User, exporting, importing
from tests.factory import make_organization


def stored(rows: Any, **options: Any) -> list[str | None]:
    importing.run(rows, "users", **options)
    return [user.phone for user in User.select().order_by(User.id)]


def test_a_zone_abroad_reads_phones_of_its_country(db: Database) -> None:
    with db.tenant(make_organization(db, time_zone="America/Mexico_City", currency="MXN")):
        assert stored([{"email": "a@x.org", "telefono": "5551234567"}]) == ["+525551234567"]


def test_the_setting_goes_before_the_zone_and_the_option_before_the_setting(db: Database) -> None:
    organization = make_organization(db, time_zone="America/Chicago", settings={"country": "uy"})
    with db.tenant(organization):
        assert Organization.get().country == "UY"
        assert stored([{"email": "a@x.org", "phone": "2410 0000"}]) == ["+59824100000"]
        assert stored([{"email": "b@x.org", "phone": "(312) 555-0134"}], country="us")[1:] == ["+13125550134"]


def test_where_no_country_is_known_a_number_without_its_code_is_asked_about(db: Database) -> None:
    rows = [{"email": "a@x.org", "phone": "11 4321-5678"}, {"email": "b@x.org", "phone": "+54 11 4321-5678"}]
    with db.tenant(make_organization(db, time_zone="UTC")):
        assert [problem.row for problem in importing.check(rows, "users").problems] == [1]
        assert stored(rows, country="AR") == ["+541143215678", "+541143215678"]


def test_a_country_that_is_none_is_refused(db: Database, a: Any) -> None:
    with db.tenant(a):
        for country in ("XX", "Argentina", 54):
            with pytest.raises(ConfigurationError, match="ISO 3166"):
                importing.check([{"email": "a@x.org"}], "users", country=country)
        with pytest.raises(InvalidDataError, match="country of ISO 3166"):
            Organization.update(settings={"country": "XX"}).execute()


def test_the_setting_is_exported_and_imported(db: Database, a: Any, tmp_path: Path) -> None:
    with db.tenant(a):
        importing.run([{"country": "cl"}], "organizations", update=True)
        exporting.export("organizations", tmp_path / "o.csv")
        assert importing.run(tmp_path / "o.csv", "organizations").unchanged == 1
        assert Organization.get().country == "CL"


def test_floats_of_a_data_frame_in_a_csv_and_local_numbers(db: Database, a: Any, tmp_path: Path) -> None:
    file = tmp_path / "pandas.csv"
    file.write_text("email,telefono\nf6@x.org,1143215678.0\nf7@x.org,\n")
    with db.tenant(a):
        assert stored(file) == ["+541143215678", None]
        report = importing.check([{"email": "f8@x.org", "telefono": "4321-5678"}], "users")
        assert "no area code" in report.problems[0].problem


def test_addresses_that_were_copied_with_what_stands_around_them_are_the_address(db: Database, a: Any) -> None:
    wrapped = ["mailto:x1@x.org", "<x2@x.org>", "Ana Paz <x3@x.org>", "x6@x.org."]
    with db.tenant(a):
        report = importing.run([{"email": each} for each in wrapped], "users", on_error="skip")
        assert [problem.row for problem in report.problems] == [4]
        assert [user.email for user in User.select().order_by(User.id)] == ["x1@x.org", "x2@x.org", "x3@x.org"]
