import pytest

from rayces_core import ColumnMappingError, Student, credits, exporting, importing
from rayces_core.importing.sources import open_source


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Correo electrónico;Nombre;Apellido;Celular;Rol\nana@example.org;Ana;Paz;;guardian\n", "latin-1"),
        ("correo;nombre\nx@y.org;José\n", "cp850"),
        ("correo;apellido\nx@y.org;Núñez\n", "mac_roman"),
        ("correo;nota\nx@y.org;precio 100€\n", "cp1252"),
    ],
)
def test_one_accent_tells_the_encoding(tmp_path, text, encoding):
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    source = open_source(tmp_path / "x.csv")
    assert [list(source.header)] + [list(v) for b in source.batches() for _, v in b] == [
        [cell or None for cell in line.split(";")] for line in text.splitlines()
    ]


ROW = {"Nombre": "Luz", "Apellido": "Sosa", "Fecha de nacimeinto": "31/12/2019"}


@pytest.mark.slow
def test_a_near_miss_of_what_a_row_is_known_by_is_refused_until_somebody_decides(db, a):
    with db.tenant(a):
        with pytest.raises(ColumnMappingError, match="date_of_birth is missing; did you mean 'Fecha de nacimeinto'"):
            importing.run([ROW], Student)
        assert Student.select().where(Student.first_name == "Luz").count() == 0
        assert importing.run([ROW], Student, columns={"Fecha de nacimeinto": "date_of_birth"}).created == 1
        assert importing.check([ROW], Student, columns={"Fecha de nacimeinto": ""}).created == 1  # on purpose


def test_an_export_of_the_ledger_is_not_posted_again(db, b, tmp_path):
    with db.tenant(b):
        importing.run([{"email": "led@example.org"}], "users")
        importing.run([{"user": "led@example.org", "credits": 8, "reference": "R-1"}], "credits")
        exporting.export("credits", tmp_path / "c.csv")
        with pytest.raises(ColumnMappingError, match="export tenant"):
            importing.run(tmp_path / "c.csv", "credits", columns={"id": ""})
        assert credits.verify().is_clean


def test_a_phone_that_keeps_its_trunk_zero_is_refused(db, a):
    with db.tenant(a):
        (problem,) = importing.check([{"email": "t@example.org", "phone": "011 4321 567"}], "users").problems
        assert "too few or too many digits" in problem.problem
