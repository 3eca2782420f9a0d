"""The headers that are known: each is a column's for certain, or somebody is asked which."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from rayces_core import AmbiguousColumnsError, ColumnMappingError, CreditTransaction, Database, Student, User, importing
from rayces_core.importing.mapping import propose
from rayces_core.importing.records import RECORDS
from rayces_core.importing.template import header as template_header
from rayces_core.importing.values import fold
from rayces_core.importing.words import is_hint, table, why
from tests.importing.world import told
from tests.sizes import first


def places(kind: str, header: tuple[str, ...], given: dict[str, str] | None = None) -> dict[str, str]:
    """Column → the header that it is read from."""
    record = RECORDS[kind]
    mapping = propose(header, record.readable, given or {}, record.key.split(", "), record.ways)
    return {column: header[place] for column, place in mapping.places.items()}


def asked(kind: str, header: tuple[str, ...], given: dict[str, str] | None = None) -> dict[str, tuple[str, ...]]:
    """What is asked about a header: header → the columns that it may mean."""
    with pytest.raises(AmbiguousColumnsError) as caught:
        places(kind, header, given)
    for name, columns in caught.value.choices.items():
        for each in columns:
            assert f'--map "{name}={each}"' in str(caught.value)
        assert f'--map "{name}="' in str(caught.value)
    return caught.value.choices


# -- the file ---------------------------------------------------------------------------------------------------------


def test_the_file_has_words_for_columns_that_are_there_alone() -> None:
    for kind, columns in table().items():
        if kind not in ("why", "hints"):
            assert set(columns) <= {column.name for column in RECORDS[kind].readable}, kind


@pytest.mark.parametrize("kind", RECORDS)
def test_no_word_is_certain_for_one_column_and_anything_for_another(kind: str) -> None:
    columns = RECORDS[kind].readable
    certain = {column.name: {fold(name) for name in (*column.names, column.name)} for column in columns}
    for one, other in combinations(columns, 2):
        assert not certain[one.name] & certain[other.name], (one.name, other.name)
    for column in columns:
        doubtful = {fold(name) for name in column.words.perhaps}
        assert not any(doubtful & names for names in certain.values()), column.name
        never = {fold(name) for name in column.words.never}
        assert not never & (certain[column.name] | doubtful | {fold(name) for name in column.words.last}), column.name


def test_every_reason_is_of_a_word_that_is_asked_about() -> None:
    doubtful = {fold(name) for record in RECORDS.values() for each in record.readable for name in each.words.perhaps}
    assert {fold(name) for name in table()["why"]} <= doubtful
    assert why("Fecha de Alta")


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_headers_of_a_template_are_understood_as_its_columns(kind: str, language: str) -> None:
    columns = [column for column in RECORDS[kind].columns if column.in_template]
    assert list(places(kind, template_header(columns, language))) == [column.name for column in columns]


# -- words that mean two things ---------------------------------------------------------------------------------------

ALTA = ("admission_date", "discharge_date")


@pytest.mark.parametrize("word", ["Fecha de alta", "ALTA", "fecha_alta", "Data de alta", "Fecha de alta (dd/mm/aaaa)"])
def test_a_day_of_alta_is_asked_about(word: str) -> None:
    assert asked("students", ("Nombre", "Apellido", word)) == {word: ALTA}


def test_what_is_asked_about_is_read_as_the_user_says(db: Database, a: Any) -> None:
    rows = [
        {"Nombre": "Luz", "Apellido": "Sosa", "Fecha de alta": "01/03/2024", "Fecha de baja": "", "Estado": "Activo"},
        {
            "Nombre": "Teo",
            "Apellido": "Paz",
            "Fecha de alta": "15/02/2022",
            "Fecha de baja": "20/12/2025",
            "Estado": "Baja",
        },
    ]
    with db.tenant(a):
        with pytest.raises(AmbiguousColumnsError, match="signing up in an office, of the discharge in a clinic"):
            importing.run(rows, "students")
        importing.run(rows, "students", columns={"Fecha de alta": "admission_date"})
        found = Student.select().order_by(Student.id)
        assert [
            (str(each.admission_state), str(each.admission_date), str(each.discharge_date or "")) for each in found
        ] == [
            ("enrolled", "2024-03-01", ""),
            ("discharged", "2022-02-15", "2025-12-20"),
        ]


def test_a_discharge_that_a_clinic_calls_so_is_certain() -> None:
    assert (
        places("students", ("Nombre", "Apellido", "Fecha de alta médica"))["discharge_date"] == "Fecha de alta médica"
    )


@pytest.mark.parametrize("word", ["Amount", "Saldo", "balance", "Cantidad", "Total", "Quantidade", "Crédito"])
def test_what_may_be_money_is_asked_about_before_it_becomes_credits(word: str) -> None:
    assert "credits" in asked("credits", ("email", word))[word]


@pytest.mark.slow
def test_an_amount_beside_a_currency_is_money_and_no_credits(db: Database, a: Any) -> None:
    payments = [{"id": "pay_1", "Amount": "15000,00", "Currency": "ARS", "Email": "ana@x.org", "Date": "03/03/2026"}]
    assert asked("credits", ("id", "Amount", "Currency", "Email", "Date")) == {"id": ("reference",)}
    with db.tenant(a):
        importing.run([{"email": "ana@x.org"}], "users")
        with pytest.raises(ColumnMappingError, match="credits is missing") as caught:
            importing.run(payments, "credits", columns={"id": "reference"})
        assert caught.value.missing == ("credits",)
        assert not CreditTransaction.select().exists()
        importing.run([payments[0] | {"Sesiones": 4}], "credits", columns={"id": "reference"})
        bought = CreditTransaction.get()
        assert (bought.amount, bought.amount_cents) == (4, 1_500_000)


def test_an_amount_beside_sessions_is_what_was_paid_for_them() -> None:
    found = places("credits", ("Cliente", "Sesiones", "Total"))
    assert (found["credits"], found["amount_paid"], found["user"]) == ("Sesiones", "Total", "Cliente")


@pytest.mark.parametrize("word", ["id", "Número", "number"])
def test_a_number_that_may_be_the_rows_alone_is_no_reference_unasked(word: str) -> None:
    assert asked("credits", ("email", "credits", word)) == {word: ("reference",)}
    assert "reference" not in places("credits", ("email", "credits", word), {word: ""})
    assert places("credits", ("email", "credits", "reference", word))["reference"] == "reference"


@pytest.mark.parametrize(
    ("kind", "header", "doubts"),
    [
        ("users", ("email", "Nombre", "Apellido paterno"), {"Apellido paterno": ("last_name",)}),
        ("users", ("email", "Nome", "Apelido"), {"Apelido": ("last_name",)}),
        ("students", ("Nombre", "Apellido", "Madre"), {"Madre": ("primary_contact", "secondary_contact")}),
        ("users", ("email", "Nombre (madre)"), {"Nombre (madre)": ("first_name",)}),
        ("users", ("email", "Teléfono (del trabajo)"), {"Teléfono (del trabajo)": ("phone",)}),
        ("students", ("Nombre", "Apellido", "Ingreso (Egreso)"), {"Ingreso (Egreso)": ALTA}),
        (
            "appointments",
            ("Profesional", "Alumno", "Fecha", "Hora", "Duración (horas)", "Motivo"),
            {"Duración (horas)": ("duration_minutes",), "Motivo": ("notes", "cancellation_reason")},
        ),
    ],
)
def test_other_words_of_two_meanings_are_asked_about(
    kind: str, header: Any, doubts: dict[str, tuple[str, ...]]
) -> None:
    assert asked(kind, header) == doubts


def test_what_is_asked_about_is_left_out_on_request() -> None:
    given = {"Fecha de alta": ""}
    assert set(places("students", ("Nombre", "Apellido", "Fecha de alta"), given)) == {"first_name", "last_name"}


def test_nothing_is_asked_about_columns_that_are_there() -> None:
    header = ("Nombre", "Apellido", "Fecha de ingreso", "Fecha de egreso", "Fecha de alta")
    assert "Fecha de alta" not in places("students", header).values()


def test_a_header_that_is_near_what_it_never_means_is_not_suggested() -> None:
    record = RECORDS["students"]
    mapping = propose(("Nombre", "Apellido", "Apellido materno"), record.readable, {}, (), record.ways)
    assert (mapping.unused, mapping.suggestions) == (("Apellido materno",), {})


# -- brackets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["dd/mm/aaaa", "obligatorio", "Opcional", "DD-MM-YYYY", "s", "día/mes/año", "ej. 31/12/2019", "", "hh:mm"]
)
def test_brackets_that_say_how_a_value_is_written_do_not_matter(text: str) -> None:
    assert is_hint(text)
    assert places("users", ("email", f"Nombre ({text}) *", "Apellido"))["first_name"] == f"Nombre ({text}) *"


def test_brackets_with_another_word_of_the_same_column_do_not_matter() -> None:
    assert places("users", ("Email (Correo)", "Nombre (First name)", "Surname"))["first_name"] == "Nombre (First name)"


def test_brackets_that_say_what_is_in_a_column_are_believed(db: Database, a: Any) -> None:
    with db.tenant(a):
        importing.run([{"email": "nn@x.org", "Nombre (Apellido y nombre)": "Sosa, Luz"}], "users")
        assert (User.get().first_name, User.get().last_name) == ("Luz", "Sosa")


# -- as programs and people write them --------------------------------------------------------------------------------

GOOGLE = (
    "Name",
    "Given Name",
    "Family Name",
    "Birthday",
    "Notes",
    "E-mail 1 - Type",
    "E-mail 1 - Value",
    "Phone 1 - Type",
)
OUTLOOK = ("Title", "First Name", "Middle Name", "Last Name", "Suffix", "E-mail Address", "Mobile Phone", "Home Phone")
ONEROSTER = (
    "sourcedId",
    "status",
    "role",
    "username",
    "givenName",
    "familyName",
    "identifier",
    "email",
    "sms",
    "phone",
)


@pytest.mark.parametrize(
    ("kind", "header", "expected"),
    [
        ("users", GOOGLE, {"first_name": "Given Name", "last_name": "Family Name", "email": "E-mail 1 - Value"}),
        ("users", ("Name", "E-mail 1 - Value", "Phone 1 - Value"), {"full_name": "Name", "phone": "Phone 1 - Value"}),
        (
            "users",
            OUTLOOK,
            {"first_name": "First Name", "last_name": "Last Name", "email": "E-mail Address", "phone": "Mobile Phone"},
        ),
        ("users", ONEROSTER, {"first_name": "givenName", "last_name": "familyName", "phone": "phone", "role": "role"}),
        (
            "users",
            ("username", "firstname", "lastname", "email", "phone1"),
            {"first_name": "firstname", "phone": "phone1"},
        ),
        ("users", ("Nome", "Sobrenome", "E-mail", "Telefone"), {"first_name": "Nome", "last_name": "Sobrenome"}),
        ("students", ("Nombres", "Apellidos", "fecha_nacimiento"), {"date_of_birth": "fecha_nacimiento"}),
        ("students", ("NOMBRES", "APELLIDOS", "fechanacimiento", "Mail"), {"primary_contact": "Mail"}),
        (
            "students",
            ("nombre", "apellido", "F. Nac.", "estatus"),
            {"date_of_birth": "F. Nac.", "admission_state": "estatus"},
        ),
        (
            "students",
            ("Nome", "Sobrenome", "Data de nascimento", "Turma", "E-mail do responsável"),
            {
                "first_name": "Nome",
                "last_name": "Sobrenome",
                "date_of_birth": "Data de nascimento",
                "grade_level": "Turma",
                "primary_contact": "E-mail do responsável",
            },
        ),
        ("students", ("Apellido y Nombre", "DNI", "Fecha Nac."), {"full_name": "Apellido y Nombre"}),
        ("students", ("Alumno", "Curso"), {"full_name": "Alumno", "grade_level": "Curso"}),
        ("students", ("Nombre", "Curso"), {"full_name": "Nombre"}),
        ("credits", ("Email", "Cliente", "Sesiones"), {"user": "Email", "credits": "Sesiones"}),
    ],
)
def test_headers_of_programs_and_of_other_languages_are_known(kind: str, header: Any, expected: dict[str, str]) -> None:
    found = places(kind, header)
    assert {column: found.get(column) for column in expected} == expected


def test_a_header_that_is_a_last_resort_gives_way_to_a_certain_one() -> None:
    assert places("users", ("Tipo", "Rol", "email"))["role"] == "Rol"
    assert places("users", ("Tipo", "email"))["role"] == "Tipo"
    assert places("users", ("Home Phone", "Mobile Phone", "email"))["phone"] == "Mobile Phone"


def test_a_whole_name_beside_its_half_is_refused_until_one_is_left_out() -> None:
    header = ("email", "Primer nombre", "Nombre completo")
    with pytest.raises(ColumnMappingError, match="'Nombre completo' and 'Primer nombre' both say first_name"):
        places("users", header)
    assert set(places("users", header, {"Primer nombre": ""})) == {"email", "full_name"}


# -- whole names ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("written", "last", "first"),
    [
        ("Sosa, Luz", "Sosa", "Luz"),
        ("SOSA PAZ,LUZ MARÍA", "SOSA PAZ", "LUZ MARÍA"),
        (" de la Cruz ,  Ana ", "de la Cruz", "Ana"),
        ("O'Neill, J.", "O'Neill", "J."),
    ],
)
def test_a_whole_name_is_split_by_its_comma(db: Database, a: Any, written: str, last: str, first: str) -> None:
    with db.tenant(a):
        importing.run([{"Apellido y nombre": written}], "students")
        importing.run([{"email": "x@example.org", "Nombre completo": written}], "users")
        for found in (Student.get(), User.get()):
            assert (found.last_name, found.first_name) == (last, first)
        # The same person as in two columns.
        assert importing.run([{"Nombre": first, "Apellido": last}], "students").unchanged == 1


@pytest.mark.parametrize(
    "written",
    first(
        3,
        [
            "Luz Sosa",
            "Luz",
            "Sosa, Luz, María",
            "King, Jr.",
            "Sosa,",
            ", Luz",
            "Sosa / Luz",
            "Pérez, Dra.",
            "ana@x.org",
            "Sosa;Luz",
        ],
    ),
)
@pytest.mark.parametrize("header", ["Apellido y nombre", "Nombre"])
def test_a_whole_name_that_does_not_say_what_is_first_is_refused(
    db: Database, a: Any, written: str, header: str
) -> None:
    with db.tenant(a):
        report = importing.check([{header: written}], "students")
        assert told(report) == [(1, "full_name")]
        assert "two columns" in report.problems[0].advice or "map the column" in report.problems[0].advice


def test_a_lone_nombre_of_users_is_a_first_name_where_it_is_one_word(db: Database, a: Any) -> None:
    rows = [{"correo": f"u{n}@example.org", "nombre": name} for n, name in enumerate(("Ana", "Paz, Eva", "Juan Pérez"))]
    with db.tenant(a):
        report = importing.run(rows, "users", on_error="skip")
        assert told(report) == [(3, "full_name")]
        found = [(each.first_name, each.last_name) for each in User.select().order_by(User.id)]
        assert found == [("Ana", None), ("Eva", "Paz")]
        importing.run(rows[2:], "users", columns={"nombre": "first_name"})
        assert User.select().where(User.first_name == "Juan Pérez").exists()


def test_a_whole_name_in_the_column_of_the_first_one_is_refused(db: Database, a: Any) -> None:
    rows = [{"email": "x@example.org", "first_name": "Sosa, Luz", "last_name": ""}]
    with db.tenant(a):
        assert told(importing.check(rows, "users")) == [(1, "first_name")]


def test_an_empty_whole_name_is_missing_where_a_name_is_needed(db: Database, a: Any) -> None:
    with db.tenant(a):
        assert told(
            importing.check([{"Alumno": "", "Curso": "2"}, {"Alumno": "Sosa, Luz", "Curso": ""}], "students")
        ) == [(1, "full_name")]
        assert importing.check([{"email": "x@example.org", "Nombre completo": ""}], "users").created == 1
