"""docs/analysis.md is typed into a kernel from its first cell on, and gives what stands beside its lines."""

import re
from pathlib import Path

import pytest

from tests.kernel import Kernel

PAGE = Path(__file__).parents[1] / "docs" / "analysis.md"
SAID = re.compile(r"\)   # (\S+)$|print\(.*\)  # (.*)$", re.MULTILINE)


def cells() -> list[str]:
    text = PAGE.read_text().split("\n## Other programs\n")[0]
    return re.findall(r"```i?python\n(.*?)```", text, re.DOTALL)


@pytest.mark.slow
def test_the_cells_run_from_the_top_and_give_what_stands_beside_them(kernel: Kernel, make_database, template):
    kernel.cell("before = db, Database.embedded")
    kernel.cell(f"Database.embedded = lambda: Database.connect({make_database(template)!r})")
    checked = 0
    for cell in cells():
        ran = kernel.cell(cell)
        if said := [beside or printed for beside, printed in SAID.findall(cell)]:
            assert (ran.printed or ran.value).splitlines()[-len(said) :] == said, cell
            checked += len(said)
    assert (checked, len(cells())) == (10, 11)
    assert kernel.try_cell("Student.select().count()").error == "TenantNotSetError"
    kernel.cell("db.close(); db, Database.embedded = before")
