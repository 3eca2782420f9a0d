"""What the documents say is run or checked."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.parsing import parsed
from tests.walking import walked

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@functools.cache
def code_blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)


@pytest.mark.slow
def test_the_readmes_example_runs_as_it_stands(capsys):
    example, *_ = code_blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 22

    exec(compile(example, "README.md", "exec"), {})

    assert "no tenant is bound here" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "document",
    ["scheduling.md", "credits.md", "invoices.md", "outcomes.md", "outbox.md", "sign-in.md", "cells.md", "people.md"],
)
def test_the_example_of_a_document_runs_as_it_stands(document, capsys, on_the_runs_server):
    example, *_ = code_blocks(ROOT / "docs" / document, "python")

    exec(compile(example, document, "exec"), {})

    said = re.findall(r"print\(.*# (.*)", example)
    assert capsys.readouterr().out.splitlines() == said


@walked("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@walked("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_the_documents_compiles(document):
    for block in code_blocks(document, "python"):
        compile(block, document.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)  # as cells of notebooks may


def test_the_two_commands_of_the_readme_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for command in re.findall(r"\$ make (\w+)", (ROOT / "README.md").read_text()):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command


@pytest.mark.slow
def test_the_wheel_holds_the_migrations_and_the_type_marker(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in ZipFile(wheel).namelist() if name.startswith("rayces_core/")}

    source = ROOT / "src"
    expected = {path.relative_to(source).as_posix() for path in (source / "rayces_core").rglob("*.py")}
    assert expected | {"rayces_core/py.typed"} <= inside
    assert [name for name in inside if "test" in name] == ["rayces_core/integrations/testing.py"]
    catalogues = {f"rayces_core/integrations/locale/{language}/LC_MESSAGES/rayces.mo" for language in ("en", "es")}
    assert catalogues <= inside


@pytest.mark.slow
def test_inside_the_package_only_submodules_are_imported():
    package = ROOT / "src" / "rayces_core"
    for path in package.rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module == "rayces_core":
                for alias in node.names:
                    assert (package / alias.name).is_dir() or (package / f"{alias.name}.py").exists(), (
                        path,
                        alias.name,
                    )
