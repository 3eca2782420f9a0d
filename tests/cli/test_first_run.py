"""The first import of a file from a terminal: it shows what it understood, asks once, and remembers."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from rayces_core import Database, Organization, Student, User
from tests.cli.process import answered, as_seen, on_terminal
from tests.sizes import exhaustive

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
ROWS = """\
Nombre;Apellido;Fecha de nacimiento;Curso;Responsable;Estado;Observaciones
Luz;Sosa;31/12/2019;sala de 5;ana@example.org;inscripta;llega tarde
Teo;Sosa;1/2/2020;sala de 4;ana@example.org;inscripto;
Ángel;Álvarez;15/5/2018;sala de 6;leo@example.org;interesado;
Eva;Paz;3/4/2019;sala de 5;;inscripta;
"""


@pytest.fixture
def north(bare_db: Database) -> Organization:
    organization = bare_db.create_organization("Centro Norte", subdomain="north")
    with bare_db.tenant(organization):
        User.create(email="ana@example.org")
        eva = {"first_name": "Eva", "last_name": "Paz", "date_of_birth": date(2019, 4, 3), "grade_level": "sala de 5"}
        Student.create(**eva, admission_state="enrolled")
    return organization


@pytest.fixture
def words(bare_db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "alumnos.csv"
    path.write_text(ROWS, "utf-8")
    return "import", "students", str(path), "--tenant", "north", "--database-url", bare_db.url


def names() -> list[str]:
    return [student.first_name for student in Student.select().order_by(Student.id)]


@pytest.mark.slow
def test_it_shows_what_it_understood_asks_once_and_remembers(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path
) -> None:
    screen, code = answered(*words, answer="y\n")
    assert screen.count("[y/N]") == 1
    assert code == 1  # a row was left out
    with bare_db.tenant(north):
        assert names() == ["Eva", "Luz", "Teo"]
    saved = (tmp_path / "alumnos.students.toml").read_text("utf-8")
    assert '"Fecha de nacimiento" = "date_of_birth"' in saved
    again, code = answered(*words, answer=None)
    assert "columns are read as" in again
    assert "3 unchanged, 1 with 1 problem" in again
    assert code == 1
    told = re.search(r"```text\n(\nalumnos\.csv → .*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert told is not None
    assert told[1].rstrip() in screen.replace(f"{tmp_path}/", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["n\n", *exhaustive("\n", "\x04"), "^C"], ids=["no", "nothing", "end of input", "Ctrl-C"]
)
def test_anything_but_yes_writes_nothing(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path, answer: str
) -> None:
    screen, code = answered(*words, answer=answer)
    assert code == (1 if answer in ("n\n", "\n") else 130)
    assert ("nothing was written" in screen) is (code == 1)
    with bare_db.tenant(north):
        assert names() == ["Eva"]
    assert [path.name for path in tmp_path.iterdir()] == ["alumnos.csv"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [("--yes",), *exhaustive(("-y", "--update"), ("--quiet",)), ("--check",), *exhaustive(("--json",))],
    ids=lambda given: given[0],
)
def test_nothing_is_asked_where_that_was_said(
    north: Organization, words: tuple[str, ...], tmp_path: Path, given: tuple[str, ...]
) -> None:
    screen, _ = answered(*words, *given, answer=None)
    assert "Is read as" not in screen
    assert [path.name for path in tmp_path.iterdir()] == ["alumnos.csv"]


@pytest.mark.slow
def test_nothing_is_asked_where_nobody_can_answer(north: Organization, words: tuple[str, ...], tmp_path: Path) -> None:
    shown, _, _ = on_terminal(*words, streams=("stdout", "stderr"))  # stdin is no terminal
    assert "Is read as" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["alumnos.csv"]


@pytest.mark.slow
def test_a_file_without_anything_to_do_is_no_question(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "alumnos.csv").write_text("Nombre;Apellido;Nacimiento\nEva;Paz;3/4/2019\n", "utf-8")
    screen, code = answered(*words, answer=None)
    assert "there is nothing to import" in screen
    assert code == 0


@pytest.mark.slow
def test_nothing_of_a_file_steers_the_terminal(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path
) -> None:
    evil = "Nombre;Apellido;\x1b[2Jx[red]\nLuz\x1b]0,mine\x07;[bold]Sosa;1\n"
    (tmp_path / "alumnos.csv").write_text(evil, "utf-8")
    screen, _ = answered(*words, answer="n\n")
    assert "\x07" not in screen
    assert "[bold]Sosa" in screen
    assert "[red]" in screen
    assert as_seen(screen) == screen


@pytest.mark.slow
def test_a_mapping_that_cannot_be_saved_is_no_reason_to_stop(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "alumnos.students.toml").mkdir()
    screen, _ = answered(*words, answer="y\n")
    assert "how the columns are read could not be saved: Is a directory" in screen
    with bare_db.tenant(north):
        assert names() == ["Eva", "Luz", "Teo"]


@pytest.mark.slow
def test_what_was_read_as_an_option_said_is_never_read_otherwise_unasked(
    bare_db: Database, north: Organization, words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "alumnos.csv").write_text("Nombre;Apellido;Nacimiento\nLuz;Sosa;3/4/2019\n", "utf-8")
    screen, code = answered(*words, "--date-order", "mdy", answer="y\n")
    assert "is not saved, since --date-order would not be; the next run asks again" in screen
    assert code == 0
    again, _ = answered(*words, answer="n\n")
    assert "3/4/2019 → 2019-04-03" in again
    with bare_db.tenant(north):
        assert [each.date_of_birth for each in Student.select().where(Student.first_name == "Luz")] == [
            date(2019, 3, 4)
        ]
