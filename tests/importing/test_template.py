"""A template is read back by the same columns, in either language and format."""

import io
from zoneinfo import ZoneInfo

import pytest

from rayces_core import InvalidDataError
from rayces_core.importing import template, values
from rayces_core.importing.columns import Column, Reading
from rayces_core.importing.mapping import propose
from rayces_core.importing.sources import open_source

COLUMNS = (
    Column("first_name", values.text, required=True, names=("first name", "nombre"), example="José", about="A name."),
    Column("phone", values.phone, names=("telephone", "teléfono"), example="+54 11 4321-5678"),
    Column("date_of_birth", values.date, names=("fecha de nacimiento",), example="31/12/2019"),
    Column("legajo", values.text, example="=1+1"),
    Column("notes", values.text),
)


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_a_template_passes_its_own_check(tmp_path, language, suffix):
    path = tmp_path / f"template.{suffix}"
    template.write(path, COLUMNS, language=language)

    source = open_source(path)
    places = propose(source.header, COLUMNS).places
    ((number, row),) = next(source.batches())

    assert number == 2
    assert len(places) == len(COLUMNS)
    for column in COLUMNS:
        written = row[places[column.name]]
        assert written == (column.example or None)
        if written is not None:
            column.read(written, Reading(ZoneInfo("UTC")))


def test_headers_are_the_columns_own_or_spanish():
    assert template.header(COLUMNS) == ("first_name", "phone", "date_of_birth", "legajo", "notes")
    assert template.header(COLUMNS, "es") == ("nombre", "teléfono", "fecha de nacimiento", "legajo", "notes")


def test_example_rows_may_be_given():
    rows = [{"first_name": "Ana"}, {"first_name": "Luz", "notes": "a;b"}]

    assert template.as_csv(COLUMNS, rows=rows, delimiter=";").splitlines()[1:] == ["Ana;;;;", 'Luz;;;;"a;b"']


def test_an_open_file_is_written_to():
    target = io.BytesIO()
    template.write(target, COLUMNS, format="xlsx")

    target.seek(0)
    assert open_source(target).header == template.header(COLUMNS)


@pytest.mark.parametrize("options", [{"language": "fr"}, {"format": "doc"}])
def test_an_unknown_language_or_format_is_refused(options):
    with pytest.raises(InvalidDataError, match="is none of"):
        template.write(io.BytesIO(), COLUMNS, **options)
