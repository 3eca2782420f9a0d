"""Where migrations are: the same directory has the same history, whoever asks and wherever the checkout lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayces_core.errors import ConfigurationError
from rayces_core.migrating.places import Place, configured, in_order, place
from tests.walking import walked


@walked(
    ("directory", "name"),
    [
        ("myapp/migrations", "myapp"),
        ("/srv/releases/7/myapp/migrations/", "myapp"),
        ("src/Clinic", "clinic"),
        ("migrations", "host"),
        ("./migrations", "host"),
        ("../migrations", "host"),
    ],
)
def test_a_history_is_named_by_what_is_written(directory: str, name: str) -> None:
    found = place(directory, beneath=Path("/somewhere/else"))
    assert (found.name, found.history_table, found.is_named) == (name, f"{name}_migrations", False)


def test_a_given_table_is_taken_as_it_is() -> None:
    assert place("a", "Bills").name == "Bills"
    assert place("a", "bills_migrations") == Place("a", "bills_migrations", is_named=True)


def test_pyproject_is_found_above_and_its_directories_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.rayces]\nmigrations = ["myapp/migrations", {directory = "sql", history_table = "bills"}]\n'
    )
    (deep := tmp_path / "myapp" / "models").mkdir(parents=True)
    assert configured(deep) == [
        Place(str(tmp_path / "myapp/migrations"), "myapp_migrations", is_named=False),
        Place(str(tmp_path / "sql"), "bills", is_named=True),
    ]


def test_without_a_word_of_ours_there_is_nothing_but_ours(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert configured(tmp_path) == []
    assert [each.name for each in in_order([])] == ["rayces"]


@walked(
    ("text", "sentence"),
    [
        ("[tool.rayces", "is no TOML"),
        ("[tool.rayces]\nmigrations = 'myapp'", "migrations has to be a list: .*myapp/migrations"),
        ("[tool]\nrayces = 'myapp'", "rayces has to be a table"),
        ("tool = 3", "tool has to be a table"),
        ("[tool.rayces]\nmigrations = [3]", "is neither a directory nor"),
        ("[tool.rayces]\nmigrations = [{table = 'x'}]", "is neither a directory nor"),
        ("[tool.rayces]\nmigrations = [{directory = 'x', table = 'y'}]", "is neither a directory nor"),
        (f"[tool.rayces]\nmigrations = ['{'x' * 60}']", "at most 63 bytes"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_write(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=sentence):
        configured(tmp_path)


def test_two_directories_never_share_a_history() -> None:
    with pytest.raises(ConfigurationError, match=r"b/x/migrations and a/x/migrations would both have .* x_migrations"):
        in_order([place("a/x/migrations"), place("b/x/migrations")])
    with pytest.raises(ConfigurationError, match="and this library would both have the history rayces_migrations"):
        in_order([place("rayces/migrations")])
