"""Notebooks are executed by `make docs`, once in CI, and nothing of what they showed is in the repository."""

import re

from tests.docs.site import DOCS, PAGES, ROOT

from _site.notebooks import notebooks_of  # isort: skip - found by the line above

MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci" / "run").read_text()
NAMES = ["chain", "duckdb", "first-steps", "three-walls", "tutorial", "twelve-questions"]


def recipe(target: str) -> str:
    return re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]


def test_the_notebooks_are_those_that_the_site_executes():
    assert sorted(path.stem for path in notebooks_of(DOCS)) == NAMES


def test_ci_builds_the_site_once_and_that_build_executes_them_once():
    assert re.findall(r"^make docs$", CI, re.MULTILINE) == ["make docs"]
    assert recipe("docs").count("-m sphinx") == 1
    assert " -W " in recipe("docs")
    assert "nb_execution_mode" not in recipe("docs")
    assert "nb_execution_mode=off" in recipe("docs-links")
    assert 'nb_execution_mode = "force"' in (DOCS / "conf.py").read_text()
    assert "nb_execution_raise_on_error = True" in (DOCS / "conf.py").read_text()


def test_no_test_executes_them():
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name != "test_notebooks.py":
            text = path.read_text()
            assert not re.search(r"docs.{0,3}/.{0,3}notebooks|-m.{0,4}sphinx", text), path


def test_no_output_is_committed():
    assert list(DOCS.rglob("*.ipynb")) == []
    for notebook in notebooks_of(DOCS):
        assert "```{output}" not in notebook.read_text()


def test_every_notebook_holds_the_clock_or_shows_no_time():
    for notebook in notebooks_of(DOCS):
        text = notebook.read_text()
        assert "clock.frozen(datetime(2026, 11, 25, 15, tzinfo=UTC))" in text or "load_centres" not in text, notebook


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for body in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            for line in body.splitlines():
                if line.strip() and not line.startswith(":"):
                    listed.add((page.parent / f"{line.strip()}.md").resolve())
    assert {page.resolve() for page in PAGES} - listed == {(DOCS / "index.md").resolve()}
