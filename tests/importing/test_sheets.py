"""What a person sees in a sheet is what is read, or the row is refused; no sheet is passed over without a word."""

import datetime as dt
import io
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas
import pytest
import xlsxwriter

from rayces_core import SourceError, Student, User, importing
from rayces_core.importing import values
from rayces_core.importing.columns import Reading, Unreadable
from rayces_core.importing.sources import open_source
from rayces_core.models.credit import CreditTransaction
from tests.importing.writers import write

FILES = Path(__file__).parent / "files"
READING = Reading(ZoneInfo("UTC"))
DAY = dt.date(2015, 3, 4)


def book(tmp_path, *sheets, name="book.xlsx", **options):
    """A workbook: for each sheet its name and what writes it, or its rows."""
    with xlsxwriter.Workbook(tmp_path / name, options) as made:
        for title, content in sheets:
            sheet = made.add_worksheet(title)
            if callable(content):
                content(made, sheet)
            else:
                for number, row in enumerate(content):
                    sheet.write_row(number, 0, row)
    return tmp_path / name


def changed(path, *changes):
    """The workbook with pieces of its XML replaced."""
    with zipfile.ZipFile(path) as old:
        parts = {member: old.read(member) for member in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member, data in parts.items():
            for before, after in changes:
                data = data.replace(before.encode(), after.encode())
            new.writestr(member, data)
    return path


def rows_of(source, **options):
    return [row for batch in open_source(source, **options).batches() for row in batch]


def reasons(path, **options):
    """(row, place) → why a cell cannot be read."""
    return {
        (number, place): value.reason
        for number, row in rows_of(path, **options)
        for place, value in enumerate(row)
        if isinstance(value, Unreadable)
    }


FOURS = [["Nombre", "Apellido"], ["Uno", "A"]]
FIVES = [["apellido ", "NOMBRE", "Sala"], ["B", "Dos", "5"], ["C", "Tres", "5"]]


def test_a_workbook_with_rows_in_two_sheets_is_refused_until_somebody_says_which(tmp_path):
    path = book(tmp_path, ("Sala 4", FOURS), ("Sala 5", FIVES), ("Notas", []))

    with pytest.raises(SourceError, match=r"2 sheets with rows: 'Sala 4' \(1 below the first\), 'Sala 5' \(2 below"):
        open_source(path)
    assert rows_of(path, sheet="Sala 4") == [(2, ["Uno", "A"])]
    assert rows_of(path, sheet=2) == [(2, ["B", "Dos", "5"]), (3, ["C", "Tres", "5"])]


def test_all_sheets_are_read_by_the_names_of_their_columns_whatever_their_order(tmp_path):
    path = book(tmp_path, ("Sala 4", FOURS), ("Vacía", []), ("Sala 5", FIVES))
    source = open_source(path, sheet="all")

    assert (source.header, source.sheets) == (("Nombre", "Apellido", "Sala"), ((0, "Sala 4"), (2, "Sala 5")))
    assert rows_of(path, sheet="ALL") == [(2, ["Uno", "A", None]), (4, ["Dos", "B", "5"]), (5, ["Tres", "C", "5"])]


def test_the_only_sheet_with_rows_is_read_wherever_it_stands_and_the_others_are_named(tmp_path):
    def hidden(_, sheet):
        sheet.hide()
        sheet.write_column(0, 0, ["Nombre", "Oculto"])

    path = book(tmp_path, ("Portada", [["Centro Norte"]]), ("Listas", hidden), ("Alumnos", FOURS))
    source = open_source(path)

    assert (source.name, source.header) == ("book.xlsx (Alumnos)", ("Nombre", "Apellido"))
    assert set(source.notes) == {
        "the sheet 'Listas' is hidden and not read",
        "the sheet 'Portada' has no rows under a header",
    }


@pytest.mark.slow
def test_a_class_in_each_sheet_comes_in_whole_and_a_problem_names_its_sheet(db, a, tmp_path):
    broken = [*FIVES, ["D", "Cuatro", "\x1bnada"], ["", "Cinco", ""]]
    path = book(tmp_path, ("Sala 4", FOURS), ("Sala 5", broken))

    with db.tenant(a):
        report = importing.check(path, Student, sheet="all")
        (problem,) = report.problems
        assert (problem.row, problem.sheet, report.rows) == (5, "Sala 5", 5)
        assert report.shown(problem)[0] == "5 of 'Sala 5'"
        with pytest.raises(importing.running.ImportRefusedError, match="row 5 of 'Sala 5', Apellido"):
            importing.run(path, Student, sheet="all")
        assert importing.run(path, Student, sheet="all", on_error="skip").created == 4


@pytest.mark.parametrize("name", ["failed-formulas.xls", "failed-formulas.ods"])
def test_a_formula_that_failed_is_no_empty_cell_in_any_format(name):
    assert set(reasons(FILES / name)) == {(2, 3), (2, 4)}


def test_every_way_a_formula_can_be_without_a_value_is_refused(tmp_path):
    def write(_, sheet):
        sheet.write_row(0, 0, ["a", "b", "c", "d", "e", "f", "g"])
        for place in range(6):
            sheet.write_formula(1, place, "=A9&B9", None, f"v{place}")
        sheet.write_formula(1, 6, "=NA()", None, "#N/A")

    path = changed(
        book(tmp_path, ("S", write)),
        ("<v>v0</v>", ""),
        ('<c r="B1" t="str"><f>A9&amp;B9</f><v>v1</v>', '<c r="B1"><f>A9&amp;B9</f><v></v>'),
        ("<v>v2</v>", "<v/>"),
        (' t="str"><f>A9&amp;B9</f><v>v3</v>', "><f>A9&amp;B9</f><v />"),
        ("<f>A9&amp;B9</f><v>v4</v>", '<f t="shared" si="0"/>'),
    )
    found = reasons(path)

    assert set(found) == {(2, 0), (2, 3), (2, 4), (2, 6)}
    assert "nobody has computed" in found[2, 0]
    assert "failed" in found[2, 6]
    assert rows_of(path)[0][1][1:3] == ["v1", None]  # a formula that gives an empty text says so


def test_formulas_without_a_value_in_cells_without_a_place_refuse_the_sheet(tmp_path):
    def write(_, sheet):
        sheet.write_row(0, 0, ["a", "b"])
        sheet.write_formula(1, 1, "=A9&B9", None, "v")

    path = changed(book(tmp_path, ("S", write)), (' r="B2"', ""), (' t="str"', ""), ("<v>v</v>", ""))

    with pytest.raises(SourceError, match="cells that do not say where they are"):
        open_source(path)


def test_zeros_of_a_workbook_that_waits_to_be_computed_are_no_values(tmp_path):
    def write(_, sheet):
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write_formula(1, 0, "=1+1")
        sheet.write_formula(1, 1, "=1+1", None, 2)
        sheet.write(1, 2, 0)

    waiting = book(tmp_path, ("S", write))
    assert list(reasons(waiting)) == [(2, 0)]
    assert rows_of(changed(waiting, (' fullCalcOnLoad="1"', ""))) == [(2, [0.0, 2.0, 0.0])]


def test_a_merged_cell_gives_its_value_to_each_row_it_spans(tmp_path):
    def write(_, sheet):
        sheet.write_row(0, 0, ["Nombre", "Responsable", "Teléfono", "Notas"])
        sheet.write_column(1, 0, ["Luz", "Teo", "Eva"])
        sheet.merge_range(1, 1, 3, 1, "ana@example.org")
        sheet.merge_range(4, 0, 5, 0, "Ana")
        sheet.merge_range(1, 2, 2, 3, "4321")

    rows = rows_of(book(tmp_path, ("S", write)))

    assert [(number, row[0], row[1]) for number, row in rows] == [
        (2, "Luz", "ana@example.org"),
        (3, "Teo", "ana@example.org"),
        (4, "Eva", "ana@example.org"),
        (5, "Ana", None),  # the row below has nothing of its own
    ]
    assert [row[2] for _, row in rows[:3]] == ["4321", "4321", None]
    assert ["merged with C2" in row[3].reason for _, row in rows[:2]] == [True, True]


def test_what_is_merged_with_the_header_is_no_value_of_the_rows_below(tmp_path):
    def write(_, sheet):
        sheet.write_row(0, 0, ["Nombre", "Sala"])
        sheet.merge_range(0, 1, 2, 1, "Sala")
        sheet.write_column(1, 0, ["Luz", "Teo"])

    assert set(reasons(book(tmp_path, ("S", write)))) == {(2, 1), (3, 1)}


def test_a_number_is_a_date_by_the_day_from_which_its_workbook_counts(tmp_path):
    def write(made, sheet):
        sheet.write_row(0, 0, ["a", "b", "c"])
        sheet.write(1, 0, DAY, made.add_format({"num_format": "dd/mm/yyyy"}))
        sheet.write(1, 1, 40605)
        sheet.write(1, 2, 40605.5)

    for path in (book(tmp_path, ("S", write), date_1904=True), FILES / "counts-from-1904.xls"):
        rows = rows_of(path)
        plain = rows[0][1][1:3] if path.suffix == ".xlsx" else (rows[0][1][2], rows[1][1][2])
        assert values.date(rows[0][1][0 if path.suffix == ".xlsx" else 1], READING) == DAY
        assert values.date(plain[0], READING) == DAY
        assert values.moment(plain[1], READING) == dt.datetime(2015, 3, 4, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize("shown", ["dd/mm/yyyy hh:mm", "yyyy-mm-dd\\ h:mm AM/PM", '[$-es-AR]d" de "mmmm hh:mm;@'])
def test_a_midnight_is_a_moment_where_the_cell_shows_an_hour(tmp_path, shown):
    def write(made, sheet):
        hour, day = (made.add_format({"num_format": code}) for code in (shown, '[$-es-AR]d" de hoy "mmmm;@'))
        sheet.write_row(0, 0, ["a", "b"])
        for number in range(1, 4):
            sheet.write_datetime(number, 0, dt.datetime(2026, 3, number), hour)
            sheet.write_datetime(number, 1, dt.datetime(2026, 3, number), day)

    for number, (moment, day) in rows_of(book(tmp_path, ("S", write))):
        assert (moment, day) == (dt.datetime(2026, 3, number - 1), dt.date(2026, 3, number - 1))


def test_hours_merged_cells_and_formulas_of_a_document_are_seen():
    first, second, third = (row for _, row in rows_of(FILES / "hours-and-merged.ods"))

    assert first[1:3] == [dt.datetime(2026, 3, 3), DAY]  # the hour is shown by the column's own style
    assert "nobody has computed" in first[3].reason
    assert (second[4], third[1]) == ("ana@example.org", dt.datetime(2026, 3, 3))


def test_the_same_of_an_old_excel():
    first, second = (row for _, row in rows_of(FILES / "counts-from-1904.xls"))

    assert (first[3], second[5]) == (dt.datetime(2015, 3, 4), "ana@example.org")
    assert "nobody has computed" in first[4].reason


@pytest.mark.slow
def test_an_id_of_sixteen_digits_is_exact_or_refused(db, a, tmp_path):
    header, number = ["cliente", "sesiones", "referencia"], 4111222233334444
    sheet = book(tmp_path, ("S", [header, ["ana@ids.example.org", 4, number]]))
    plain = tmp_path / "rows.csv"
    plain.write_text(f"{','.join(header)}\nana@ids.example.org,4,{number}\n")

    with db.tenant(a):
        importing.run([{"email": "ana@ids.example.org"}], "users")
        user = User.get(User.email == "ana@ids.example.org")
        assert [importing.run(each, "credits").created for each in (sheet, plain)] == [1, 0]
        assert CreditTransaction.select().where(CreditTransaction.user == user).count() == 1
    for lost in (12345678901234567, 4111222233334440, 1.5e17):
        assert "more than fifteen digits" in reasons(book(tmp_path, ("S", [["id"], [lost]])))[2, 0]


@pytest.mark.slow
def test_a_long_float_of_any_source_is_exact_or_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text(
        '{"id": 4111222233334444.0}\n{"id": 1.234567890123457e+16}\n{"id": 12345678901234567}\n'
    )
    frame = pandas.DataFrame({"id": [4111222233334444.0, 1.234567890123457e16, None, 1.5]})
    frame.to_parquet(tmp_path / "rows.parquet")

    for source in (tmp_path / "rows.jsonl", frame, tmp_path / "rows.parquet", frame.to_dict("records")):
        first, second, last = (row[0] for _, row in rows_of(source))
        assert (first, type(first), last in (12345678901234567, 1.5)) == (4111222233334444, int, True)
        assert "more than fifteen digits" in second.reason


@pytest.mark.slow
def test_a_workbook_is_found_by_its_relations_whatever_its_parts_are_called(tmp_path):
    path = book(tmp_path, ("S", [["a"], ["x"]]))
    content = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for member in old.namelist():
            data = old.read(member).replace(b"xl/workbook.xml", b"workbook.xml").replace(b"/xl/", b"/")
            name = member.removeprefix("xl/")
            new.writestr(name if not member.startswith("_rels") else member, data)
    path.write_bytes(content.getvalue())

    assert rows_of(path) == [(2, ["x"])]


def test_a_workbook_with_a_password_and_a_text_document_are_named_as_what_they_are(tmp_path):
    said = {
        "META-INF/manifest.xml": ("<x><manifest:encryption-data/></x>", "is protected by a password"),
        "[Content_Types].xml": ('<x a="wordprocessingml.document.main+xml"/>', "is a text document"),
    }
    for member, (content, expected) in said.items():
        path = tmp_path / "book.ods"
        with zipfile.ZipFile(path, "w") as new:
            new.writestr(member, content)
            new.writestr("content.xml", b"\x8f\x01 encrypted")
        with pytest.raises(SourceError, match=expected):
            open_source(path)


@pytest.mark.parametrize(
    ("number", "shape", "shown"), [(123, "00000", "00123"), (7, "000", "007"), (0, "0000", "0000")]
)
def test_the_zeros_that_a_cell_shows_before_its_number_are_read(
    tmp_path: Path, number: int, shape: str, shown: str
) -> None:
    path = tmp_path / "padded.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["legajo", "apellido", "cuotas"])
        sheet.write_row(1, 0, [number, "Sosa"], book.add_format({"num_format": shape}))
        sheet.write_number(1, 2, number, book.add_format({"num_format": "#,##0"}))
        sheet.write_formula(2, 0, "=1+1", book.add_format({"num_format": shape}), 2)
        sheet.write_number(3, 0, 12345678, book.add_format({"num_format": shape}))
    rows = [values for batch in open_source(path).batches() for _, values in batch]
    assert rows[0] == [shown, "Sosa", number]
    assert [row[0] for row in rows[1:]] == ["2".zfill(len(shape)), 12345678]


def test_the_same_zeros_of_a_document_are_read(tmp_path: Path) -> None:
    cells = '<table:table-cell office:value-type="float" office:value="{}"><text:p>{}</text:p></table:table-cell>'
    path = write(tmp_path / "padded.ods", ["legajo", "apellido"], [["LEGAJO", "Sosa"]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    whole = parts["content.xml"]
    begin = whole.rindex("<table:table-cell", 0, whole.index("LEGAJO"))
    end = whole.index("</table:table-cell>", begin) + len("</table:table-cell>")
    parts["content.xml"] = whole[:begin] + cells.format(123, "00123") + whole[end:]
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    assert [values for batch in open_source(path).batches() for _, values in batch] == [["00123", "Sosa"]]


@pytest.mark.parametrize("shown", ["#N/A", "#¡REF!", "#VALOR!"])
def test_a_formula_that_failed_is_no_text_in_a_csv(shown: str) -> None:
    with pytest.raises(ValueError, match="the formula gave"):
        values.text(shown, Reading(ZoneInfo("UTC")))
