"""Hostile files end in a clear SourceError or a clean value: no crash, no unbounded memory, no shifted row."""

import io
import os
import random
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import xlsxwriter

from rayces_core import SourceError
from rayces_core.importing.columns import Reading, Unreadable
from rayces_core.importing.sources import open_source, sheet_guard
from rayces_core.importing.sources.encodings import CHUNK_BYTES
from rayces_core.importing.values import date
from tests.importing.peak import peak_kilobytes
from tests.walking import walked

FILES = Path(__file__).parent / "files"
NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def refused(source, **options):
    with pytest.raises(SourceError) as caught:
        for _ in open_source(source, **options).batches():
            pass
    return str(caught.value)


def file(tmp_path, content, name="rows.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def workbook(tmp_path, sheet=None, shared=None, name="book.xlsx"):
    """An .xlsx whose sheet or shared texts are replaced by raw XML."""
    plain = io.BytesIO()
    with xlsxwriter.Workbook(plain, {"in_memory": True}) as book:
        book.add_worksheet().write_row(0, 0, ["a", "b"])
    path = tmp_path / name
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            data = old.read(member)
            if sheet is not None and member.endswith("sheet1.xml"):
                data = f'<worksheet xmlns="{NAMESPACE}"><sheetData>{sheet}</sheetData></worksheet>'.encode()
            if shared is not None and member.endswith("sharedStrings.xml"):
                data = f'<sst xmlns="{NAMESPACE}">{shared}</sst>'.encode()
            new.writestr(member, data)
    return path


def document(tmp_path, rows):
    path = tmp_path / "book.ods"
    names = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in ("office", "table", "text"))
    table = f'<table:table table:name="S">{rows}</table:table>'
    body = f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        new.writestr("content.xml", f"<office:document-content {names}>{body}</office:document-content>")
        new.writestr("META-INF/manifest.xml", "<x/>")
    return path


@pytest.mark.exhaustive
def test_one_endless_line_is_refused_in_flat_memory(tmp_path):
    """`make test` keeps the row that is too large, in tests/importing/test_hostile_imports.py."""
    path = tmp_path / "line.csv"
    with path.open("wb") as opened:
        opened.write(b"a,b\n1,")
        for _ in range(100):
            opened.write(b"x" * 1024 * 1024)
    code = (
        "import sys; from rayces_core import SourceError\n"
        "from rayces_core.importing.sources import open_source\n"
        "from tests.importing.peak import peak_kilobytes\n"
        "before = peak_kilobytes()\n"
        "try: open_source(sys.argv[1])\n"
        "except SourceError as error: print(error)\n"
        "print(peak_kilobytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120)
    said, grown_kilobytes = done.stdout.splitlines()

    assert "row 2: a line is longer than 4,194,304 characters" in said
    assert int(grown_kilobytes) < 60_000


def test_too_many_columns_are_refused_with_advice(tmp_path):
    header = ",".join(f"c{n}" for n in range(10_000))

    assert "has 10,000 columns, more than 1,000; keep those to be imported" in refused(file(tmp_path, header + "\n1\n"))
    assert "columns" in refused([{f"c{n}": 1 for n in range(10_000)}])


def test_headers_are_each_there_once(tmp_path):
    doubled = open_source(file(tmp_path, "Teléfono,x, Teléfono \n1,2,3\n"))
    assert doubled.header == ("Teléfono (column 1)", "x", "Teléfono (column 3)")
    assert open_source(file(tmp_path, "a,,c,,\n1,2,3,,\n")).header == ("a", "(column 2)", "c")
    assert "a name of 301 characters" in refused(file(tmp_path, "x" * 301 + "\n1\n"))
    assert "cannot be told apart" in refused(file(tmp_path, "x,x,x (column 2)\n1,2,3\n"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b" \r\n", b"\x00\x00", b",,\n"])
def test_a_file_without_a_header_is_refused(tmp_path, content):
    assert "is empty" in refused(file(tmp_path, content))


def test_a_file_of_only_a_header_has_no_rows(tmp_path):
    assert list(open_source(file(tmp_path, "a,b")).batches()) == []


@pytest.mark.slow
def test_a_wrong_encoding_is_told_with_its_byte_and_row(tmp_path):
    latin = file(tmp_path, "a;b\n1;2\nJosé;3\n".encode("cp1252"))

    assert refused(latin, encoding="utf-8").startswith("rows.csv, row 3: byte 12 (0xe9) is not utf-8")
    late = file(tmp_path, b"a;b\n" + b"1;2\n" * 70_000 + "José;3\n".encode("cp1252"))
    assert refused(late, encoding="utf-8").startswith("rows.csv, row 70002: byte 280,008 (0xe9) is not utf-8")
    utf8 = file(tmp_path, "a;b\n1;2\nJosé;3\n")
    assert "row 3: is UTF-8 and not cp1252: byte 12 begins a letter" in refused(utf8, encoding="cp1252")
    assert "no encoding 'klingon'" in refused(utf8, encoding="klingon")
    assert "no encoding of text files" in refused(utf8, encoding="base64")


def test_a_letter_that_two_pieces_share_does_not_move_the_place_of_a_bad_byte(tmp_path):
    head = b"a;b\n"
    content = head + b"x" * (CHUNK_BYTES - len(head) - 1) + "é".encode() + b"\xe9;\n"

    assert f"row 2: byte {CHUNK_BYTES + 2:,} (0xe9)" in refused(file(tmp_path, content), encoding="utf-8")
    assert f"row 2: is UTF-8 but for byte {CHUNK_BYTES + 2:,};" in refused(file(tmp_path, content))


def test_a_damaged_utf8_file_is_not_taken_for_an_older_encoding(tmp_path):
    said = refused(file(tmp_path, "a;b\nJosé;2\nMar".encode() + b"\xeda;3\n"))

    assert said.startswith("rows.csv, row 3: is UTF-8 but for byte 16")


def test_nul_bytes_bidi_controls_and_emoji_come_through_to_the_reader(tmp_path):
    values = ["a\x00b", "\u202eabc", "👩\u200d👧", "مرحبا"]
    ((_, read),) = next(open_source(file(tmp_path, "a,b,c,d\n" + ",".join(values) + "\n")).batches())

    assert read == values


@walked(
    ("content", "says"),
    [
        (b"%PDF-1.7 rest", "is a PDF"),
        (b"\x1f\x8b\x08\x00rest", "compressed with gzip"),
        (b"<html><table><tr><td>a</td></tr></table></html>", "is an HTML page, whatever its name says"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><p>", "is an HTML page"),
        (b'<?xml version="1.0"?><Workbook xmlns="x">', "XML spreadsheet of 2003"),
        (b"PK\x03\x04 broken", "damaged workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, "cannot be read as a workbook"),
        (b"PAR1 nonsense PAR1", "cannot be read"),
        (b"ARROW1 nonsense", "cannot be read"),
        (b"SQLite format 3\x00", "SQLite"),
        (bytes(range(1, 9)) * 100, "is no text file"),
    ],
)
@walked("name", ["rows.xls", "rows.csv"])
def test_a_file_that_is_really_something_else_is_named(tmp_path, content, says, name):
    assert says in refused(file(tmp_path, content, name))


def test_a_workbook_called_csv_is_read_as_what_it_is_unless_told_otherwise(tmp_path):
    path = workbook(tmp_path, name="rows.csv")

    assert open_source(path).header == ("a", "b")
    assert "is no csv but a workbook" in refused(path, format="csv")
    assert "is no xlsx but a text file" in refused(file(tmp_path, "a,b\n1,2\n", "x"), format="xlsx")
    assert "there is no format 'doc'" in refused(path, format="doc")


def test_what_is_no_file_is_refused(tmp_path):
    assert "is a directory" in refused(tmp_path)
    assert "is not there" in refused(tmp_path / "none.csv")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "a,b")
    assert "is a zip archive and no workbook" in refused(tmp_path / "a.zip")


@pytest.mark.parametrize("delimiter", ["ab", "", '"', "\n", "x"])
def test_what_cannot_delimit_is_refused(tmp_path, delimiter):
    if delimiter == "":
        assert open_source(file(tmp_path, "a;b\n1;2\n"), delimiter=delimiter).header == ("a", "b")
    else:
        assert "cannot delimit" in refused(file(tmp_path, "a;b\n1;2\n"), delimiter=delimiter)


def test_two_cells_in_opposite_corners_fill_no_memory(tmp_path):
    for corner in ("XFD1048576", "xfd1048576", "ZZZZ4000000000"):
        row = corner.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
        sheet = f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{row}"><c\n r = \'{corner}\' ><v>1</v></c></row>'
        assert "has a sheet of" in refused(workbook(tmp_path, sheet))


def test_one_long_text_that_many_cells_share_fills_no_memory(tmp_path):
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 2001))
    path = workbook(tmp_path, cells, f"<si><t>{'x' * 1024 * 1024}</t></si>")

    assert "more than 1 GB of text" in refused(path)
    few = workbook(tmp_path, cells.replace("<v>0<", "<v>1<"), f"<si><t>{'x' * 1024 * 1024}</t></si><si><t>y</t></si>")
    assert open_source(few).header == ("y",)


@pytest.mark.slow
def test_a_zip_bomb_is_refused_by_what_it_declares_and_by_what_it_is(tmp_path, monkeypatch):
    path = workbook(tmp_path, "<!-- -->" * 5_000_000 + '<row r="1"><c r="A1"><v>1</v></c></row>')
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(sheet_guard, "MAX_UNPACKED_BYTES", 30_000_000)
    assert "unpacks to 38 MB" in refused(path)

    monkeypatch.setattr(sheet_guard, "_check_members", lambda *_: None)
    assert "unpacks to more than 28 MB" in refused(path)


@pytest.mark.parametrize(
    "rows",
    [
        '<table:table-row table:number-rows-repeated="1000000">{}</table:table-row>',
        '<table:table-row table:number-rows-repeated="99999999999999">{}</table:table-row>',
        (
            "<table:table-row><table:table-cell/></table:table-row>"
            '<table:table-row table:number-rows-repeated="9000000"/>'
            "<table:table-row>{}</table:table-row>"
        ),
    ],
)
def test_repeated_cells_of_a_document_fill_no_memory(tmp_path, rows):
    cell = '<table:table-cell table:number-columns-repeated="5000" office:value-type="string"><text:p>x</text:p>'
    cell += "</table:table-cell>"

    assert "with its repetitions" in refused(document(tmp_path, rows.format(cell)))


def test_far_apart_cells_and_one_long_repeated_text_of_a_document_fill_no_memory(tmp_path):
    cell = '<table:table-cell office:value-type="string"{}><text:p>{}</text:p></table:table-cell>'
    near = f"<table:table-row>{cell.format('', 'x')}</table:table-row>"
    gap = '<table:table-row table:number-rows-repeated="1000000"/>'
    far = f'<table:table-row><table:table-cell table:number-columns-repeated="5000"/>{cell.format("", "x")}'
    assert "1,000,002 rows and 5,001 columns" in refused(document(tmp_path, near + gap + far + "</table:table-row>"))

    long = cell.format(' table:number-columns-repeated="20"', "x" * 100_000)
    rows = f'<table:table-row table:number-rows-repeated="1000">{long}</table:table-row>'
    assert "1,000 rows and 20 columns with its repetitions" in refused(document(tmp_path, rows))


def test_the_empty_rest_of_a_document_is_no_repetition(tmp_path):
    cell = '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
    rest = (
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell table:number-columns-repeated="16384"'
    )
    rest += "/></table:table-row>"

    source = open_source(document(tmp_path, f"<table:table-row>{cell}</table:table-row>{rest}"))

    assert (source.header, list(source.batches())) == (("x",), [])


def test_a_tag_that_is_longer_than_a_piece_is_refused(tmp_path):
    sheet = f'<row r="1"><c r="A1"><v>1</v></c></row><row><c a=">" r{" " * 3_000_000}="XFD1048576"><v>1</v></c></row>'

    assert "more than 1 MB in one piece" in refused(workbook(tmp_path, sheet))


@pytest.mark.parametrize("place", ["A0", "1A", "A", "", "A99999999999999999999"])
def test_a_sheet_with_impossible_places_is_refused(tmp_path, place):
    with pytest.raises(SourceError):
        open_source(workbook(tmp_path, f'<row r="1"><c r="{place}"><v>1</v></c></row>'))


@pytest.mark.parametrize("value", ["1e300", "-1", "2958466", "99999999999", "-1e300", "nan", "0.999999999"])
def test_impossible_dates_of_a_sheet_are_values_or_refused(tmp_path, value):
    path = tmp_path / "dates.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet, form = book.add_worksheet(), book.add_format({"num_format": "dd/mm/yyyy"})
        sheet.write_string(0, 0, "day")
        sheet.write_number(1, 0, 12345678, form)
    with zipfile.ZipFile(path) as archive:
        raw = {name: archive.read(name).replace(b"12345678", value.encode()) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in raw.items():
            archive.writestr(name, data)
    try:
        rows = [values for batch in open_source(path).batches() for _, values in batch]
    except SourceError:
        return
    for (day,) in rows:
        with pytest.raises(ValueError, match=r"date|number"):
            date(day, Reading(ZoneInfo("UTC")))


@pytest.mark.slow
def test_entities_that_multiply_are_not_unfolded(tmp_path):
    path = tmp_path / "book.ods"
    lol = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12)
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        new.writestr("content.xml", f"{lol}]><x>&m;</x>")

    assert "damaged workbook" in refused(path)


def test_an_array_of_json_that_breaks_off_is_refused(tmp_path):
    assert "broken off" in refused(file(tmp_path, '[{"a": 1}, {"a": 2}, {"a"', "rows.json"))
    assert "broken off" in refused(file(tmp_path, '[{"a": 1} {"a": 2}]', "rows.json"))
    assert "longer than" in refused(file(tmp_path, '{"a": "' + "x" * 5_000_000, "rows.jsonl"))


def test_random_bytes_never_do_anything_but_raise_source_error(tmp_path):
    before = peak_kilobytes()
    for mark in (
        b"",
        b"PK\x03\x04",
        b"PAR1",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"[{",
        b"\xff\xfe",
        b"ARROW1\x00\x00",
    ):
        for _ in range(10):
            path = file(tmp_path, mark + os.urandom(600))
            try:
                rows = [values for batch in open_source(path).batches() for _, values in batch]
            except SourceError:
                continue
            assert all(isinstance(value, str | None | Unreadable) for values in rows for value in values)
    assert peak_kilobytes() - before < 1_000_000


def test_an_old_workbook_with_a_cell_far_outside_its_sheet_fills_no_memory(tmp_path):
    whole = (FILES / "counts-from-1904.xls").read_bytes()
    size, number = b"\x00\x02\x0e\x00", b"\xfd\x00\x0a\x00"
    for mark, place, far in ((size, 4, b"\x00\x82"), (size, 8, b"\xff\xff\xff\xff"), (number, 6, b"\xff\xff")):
        begins = whole.index(mark) + place
        damaged = whole[:begins] + far + whole[begins + len(far) :]

        assert "a cell lies outside its sheet" in refused(file(tmp_path, damaged, "book.xls"))


@pytest.mark.parametrize("name", ["counts-from-1904.xls", "failed-formulas.xls"])
def test_a_damaged_old_workbook_is_read_or_refused(tmp_path, name):
    whole, chosen = (FILES / name).read_bytes(), random.Random(7)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(chosen.choice((1, 5, 40))):
            damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
        with suppress(SourceError):
            list(open_source(file(tmp_path, bytes(damaged), "book.xls"), sheet="all").batches())
