"""A text is read as somebody wrote it, or the file is refused: no name is mangled without a word."""
# ruff: noqa: RUF001 - it is about letters that look alike

import random

import pytest

from rayces_core import SourceError, Student, importing
from rayces_core.importing.sources import open_source
from rayces_core.importing.sources.encodings import CHUNK_BYTES
from tests.sizes import first

ENCODINGS = ("cp1252", "cp850", "mac_roman")
NAMES = [
    "Tomás García",
    "Lucía Martínez",
    "Ángel Álvarez",
    "Joaquín Acuña",
    "Jonás Peña",
    "Iñaki Ibáñez",
    "Sofía Núñez",
    "Ramón Vitón",
    "Agustín Pérez",
    "Nahuel Ríos",
    "Zoë Müller",
    "Renée Fréchette",
    "Jörg Götz",
    "Ailín Ñancucheo",
    "Yamilá Quiñónez",
    "Simón Güemes",
    "João Conceição",
    "Thaís Araújo",
    "Antônia Galvão",
    "Nicolás D’Angelo",
    "Chloé Lefèvre",
    "Íker Ocón",
    "Félix Uría",
    "Lía Cejó",
    "Ilán Zéa",
]


def file(tmp_path, text, encoding):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(path, **options):
    return [value for batch in open_source(path, **options).batches() for _, row in batch for value in row]


def test_a_class_in_capitals_as_excel_writes_it_has_its_names(db, a, tmp_path):
    rows = "nombre;apellido\nTOMÁS;GARCÍA\nLUCÍA;MARTÍNEZ\nÁNGEL;ÁLVAREZ\n"

    with db.tenant(a):
        report = importing.run(file(tmp_path, rows, "cp1252"), Student)
        found = {student.first_name for student in Student.select().where(Student.last_name << ("GARCÍA", "ÁLVAREZ"))}
    assert found == {"TOMÁS", "ÁNGEL"}
    assert report.notes == ("is read as cp1252, as its words tell: TOMÁS, GARCÍA, LUCÍA",)


@pytest.mark.parametrize("written", first(1, [str, str.upper, str.lower]), ids=lambda how: how.__name__)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_classes_of_any_names_come_in_as_they_are_or_not_at_all(tmp_path, encoding, written):
    refused = 0
    for seed in range(40):
        chosen = random.Random(seed)
        names = [written(name) for name in chosen.sample(NAMES, chosen.choice((1, 2, 4, 12)))]
        try:
            path = file(tmp_path, "\n".join(["name", *names]) + "\n", encoding)
        except UnicodeEncodeError:
            continue
        try:
            assert read(path) == names
        except SourceError:
            refused += 1
            assert read(path, encoding=encoding) == names
    assert refused < 8


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("nombre;curso\nAna;1º A\nPaz;2ª\n", "cp1252"),
        ("nombre;curso\nAna;1º A\n", "mac_roman"),
        ("nombre;curso\nAna;1ºA\nPaz;4°B\n", "cp1252"),
        ("nombre;nota\nAna;N°5\nPaz;38°C\n", "cp1252"),
        ("nombre;curso\nAna;Sala N° 5\n", "cp1252"),
        ("nombre;notas\nAna;vive en “Las Heras” – llamar antes\n", "cp1252"),
        ("nombre;cuota\nAna;120€\n", "cp1252"),
        ("nombre;notas\nAna;\u00a0Paz\u00a0\n", "cp1252"),
        ("nombre\nMARÍA JOSé GARCíA\n", "cp1252"),  # as programs write it that know no accents in capitals
        ("nombre;x\nMartínez, Inês;x\nConceição, João;x\n", "cp850"),
    ],
)
def test_signs_and_half_capitals_tell_as_well(tmp_path, text, encoding):
    values = [value for line in text.splitlines()[1:] for value in line.split(";")]

    assert [value.strip() for value in read(file(tmp_path, text, encoding))] == [value.strip() for value in values]


def test_names_that_may_be_two_are_asked_about_with_both(tmp_path):
    path = file(tmp_path, "nombre\nJÖRG\n", "cp1252")

    with pytest.raises(SourceError, match=r"cp850 \('JÍRG'\) or cp1252 \('JÖRG'\).*name it with encoding="):
        open_source(path)
    assert read(path, encoding="cp1252") == ["JÖRG"]


@pytest.mark.parametrize(
    ("text", "encoding", "suggested"),
    [
        ("Имя\nИван Петров\nМария\n" * 20, "cp1251", "Иван"),
        ("nombre\nŁukasz Żółw\nZbyszek Ćwiąkała\n" * 9, "cp1250", ""),
    ],
)
def test_another_encoding_is_not_taken_for_one_of_these(tmp_path, text, encoding, suggested):
    path = file(tmp_path, text, encoding)

    with pytest.raises(SourceError, match=f"unusual encoding.*{suggested}.*encoding="):
        open_source(path)
    assert read(path, encoding=encoding)[0] == text.splitlines()[1]


@pytest.mark.parametrize("through", ["cp1252", "latin-1", "cp850", "mac_roman"])
def test_what_was_encoded_twice_is_told(tmp_path, through):
    doubled = "nombre\nJosé García\n".encode().decode(through)

    with pytest.raises(SourceError, match=r"was encoded twice: .* should be 'José'"):
        open_source(file(tmp_path, doubled, "utf-8"))


def test_a_file_joined_of_two_encodings_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("nombre\nJosé\nLucía\nÁngel\nInés\nNúñez\nMaría\n".encode("cp1252") + "Martín\n".encode("cp850"))

    with pytest.raises(SourceError, match="'Mart¡n' is 'Martín' in cp850, others are in cp1252"):
        open_source(path)


@pytest.mark.slow
def test_a_letter_that_was_lost_refuses_its_row(tmp_path):
    path = file(tmp_path, "nombre,notas\n" + "Ana,x\n" * (CHUNK_BYTES // 6 - 2) + "Jos\ufffd,x\nLuz,\n", "utf-8")
    *_, bad, _, luz, _ = read(path)

    assert ("a letter was lost" in bad.reason, luz) == (True, "Luz")
    path = tmp_path / "rows.jsonl"
    path.write_text('{"nombre": "Jos\ufffd"}\n{"nombre": "Luz"}\n', encoding="utf-8")
    assert ["a letter was lost" in getattr(value, "reason", "") for value in read(path)] == [True, False]


def test_an_acute_accent_may_stand_for_an_apostrophe(tmp_path):
    path = tmp_path / "users.csv"
    path.write_bytes("email,nombre,apellido\nc6@x.org,Ana,D´Elía\nc7@x.org,Eva,O´Brien\n".encode("cp1252"))
    rows = [values for batch in open_source(path).batches() for _, values in batch]
    assert [row[2] for row in rows] == ["D´Elía", "O´Brien"]
