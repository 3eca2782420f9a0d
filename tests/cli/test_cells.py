"""`rayces cells …` and `rayces move …`: what is printed, and exit codes."""

from __future__ import annotations

import json

import pytest

from tests.cells.conftest import cells, cells_file, north, set_up  # noqa: F401 - fixtures
from tests.cells.test_moving import stopped_at
from tests.cli.process import Terminal


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], cells_file: str) -> Terminal:  # noqa: F811
    return Terminal(capsys)


@pytest.mark.slow
def test_migrate_shows_a_line_for_each_cell(terminal):
    ran = terminal("cells", "migrate")
    assert ran.code == 0
    lines = [line.split()[:2] for line in ran.out.splitlines() if "migrated" in line]
    assert lines == [["a", "migrated"], ["b", "migrated"]]


@pytest.mark.slow
def test_a_cell_that_fails_is_shown_and_the_exit_code_is_3(terminal, cells, tmp_path):  # noqa: F811
    path = tmp_path / "half.toml"
    path.write_text(f'catalogue = "a"\n[cells]\na = "{cells["a"].url}"\nc = "postgresql://nobody@127.0.0.1:1/none"\n')
    ran = terminal("cells", "migrate", "--cells", str(path))
    assert ran.code == 3
    ran = terminal("cells", "doctor", "--cells", str(path))
    assert ran.code == 1
    assert "127.0.0.1" in ran.out


@pytest.mark.slow
def test_doctor_gives_json(terminal):
    ran = terminal("cells", "doctor", "--json")
    assert ran.code == 0
    assert [each["cell"] for each in json.loads(ran.out)] == ["a", "b"]
    assert terminal("cells", "doctor").code == 0
    assert terminal("cells", "doctor", "--strict").code == 1  # the suite's login is a superuser


@pytest.mark.slow
def test_a_tenant_is_made_listed_renamed_and_moved(terminal, cells):  # noqa: F811
    made = terminal("cells", "create", "Cli Clinic", "--subdomain", "cli-clinic", "--cell", "a", "--currency", "USD")
    assert made.code == 0
    assert made.out.endswith("(subdomain cli-clinic) in cell a\n")
    assert terminal("cells", "create", "Twin", "--subdomain", "cli-clinic").code == 3
    assert terminal("cells", "rename", "cli-clinic", "clinic-cli").out.endswith("has the subdomain clinic-cli now\n")
    listed = {each["subdomain"]: each for each in json.loads(terminal("cells", "list", "--json").out)}
    assert (listed["clinic-cli"]["cell"], listed["clinic-cli"]["state"]) == ("a", "placed")
    assert "clinic-cli" in terminal("cells", "list").out
    moved = terminal("move", "tenant", "clinic-cli", "--to", "b")
    assert moved.code == 0
    assert "comparing both copies" in moved.err
    assert "lives in cell b now" in moved.out
    assert "opened" in terminal("move", "list").out
    refused = terminal("move", "finish", "clinic-cli")
    assert (refused.code, "is kept until" in refused.err) == (3, True)
    assert terminal("move", "finish", "clinic-cli", "--grace", "0").out == "the copy of clinic-cli in cell a is gone\n"
    ended = json.loads(terminal("move", "list", "--all", "--json").out)[0]
    assert (ended["subdomain"], ended["step"], len(ended["checksums"]["users"])) == ("clinic-cli", "finished", 64)


@pytest.mark.slow
def test_a_move_is_cancelled(terminal, cells, north):  # noqa: F811
    stopped_at(cells, north, "comparing")
    assert terminal("move", "cancel", north.subdomain).out == f"{north.subdomain} stays in cell a\n"
    assert terminal("move", "cancel", north.subdomain).code == 3
    refused = terminal("move", "tenant", north.subdomain, "--to", "z", "--quiet")
    assert refused.err.startswith("rayces: there is no cell 'z'")


def test_without_a_list_of_cells_it_is_said_how_to_give_one(terminal, monkeypatch):
    monkeypatch.delenv("RAYCES_CELLS")
    ran = terminal("cells", "list")
    assert (ran.code, "set RAYCES_CELLS or give --cells FILE" in ran.err) == (2, True)
