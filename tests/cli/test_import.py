"""`rayces import`: what is written, what is told, exit codes, progress, Ctrl-C."""

from __future__ import annotations

import json
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import STATUS_BEGIN, STATUS_READY

from rayces_core import Database, Organization, Student, User
from rayces_core.cli import interrupt
from rayces_core.importing.records import RECORDS
from tests.cli.forked import Forked
from tests.cli.process import SHOWN, Terminal, environment, is_one_sentence, on_terminal
from tests.factory import make_organization
from tests.nodes import WAITING
from tests.sizes import exhaustive, quick_or_whole

GOOD = "Nombre;Apellido;Fecha de nacimiento;Nota\nLuz;Sosa;31/12/2019;a\nTeo;Río;01/02/2020;b\n"
BAD = GOOD + "Sol;;31/31/2020;c\n"


@pytest.fixture
def north(bare_db: Database) -> Organization:
    """The organization `north`."""
    return make_organization(bare_db, subdomain="north", name="North")


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A file without faults, as an Argentine spreadsheet writes it."""
    return _file(tmp_path, GOOD)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """A file of which one row has two faults."""
    return _file(tmp_path, BAD)


def _file(folder: Path, text: str) -> str:
    path = folder / "alumnos.csv"
    path.write_text(text, encoding="cp1252")
    return str(path)


def names(db: Database, organization: Organization) -> list[str]:
    with db.tenant(organization):
        return sorted(student.full_name for student in Student.select())


@pytest.mark.slow
def test_a_check_writes_nothing_and_an_import_does(
    bare: Terminal, bare_db: Database, north: Organization, good: str
) -> None:
    for flag in ("--check", "--dry-run"):
        ran = bare("import", "students", good, "--tenant", "north", flag)
        assert (ran.code, ran.err) == (0, "")
        assert "2 students, 2 to create" in ran.out
        assert "'Nota' is not read" in ran.out
        assert names(bare_db, north) == []
    assert bare("import", "records", "students", good, "--tenant", "north").code == 0
    assert names(bare_db, north) == ["Luz Sosa", "Teo Río"]
    assert "0 created, 0 updated, 2 unchanged" in bare("import", "students", good, "--tenant", str(north.id)).out


@pytest.mark.slow
def test_problems_are_shown_with_row_and_advice_and_nothing_is_written(
    bare: Terminal, bare_db: Database, north: Organization, bad: str, tmp_path: Path
) -> None:
    report = tmp_path / "problems.csv"
    ran = bare("import", "students", bad, "--tenant", "north", "--report", str(report))
    assert (ran.code, ran.err) == (1, "")
    assert "Apellido" in ran.out
    assert "Fecha de nacimiento" in ran.out
    assert "nothing was written" in ran.out
    assert names(bare_db, north) == []
    assert [line.split(",")[:2] for line in report.read_text("utf-8-sig").splitlines()[1:]] == [
        ["4", "Fecha de nacimiento"],
        ["4", "Apellido"],
    ]
    ran = bare("import", "students", bad, "--tenant", "north", "--on-error", "skip", "--json")
    facts = json.loads(ran.out)
    assert (ran.code, facts["created"], facts["skipped"], facts["written"]) == (1, 2, 1, True)
    assert [problem["row"] for problem in facts["problems"]] == [4, 4]
    assert names(bare_db, north) == ["Luz Sosa", "Teo Río"]


@pytest.mark.slow
def test_a_mapping_is_given_saved_and_used_again(
    bare: Terminal, bare_db: Database, north: Organization, good: str, tmp_path: Path
) -> None:
    saved = str(tmp_path / "alumnos.toml")
    words = ("import", "students", good, "--tenant", "north")
    assert bare(*words, "--check", "--map", "Nota=grade_level", "--save-mapping", saved).code == 0
    assert bare(*words, "--mapping", saved).code == 0
    with bare_db.tenant(north):
        assert sorted(str(student.grade_level) for student in Student.select()) == ["a", "b"]
    ran = bare(*words, "--map", "Nota=nowhere")
    assert ran.code == 3
    assert is_one_sentence(ran.err)
    assert bare(*words, "--map", "Nota").code == 2


@pytest.mark.slow
def test_rows_that_are_there_are_changed_by_update_alone(
    bare: Terminal, bare_db: Database, north: Organization, good: str
) -> None:
    words = ("import", "students", good, "--tenant", "north")
    bare(*words)
    ran = bare(*words, "--map", "Nota=grade_level")
    assert ran.code == 1
    assert "--update" in ran.out
    assert "2 updated" in bare(*words, "--map", "Nota=grade_level", "--update").out


@pytest.mark.slow
def test_how_a_file_is_read_may_be_said(bare: Terminal, north: Organization, good: str) -> None:
    words = ("import", "students", good, "--tenant", "north", "--check", "--delimiter", ";", "--encoding", "cp1252")
    assert bare(*words, "--quiet").code == 0
    ran = bare(*words[:-1], "ascii")
    assert ran.code == 3
    assert is_one_sentence(ran.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("students", "nowhere.csv", "--tenant", "north"), "nowhere.csv"),
        (("students", "{good}", "--tenant", "south"), "south"),
        (("users", "{good}", "--tenant", "north"), "email is missing"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    bare: Terminal, north: Organization, good: str, words: tuple[str, ...], said: str
) -> None:
    ran = bare("import", *(word.format(good=good) for word in words))
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)
    assert said in ran.err


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("language", ["en", *exhaustive("es")])
def test_a_template_is_recognised_as_it_is(
    bare: Terminal, north: Organization, tmp_path: Path, kind: str, language: str
) -> None:
    path = str(tmp_path / f"{kind}.csv")
    assert bare("import", "template", kind, path, "--language", language).code == 0
    ran = bare("import", kind, path, "--tenant", "north", "--check", "--json", "--update")
    facts = json.loads(ran.out)
    assert (facts["rows"], facts["unused"]) == (3 if kind == "users" else 1, [])
    assert set(facts["columns"]) == {column.name for column in RECORDS[kind].columns if column.in_template}
    # What is refused of it are people that are not there.
    advice = ("import the", "bind that one", "name the client")
    assert all(
        problem["advice"].count("import") or problem["advice"].startswith(advice) for problem in facts["problems"]
    )


@pytest.mark.slow
def test_ctrl_c_leaves_what_was_committed_and_resume_goes_on(
    bare: Terminal, bare_db: Database, north: Organization, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    rows = quick_or_whole(15_000, 60_000)
    path.write_text("email,first_name\n" + "".join(f"p{number}@example.org,Ana\n" for number in range(rows)))
    words = ("import", "users", str(path), "--tenant", "north")
    process = Forked(*words, "--database-url", bare_db.url, env=environment())
    # Somebody else is about to write one of the rows, and the import waits for that one.
    with bare_db.tenant(north), closing(psycopg2.connect(bare_db.url)) as other:
        other.cursor().execute(
            "INSERT INTO users (organization_id, email, role) VALUES (%s, %s, 0)",
            (north.id, f"p{rows - 1}@example.org"),
        )
        _wait_for(process, lambda: bare_db.execute_sql(WAITING).fetchone() != (0,))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        other.rollback()
        assert (process.returncode, out) == (130, ""), err
        assert "are committed; the same command with --resume goes on" in err
        assert err.endswith("rayces: interrupted\n")
        kept = User.select().count()
        assert 0 < kept < rows
        assert kept % 5000 == 0
        facts = json.loads(bare(*words, "--resume", "--json").out)
        assert (facts["resumed_after"], facts["created"]) == (kept + 1, rows - kept)
        assert User.select().count() == rows


@pytest.mark.parametrize("waits", [1, 9, 20])
def test_ctrl_c_just_before_the_wait_for_the_server_is_an_interruption_too(
    bare: Terminal, north: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: int
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("email,first_name\nana@example.org,Ana\n")
    left = iter(range(waits))

    def pressed(connection: Any) -> None:
        if connection.status in (STATUS_READY, STATUS_BEGIN) and next(left, 0) == waits - 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(interrupt, "_deadline", pressed)
    ran = bare("import", "users", str(path), "--tenant", "north")
    assert (ran.code, ran.err.splitlines()[-1]) == (130, "rayces: interrupted")


def _wait_for(process: Any, condition: Any) -> None:
    while not condition():
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("options", "shown"), [*SHOWN, (["-q"], False)])
def test_progress_is_for_terminals_and_not_for_the_quiet(
    bare_db: Database, north: Organization, good: str, options: list[str], shown: bool
) -> None:
    words = ("import", "students", good, "--tenant", "north", "--database-url", bare_db.url)
    bar, _, code = on_terminal(*words, *options)
    assert (code, "write" in bar) == (0, shown)


def test_a_template_without_a_file_goes_to_stdout(nowhere: Terminal) -> None:
    ran = nowhere("import", "template", "users")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.lstrip("\ufeff").startswith("email,first_name,")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["es", *exhaustive("en")])
def test_the_templates_go_in_one_after_the_other(
    bare: Terminal, bare_db: Database, north: Organization, tmp_path: Path, language: str
) -> None:
    order = (
        "users",
        "professionals",
        "credit_kinds",
        "credit_packages",
        "services",
        "professional_services",
        "resources",
    )
    order += ("closed_days", "time_off_requests", "students", "slot_requests", "group_sessions", "appointments")
    order += ("credits", "organizations", "posts", "likes")
    assert set(order) == set(RECORDS)
    for kind in order:
        path = tmp_path / f"{kind}.csv"
        assert bare("import", "template", kind, str(path), "--language", language).code == 0
        header = path.read_text("utf-8-sig").splitlines()[0]
        assert language == "en" or "_" not in header
        ran = bare("import", kind, str(path), "--tenant", "north", "--update")
        assert ran.code == 0, ran.out + ran.err
    with bare_db.tenant(north):
        assert sorted(user.role.name for user in User.select()) == ["GUARDIAN", "GUARDIAN", "PROFESSIONAL"]


@pytest.mark.slow
def test_problems_are_told_under_the_file_s_own_headers(
    bare: Terminal, north: Organization, bad: str, tmp_path: Path
) -> None:
    report = tmp_path / "problems.csv"
    ran = bare("import", "students", bad, "--tenant", "north", "--report", str(report), "--on-error", "skip")
    assert "Fecha de nacimiento" in ran.out
    assert "date_of_birth" not in ran.out
    assert "all 2 are in" in ran.out
    assert "1 with 2 problems" in ran.out
    lines = report.read_text("utf-8-sig").splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["Fecha de nacimiento", "Apellido"]


@pytest.mark.slow
def test_what_is_no_import_of_records_is_a_usage_error(
    bare: Terminal, north: Organization, good: str, tmp_path: Path
) -> None:
    archive, report = str(tmp_path / "norte.zip"), str(tmp_path / "x.txt")
    assert bare("export", "tenant", archive, "--tenant", "north").code == 0
    for words, said in (
        (("import", "rooms", good, "--tenant", "north"), "rooms"),
        (("import", "template", "rooms"), "rooms"),
        (("import", "students", archive, "--tenant", "north"), f"rayces import tenant {archive}"),
        (("import", "students", good, "--tenant", "north", "--report", report), ".csv or a .json"),
        (("import", "template", "users", good), "is there already"),
        (("import", "template", "users", str(tmp_path / "x.ods")), ".xlsx"),
        (("import", "template", "users", str(tmp_path / "x.doc")), ".xlsx"),
    ):
        ran = bare(*words)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
    assert Path(good).read_bytes() == GOOD.encode("cp1252")


@pytest.mark.parametrize("words", [("students",), ("tenant",)])
def test_an_export_into_no_folder_is_told_in_words(
    bare: Terminal, north: Organization, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = bare("export", *words, str(tmp_path / "nodir" / "x.csv"), "--tenant", "north")
    assert (ran.code, ran.out) == (3, "")
    assert is_one_sentence(ran.err)
    assert "no such folder" in ran.err
    assert "Errno" not in ran.err
    assert "FileNotFoundError" not in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("students", "--state", "unknown"), "no state 'unknown'"),
        (("appointments", "--user", "nobody@example.org"), "no user nobody@example.org"),
        (("rooms",), "rooms cannot be exported"),
    ],
)
def test_an_export_of_what_is_not_there_is_refused(
    bare: Terminal, north: Organization, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "x.csv"
    ran = bare("export", words[0], str(path), "--tenant", "north", *words[1:])
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not path.exists()


def test_errors_of_a_source_speak_of_options(bare: Terminal, north: Organization, good: str) -> None:
    ran = bare("import", "students", good, "--tenant", "north", "--format", "xlsx")
    assert ran.code == 3
    assert is_one_sentence(ran.err)
    assert "leave --format out" in ran.err
    assert "format=" not in ran.err
