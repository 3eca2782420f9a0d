"""Sources give every row once, under the header's names, with the number that the user's program shows."""

import csv
import datetime as dt
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from rayces_core import SourceError
from rayces_core.importing.columns import SheetNumber, Unreadable
from rayces_core.importing.sources import open_source
from tests.sizes import examples
from tests.walking import walked

FILES = Path(__file__).parent / "files"
HEADER = ("Nombre", "Apellido", "Fecha de nacimiento", "Correo del responsable", "Legajo", "Cuota", "Activo")


def rows_of(source, **options):
    return [row for batch in open_source(source, **options).batches() for row in batch]


def values_of(source, **options):
    return [list(values) for _, values in rows_of(source, **options)]


def file(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_as_argentine_excel_writes_it_is_read_without_a_word_from_the_user():
    source = open_source(FILES / "excel-argentina.csv")

    assert (source.header, source.encoding, source.delimiter) == (HEADER, "cp1252", ";")
    assert list(source.batches()) == [
        [
            (2, ["José", "Ñandú", "31/12/2019", "ana.paz@example.org", "1234567", "$ 1.234,50", "VERDADERO"]),
            (3, ["Lucía; Inés", "Pérez", "3/4/2015", "luz@example.org", "42", "1000", "FALSO"]),
        ]
    ]


@pytest.mark.parametrize("name", ["alumnos.xlsx", "alumnos.ods", "alumnos.xls"])
def test_a_workbook_of_libreoffice_gives_dates_numbers_and_texts(name):
    source = open_source(str(FILES / name))
    (number, values), second = next(source.batches())

    assert source.header == HEADER
    assert (number, second[0]) == (2, 3)
    assert values[:4] == ["José", "Ñandú", dt.date(2019, 12, 31), "ana.paz@example.org"]
    assert (float(values[4]), values[5], values[6]) == (1234567, 1234.5, True)
    assert source.progress() == 1.0


@walked("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
@walked("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters_are_found_out(tmp_path, encoding, delimiter):
    text = delimiter.join(("Nombre", "Año", "Ciudad")) + "\r\n"
    text += (
        delimiter.join(("José Núñez", "2019", "Córdoba")) + "\r\n" + delimiter.join(("María", "2020", "Río")) + "\r\n"
    )

    path = file(tmp_path, text.encode(encoding))

    assert open_source(path).header == ("Nombre", "Año", "Ciudad")
    assert values_of(path) == [["José Núñez", "2019", "Córdoba"], ["María", "2020", "Río"]]


def test_an_older_encoding_is_told_by_its_text(tmp_path):
    text = "Nombre;Ciudad\nJosé Núñez;Córdoba\nMaría Peña;Río Cuarto\nAgustín;Junín\nSofía Ibáñez;Neuquén\n" * 5

    assert values_of(file(tmp_path, text.encode("cp850")))[0] == ["José Núñez", "Córdoba"]


def test_rows_are_numbered_by_the_line_where_they_begin(tmp_path):
    path = file(tmp_path, '\nname,notes\nAna,"one\ntwo"\n\n,\nLuz,three\n')

    assert rows_of(path) == [(3, ["Ana", "one\ntwo"]), (7, ["Luz", "three"])]


def test_line_ends_of_old_macs_and_the_line_that_announces_the_delimiter_are_understood(tmp_path):
    assert values_of(file(tmp_path, "a;b\r1;2\r3;4\r")) == [["1", "2"], ["3", "4"]]
    assert values_of(file(tmp_path, "sep=;\na;b,c\n1;2,5\n")) == [["1", "2,5"]]


def test_a_row_with_too_few_values_is_filled_up_and_one_with_too_many_is_unreadable(tmp_path):
    short, long, trailing = values_of(file(tmp_path, "a,b\n1\n1,2,3\n1,2,,\n"))

    assert short == ["1", None]
    assert all(isinstance(value, Unreadable) and "3 values, the header 2" in value.reason for value in long)
    assert trailing == ["1", "2"]


@pytest.mark.slow
def test_json_lines_and_an_array_give_the_same_rows(tmp_path):
    rows = [{"name": f"Ana {n}", "age": n, "tags": ["x", {"y": None}]} for n in range(3000)] + [{"age": 1.5}]
    lines = file(tmp_path, "\n".join(map(json.dumps, rows)), "rows.jsonl")
    array = file(tmp_path, json.dumps(rows, indent=1), "rows.json")

    assert values_of(lines) == values_of(array) == [[row.get(key) for key in ("name", "age", "tags")] for row in rows]
    assert [number for number, _ in rows_of(lines)] == list(range(1, 3002))


def test_a_bad_line_of_json_spoils_only_its_row(tmp_path):
    content = '{"a": 1}\n{"a": \n[1]\n{"a": NaN}\n{"a": 2, "b": 3}\n' + "[" * 100_000 + "\n" + '{"a": 4}\n'
    numbered = rows_of(file(tmp_path, content, "rows.jsonl"))

    assert [number for number, values in numbered if isinstance(values[0], Unreadable)] == [2, 3, 4, 6]
    assert [list(values) for number, values in numbered if number in (1, 5, 7)] == [[1, None], [2, 3], [4, None]]


def test_a_key_that_only_a_late_row_has_refuses_that_row():
    rows = [{"a": n} for n in range(1500)] + [{"a": 1, "late": 2}]
    *_, (number, last) = rows_of(rows)

    assert number == 1501
    assert "'late'" in last[0].reason


def test_dicts_and_models_come_in_any_order_of_keys():
    class Person(BaseModel):
        name: str
        age: int | None = None

    rows = [{"age": 3, "name": "Ana"}, {"name": "Luz", "age": None}, Person(name="Paz"), {"name": "  "}]

    assert rows_of(rows) == [(1, [3, "Ana"]), (2, [None, "Luz"]), (3, [None, "Paz"])]


def test_an_iterator_is_read_once_and_a_list_as_often_as_one_likes():
    source = open_source({"a": n} for n in range(3))
    assert len(next(source.batches())) == 3
    with pytest.raises(SourceError, match="read already"):
        source.batches()

    again = open_source([{"a": 1}])
    assert list(again.batches()) == list(again.batches())


@walked("rows", [[1], [["a"]], [{1: 2}], [], 5, b"bytes", {"a": 1}, None])
def test_what_is_no_iterable_of_dicts_is_refused(rows):
    with pytest.raises(SourceError):
        open_source(rows)


@pytest.mark.parametrize("frame", ["polars", "pandas", "pyarrow", "parquet", "arrow"])
def test_data_frames_and_parquet_give_typed_values(frame, tmp_path):
    import pandas
    import polars
    import pyarrow
    from pyarrow import parquet

    data = {
        "name": ["Ana", "", None],
        "born": [dt.date(2019, 12, 31), None, None],
        "seen": [dt.datetime(2020, 1, 1, 10, 30), None, None],
        "score": [1.5, float("nan"), None],
    }
    table = pyarrow.table(data)
    made = {
        "polars": lambda: polars.DataFrame(data),
        "pandas": lambda: table.to_pandas(types_mapper=pandas.ArrowDtype),
        "pyarrow": lambda: table,
        "parquet": lambda: tmp_path / "rows.parquet",
        "arrow": lambda: tmp_path / "rows.arrow",
    }[frame]()
    parquet.write_table(table, tmp_path / "rows.parquet")
    with pyarrow.ipc.new_file(tmp_path / "rows.arrow", table.schema) as writer:
        writer.write_table(table)

    source = open_source(made)

    assert source.header == tuple(data)
    assert list(source.batches()) == list(source.batches())
    assert [(n, list(v)) for n, v in next(source.batches())] == [
        (1, ["Ana", dt.date(2019, 12, 31), dt.datetime(2020, 1, 1, 10, 30), 1.5])
    ]


def test_pandas_own_index_is_no_column():
    import pandas

    frame = pandas.DataFrame({"a": [1, 2, 3]})[lambda rows: rows["a"] > 1]

    assert open_source(frame).header == ("a",)
    assert rows_of(frame) == [(1, (2,)), (2, (3,))]


@pytest.mark.parametrize("opened", [io.BytesIO("a;ñ\n1;2\n".encode("cp1252")), io.StringIO("a;ñ\n1;2\n")])
def test_an_open_file_is_read_from_where_it_stands_and_can_be_read_again(opened):
    source = open_source(opened)

    assert source.header == ("a", "ñ")
    assert list(source.batches()) == list(source.batches()) == [[(2, ["1", "2"])]]


@pytest.mark.slow
def test_standard_input_is_a_source():
    code = "from rayces_core.importing.sources import open_source; print([*open_source('-').batches()])"
    done = subprocess.run([sys.executable, "-c", code], input=b"a,b\n1,2\n", capture_output=True, timeout=60)

    assert done.stdout.strip() == b"[[(2, ['1', '2'])]]", done.stderr


def test_a_sheet_is_chosen_by_name_or_number_and_its_own_row_numbers_are_kept(tmp_path):
    import xlsxwriter

    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Uno").write_row(0, 0, ["x"])
        two = book.add_worksheet("Dos & más")
        two.write_row(3, 2, ["Nombre", "n", "total"])
        two.write_row(6, 2, ["Ana", 1234567])
        two.write_formula(6, 4, "=1+1", None, 2)
        two.write_formula(7, 4, "=NA()", None, "#N/A")

    numbered = rows_of(path, sheet="Dos & más")

    assert numbered == rows_of(path, sheet=2)
    assert numbered[0] == (7, ["Ana", SheetNumber(1234567), 2.0])
    assert numbered[1][0] == 8
    assert isinstance(numbered[1][1][2], Unreadable)
    with pytest.raises(SourceError, match="it has 'Uno', 'Dos & más'"):
        open_source(path, sheet="Tres")


def test_the_fingerprint_is_of_the_bytes(tmp_path):
    one, same, other = (file(tmp_path, text, name) for text, name in [("a\n1", "1"), ("a\n1", "2"), ("a\n2", "3")])

    assert open_source(one).fingerprint == open_source(same).fingerprint != open_source(other).fingerprint
    assert open_source([{"a": 1}]).fingerprint is None


def test_batches_are_no_larger_than_asked_for(tmp_path):
    source = open_source(file(tmp_path, "a\n" + "1\n" * 25))

    assert [len(batch) for batch in source.batches(10)] == [10, 10, 5]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00"), max_size=12)
tables = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=8)


@pytest.mark.slow
@examples(10, 60)
@given(tables, st.sampled_from(",;\t|"), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]))
def test_any_text_survives_a_csv_of_any_delimiter_and_encoding(tmp_path_factory, table, delimiter, encoding):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    with path.open("w", encoding=encoding, newline="") as opened:
        csv.writer(opened, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["name", "city", "notes"], *table])

    expected = [[value if value.strip() else None for value in row] for row in table]

    read = values_of(path, encoding=encoding, delimiter=delimiter)
    assert read == [row for row in expected if any(row)]


@pytest.mark.exhaustive
def test_memory_stays_flat_while_a_large_file_is_read(tmp_path):
    """`make test` keeps the whole import of one, in tests/importing/test_memory.py."""
    path = tmp_path / "large.csv"
    with path.open("w", encoding="cp1252") as opened:
        opened.write("Nombre;Notas\n")
        opened.writelines(f"José {n};{'x' * 100}\n" for n in range(60_000))
    code = (
        "import sys; from rayces_core.importing.sources import open_source\n"
        "from tests.importing.peak import peak_kilobytes as peak\n"
        "batches = open_source(sys.argv[1]).batches(); rows = len(next(batches)); before = peak()\n"
        "rows += sum(len(batch) for batch in batches); print(rows, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, timeout=120, check=True)
    rows, grown_kilobytes = map(int, done.stdout.split())

    assert rows == 60_000
    assert grown_kilobytes < 8_000
