"""A table is found in the file as people have it: titles above, totals below, a broken quote in the middle."""

import csv
import datetime as dt

import pytest

from rayces_core import ColumnMappingError, SourceError, Student, importing
from rayces_core.importing.columns import Unreadable
from rayces_core.importing.sources import open_source
from rayces_core.importing.sources.records import MAX_BROKEN
from tests.importing.test_sheets import book

WORDS = ("nombre", "apellido", "email", "fecha de nacimiento", "sala")


def file(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def read(path, **options):
    """Row number → its values, or why it cannot be read."""
    return {
        number: row[0].reason if isinstance(row[0], Unreadable) else list(row)
        for batch in open_source(path, **options).batches()
        for number, row in batch
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('x,"Pepe "el Rayo" Paz",y', "double it"),
        ('x,"Pepe,y', "never closed"),
        ('x,"Pepe" Paz,"y"', "double it"),
        ('"Pepe \\"el Rayo\\"",y,z', "double it"),
    ],
)
def test_a_broken_quote_refuses_its_row_and_no_other(tmp_path, line, says):
    found = read(file(tmp_path, f'a,b,c\n1,2,3\n{line}\n4,"5\n5",6\n7,8,9\n'))

    assert says in found.pop(3)
    assert found == {2: ["1", "2", "3"], 4: ["4", "5\n5", "6"], 6: ["7", "8", "9"]}


def test_what_may_be_the_rest_of_a_broken_row_is_never_read_as_a_row(tmp_path):
    found = read(file(tmp_path, 'a,b,c\n1,"first\nthe "second" line\nthird",x\n4,5,6\n7,8\n'))

    assert "never closed" in found[2]
    assert all("may belong to row 2" in found[number] for number in (3, 4))
    assert (found[5], found[6]) == (["4", "5", "6"], ["7", "8", None])


def test_a_quote_that_is_never_closed_swallows_no_rows(tmp_path):
    rows = read(file(tmp_path, 'a,b\n1,"2\n' + "3,4\n" * 50_000))

    assert "a value is longer than" in rows.pop(2)
    assert list(rows.values()) == [["3", "4"]] * 50_000


def test_thousands_of_broken_quotes_and_a_broken_header_refuse_the_file(tmp_path):
    for content in ("a,b\n" + '1,"2\n' * (MAX_BROKEN + 1), 'a,"b"x\n1,2\n', 'a\n"1\n2\n'):
        with pytest.raises(SourceError, match="quote"):
            read(file(tmp_path, content))


@pytest.mark.parametrize(
    "line", ['Zoe, "Sosa, M.", x', '"Zoe" , "Sosa, M." ,"x" ', 'Zoe,\u00a0"Sosa, M.",\t"x"', '"Zoe","Sosa, M.","x"']
)
def test_blanks_around_quotes_are_no_part_of_a_value(tmp_path, line):
    assert read(file(tmp_path, f"a, b, c\n{line}\n1,2,3\n")) == {2: ["Zoe", "Sosa, M.", "x"], 3: ["1", "2", "3"]}


def test_blanks_and_quotes_within_a_quoted_value_are_kept(tmp_path):
    path = tmp_path / "rows.csv"
    values = [' "x" , y', 'a" ,b', '\t"c"', "'d'"]
    with path.open("w", newline="") as opened:
        csv.writer(opened, quoting=csv.QUOTE_ALL).writerows([["a", "b", "c", "d"], values])

    assert read(path) == {2: values}


def test_apostrophes_that_quote_are_known_by_the_header(tmp_path):
    assert read(file(tmp_path, "'a';'b'\n'Ana';'x;''y'\n")) == {2: ["Ana", "x;'y"]}
    assert read(file(tmp_path, "a;b\n'Ana';D'Angelo\n")) == {2: ["'Ana'", "D'Angelo"]}


@pytest.mark.slow
def test_a_name_that_stands_twice_is_no_error_where_nobody_needs_it(db, a, tmp_path):
    path = file(tmp_path, "nombre,apellido,obs,obs\nDoble,Cabecera,1,2\n")
    both = file(tmp_path, "nombre,apellido,sala,sala\nDoble,Sala,4,5\n", "both.csv")

    with db.tenant(a):
        report = importing.check(path, Student, columns={"obs": ""})
        assert (report.created, report.ignored) == (1, ("obs (column 3)", "obs (column 4)"))
        with pytest.raises(ColumnMappingError, match=r"both mean grade_level; leave one out .*sala \(column 4\)="):
            importing.check(both, Student)
        assert importing.check(both, Student, columns={"sala (column 4)": ""}).created == 1


@pytest.mark.parametrize("written", ["{}\n{}\n", "[{},\n{}]"])
def test_a_key_that_an_object_has_twice_refuses_its_row(tmp_path, written):
    path = file(
        tmp_path, written.format('{"a": 1, "b": {"c": 1, "c": 2}}', '{"a": 1, "b": "\\":", "a": 2}'), "rows.jsonl"
    )
    first, second = read(path).values()

    assert (first, "the key 'a' twice" in second) == ([1, {"c": 2}], True)


TITLED = "Centro Norte;;;\nAlumnos 2026;;;\n\nNombre;Apellido;Sala;Legajo\nLuz;Sosa;4;1\nTeo;Paz;5;2\n"


@pytest.mark.parametrize("words", [(), WORDS])
def test_titles_above_the_header_are_passed_over_and_told(tmp_path, words):
    path = file(tmp_path, TITLED)
    source = open_source(path, words=words)

    assert source.header == ("Nombre", "Apellido", "Sala", "Legajo")
    assert source.notes == ("rows 1 to 2 above the names of the columns, in row 4, are not read",)
    assert list(read(path)) == [5, 6]


GROUPED = ["Nombre", "Apellido", "Sala", "Nombre Responsable", "Teléfono Responsable"]


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("Alumno;;Sala;Responsable;", GROUPED),
        ("Responsable;;;Alumno;", ["Nombre Responsable", "Apellido Responsable", "Responsable", "Nombre Alumno"]),
    ],
)
def test_a_header_of_two_rows_says_whose_each_column_is(tmp_path, above, names):
    path = file(tmp_path, f"Centro\n{above}\nNombre;Apellido;;Nombre;Teléfono\nLuz;Sosa;4;Ana;11\nTeo;Paz;5;Leo;12\n")
    source = open_source(path, words=("Nombre", "Apellido", "Teléfono", "nombre responsable"))

    assert source.header[: len(names)] == tuple(names)
    assert source.notes == (
        "row 1 above the names of the columns, in row 2, is not read",
        "rows 2 and 3 name the columns",
    )


def test_a_header_of_two_rows_in_a_sheet_goes_by_its_merged_cells(tmp_path):
    def write(_, sheet):
        sheet.merge_range(0, 0, 0, 1, "Alumno")
        sheet.merge_range(0, 2, 1, 2, "Sala")
        sheet.merge_range(0, 3, 0, 4, "Responsable")
        for place, name in enumerate(["Nombre", "Apellido", None, "Nombre", "Teléfono"]):
            sheet.write(1, place, name)
        sheet.write_row(2, 0, ["Luz", "Sosa", "4", "Ana", "11"])

    source = open_source(book(tmp_path, ("S", write)), words=("Nombre", "Apellido", "Teléfono"))

    assert (list(source.header), [row for batch in source.batches() for row in batch]) == (
        GROUPED,
        [(3, ["Luz", "Sosa", "4", "Ana", "11"])],
    )


@pytest.mark.parametrize(
    "content",
    [
        "nombre;email;x\nAna;;\nPaz;;\n",
        "persona;cargo;tel\nAna;profesional;\n;;\n",
        "Nombre;;;\nAna;Paz;4;x\nLuz;Sosa;5;y\n",
        "email\nana@x.org\n",
        "Sala;Total\n4;20\n5;30\n",
        "Nombre del alumno;Curso;Turno\nApellido;Nombre;Sala\n",
    ],
)
def test_a_header_is_not_taken_for_a_title(tmp_path, content):
    path = file(tmp_path, content)

    assert open_source(path, words=WORDS).header[0] == content.partition(";")[0].splitlines()[0]


def test_the_row_of_the_header_can_be_said_and_that_there_is_none(tmp_path):
    path = file(tmp_path, "x;y;z\nNombre;Apellido;Sala\nLuz;Sosa;4\n")

    assert read(path, header_row=2) == {3: ["Luz", "Sosa", "4"]}
    assert open_source(path, no_header=True).header == ("(column 1)", "(column 2)", "(column 3)")
    assert list(read(path, no_header=True)) == [1, 2, 3]
    sheet = book(tmp_path, ("S", [["Título"], [], ["a", "b"], ["c", "d"]]))
    assert read(sheet, header_row=3) == {4: ["c", "d"]}
    assert list(read(sheet, no_header=True)) == [1, 3, 4]
    for options in ({"header_row": 9}, {"header_row": 1, "no_header": True}):
        with pytest.raises(SourceError, match=r"header|row 9 is empty"):
            open_source(path, **options)
    with pytest.raises(SourceError, match="names its columns itself"):
        open_source([{"a": 1}], header_row=2)


def test_a_file_without_a_header_is_imported_by_the_places_of_its_columns(db, a, tmp_path):
    path = file(tmp_path, "Ana Sin,Cabecera,01/02/2018\nLuz Sin,Cabecera,03/04/2019\n")
    columns = {"column 1": "first_name", "(column 2)": "last_name", "(column 3)": "date_of_birth"}

    with db.tenant(a):
        report = importing.run(path, Student, no_header=True, columns=columns)
        assert (report.rows, report.created) == (2, 2)


@pytest.mark.parametrize(
    "last", ["Total;;24", ";TOTAL GENERAL:;$ 1.234,50", "Subtotal;;\n;;\nTotal alumnos: 24;;", "Promedio;;7,5"]
)
def test_totals_at_the_end_are_no_rows(tmp_path, last):
    path = file(tmp_path, f"nombre;apellido;cuota\nAna;Paz;12\nLuz;Sosa;12\n\n{last}\n;;\n")
    source = open_source(path)

    assert [number for batch in source.batches() for number, _ in batch] == [2, 3]
    assert "at the end" in source.notes[-1]


def test_what_only_looks_like_a_total_is_a_row(tmp_path):
    path = file(tmp_path, "nombre;apellido;cuota\nTotal;;24\nSuma;Rao;12\nTotalina;Paz;1\nPaz;Total;\n")

    assert list(read(path)) == [2, 3, 4, 5]


@pytest.mark.parametrize("total", ["Total;24;", "Subtotal;;2", " Suma:;;$ 24", "Total sala 4;;"])
def test_a_total_within_the_table_refuses_its_row(tmp_path, total):
    path = file(tmp_path, f"nombre;apellido;cuota\nAna;Paz;12\n{total}\nLuz;Sosa;12\n")

    rows = read(path)
    assert rows[3].startswith("is a total within the table")
    assert (rows[2], rows[4]) == (["Ana", "Paz", "12"], ["Luz", "Sosa", "12"])


def test_totals_of_every_sheet_are_left_out_and_told(tmp_path):
    rows = [["Nombre", "Apellido", "Cuota"], ["Ana", "Paz", 12], ["Total", 1, 12]]
    source = open_source(book(tmp_path, ("A", rows), ("B", [[*row[1::-1], row[2]] for row in rows])), sheet="all")

    assert [number for batch in source.batches() for number, _ in batch] == [2, 5]
    assert len([note for note in source.notes if "is a total" in note]) == 2


def test_a_person_who_is_called_as_a_total_is_no_total(tmp_path):
    born = dt.datetime(2018, 5, 4)
    path = book(tmp_path, ("A", [["Alumno", "Nacimiento", "Legajo"], ["Suma, Rao", born, 7], ["Total, Eva", born, 8]]))

    assert list(read(path)) == [2, 3]


def test_totals_below_a_sheet_are_no_rows(tmp_path):
    path = book(tmp_path, ("S", [["Nombre", "Apellido", "Cuota"], ["Ana", "Paz", 12], [], ["Total", None, 12]]))

    assert list(read(path)) == [2]


@pytest.mark.slow
def test_words_that_mean_nothing_are_empty(db, a, tmp_path):
    path = file(tmp_path, "nombre,apellido,sala,notas\nNula,Vacía,N/A, NULL \nNULL,N/A,,\nOtra,Nullmann,null,x\n")

    assert read(path, null=("N/A", "NULL")) == {2: ["Nula", "Vacía", None, None], 4: ["Otra", "Nullmann", "null", "x"]}
    assert list(read(book(tmp_path, ("S", [["a"], ["s/d"], ["x"]])), null=["s/d"])) == [3]
    assert [row for batch in open_source([{"a": "-"}, {"a": 1}], null=["-"]).batches() for row in batch] == [(2, [1])]
    with db.tenant(a):
        importing.run(path, Student, null=["N/A", "NULL", "null"])
        assert Student.get(Student.first_name == "Nula").grade_level is None


@pytest.mark.parametrize(
    ("group", "contact"), [("Alumno", "Contacto"), ("Estudiante", "Responsable"), ("Alumna", "Tutor")]
)
def test_columns_below_the_group_of_the_row_itself_keep_their_names(db, a, tmp_path, group, contact):
    path = file(
        tmp_path,
        f"{group};;;{contact};\nNombre;Apellido;Nacimiento;Nombre;Email\nLía;Par;1/2/2019;Paz, Eli;eli@x.org\n",
    )

    with db.tenant(a):
        assert importing.run(path, Student).unused == ()
        lia = Student.get(Student.first_name == "Lía")
        assert (lia.date_of_birth, lia.primary_contact.first_name) == (dt.date(2019, 2, 1), "Eli")
