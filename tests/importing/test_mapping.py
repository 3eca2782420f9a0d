"""Headers find their columns when they are certain, and are only suggested when they are near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayces_core import ColumnMappingError
from rayces_core.importing import values
from rayces_core.importing.columns import Column
from rayces_core.importing.mapping import ColumnMapping, propose
from rayces_core.importing.records import record_of
from tests.walking import walked

COLUMNS = (
    Column("first_name", values.text, required=True, names=("nombre", "first name")),
    Column("date_of_birth", values.date, required=True, names=("fecha de nacimiento", "birthday")),
    Column("phone", values.phone, names=("teléfono",)),
)


def refused(*arguments):
    with pytest.raises(ColumnMappingError) as caught:
        propose(*arguments)
    return caught.value


@walked(
    "header",
    [
        ("first_name", "date_of_birth", "phone"),
        ("First Name", "BIRTHDAY", "Phone"),
        ("  NOMBRE ", "Fecha_de_Nacimiento", "telefono"),
        ("Nombre *", "Fecha de nacimiento (dd/mm/aaaa)", "Teléfono:"),
        ("nombre\u200b", "fecha-de-nacimiento", "TELÉFONO"),
    ],
)
def test_known_names_are_taken_whatever_their_case_accents_and_punctuation(header):
    assert propose(header, COLUMNS).places == {"first_name": 0, "date_of_birth": 1, "phone": 2}


def test_a_near_miss_is_suggested_and_not_taken():
    error = refused(("Nombre", "Fecha de nacimeinto"), COLUMNS)

    assert error.missing == ("date_of_birth",)
    assert "did you mean 'Fecha de nacimeinto'? Then say --map \"Fecha de nacimeinto=date_of_birth\"" in str(error)
    optional = propose(("Nombre", "Birthday", "Telefonoo", "Color"), COLUMNS)
    assert optional.suggestions == {"Telefonoo": "phone"}
    assert optional.unused == ("Telefonoo", "Color")


def test_what_the_user_says_goes_before_what_is_known():
    mapping = propose(("Nombre", "Apodo", "F"), COLUMNS, {"Apodo": "first_name", "f": "Date of Birth"})

    assert mapping.places == {"first_name": 1, "date_of_birth": 2}
    assert mapping.unused == ("Nombre",)


def test_everything_wrong_is_said_at_once():
    error = refused(("Telefono", "Teléfono"), COLUMNS, {"Fehca": "date_of_birth", "Teléfono": "phonee"})

    assert error.missing == ("first_name", "date_of_birth")
    assert error.unknown == ("Fehca", "phonee")
    for part in (
        "no column 'Fehca'",
        "no column 'phonee'; did you mean 'phone'?",
        "'Telefono' and 'Teléfono' both mean phone",
    ):
        assert part in str(error)


def test_two_names_of_one_column_are_refused_until_one_is_left_out():
    header = ("Nombre", "Birthday", "Teléfono", "telefono")

    assert "'Teléfono' and 'telefono' both mean phone" in str(refused(header, COLUMNS))
    mapping = propose(header, COLUMNS, {"telefono": ""})
    assert (mapping.places["phone"], mapping.ignored) == (2, ("telefono",))


def test_a_columns_own_name_goes_before_its_other_names():
    mapping = propose(("Nombre", "Birthday", "Teléfono", "phone"), COLUMNS)

    assert (mapping.places["phone"], mapping.unused) == (3, ("Teléfono",))
    assert propose(("Nombre", "Birthday", "Teléfono", "phone"), COLUMNS, {"phone": ""}).places["phone"] == 2


def test_a_mapping_is_saved_and_used_for_another_order_of_columns(tmp_path):
    odd = 'N\u00famero "1" \\ = [x]\x7f'
    mapping = propose((odd, "Birthday", "Teléfono"), COLUMNS, {odd: "first_name", "Teléfono": ""})
    mapping.save(tmp_path / "m.toml")

    again = ColumnMapping.load(tmp_path / "m.toml").applied_to(("Teléfono", "Birthday", odd, "new"), COLUMNS)

    assert again.places == {"date_of_birth": 1, "first_name": 2}
    assert again.unused == ("Teléfono", "new")
    loaded = ColumnMapping.load(tmp_path / "m.toml")
    with pytest.raises(ColumnMappingError, match="no column 'Birthday'"):
        loaded.applied_to((odd, "Teléfono"), COLUMNS)


@pytest.mark.parametrize("content", ["=", "[columns]\na = 1", "x = 1", '[columns]\na = "phone"\nb = "phone"', None])
def test_what_is_no_saved_mapping_is_refused(tmp_path, content):
    path = tmp_path / "m.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ColumnMappingError, match=r"m\.toml"):
        ColumnMapping.load(path)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.just("")))
def test_any_header_survives_the_saved_file(tmp_path_factory, ignored):
    path = tmp_path_factory.mktemp("map") / "m.toml"
    ColumnMapping((), {}, ignored=tuple(ignored)).save(path)

    assert ColumnMapping.load(path).given() == ignored


@pytest.mark.parametrize("word", ["Email", "correo", "Responsable", "Teléfono"])
def test_two_columns_of_one_name_are_never_chosen_between(word):
    header = ["Nombre", "Apellido", "Nacimiento", f"{word} (column 4)", f"{word} (column 5)"]
    header += ["Correo del tutor"] if word == "Teléfono" else []

    with pytest.raises(ColumnMappingError, match=rf"'{word} \(column 4\)' and '{word} \(column 5\)' both mean"):
        propose(header, record_of("students").readable)


def test_a_first_row_of_data_is_told_from_a_header():
    students = record_of("students").readable

    assert "--no-header" in str(refused(["Luz", "Sosa", "31/12/2019"], students))
    assert "--no-header" in str(refused(["Ana", "ana@example.org"], students))
    assert "--no-header" not in str(refused(["Kind", "Geboren"], students))
