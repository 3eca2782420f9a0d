"""The cells of docs/analysis.md, "In a notebook", run in a kernel, and give what stands beside them."""

import re
from pathlib import Path

from tests.kernel import Kernel

PAGE = Path(__file__).parents[1] / "docs" / "analysis.md"


def cells() -> list[str]:
    section = PAGE.read_text().split("\n## In a notebook\n")[1].split("\n## ")[0]
    return re.findall(r"```i?python\n(.*?)```", section, re.DOTALL)


def test_the_cells_run_and_give_what_stands_beside_them(kernel: Kernel):
    kernel.cell("second = other = another = closing = locking = None")
    checked = 0
    for cell in cells():
        ran = kernel.cell(cell)
        if said := re.findall(r"\)   # (\S+)$", cell, re.MULTILINE):
            assert (ran.value or ran.printed).splitlines()[-1] == said[-1], cell
            checked += 1
    assert (checked, len(cells())) == (5, 10)
    assert kernel.try_cell("Student.select().count()").error == "TenantNotSetError"
