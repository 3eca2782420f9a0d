"""`--models` and `models` in pyproject.toml: modules of the host that commands import first."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.process import Terminal
from tests.hosting.conftest import unregistered  # noqa: F401 - a fixture

MODELS = """
from rayces_core import TenantModel, hosting
from rayces_core.fields import StringField

class Locker(TenantModel):
    code = StringField()
    class Meta:
        table_name = "lockers"

hosting.register(Locker, key="code")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unregistered: None) -> Iterator[Path]:  # noqa: F811
    """The current folder: one beneath a project with models."""
    (tmp_path / "lockers").mkdir()
    (tmp_path / "lockers" / "models.py").write_text(MODELS)
    (tmp_path / "pyproject.toml").write_text('[tool.rayces]\nmodels = ["lockers.models"]\n')
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path / "lockers")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "lockers"]:
        del sys.modules[name]


def test_models_of_pyproject_toml_are_known(nowhere: Terminal, project: Path) -> None:
    assert nowhere("import", "template", "lockers").out.split() == ["\ufeffcode", "A1"]


def test_a_module_that_is_named_stands_for_those_of_the_file(
    nowhere: Terminal, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "pyproject.toml").write_text('[tool.rayces]\nmodels = ["nothing"]\n')
    monkeypatch.chdir(project)
    assert nowhere("import", "template", "lockers", "--models", "lockers.models").code == 0


FAULTS = {
    "no such module": ('[tool.rayces]\nmodels = ["nothing.at.all"]', "there is no module nothing"),
    "no list": ('[tool.rayces]\nmodels = "lockers.models"', "models has to be a list"),
    "no text in it": ("[tool.rayces]\nmodels = [1]", "models has to be a list"),
    "no TOML": ("[tool", "is no TOML"),
    "no table": ("[tool]\nrayces = 3", "rayces has to be a table"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_imported_is_told_in_one_sentence(nowhere: Terminal, project: Path, fault: str) -> None:
    written, said = FAULTS[fault]
    (project / "pyproject.toml").write_text(written)
    ran = nowhere("import", "template", "students")
    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (2, True, False)


def test_what_nobody_registered_is_no_record_type(nowhere: Terminal, project: Path) -> None:
    (project / "pyproject.toml").unlink()
    ran = nowhere("import", "template", "lockers")
    assert (ran.code, "lockers cannot be imported" in ran.err) == (2, True)
