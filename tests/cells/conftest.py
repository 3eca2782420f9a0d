"""Two databases of the run's server as two cells."""

from collections.abc import Callable, Iterator

import pytest

from rayces_core.cells import Cells


@pytest.fixture
def make_cells(make_database: Callable[..., str], template: str) -> Iterator[Callable[..., Cells]]:
    """Cells of new databases, with the names that are given."""
    made: list[Cells] = []

    def make(*names: str, **options: object) -> Cells:
        given = {"trusted_seconds": 0.0, "pool_timeout": 10.0} | options
        cells = Cells({name: make_database(template) for name in names}, catalogue=names[0], **given)
        made.append(cells)
        return cells

    yield make
    for cells in made:
        cells.close()


@pytest.fixture
def cells(make_cells: Callable[..., Cells]) -> Cells:
    """Cells a and b, set up."""
    made = make_cells("a", "b")
    made.migrate()
    return made
